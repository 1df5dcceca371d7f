"""EASE: an item-to-item linear map with zero diagonal, in closed form (Steck, WWW 2019).

**Deviations.** Where both items and users are more than `limit`, the map is fitted to the most
popular items alone, so that memory stays bounded; the others are ranked by popularity.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from warmstart.baselines.popularity import Attributions, Popular, break_ties, popularity
from warmstart.cooccurrence.gram import GramInverse, gram_inverse, restore_inverse, select_items
from warmstart.scorer import Candidates, Capabilities, Scores, candidates_of
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks

Catalogue = Float32[np.ndarray, "T I"]


class EASE:
    """A linear map from interactions to scores; the state is the scores of each task.

    `l2` is the ridge, `limit` the largest number of items in the map.
    """

    GRID: tuple[dict[str, Any], ...] = tuple(
        {"l2": l2} for l2 in (100.0, 300.0, 1000.0, 3000.0, 10000.0, 20000.0)
    )

    def __init__(
        self,
        inverse: GramInverse,
        kept_items: Int64[np.ndarray, "J"],
        popular: Popular,
        *,
        l2: float,
        limit: int,
    ) -> None:
        self.inverse, self.kept_items, self.popular = inverse, kept_items, popular
        self.items = len(popular)
        self.settings = {"l2": l2, "limit": limit}

    @classmethod
    def fit(cls, train: Tasks, *, items: int, l2: float = 1000.0, limit: int = 8000) -> "EASE":
        kept = select_items(train, items, limit)
        interactions = train.all_events.matrix(items)[:, kept]  # (U, J)
        return cls(
            gram_inverse(interactions, l2), kept, popularity(train, items), l2=l2, limit=limit
        )

    def adapt(self, support: Examples, profile: Profile = None) -> Catalogue:
        interactions = support.matrix(self.items)[:, self.kept_items]  # (T, J)
        scores = np.zeros((len(support), self.items), dtype=np.float32)
        # Steck, equation 8: the map is I - P / diag(P), with P the inverse of the Gram matrix
        scores[:, self.kept_items] = (
            interactions.toarray()
            - self.inverse.left_multiply(interactions) / self.inverse.diagonal
        )
        return scores

    def score(self, state: Catalogue, items: Candidates) -> Scores:
        return candidates_of(break_ties(state, self.popular), items)

    @property
    def capabilities(self) -> Capabilities:
        """Attribution in closed form."""
        return Capabilities(attribution=self.attribution)

    def attribution(
        self, support: Examples, profile: Profile, items: Int64[np.ndarray, "Q"]
    ) -> Attributions:
        """The row of the map of each event's item, since scores are sums of such rows."""
        alone = Examples.unweighted(support.item, np.arange(len(support.item) + 1))
        return self.adapt(alone)[:, items] * support.unrepeated[:, None]

    def arrays(self) -> dict[str, np.ndarray]:
        return {**self.inverse.arrays(), "taken": self.kept_items, "popular": self.popular}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "EASE":
        return cls(restore_inverse(arrays), arrays["taken"], arrays["popular"], **settings)
