"""Session-kNN: what followed in the past sessions that are most like this one (V-SKNN).

Jannach & Ludewig, RecSys 2017; in the form of VMIS-kNN (Kersbergen, Sprangers & Schelter, SIGMOD
2022), which keeps for each item the latest sessions that met it, so that a click costs the same
however many sessions there are.

**Deviations.** An event's weight falls with the number of events behind it, not with its place
among all. How many sessions an item recalls bounds each item, not the sessions of all items
together. Where the training tasks stand in no order, the last of them are taken for the latest.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp

from warmstart.arrays import SparseTriples
from warmstart.baselines.popularity import Popular, break_ties, popularity
from warmstart.cooccurrence.transitions import events_since
from warmstart.scorer import (
    Candidates,
    Capabilities,
    Scores,
    TrainingNeighbours,
    candidates_of,
)
from warmstart.tasks.tasks import Examples, Profile, Tasks

AT_ONCE = 4_000_000  # pairs of an event and a session that recalls it, held at once


class SessionKNN:
    """This sums the past sessions that share events with the support set; its state is which ones,
    and how much.

    `sample` are the latest sessions that each item recalls, `neighbours` those that are heard of
    all that are recalled; `decay` is what an event's weight falls by with each event behind it,
    where events stand in time order.
    """

    GRID: tuple[dict[str, Any], ...] = tuple(
        {"neighbours": neighbours, "sample": sample}
        for neighbours, sample in product((100, 500), (500, 2500))
    )

    def __init__(
        self,
        past: Examples,
        popular: Popular,
        *,
        neighbours: int,
        sample: int,
        decay: float,
        met: sp.csr_array | None = None,
        latest: sp.csr_array | None = None,
    ) -> None:
        self.past, self.popular, self.items = past, popular, len(popular)
        self.settings = {"neighbours": neighbours, "sample": sample, "decay": decay}
        self.met = past.matrix(self.items) if met is None else met  # (sessions, I)
        self.latest = _latest(self.met, sample) if latest is None else latest  # (I, sessions)
        self.rareness = np.log1p(
            len(past) / (1 + np.bincount(past.item, minlength=self.items))
        ).astype(np.float32)

    @classmethod
    def fit(
        cls,
        train: Tasks,
        *,
        items: int,
        neighbours: int = 100,
        sample: int = 500,
        decay: float = 0.8,
    ) -> "SessionKNN":
        popular, decay = popularity(train, items), decay if train.ordered else 1.0
        return cls(train.met, popular, neighbours=neighbours, sample=sample, decay=decay)

    def adapt(self, support: Examples, profile: Profile = None) -> sp.csr_array:
        recalled = (
            self.latest.indptr[support.item + 1] - self.latest.indptr[support.item]
        )  # sessions, for each event
        before = np.concatenate([[0], np.cumsum(recalled)])[support.start]
        blocks = np.unique(
            np.searchsorted(before, np.arange(0, before[-1] + 1, AT_ONCE), side="right") - 1
        )
        if len(blocks) == 1:
            return self._alike(support)
        parts = np.split(np.arange(len(support)), blocks[1:])
        return sp.csr_array(sp.vstack([self._alike(support.take(part)) for part in parts]))

    def score(self, state: sp.csr_array, items: Candidates) -> Scores:
        said = sp.csr_array(state @ self.met).toarray() * self.rareness
        return candidates_of(break_ties(said, self.popular), items)

    @property
    def capabilities(self) -> Capabilities:
        """The past sessions; the state are their weights."""
        return Capabilities(neighbours=TrainingNeighbours(self.met, self.adapt))

    def named(self, support: Examples) -> SparseTriples:
        """What the sessions alike met, each time one met it, instead of the scores of all items."""
        return (
            SparseTriples.from_matrix(self.adapt(support))
            .matmul(self.met)
            .scale_columns(self.rareness)
        )

    def arrays(self) -> dict[str, np.ndarray]:
        past = {"item": self.past.item, "start": self.past.start}
        return {**past, "popular": self.popular}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "SessionKNN":
        past = Examples.plain(arrays["item"], arrays["start"])
        return cls(past, arrays["popular"], **settings)

    def with_sessions(self, more: Examples) -> "SessionKNN":
        """The same, with sessions that came since; the catalogue stays as it was, and so does what
        was indexed.
        """
        came = more.matrix(self.items)
        return SessionKNN(
            self.past.with_tasks(more),
            self.popular,
            **self.settings,
            met=sp.csr_array(sp.vstack([self.met, came])),
            latest=_last(
                sp.csr_array(sp.hstack([self.latest, _by_item(came)])), self.settings["sample"]
            ),
        )

    def _alike(self, support: Examples) -> sp.csr_array:
        """The nearest past sessions of each task: the weights of the events shared, times that of
        the latest one.
        """
        weight = (self.settings["decay"] ** events_since(support)).astype(np.float32)
        recalled = SparseTriples(support.task, support.item, weight).matmul(self.latest)
        key = recalled.row * len(self.past) + recalled.column
        order = np.argsort(key, kind="stable")
        key, weight = key[order], recalled.value[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        shared, latest = (
            of.reduceat(weight, first) if len(first) else weight for of in (np.add, np.maximum)
        )
        task, session = np.divmod(key[first], len(self.past))
        nearest = np.lexsort((-session, -shared, task))  # of two that are alike the later one
        place = np.arange(len(task)) - np.searchsorted(task, task)
        kept = nearest[place < self.settings["neighbours"]]
        start = np.searchsorted(task[kept], np.arange(len(support) + 1))
        return sp.csr_array(
            (shared[kept] * latest[kept], session[kept], start),
            shape=(len(support), len(self.past)),
        )


def _latest(met: sp.csr_array, sample: int) -> sp.csr_array:
    """The last `sample` sessions that met each item: (sessions, I) -> (I, sessions)."""
    return _last(_by_item(met), sample)


def _by_item(met: sp.csr_array) -> sp.csr_array:
    """The sessions that met each item, in their order."""
    by_item = sp.csr_array(met.T)
    by_item.sort_indices()
    return by_item


def _last(by_item: sp.csr_array, sample: int) -> sp.csr_array:
    """The last `sample` entries of each row."""
    counts = np.diff(by_item.indptr)
    from_the_end = np.repeat(by_item.indptr[1:], counts) - np.arange(len(by_item.indices))
    kept = from_the_end <= sample
    start = np.concatenate([[0], np.cumsum(np.minimum(counts, sample))])
    return sp.csr_array((by_item.data[kept], by_item.indices[kept], start), shape=by_item.shape)
