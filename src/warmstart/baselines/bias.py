"""Bias: the mean rating plus an item bias plus a user bias, the user's leniency.

Koren, Bell & Volinsky, "Matrix Factorization Techniques for Recommender Systems", IEEE Computer
2009, eq. 3.

**Deviations.** Both biases are shrunken means in closed form, first the items', then the users'.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from warmstart.baselines.popularity import Attributions, Popular, break_ties, popularity
from warmstart.scorer import Candidates, Capabilities, Scores, candidates_of
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks


class Bias:
    """Predicts ratings; the state is the bias of each user.

    `item_l2` and `user_l2` are pseudo-counts: the number of ratings after which a bias counts half.
    """

    GRID: tuple[dict[str, Any], ...] = tuple(
        {"item_l2": item, "user_l2": user}
        for item, user in product((2.0, 10.0, 50.0), (1.0, 3.0, 10.0))
    )

    def __init__(
        self,
        expected: Float32[np.ndarray, "I"],
        popular: Popular,
        *,
        user_l2: float,
        item_l2: float,
    ) -> None:
        self.expected, self.popular = expected, popular
        self.items = len(expected)
        self.settings = {"user_l2": user_l2, "item_l2": item_l2}

    @classmethod
    def fit(
        cls, train: Tasks, *, items: int, item_l2: float = 10.0, user_l2: float = 3.0
    ) -> "Bias":
        events = train.all_events
        mean = events.value.mean(dtype=np.float64)
        residual = np.bincount(events.item, weights=events.value - mean, minlength=items)
        expected = mean + residual / (np.bincount(events.item, minlength=items) + item_l2)
        return cls(
            expected.astype(np.float32),
            popularity(train, items),
            user_l2=user_l2,
            item_l2=item_l2,
        )

    def adapt(self, support: Examples, profile: Profile = None) -> Float32[np.ndarray, "T"]:
        residual = np.bincount(
            support.task,
            weights=support.value - self.expected[support.item],
            minlength=len(support),
        )
        return (residual / (support.counts + self.settings["user_l2"])).astype(np.float32)

    def score(self, state: Float32[np.ndarray, "T"], items: Candidates) -> Scores:
        return candidates_of(break_ties(self.expected + state[:, None], self.popular), items)

    @property
    def capabilities(self) -> Capabilities:
        """Attribution in closed form."""
        return Capabilities(attribution=self.attribution)

    def attribution(
        self, support: Examples, profile: Profile, items: Int64[np.ndarray, "Q"]
    ) -> Attributions:
        """The user bias with each event, less that without it: the same for all items."""
        residual, counts = support.value - self.expected[support.item], support.counts[support.task]
        others = (
            np.bincount(support.task, weights=residual, minlength=len(support))[support.task]
            - residual
        )
        without = others / (counts - 1 + self.settings["user_l2"])
        added = (others + residual) / (counts + self.settings["user_l2"]) - without
        return np.tile(added[:, None], (1, len(items))).astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"expected": self.expected, "popular": self.popular}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "Bias":
        return cls(arrays["expected"], arrays["popular"], **settings)
