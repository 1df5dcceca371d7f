"""EASE: an item-to-item linear map with zero diagonal, in closed form (Steck, WWW 2019).

**Deviations.** Where both items and users are more than `limit`, only the most popular items take
part, so that memory stays bounded; the others keep their popularity.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from warmstart.baselines.popularity import Attributions, Popular, break_ties, popularity
from warmstart.cooccurrence.gram import GramInverse, gram_inverse, restore_inverse, select_items
from warmstart.scorer import Candidates, Capabilities, Scores, candidates_of
from warmstart.tasks.tasks import Examples, Profile, Tasks

Catalogue = Float32[np.ndarray, "T I"]


class EASE:
    """This maps a row of met items to a row of scores; its state is that row for every task."""

    GRID: tuple[dict[str, Any], ...] = tuple(
        {"l2": l2} for l2 in (100.0, 300.0, 1000.0, 3000.0, 10000.0, 20000.0)
    )

    def __init__(
        self,
        precision: GramInverse,
        taken: Int64[np.ndarray, "J"],
        popular: Popular,
        *,
        l2: float,
        limit: int,
    ) -> None:
        self.precision, self.taken, self.popular = precision, taken, popular
        self.items = len(popular)
        self.settings = {"l2": l2, "limit": limit}

    @classmethod
    def fit(cls, train: Tasks, *, items: int, l2: float = 1000.0, limit: int = 8000) -> "EASE":
        taken = select_items(train, items, limit)
        met = train.met.matrix(items)[:, taken]
        return cls(gram_inverse(met, l2), taken, popularity(train, items), l2=l2, limit=limit)

    def adapt(self, support: Examples, profile: Profile = None) -> Catalogue:
        met = support.matrix(self.items)[:, self.taken]
        scores = np.zeros((len(support), self.items), dtype=np.float32)
        scores[:, self.taken] = (
            met.toarray() - self.precision.left_multiply(met) / self.precision.diagonal
        )
        return scores

    def score(self, state: Catalogue, items: Candidates) -> Scores:
        return candidates_of(break_ties(state, self.popular), items)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(attribution=self.attribution)

    def attribution(
        self, support: Examples, profile: Profile, items: Int64[np.ndarray, "Q"]
    ) -> Attributions:
        """The rows of the map for the items met; they are summed, so each is what its event
        adds.
        """
        alone = Examples.plain(support.item, np.arange(len(support.item) + 1))
        return self.adapt(alone)[:, items] * support.alone[:, None]

    def arrays(self) -> dict[str, np.ndarray]:
        return {**self.precision.arrays(), "taken": self.taken, "popular": self.popular}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "EASE":
        return cls(restore_inverse(arrays), arrays["taken"], arrays["popular"], **settings)
