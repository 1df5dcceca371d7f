"""EASE: an item-to-item linear map with zero diagonal, in closed form (Steck, WWW 2019).

**Deviations.** Only the `limit` most popular items take part, so that memory stays bounded; the others keep their
popularity.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from warmstart.classics.popularity import Popular, break_ties, popularity
from warmstart.evidence import inverse
from warmstart.scorer import Candidates, Scores, candidates_of
from warmstart.tasks import Examples, Profile, Tasks

Catalogue = Float32[np.ndarray, "T I"]


class EASE:
    """This maps a row of met items to a row of scores; its state is that row for every task."""

    GRID: tuple[dict[str, Any], ...] = tuple({"l2": l2} for l2 in (100.0, 300.0, 1000.0, 3000.0, 10000.0, 20000.0))

    def __init__(
        self,
        weights: Float32[np.ndarray, "J J"],
        taken: Int64[np.ndarray, "J"],
        popular: Popular,
        *,
        l2: float,
        limit: int,
    ) -> None:
        self.weights, self.taken, self.popular = weights, taken, popular
        self.items = len(popular)
        self.settings = {"l2": l2, "limit": limit}

    @classmethod
    def fit(cls, train: Tasks, *, items: int, l2: float = 1000.0, limit: int = 8000) -> "EASE":
        popular = popularity(train, items)
        taken = np.sort(np.argsort(-popular, kind="stable")[:limit])
        met = train.events.matrix(items)[:, taken]
        gram = (met.T @ met).toarray().astype(np.float64)
        gram[np.diag_indices_from(gram)] += l2
        inverted = inverse(gram)
        weights = inverted / -np.diag(inverted)
        np.fill_diagonal(weights, 0.0)
        return cls(weights.astype(np.float32), taken, popular, l2=l2, limit=limit)

    def adapt(self, support: Examples, profile: Profile = None) -> Catalogue:
        scores = np.zeros((len(support), self.items), dtype=np.float32)
        scores[:, self.taken] = support.matrix(self.items)[:, self.taken] @ self.weights
        return scores

    def score(self, state: Catalogue, items: Candidates) -> Scores:
        return candidates_of(break_ties(state, self.popular), items)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"weights": self.weights, "taken": self.taken, "popular": self.popular}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "EASE":
        return cls(arrays["weights"], arrays["taken"], arrays["popular"], **settings)
