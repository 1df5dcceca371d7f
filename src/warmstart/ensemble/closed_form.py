"""The closed-form experts: EASE, item cosine, content, transitions and profile regression.

Each scores the J kept items for T support sets, (T, J), and in use a few of them, (T, Q). In
training it is exact leave-one-out: scores are what they would be had the tasks of the batch never
been seen, for EASE by the inverse without a row (Sherman & Morrison, 1950), for counts by
subtraction.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float32

from warmstart.cooccurrence.gram import MAX_DENSE_ITEMS, GramInverse
from warmstart.cooccurrence.similarity import idf_weights, unit_rows
from warmstart.cooccurrence.transitions import events_since, own_transitions
from warmstart.ensemble.profile_regression import ProfileRegression
from warmstart.ensemble.support_sets import ItemMatrix, ItemScores, SupportSets, SupportSubset
from warmstart.tasks.examples import Examples

SubsetScores = Float32[np.ndarray, "T Q"]
ColumnMask = Bool[np.ndarray, "G"]


@runtime_checkable
class Expert(Protocol):
    """A scorer of J items by statistics of all training tasks."""

    def scores(self, support: SupportSets) -> ItemScores:
        """Scores of all kept items; leave-one-out where `support` has the tasks' own events."""
        ...

    def score_subset(self, subset: SupportSubset) -> SubsetScores:
        """Scores of Q items, in use."""
        ...


@dataclass(frozen=True)
class EaseExpert:
    """EASE: support rows times the map that predicts each item from all others (Steck, 2019)."""

    inverse: GramInverse

    def scores(self, support: SupportSets) -> ItemScores:
        rows, own = support.matrix(), support.task_matrix
        product, diagonal = self.inverse.left_multiply(rows), self.inverse.diagonal
        if own is None:
            return -product / diagonal
        # Sherman-Morrison: without a task's row x, P becomes P + P x x' P / (1 - x' P x)
        away = self.inverse.left_multiply(own)  # (T, J): P x
        rest = 1 - np.asarray(own.multiply(away).sum(axis=1))  # (T,), above 0 by the ridge
        overlap = np.asarray(rows.multiply(away).sum(axis=1))  # (T,)
        product = product + overlap[:, None] / rest[:, None] * away
        return -product / (diagonal + away**2 / rest[:, None])

    def score_subset(self, subset: SupportSubset) -> SubsetScores:
        cells = self.inverse.submatrix(subset.support_items, subset.columns)
        return subset.matrix() @ (-cells / self.inverse.diagonal[subset.columns])


@dataclass(frozen=True)
class CosineExpert:
    """Item-kNN without a cut: the sum of shrunken cosines to the support (Sarwar et al., WWW 2001).

    `shrink` users are added to the popularity of both items.
    """

    cooccurrence: ItemMatrix
    popularity: Float32[np.ndarray, "J"]
    shrink: float

    def scores(self, support: SupportSets) -> ItemScores:
        counts, by_event = support.counts(self.popularity)
        weight = 1 / np.sqrt(by_event + self.shrink)
        sums = _product(support.matrix(weight), self.cooccurrence)
        if support.task_rows is not None:
            # the task itself counted for each pair of its items with an event of its support
            events = support.events
            own = np.bincount(events.task, weights=weight, minlength=len(events))
            sums -= own.astype(np.float32)[:, None] * support.task_rows
        return sums / np.sqrt(counts + self.shrink)

    def score_subset(self, subset: SupportSubset) -> SubsetScores:
        counts, by_event = subset.counts(self.popularity)
        weighted = subset.matrix(1 / np.sqrt(by_event + self.shrink))
        return weighted @ subset.cells(self.cooccurrence) / np.sqrt(counts + self.shrink)


@dataclass(frozen=True)
class ContentExpert:
    """Content-based: the sum of cosines to the content of the support (Lops et al., 2011)."""

    content: sp.csr_array
    """(J, G) unit rows; an item without content has an empty one."""

    def scores(self, support: SupportSets) -> ItemScores:
        read = sp.csr_array(support.matrix() @ self.content).toarray()  # (T, G)
        return np.ascontiguousarray((self.content @ read.T).T)

    def score_subset(self, subset: SupportSubset) -> SubsetScores:
        rows, columns = self.content[subset.support_items], self.content[subset.columns]
        return subset.matrix() @ sp.csr_array(rows @ columns.T).toarray()

    def by_column(self, support: SupportSets, position: int) -> Float32[np.ndarray, "G"]:
        """What each content column adds to the score of one item for the first support set."""
        read = sp.csr_array(support.matrix() @ self.content).toarray()[0]
        return sp.csr_array(self.content[[position]]).toarray()[0] * read


@dataclass(frozen=True)
class TransitionExpert:
    """Sequential rules: what came soon after the support events (Ludewig & Jannach, UMUAI 2018).

    An event that n later ones follow counts 1 / (1 + n) to the power of `recency`.
    """

    transitions: ItemMatrix
    popularity: Float32[np.ndarray, "J"]
    shrink: float
    window: int
    recency: float

    def scores(self, support: SupportSets) -> ItemScores:
        counts, by_event = support.counts(self.popularity)
        weight = self._weight(support.events, by_event)
        sums = _product(support.matrix(weight), self.transitions)
        if support.task_events is not None:
            own = own_transitions(
                support.events, support.task_events, weight, support.width, self.window
            )
            sums -= own.toarray()
        return sums / np.sqrt(counts + self.shrink)

    def score_subset(self, subset: SupportSubset) -> SubsetScores:
        counts, by_event = subset.counts(self.popularity)
        weighted = subset.matrix(self._weight(subset.events, by_event))
        return weighted @ subset.cells(self.transitions) / np.sqrt(counts + self.shrink)

    def _weight(
        self, events: Examples, by_event: Float32[np.ndarray, "N"]
    ) -> Float32[np.ndarray, "N"]:
        recent = (1 + events_since(events)) ** -self.recency
        return (recent / (by_event + self.shrink)).astype(np.float32)


@dataclass(frozen=True)
class ProfileExpert:
    """Profile regression as an expert; without a profile it predicts its intercept."""

    regression: ProfileRegression

    def scores(self, support: SupportSets) -> ItemScores:
        if support.profile is None:
            return np.tile(self.regression.intercept, (len(support.events), 1))
        if support.task_matrix is None:
            return self.regression.predict(support.profile)
        return self.regression.predict_left_out(support.profile, support.task_matrix)

    def score_subset(self, subset: SupportSubset) -> SubsetScores:
        if subset.profile is None:
            return np.tile(self.regression.intercept[subset.columns], (len(subset.events), 1))
        return self.regression.predict(subset.profile)[:, subset.columns]


def item_matrix(matrix: sp.csr_array, *, max_dense_items: int = MAX_DENSE_ITEMS) -> ItemMatrix:
    """A (J, J) matrix, dense where it is small, since products are then ten times faster."""
    matrix = sp.csr_array(matrix, dtype=np.float32)
    if len(matrix.indptr) - 1 > max_dense_items:
        return matrix
    return np.ascontiguousarray(matrix.toarray())


def content_rows(item_features: sp.csr_array) -> sp.csr_array:
    """Item features as unit rows with inverse-frequency weights: (J, G)."""
    return unit_rows(item_features, idf_weights(item_features))


def _product(rows: sp.csr_array, matrix: ItemMatrix) -> ItemScores:
    product = rows @ matrix
    return product if isinstance(matrix, np.ndarray) else sp.csr_array(product).toarray()
