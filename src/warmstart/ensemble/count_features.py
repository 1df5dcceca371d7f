"""Count features: what counts over past tasks say of candidate items after a support set.

A stack's combiner weighs them (see `combiner`). Nothing is trained: new tasks are added to the
counts, so that the features know them at once.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float32, Int64

from warmstart.arrays import SparseTriples
from warmstart.baselines import SessionKNN
from warmstart.cooccurrence.transitions import events_since, transition_counts
from warmstart.tasks.examples import Examples

DECAY = 0.6  # factor on the weight of an event for each later one, where events have a time order
MAX_COUNTED_EVENTS = 50  # latest events of a past task whose items count as co-occurring
RECENT_SHARES = (1.0, 0.1, 0.03, 0.01)  # latest shares of all events in which items are counted
COUNT_SMOOTHING = 0.3  # events added to each count before its logarithm
SOURCE_SUFFIX = " (source)"
FEATURE_NAMES = (
    *("similar_sessions", "cooccurrence", "cosine", "transition", "seen", "last", "before_last"),
    *(name + SOURCE_SUFFIX for name in ("similar_sessions", "cooccurrence", "cosine")),
)
"""Features of the target domain's events, and of those in a source domain, in this order."""
ITEM_FEATURE_NAMES = (
    *(f"popularity in the latest {share:.0%}" for share in RECENT_SHARES),
    "age",
)
LOG_SCALE_THRESHOLDS = {
    "similar_sessions": 1e-5,
    "cooccurrence": 1e-4,
    "transition": 1e-4,
    "similar_sessions" + SOURCE_SUFFIX: 1e-5,
    "cooccurrence" + SOURCE_SUFFIX: 1e-4,
}
"""Shares around which the logarithmic scale of a feature begins: smaller ones are next to 0."""


@dataclass(frozen=True)
class CandidateFeatures:
    """W features of each of N (task, item) pairs; pairs that are absent have zeros alone."""

    task: Int64[np.ndarray, "N"]
    item: Int64[np.ndarray, "N"]
    values: Float32[np.ndarray, "N W"]


