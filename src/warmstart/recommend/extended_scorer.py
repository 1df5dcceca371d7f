"""A scorer with items that were added after it was fitted, as weighted means of similar ones.

The weights come from the columns of a new item, and from the histories of users who interacted with
it, if there are any: the more histories, the more they count (item-to-item cosines; Sarwar et al.,
WWW 2001).
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32

from warmstart.cooccurrence.similarity import idf_weights, nearest_shares, unit_rows
from warmstart.data.features.table import Features
from warmstart.scorer import (
    Candidates,
    Capabilities,
    ContentAttribution,
    Scorer,
    Scores,
    State,
    Subset,
    TrainingNeighbours,
    candidates_of,
    delegate,
)
from warmstart.tasks.examples import Examples, Profile

NEAREST = 20  # similar items of which a new one is the mean
PRIOR_STRENGTH = 3.0  # pseudo-count: the histories that count as much as the columns
SHRINKAGE = 5.0  # added to the number of users of each item in a cosine

OfState = Callable[[State, Candidates], Scores]
OfSubset = Callable[[Examples, Profile, Subset], Scores]


class Columns(NamedTuple):
    """The features of the known items, fitted once for all items that come later."""

    features: Features
    rows: sp.csr_array
    """Of the known items."""


class ExtendedScorer:
    """A scorer of I items with N more, which are weighted means of them.

    Row n of `similarity` (N, I) are the weights of the n-th new item, 1 in all. In a support set
    the known item of the largest weight stands for a new one. Since a new item's score is linear
    in those of the known items, every capability of `base` extends to it.
    """

    def __init__(
        self, base: Scorer, similarity: sp.csr_array, columns: Columns | None = None
    ) -> None:
        self.base, self.similarity, self.columns = base, similarity, columns
        self._delegates: dict[int, Scorer] = {}
        self.items = base.items + len(similarity.indptr) - 1
        most_similar = np.asarray(similarity.toarray().argmax(axis=1))
        self.stand_in = np.concatenate([np.arange(base.items), most_similar])  # (I + N,)

    def adapt(self, support: Examples, profile: Profile = None) -> State:
        return self.base.adapt(self._known(support), profile)

    def score(self, state: State, items: Candidates) -> Scores:
        return self._extend(self.base.score(state, np.arange(self.base.items)), items)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the base scorer, each for the extended catalogue."""
        return self._capabilities

    @cached_property
    def _capabilities(self) -> Capabilities:
        base = self.base.capabilities
        return Capabilities(
            posterior=base.posterior,  # the state is the base scorer's
            standard_deviation=base.standard_deviation and self._deviation(base.standard_deviation),
            attribution=base.attribution and self._subset(base.attribution),
            score_subset=base.score_subset and self._subset(base.score_subset),
            content=base.content and self._content(base.content),
            neighbours=base.neighbours and self._neighbours(base.neighbours),
            log_probabilities=base.log_probabilities,
            delegate=base.delegate and self._delegate,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        return self.base.arrays()

    @cached_property
    def _weights(self) -> sp.csr_array:
        """(I + N, I): the weights of the known items in each item; 1 of itself in a known one."""
        known = sp.eye_array(self.base.items, format="csr").astype(np.float32)
        return sp.csr_array(sp.vstack([known, self.similarity]))

    def _known(self, support: Examples) -> Examples:
        """The support set in known items alone."""
        return Examples(self.stand_in[support.item], support.value, support.offsets)

    def _extend(self, known: Float32[np.ndarray, "T I"], items: Candidates) -> Scores:
        """(T, Q): the candidates' scores, of those of all known items."""
        new = np.ascontiguousarray((self.similarity @ known.T).T, dtype=np.float32)
        return candidates_of(np.concatenate([known, new], axis=1), items)

    def _deviation(self, deviation: OfState) -> OfState:
        """Of a new item the mean deviation of the items that it is similar to."""
        everything = np.arange(self.base.items)
        return lambda state, items: self._extend(deviation(state, everything), items)

    def _subset(self, scores: OfSubset) -> OfSubset:
        """Computed for those known items alone that the Q items are means of."""

        def extended(support: Examples, profile: Profile, items: Subset) -> Scores:
            rows = self._weights[items]
            known = np.unique(rows.indices).astype(np.int64)
            found = scores(self._known(support), profile, known)  # (R, K)
            return np.ascontiguousarray((rows[:, known] @ found.T).T, dtype=np.float32)

        return extended

    def _content(self, content: ContentAttribution) -> ContentAttribution:
        """Of a new item the mean contribution over the items that it is similar to."""

        def contributions(
            support: Examples, profile: Profile, item: int, columns: Sequence[np.ndarray]
        ) -> Float32[np.ndarray, "P"]:
            known, row = self._known(support), self._weights[[item]]
            parts = [content.contributions(known, profile, int(i), columns) for i in row.indices]
            return (row.data @ np.stack(parts)).astype(np.float32)

        return content._replace(contributions=contributions)

    def _neighbours(self, neighbours: TrainingNeighbours) -> TrainingNeighbours:
        """No training task has interactions with a new item."""
        seen = neighbours.interactions
        shape = (len(seen.indptr) - 1, self.items)
        return TrainingNeighbours(
            sp.csr_array((seen.data, seen.indices, seen.indptr), shape=shape),
            lambda support, profile: neighbours.weights(self._known(support), profile),
        )

    def _delegate(self, shots: int) -> Scorer:
        base = delegate(self.base, shots)
        if id(base) not in self._delegates:  # made once: the matrix of similarities may be large
            self._delegates[id(base)] = ExtendedScorer(base, self.similarity, self.columns)
        return self._delegates[id(base)]


def similarity_weights(
    known: sp.csr_array,
    new: sp.csr_array,
    users: Examples,
    histories: Examples,
    popular: np.ndarray,
) -> sp.csr_array:
    """(N, I): the weights of the known items in each new one, 1 in all.

    `known` (I, F) and `new` (N, F) are their columns, `popular` (I,) the users of each known item.
    `users` holds for each new item the rows of its users in `histories`. An item with neither
    columns nor users is the mean of all others.
    """
    idf = idf_weights(known)
    of_columns = sp.csr_array(unit_rows(new, idf) @ unit_rows(known, idf).T).toarray()
    # (N, I): the histories with both items
    both = sp.csr_array(users.matrix(len(histories)) @ histories.matrix(len(popular))).toarray()
    of_users = both / np.sqrt((users.counts[:, None] + SHRINKAGE) * (popular + SHRINKAGE))
    share = (users.counts / (users.counts + PRIOR_STRENGTH))[:, None]
    weights = share * nearest_shares(of_users, NEAREST)
    weights += (1 - share) * nearest_shares(of_columns, NEAREST)
    weights[weights.sum(axis=1) == 0] = 1.0
    return sp.csr_array((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))
