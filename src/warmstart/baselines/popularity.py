"""Popularity: the same ranking for every user, by the number of users of each item."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from warmstart.scorer import Candidates, Capabilities, Scores, candidates_of
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks

Popular = Float32[np.ndarray, "I"]
Attributions = Float32[np.ndarray, "N Q"]
TIE_BREAK = 1e-6  # below any difference of scores that a support set makes


def popularity(train: Tasks, items: int) -> Popular:
    """The share of training users who interacted with each item."""
    return (np.bincount(train.all_events.item, minlength=items) / max(len(train), 1)).astype(
        np.float32
    )


def break_ties(scores: Float32[np.ndarray, "T I"], popular: Popular) -> Float32[np.ndarray, "T I"]:
    """Scores of the whole catalogue in which popularity decides between equal ones, such as those
    after an empty support set.
    """
    return scores + TIE_BREAK * popular


class Popularity:
    """Scores items by their popularity; the state is the number of tasks."""

    GRID: tuple[dict[str, Any], ...] = ()

    def __init__(self, popular: Popular) -> None:
        self.popular = popular
        self.items = len(popular)
        self.settings: dict[str, Any] = {}

    @classmethod
    def fit(cls, train: Tasks, *, items: int) -> "Popularity":
        return cls(popularity(train, items))

    def adapt(self, support: Examples, profile: Profile = None) -> int:
        return len(support)

    def score(self, state: int, items: Candidates) -> Scores:
        return candidates_of(np.broadcast_to(self.popular, (state, self.items)), items)

    @property
    def capabilities(self) -> Capabilities:
        """Attribution in closed form."""
        return Capabilities(attribution=self.attribution)

    def attribution(
        self, support: Examples, profile: Profile, items: Int64[np.ndarray, "Q"]
    ) -> Attributions:
        """Zero: no event changes the ranking."""
        return np.zeros((len(support.item), len(items)), dtype=np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"popular": self.popular}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "Popularity":
        return cls(arrays["popular"])
