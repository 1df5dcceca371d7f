"""Error bars: how far a rating may lie from its prediction, as wide as validation showed it must
be.

Split conformal prediction (Lei et al., JASA 2018): the width is a quantile of how far validation
ratings were off, in units of what the scorer itself says of how unsure it is, where it says so.
Users that nobody has seen are judged like those of validation, so the promise holds whether or not
the scorer's own model of the ratings is right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from warmstart.evaluation.evaluate import CELLS, SHOTS
from warmstart.scorer import Candidates, Scorer, Scores, State
from warmstart.tasks.tasks import Tasks, batches

COVERED = 0.8
"""The share of ratings that lie within their bars."""
LEVELS = 20
"""Ratings that may be told apart, if people give so few different ones."""


class Bars(NamedTuple):
    """The ends of the error bars of T by Q ratings."""

    low: Scores
    high: Scores


@dataclass(frozen=True)
class ErrorBars:
    """The width of the bars, and the ratings that people give."""

    width: float
    """Half a bar, in units of the scorer's spread; in the units of the ratings where it has
    none.
    """
    levels: tuple[float, ...]
    """The ratings there are, lowest first; empty where too many different ones came to be a
    scale.
    """
    lowest: float
    highest: float

    @classmethod
    def fit(cls, scorer: Scorer, valid: Tasks, *, shots: Sequence[int] = SHOTS) -> "ErrorBars":
        """Bars that hold `COVERED` of the validation ratings, each number of shots alike."""
        seen = np.unique(valid.events.value)
        off = {k: values for k in shots if len(values := _off(scorer, valid, k))}
        weight = np.concatenate([np.full(len(values), 1 / len(values)) for values in off.values()])
        return cls(
            width=_quantile(np.concatenate(list(off.values())), weight / weight.sum()),
            levels=tuple(seen.tolist()) if len(seen) <= LEVELS else (),
            lowest=float(seen[0]),
            highest=float(seen[-1]),
        )

    def of(self, scorer: Scorer, state: State, items: Candidates) -> Bars:
        """The bars of (Q,) or (T, Q) items, cut where no ratings are."""
        scores, half = scorer.score(state, items), self.width * spread(scorer, state, items)
        return Bars(
            np.clip(scores - half, self.lowest, self.highest),
            np.clip(scores + half, self.lowest, self.highest),
        )

    def middle(self, scores: Scores) -> Scores:
        """The rating that as many expect to be exceeded as not: on a scale the nearest level, else
        the score itself.

        Of all predictions it has the least absolute error (Gneiting, JASA 2011).
        """
        if not self.levels:
            return np.clip(scores, self.lowest, self.highest)
        levels = np.array(self.levels, dtype=np.float32)
        return levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, scores)]

    def to_dict(self) -> dict[str, Any]:
        """The bars, fit for JSON."""
        return asdict(self)

    @classmethod
    def restore(cls, described: Mapping[str, Any]) -> "ErrorBars":
        """The bars that `to_dict` described."""
        return cls(**{**described, "levels": tuple(described["levels"])})


def spread(scorer: Scorer, state: State, items: Candidates) -> Scores:
    """How unsure a scorer says it is of each rating; 1 where it does not say."""
    deviation = scorer.capabilities.standard_deviation
    if deviation is not None:
        return deviation(state, items)
    return np.ones_like(scorer.score(state, items))


def covered(
    scorer: Scorer, tasks: Tasks, bars: ErrorBars, *, shots: Sequence[int] = SHOTS
) -> dict[int, Float64[np.ndarray, "_"]]:
    """The share of each task's ratings that lie within their bars, by shots."""
    found: dict[int, np.ndarray] = {}
    for k in shots:
        batch = tasks.cut(k)
        query = batch.query.padded()
        low, high = bars.of(scorer, scorer.adapt(batch.support, batch.profile), query.item)
        inside = (low <= query.value) & (query.value <= high) & query.mask
        found[k] = inside.sum(axis=1) / query.mask.sum(axis=1)
    return found


def _off(scorer: Scorer, valid: Tasks, shots: int) -> Float32[np.ndarray, "N"]:
    """How far each rating is from its prediction, in units of the scorer's spread."""
    parts: list[np.ndarray] = []
    for part in batches(valid.cut(shots), max(1, CELLS // scorer.items)):
        state, query = scorer.adapt(part.support, part.profile), part.query.padded()
        off = np.abs(query.value - scorer.score(state, query.item)) / spread(
            scorer, state, query.item
        )
        parts.append(off[query.mask])
    return np.concatenate([np.zeros(0, dtype=np.float32), *parts])


def _quantile(off: Float32[np.ndarray, "N"], weight: Float64[np.ndarray, "N"]) -> float:
    """The smallest distance within which `COVERED` of the weight lies."""
    order = np.argsort(off, kind="stable")
    reached = np.searchsorted(np.cumsum(weight[order]), COVERED * (1 - 1e-9))
    return float(off[order][min(int(reached), len(off) - 1)])