@dataclass(frozen=True)
class CountFeatures:
    """Counts over past tasks, in time order, of a catalogue of `items`.

    Without a time order (`ordered`) there are no transitions. Where only items of a target domain
    may be an answer, events on all others (`source_items`) have features of their own, so that the
    combiner can weigh them apart.
    """

    ordered: bool
    source_items: Bool[np.ndarray, "I"]
    session_knn: SessionKNN
    """The past tasks, and which of them are similar to a support set."""
    popularity_counts: Float32[np.ndarray, "I"]
    """Past tasks with each item."""
    cooccurrence: sp.csr_array
    """Past tasks with both of two different items: (I, I)."""
    transitions: sp.csr_array
    """How often an item came right after another: (I, I)."""

    @classmethod
    def fit(
        cls, past: Examples, ordered: bool, source_items: Bool[np.ndarray, "I"]
    ) -> "CountFeatures":
        """Count over past tasks."""
        popularity = np.zeros(len(source_items), dtype=np.float32)  # no ties to break
        decay = DECAY if ordered else 1.0
        similar = SessionKNN(past, popularity, neighbours=100, sample=500, decay=decay)
        return cls(ordered, source_items, similar, *_count(past, len(source_items)))

    @property
    def past(self) -> Examples:
        """The past tasks."""
        return self.session_knn.past

    @property
    def items(self) -> int:
        """Size of the catalogue."""
        return len(self.source_items)

    def with_sessions(self, more: Examples) -> "CountFeatures":
        """The counts with those of later tasks added."""
        popularity, cooccurrence, transitions = _count(more, self.items)
        return CountFeatures(
            self.ordered,
            self.source_items,
            self.session_knn.with_sessions(more),
            self.popularity_counts + popularity,
            self.cooccurrence + cooccurrence,
            self.transitions + transitions,
        )

    @cached_property
    def item_features(self) -> Float32[np.ndarray, "I P"]:
        """Log popularity of each item in the latest events, and log age of its last event."""
        events = self.past.item
        columns = [self._log_popularity(events, share) for share in RECENT_SHARES]
        last = np.full(self.items, -1)
        last[events] = np.arange(len(events))  # of an item that comes again the last position stays
        age = 100 * (len(events) - 1 - last) / max(len(events), 1)  # percent of all events
        return np.stack([*columns, np.log1p(age)], axis=1).astype(np.float32)

    def shots(self, support: Examples) -> Int64[np.ndarray, "T"]:
        """Events of each support set in the target domain."""
        return np.bincount(support.task[~self.source_items[support.item]], minlength=len(support))

    def extract(self, support: Examples) -> CandidateFeatures:
        """The features of all items that any of them names, after each support set."""
        in_source = self.source_items[support.item]
        features = self._of_target(support.where(~in_source))
        if in_source.any():
            of_source = self._of_any(support.where(in_source))
            features |= {name + SOURCE_SUFFIX: triples for name, triples in of_source.items()}
        return _log_scaled(self._tabulate(features))

    def _tabulate(self, features: dict[str, SparseTriples]) -> CandidateFeatures:
        """Sparse features as one dense row for each pair of a task and an item."""
        task, item, value = (
            np.concatenate(column) for column in zip(*features.values(), strict=True)
        )  # (M,) each
        counts = [len(triples.row) for triples in features.values()]
        column = np.repeat([FEATURE_NAMES.index(name) for name in features], counts)
        pairs, row = np.unique(task * self.items + item, return_inverse=True)  # (N,), (M,)
        width = len(FEATURE_NAMES)
        # bincount adds up the triples of the same pair and feature
        cells = np.bincount(row * width + column, value, minlength=len(pairs) * width)
        values = cells.reshape(len(pairs), width).astype(np.float32)  # (N, W)
        return CandidateFeatures(*np.divmod(pairs, self.items), values)

    def _of_any(self, support: Examples) -> dict[str, SparseTriples]:
        """Features that events of either domain have: sparse (T, I) each.

        A cosine is near 1 for two items that seldom come alone, such as a product that is listed
        twice.
        """
        weight = (self.session_knn.settings["decay"] ** events_since(support)).astype(np.float32)
        weighted, tasks = SparseTriples(support.task, support.item, weight), len(support)
        shares = weighted.normalise_rows(tasks).scale_columns(self._inverse_pairs)
        cosines = weighted.scale_columns(self._inverse_root).matmul(self.cooccurrence)
        return {
            "similar_sessions": self.session_knn.sparse_scores(support).normalise_rows(tasks),
            "cooccurrence": shares.matmul(self.cooccurrence),
            "cosine": cosines.scale_columns(self._inverse_root),
        }

    def _of_target(self, support: Examples) -> dict[str, SparseTriples]:
        """Features of events of the target domain, whose items and order matter too."""
        later = events_since(support)
        last, before_last = (_indicator(support, self.ordered & (later == n)) for n in (0, 1))
        return {
            **self._of_any(support),
            "transition": last.scale_columns(self._inverse_transitions).matmul(self.transitions),
            "seen": _indicator(support, _first_of_item(support, self.items)),
            "last": last,
            "before_last": before_last,
        }

    def _log_popularity(self, events: Int64[np.ndarray, "N"], share: float) -> np.ndarray:
        """Log of each item's count in the latest share of all events, over the mean count: (I,)."""
        recent = events[len(events) - round(share * len(events)) :]
        counts = np.bincount(recent, minlength=self.items)
        return np.log((counts + COUNT_SMOOTHING) / (counts.mean() + COUNT_SMOOTHING))

    @cached_property
    def _inverse_pairs(self) -> Float32[np.ndarray, "I"]:
        """One over the row sums of the co-occurrence matrix, which makes its rows shares."""
        return _reciprocal(self.cooccurrence.sum(axis=1))

    @cached_property
    def _inverse_transitions(self) -> Float32[np.ndarray, "I"]:
        """One over the row sums of the transition matrix, which makes its rows shares."""
        return _reciprocal(self.transitions.sum(axis=1))

    @cached_property
    def _inverse_root(self) -> Float32[np.ndarray, "I"]:
        """One over the root of each item's count, which makes co-occurrence a cosine."""
        return np.sqrt(_reciprocal(self.popularity_counts))


def _count(past: Examples, items: int) -> tuple[np.ndarray, sp.csr_array, sp.csr_array]:
    """Popularity (I,), co-occurrence (I, I) without its diagonal, and transitions (I, I).

    The first two count only the latest events of a task, so that a long one does not cost its
    square.
    """
    recent = past.latest(MAX_COUNTED_EVENTS).matrix(items)
    cooccurrence = sp.csr_array(recent.T @ recent)
    popularity = cooccurrence.diagonal()
    cooccurrence.setdiag(0)
    cooccurrence.eliminate_zeros()
    return popularity, cooccurrence, transition_counts(past, np.arange(items), items, window=1)


def _indicator(support: Examples, kept: Bool[np.ndarray, "N"]) -> SparseTriples:
    """A one at the task and item of each kept event."""
    ones = np.ones(kept.sum(), dtype=np.float32)
    return SparseTriples(support.task[kept], support.item[kept], ones)


def _first_of_item(support: Examples, items: int) -> Bool[np.ndarray, "N"]:
    """Which events are the first of their task with their item."""
    first = np.zeros(len(support.item), dtype=bool)
    first[np.unique(support.task * items + support.item, return_index=True)[1]] = True
    return first


def _reciprocal(counts: np.ndarray) -> Float32[np.ndarray, "I"]:
    """One over each count, 0 for 0."""
    return np.divide(1, counts, out=np.zeros(len(counts)), where=counts > 0).astype(np.float32)


def _log_scaled(features: CandidateFeatures) -> CandidateFeatures:
    """The features with shares on a logarithmic scale: 0 for 0, 1 for a share of 0.1."""
    values = features.values.copy()
    for name, threshold in LOG_SCALE_THRESHOLDS.items():
        column = FEATURE_NAMES.index(name)
        values[:, column] = np.log1p(values[:, column] / threshold) / math.log1p(0.1 / threshold)
    return CandidateFeatures(features.task, features.item, values)
