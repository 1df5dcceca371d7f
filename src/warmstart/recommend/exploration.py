"""Exploration: showing what is not known to be best, with the chance of each choice, so that it can
be learned from.

Epsilon-greedy (Sutton & Barto, 2018, ch. 2) place by place, and Thompson sampling (Thompson,
Biometrika 1933) from what a scorer leaves possible. The chance of what was shown is told, since
without it nothing can be said later of another way to choose (inverse propensity scoring; Horvitz &
Thompson, JASA 1952).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from warmstart.scorer import best

DRAWS = 100  # by which the chances of Thompson sampling are estimated


@dataclass(frozen=True)
class Policy:
    """How to choose."""

    strategy: Literal["epsilon-greedy", "thompson"] = "epsilon-greedy"
    epsilon: float = 0.1
    """The share of places that chance fills."""
    seed: int | None = None
    """The same seed chooses the same."""


class Chosen(NamedTuple):
    """The codes of n items, and the chance of each."""

    items: Int64[np.ndarray, "n"]
    propensity: Float64[np.ndarray, "n"]


def epsilon_greedy(
    scores: Float32[np.ndarray, "I"],
    excluded: Bool[np.ndarray, "I"],
    n: int,
    epsilon: float,
    rng: np.random.Generator,
) -> Chosen:
    """Each place is filled by the best item left or, with the chance epsilon, by any that is left.

    The chance of an item is that of its place, given those before it.
    """
    left = int((~excluded).sum())
    n = min(n, left)
    order = best(scores, excluded, 2 * n)  # as many are taken by chance at most as there are places
    free = np.flatnonzero(~excluded)
    items, chances, taken = [], [], set()
    for place in range(n):
        first = next((item for item in order.tolist() if item not in taken), -1)
        item = first if rng.random() >= epsilon else _any(free, taken, rng)
        by_chance = epsilon / (left - place)
        items.append(item)
        chances.append(by_chance + (1 - epsilon if item == first else 0.0))
        taken.add(item)
    return Chosen(np.array(items, dtype=np.int64), np.array(chances, dtype=np.float64))


def thompson(draws: Float32[np.ndarray, "M I"], excluded: Bool[np.ndarray, "I"], n: int) -> Chosen:
    """The best items by the first draw; the chance of each is the share of draws in which it is
    among the n best.
    """
    lists = [best(scores, excluded, n) for scores in draws]
    shown = np.bincount(np.concatenate(lists), minlength=draws.shape[1])
    return Chosen(lists[0], shown[lists[0]] / len(lists))


def _any(free: Int64[np.ndarray, "_"], taken: set[int], rng: np.random.Generator) -> int:
    """Any of the items that are not taken; few are, so drawing again is quick."""
    while True:
        item = int(free[rng.integers(len(free))])
        if item not in taken:
            return item
