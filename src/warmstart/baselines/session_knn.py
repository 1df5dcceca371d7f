"""Session-kNN: the items of the past sessions that are most similar to the current one (V-SKNN).

Jannach & Ludewig, RecSys 2017; in the form of VMIS-kNN (Kersbergen, Sprangers & Schelter,
SIGMOD 2022), which keeps for each item the latest sessions with it, so that a click costs the same
however many sessions there are.

**Deviations.** An event's weight falls with the number of events after it, not with its position
among all. The number of sessions that are looked up is bounded for each item, not for all items
together. Where the training tasks have no order, the last of them are taken for the latest.
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
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks

MAX_PAIRS = 4_000_000
"""Pairs of an event and a session with its item, held at once."""


class SessionKNN:
    """Sums the items of similar past sessions; the state is their weights, sparse (T, U).

    `sample` is the number of latest sessions that are looked up for each item, `neighbours` that of
    the most similar ones that count; `decay` is the factor by which an event's weight falls with
    each event after it, where events have a time order. `max_pairs` bounds the memory.
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
        interactions: sp.csr_array | None = None,
        latest: sp.csr_array | None = None,
    ) -> None:
        self.past, self.popular, self.items = past, popular, len(popular)
        self.settings = {"neighbours": neighbours, "sample": sample, "decay": decay}
        self.interactions = past.matrix(self.items) if interactions is None else interactions
        if latest is None:
            latest = _last_per_row(_by_item(self.interactions), sample)
        self.latest = latest  # (I, U): the latest sessions with each item
        counts = np.bincount(past.item, minlength=self.items)
        self.idf = np.log1p(len(past) / (1 + counts)).astype(np.float32)

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
        return cls(train.all_events, popular, neighbours=neighbours, sample=sample, decay=decay)

    def adapt(self, support: Examples, profile: Profile = None) -> sp.csr_array:
        return self.session_weights(support)

    def session_weights(self, support: Examples, *, max_pairs: int = MAX_PAIRS) -> sp.csr_array:
        """(T, U): the weights of the nearest sessions, computed in blocks of tasks."""
        looked_up = self.latest.indptr[support.item + 1] - self.latest.indptr[support.item]  # (N,)
        before = np.concatenate([[0], np.cumsum(looked_up)])[support.offsets]  # pairs before a task
        starts = np.arange(0, before[-1] + 1, max_pairs)
        blocks = np.unique(np.searchsorted(before, starts, side="right") - 1)
        if len(blocks) == 1:
            return self._nearest(support)
        parts = np.split(np.arange(len(support)), blocks[1:])
        return sp.csr_array(sp.vstack([self._nearest(support.take(part)) for part in parts]))

    def score(self, state: sp.csr_array, items: Candidates) -> Scores:
        scores = sp.csr_array(state @ self.interactions).toarray() * self.idf
        return candidates_of(break_ties(scores, self.popular), items)

    @property
    def capabilities(self) -> Capabilities:
        """The past sessions; the state is their weights."""
        return Capabilities(neighbours=TrainingNeighbours(self.interactions, self.adapt))

    def sparse_scores(self, support: Examples) -> SparseTriples:
        """The scores of the items of the nearest sessions alone, not yet summed over sessions."""
        weights = SparseTriples.from_matrix(self.adapt(support))
        return weights.matmul(self.interactions).scale_columns(self.idf)

    def arrays(self) -> dict[str, np.ndarray]:
        past = {"item": self.past.item, "start": self.past.offsets}
        return {**past, "popular": self.popular}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "SessionKNN":
        past = Examples.unweighted(arrays["item"], arrays["start"])
        return cls(past, arrays["popular"], **settings)

    def with_sessions(self, more: Examples) -> "SessionKNN":
        """The same with later sessions; the catalogue and its popularity stay."""
        added = more.matrix(self.items)
        latest = sp.csr_array(sp.hstack([self.latest, _by_item(added)]))
        return SessionKNN(
            self.past.with_tasks(more),
            self.popular,
            **self.settings,
            interactions=sp.csr_array(sp.vstack([self.interactions, added])),
            latest=_last_per_row(latest, self.settings["sample"]),
        )

    def _nearest(self, support: Examples) -> sp.csr_array:
        """(T, U): the weight of each of the nearest sessions: its similarity, which is the sum of
        the weights of the events shared, times the weight of the latest of them.
        """
        task, session, similarity, latest = self._shared_events(support)
        # by task, then by similarity; of two equally similar sessions the later one comes first
        order = np.lexsort((-session, -similarity, task))
        rank = np.arange(len(task)) - np.searchsorted(task, task)
        kept = order[rank < self.settings["neighbours"]]
        start = np.searchsorted(task[kept], np.arange(len(support) + 1))
        weight = similarity[kept] * latest[kept]
        return sp.csr_array((weight, session[kept], start), shape=(len(support), len(self.past)))

    def _shared_events(
        self, support: Examples
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of each task and session with events in common: their codes, and the sum and the maximum
        of the weights of these events.
        """
        weight = (self.settings["decay"] ** events_since(support)).astype(np.float32)
        pairs = SparseTriples(support.task, support.item, weight).matmul(self.latest)
        key = pairs.row * len(self.past) + pairs.column  # one number for each task and session
        order = np.argsort(key, kind="stable")
        key, weight = key[order], pairs.value[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        task, session = np.divmod(key[first], len(self.past))
        if not len(first):  # reduceat knows no empty arrays
            return task, session, weight, weight
        return task, session, np.add.reduceat(weight, first), np.maximum.reduceat(weight, first)


def _by_item(interactions: sp.csr_array) -> sp.csr_array:
    """(U, I) -> (I, U): the sessions with each item, in their order."""
    by_item = sp.csr_array(interactions.T)
    by_item.sort_indices()
    return by_item


def _last_per_row(rows: sp.csr_array, count: int) -> sp.csr_array:
    """The last `count` entries of each row."""
    counts = np.diff(rows.indptr)
    from_the_end = np.repeat(rows.indptr[1:], counts) - np.arange(len(rows.indices))
    kept = from_the_end <= count
    start = np.concatenate([[0], np.cumsum(np.minimum(counts, count))])
    return sp.csr_array((rows.data[kept], rows.indices[kept], start), shape=rows.shape)
