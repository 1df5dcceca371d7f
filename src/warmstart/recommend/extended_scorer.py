"""Widened: a scorer with items that came after it was fitted, each where the known items stand that
are like it.

What is known of a new item are its columns, and perhaps the histories of some who met it: the more
of them, the more they count (item-to-item cosines; Sarwar et al., WWW 2001). A new item scores as
the mean of its likes.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32

from warmstart.cooccurrence.similarity import idf_weights, unit_rows
from warmstart.data.features.table import Features
from warmstart.scorer import Candidates, Scorer, Scores, State, Unsure, candidates_of
from warmstart.tasks.tasks import Examples, Profile

NEAREST = 20  # known items that a new one is like
CAUTION = 3.0  # histories that count as much as the columns
RARE = 5.0  # histories added to those with an item, so that two met by few are not taken for twins


class Columns(NamedTuple):
    """What the columns of the known items say, read once for all that come later."""

    features: Features
    rows: sp.csr_array
    """Of the known items."""


class Widened:
    """This scores N items more than `known` does; row n of `likeness` (N, I) says what the n-th is
    like, 1 in all.

    A new item in a support set is heard as the known one that it is most like.
    """

    def __init__(
        self, known: Scorer, likeness: sp.csr_array, columns: Columns | None = None
    ) -> None:
        self.known, self.likeness, self.columns = known, likeness, columns
        self.items = known.items + len(likeness.indptr) - 1
        most = np.asarray(likeness.toarray().argmax(axis=1))
        self.heard_as = np.concatenate([np.arange(known.items), most])

    def adapt(self, support: Examples, profile: Profile = None) -> State:
        return self.known.adapt(
            Examples(self.heard_as[support.item], support.value, support.start), profile
        )

    def score(self, state: State, items: Candidates) -> Scores:
        return self._wide(self.known.score(state, np.arange(self.known.items)), items)

    def arrays(self) -> dict[str, np.ndarray]:
        return self.known.arrays()

    def _wide(self, known: Float32[np.ndarray, "T I"], items: Candidates) -> Scores:
        new = np.ascontiguousarray((self.likeness @ known.T).T, dtype=np.float32)
        return candidates_of(np.concatenate([known, new], axis=1), items)


class WidenedUnsure(Widened):
    """The same of a scorer that says how far off a rating may be."""

    known: Any

    def spread(self, state: State, items: Candidates) -> Scores:
        """Standard deviation of the rating of (Q,) or (T, Q) items; of a new one as of those that
        it is like.
        """
        return self._wide(self.known.spread(state, np.arange(self.known.items)), items)


def widened(known: Scorer, likeness: sp.csr_array, columns: Columns | None = None) -> Widened:
    """The scorer with new items, able to do what it could."""
    return (WidenedUnsure if isinstance(known, Unsure) else Widened)(known, likeness, columns)


def likeness(
    known: sp.csr_array,
    new: sp.csr_array,
    met_by: Examples,
    histories: Examples,
    popular: np.ndarray,
) -> sp.csr_array:
    """What each of N new items is like: (N, I), each row 1 in all.

    `known` (I, F) and `new` (N, F) are their columns. `met_by` has for each new item the places, in
    `histories`, of those who met it. An item of which nothing is known is like all others.
    """
    alike = sp.csr_array(
        unit_rows(new, idf_weights(known)) @ unit_rows(known, idf_weights(known)).T
    )
    together = sp.csr_array(
        met_by.matrix(len(histories)) @ histories.matrix(len(popular))
    )  # histories with both
    cosine = together.toarray() / np.sqrt((met_by.counts[:, None] + RARE) * (popular + RARE))
    heard = (met_by.counts / (met_by.counts + CAUTION))[:, None]
    mixed = heard * _nearest(cosine) + (1 - heard) * _nearest(alike.toarray())
    mixed[mixed.sum(axis=1) == 0] = 1.0
    return sp.csr_array((mixed / mixed.sum(axis=1, keepdims=True)).astype(np.float32))


def _nearest(alike: np.ndarray) -> np.ndarray:
    """The likenesses to the nearest alone, 1 in all; none where there are none."""
    keep = min(NEAREST, alike.shape[1])
    least = -np.partition(-alike, keep - 1, axis=1)[:, [keep - 1]]
    kept = np.where((alike >= least) & (alike > 0), alike, 0.0)
    return kept / np.maximum(kept.sum(axis=1, keepdims=True), 1e-12)
