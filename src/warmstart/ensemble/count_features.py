"""Memory: what past tasks say, by counting alone, of what comes next: some witnesses for a stack to
weigh.

All is counted anew when tasks come that happened since, so nothing has to be trained for them to be
heard.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float32, Int64

from warmstart.baselines import SessionKNN
from warmstart.cooccurrence.sparse_triples import SparseTriples
from warmstart.cooccurrence.transitions import events_since, transition_counts
from warmstart.tasks.tasks import Examples

DECAY = 0.6  # of what an event says with each event after it, where events stand in time order
MAX_COUNTED_EVENTS = 50  # events of a past task, the latest, whose items count as met together
RECENT_SHARES = (1.0, 0.1, 0.03, 0.01)  # of all events, the latest ones, in which items are counted
SOURCE_SUFFIX = " elsewhere"
FEATURE_NAMES = (
    *("alike", "together", "cosine", "next", "met", "last", "before_last"),
    *(name + SOURCE_SUFFIX for name in ("alike", "together", "cosine")),
)
"""Who says something: of events that are like those asked for, and of events elsewhere, such as in
another domain.
"""
ITEM_FEATURE_NAMES = (*(f"met in the latest {share:.0%}" for share in RECENT_SHARES), "age")
LOG_SCALE_THRESHOLDS = {
    "alike": 1e-5,
    "together": 1e-4,
    "next": 1e-4,
    "alike elsewhere": 1e-5,
    "together elsewhere": 1e-4,
}
"""The share of what a witness says below which it is as good as nothing."""


@dataclass(frozen=True)
class CandidateFeatures:
    """What the witnesses say after T support sets: N pairs of a task and an item that one of them
    names.
    """

    task: Int64[np.ndarray, "N"]
    item: Int64[np.ndarray, "N"]
    values: Float32[np.ndarray, "N W"]


@dataclass(frozen=True)
class CountFeatures:
    """Past tasks over a catalogue of `items`, those that happened first in front.

    Where events are not `ordered`, nothing is said of what followed what. Where only some items may
    be an answer, the others, which are `elsewhere`, have witnesses of their own: what they tell is
    heard less before they are trusted.
    """

    ordered: bool
    source_items: Bool[np.ndarray, "I"]
    session_knn: SessionKNN
    """The past tasks, and which of them are like a support set."""
    popularity_counts: Float32[np.ndarray, "I"]
    """How many past tasks met each item."""
    cooccurrence: sp.csr_array
    """How many past tasks met both of two different items: (I, I)."""
    transitions: sp.csr_array
    """How often an item was met right after another: (I, I)."""

    @classmethod
    def fit(
        cls, past: Examples, ordered: bool, elsewhere: Bool[np.ndarray, "I"]
    ) -> "CountFeatures":
        nobody = np.zeros(len(elsewhere), dtype=np.float32)
        alike = SessionKNN(
            past, nobody, neighbours=100, sample=500, decay=DECAY if ordered else 1.0
        )
        return cls(ordered, elsewhere, alike, *_counted(past, len(elsewhere)))

    @property
    def past(self) -> Examples:
        return self.session_knn.past

    @property
    def items(self) -> int:
        return len(self.source_items)

    def with_sessions(self, more: Examples) -> "CountFeatures":
        """The same with tasks that came since; what was counted is added to."""
        met, pairs, after = _counted(more, self.items)
        return CountFeatures(
            self.ordered,
            self.source_items,
            self.session_knn.with_sessions(more),
            self.popularity_counts + met,
            self.cooccurrence + pairs,
            self.transitions + after,
        )

    @cached_property
    def item_features(self) -> Float32[np.ndarray, "I P"]:
        """How often each item was met of late, and how long ago, in logarithms."""
        met, columns = self.past.item, []
        for share in RECENT_SHARES:
            counts = np.bincount(met[len(met) - round(share * len(met)) :], minlength=self.items)
            columns.append(np.log((counts + 0.3) / (counts.mean() + 0.3)))
        last = np.full(self.items, -1)
        last[met] = np.arange(len(met))  # of an item that comes again the latest place stays
        columns.append(np.log1p(100 * (len(met) - 1 - last) / max(len(met), 1)))
        return np.stack(columns, axis=1).astype(np.float32)

    def extract(self, support: Examples) -> CandidateFeatures:
        """What past tasks that are alike met, what was met together, what followed, and what was
        met already.
        """
        elsewhere = self.source_items[support.item]
        said_by = self._of_shots(support.where(~elsewhere))
        if elsewhere.any():
            theirs = self._of_any(support.where(elsewhere))
            said_by |= {name + SOURCE_SUFFIX: said for name, said in theirs.items()}
        task, item, weight = (
            np.concatenate(column) for column in zip(*said_by.values(), strict=True)
        )
        pairs, place = np.unique(task * self.items + item, return_inverse=True)
        witness = np.repeat(
            [FEATURE_NAMES.index(name) for name in said_by],
            [len(said.row) for said in said_by.values()],
        )
        cells = np.bincount(
            place * len(FEATURE_NAMES) + witness, weight, minlength=len(pairs) * len(FEATURE_NAMES)
        )
        said = cells.reshape(len(pairs), len(FEATURE_NAMES)).astype(np.float32)
        for name, faint in LOG_SCALE_THRESHOLDS.items():
            said[:, FEATURE_NAMES.index(name)] = _loud(said[:, FEATURE_NAMES.index(name)], faint)
        return CandidateFeatures(*np.divmod(pairs, self.items), said)

    @cached_property
    def _each_pair(self) -> Float32[np.ndarray, "I"]:
        return _one_over(self.cooccurrence.sum(axis=1))

    @cached_property
    def _each_next(self) -> Float32[np.ndarray, "I"]:
        return _one_over(self.transitions.sum(axis=1))

    @cached_property
    def _root(self) -> Float32[np.ndarray, "I"]:
        return np.sqrt(_one_over(self.popularity_counts))

    def shots(self, support: Examples) -> Int64[np.ndarray, "T"]:
        """How many events of each support set are not elsewhere."""
        return np.bincount(support.task[~self.source_items[support.item]], minlength=len(support))

    def _of_any(self, support: Examples) -> dict[str, SparseTriples]:
        """What the witnesses that are asked of any events give each item after each support set.

        A cosine is near 1 for two items that hardly anybody meets alone, such as a product that is
        listed twice.
        """
        weight = (self.session_knn.settings["decay"] ** events_since(support)).astype(np.float32)
        heard = SparseTriples(support.task, support.item, weight)
        return {
            "alike": self.session_knn.named(support).normalise_rows(len(support)),
            "together": heard.normalise_rows(len(support))
            .scale_columns(self._each_pair)
            .matmul(self.cooccurrence),
            "cosine": heard.scale_columns(self._root)
            .matmul(self.cooccurrence)
            .scale_columns(self._root),
        }

    def _of_shots(self, support: Examples) -> dict[str, SparseTriples]:
        """The same with what followed the last of them, and which items they are: of events that
        are an answer.
        """
        later = events_since(support)
        last, before_last = (_marked(support, self.ordered & (later == place)) for place in (0, 1))
        return {
            **self._of_any(support),
            "next": last.scale_columns(self._each_next).matmul(self.transitions),
            "met": _marked(support, _first(support, self.items)),
            "last": last,
            "before_last": before_last,
        }


def _counted(past: Examples, items: int) -> tuple[np.ndarray, sp.csr_array, sp.csr_array]:
    """How many tasks met each item, both of two, if a task met much of what it met last, and how
    often one followed.
    """
    recent = past.latest(MAX_COUNTED_EVENTS).matrix(items)
    pairs = sp.csr_array(recent.T @ recent)
    met = pairs.diagonal()
    pairs.setdiag(0)
    pairs.eliminate_zeros()
    return met, pairs, transition_counts(past, np.arange(items), items, 1)


def _marked(support: Examples, kept: Bool[np.ndarray, "N"]) -> SparseTriples:
    """A one for each event that is kept."""
    return SparseTriples(
        support.task[kept], support.item[kept], np.ones(kept.sum(), dtype=np.float32)
    )


def _first(support: Examples, items: int) -> Bool[np.ndarray, "N"]:
    """Which events are a task's first with their item."""
    first = np.zeros(len(support.item), dtype=bool)
    first[np.unique(support.task * items + support.item, return_index=True)[1]] = True
    return first


def _one_over(counts: np.ndarray) -> Float32[np.ndarray, "I"]:
    """One over each, nothing for nothing."""
    return np.divide(1, counts, out=np.zeros(len(counts)), where=counts > 0).astype(np.float32)


def _loud(shares: Float32[np.ndarray, "_"], faint: float) -> Float32[np.ndarray, "_"]:
    """How loud a share is: 0 for nothing, about 1 for something, in between by its logarithm."""
    return np.log1p(shares / faint) / math.log1p(0.1 / faint)
