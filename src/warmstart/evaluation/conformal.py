"""Conformal intervals of predicted ratings, as wide as validation showed they must be.

Split conformal prediction (Lei et al., JASA 2018): the width is a quantile of the absolute errors
of validation ratings, in units of the predictive standard deviation where a scorer has one. New
users are exchangeable with those of validation, so the coverage holds whether or not the scorer's
own model of the ratings is right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from warmstart.evaluation.evaluate import MAX_SCORES, SHOTS
from warmstart.scorer import Candidates, Scorer, Scores, State
from warmstart.tasks.tasks import Tasks, batches

COVERAGE = 0.8
"""The share of ratings within their intervals."""
MAX_LEVELS = 20
"""The largest number of different ratings that counts as a scale."""


class Bounds(NamedTuple):
    """The ends of the conformal intervals of T by Q ratings."""

    low: Scores
    high: Scores


@dataclass(frozen=True)
class ConformalIntervals:
    """The width of conformal intervals, and the ratings that there are."""

    width: float
    """Half an interval, in units of the predictive standard deviation; in those of the ratings for
    a scorer without one.
    """
    levels: tuple[float, ...]
    """The scale of the ratings, lowest first; empty where too many different ones were seen."""
    lowest: float
    highest: float

    @classmethod
    def fit(
        cls, scorer: Scorer, valid: Tasks, *, shots: Sequence[int] = SHOTS
    ) -> "ConformalIntervals":
        """Intervals that hold `COVERAGE` of the validation ratings, with equal weights of the
        numbers of shots.
        """
        seen = np.unique(valid.events.value)
        errors = {k: values for k in shots if len(values := _scaled_errors(scorer, valid, k))}
        weight = np.concatenate(
            [np.full(len(values), 1 / len(values)) for values in errors.values()]
        )
        return cls(
            width=_quantile(np.concatenate(list(errors.values())), weight / weight.sum()),
            levels=tuple(seen.tolist()) if len(seen) <= MAX_LEVELS else (),
            lowest=float(seen[0]),
            highest=float(seen[-1]),
        )

    def bounds(self, scorer: Scorer, state: State, items: Candidates) -> Bounds:
        """The intervals of (Q,) or (T, Q) items, cut at the lowest and the highest rating."""
        scores = scorer.score(state, items)
        half = self.width * standard_deviation(scorer, state, items)
        low, high = (
            np.clip(end, self.lowest, self.highest) for end in (scores - half, scores + half)
        )
        return Bounds(low, high)

    def point_prediction(self, scores: Scores) -> Scores:
        """The median rating: on a scale the nearest level, else the score itself.

        Of all predictions it has the least absolute error (Gneiting, JASA 2011).
        """
        if not self.levels:
            return np.clip(scores, self.lowest, self.highest)
        levels = np.array(self.levels, dtype=np.float32)
        return levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, scores)]

    def to_dict(self) -> dict[str, Any]:
        """The intervals, fit for JSON."""
        return asdict(self)

    @classmethod
    def restore(cls, described: Mapping[str, Any]) -> "ConformalIntervals":
        """The intervals that `to_dict` described."""
        return cls(**{**described, "levels": tuple(described["levels"])})


def standard_deviation(scorer: Scorer, state: State, items: Candidates) -> Scores:
    """The predictive standard deviation of each rating; 1 for a scorer that has none."""
    deviation = scorer.capabilities.standard_deviation
    if deviation is not None:
        return deviation(state, items)
    return np.ones_like(scorer.score(state, items))


def coverage(
    scorer: Scorer, tasks: Tasks, intervals: ConformalIntervals, *, shots: Sequence[int] = SHOTS
) -> dict[int, Float64[np.ndarray, "_"]]:
    """The share of each task's ratings that lie within their intervals, by shots."""
    found: dict[int, np.ndarray] = {}
    for k in shots:
        batch = tasks.cut(k)
        query = batch.query.padded()
        state = scorer.adapt(batch.support, batch.profile)
        low, high = intervals.bounds(scorer, state, query.item)
        inside = (low <= query.value) & (query.value <= high) & query.mask
        found[k] = inside.sum(axis=1) / query.mask.sum(axis=1)
    return found


def _scaled_errors(scorer: Scorer, valid: Tasks, shots: int) -> Float32[np.ndarray, "N"]:
    """The absolute error of each rating, in units of its predictive standard deviation."""
    parts: list[np.ndarray] = []
    for part in batches(valid.cut(shots), max(1, MAX_SCORES // scorer.items)):
        state, query = scorer.adapt(part.support, part.profile), part.query.padded()
        error = np.abs(query.value - scorer.score(state, query.item))
        parts.append((error / standard_deviation(scorer, state, query.item))[query.mask])
    return np.concatenate([np.zeros(0, dtype=np.float32), *parts])


def _quantile(errors: Float32[np.ndarray, "N"], weight: Float64[np.ndarray, "N"]) -> float:
    """The smallest error that `COVERAGE` of the weight does not exceed."""
    # a hair below, since the sum of many weights may miss the level by a rounding error
    level = COVERAGE * (1 - 1e-9)
    return float(np.quantile(errors, level, weights=weight, method="inverted_cdf"))
