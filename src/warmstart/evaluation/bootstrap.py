"""Bootstrap intervals of means over tasks (Efron, 1979), and Holm's adjustment of p values."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

RESAMPLES = 10_000
MAX_DRAWS = 4_000_000  # tasks drawn at once: about 100 MB
LOW, HIGH = 2.5, 97.5  # percentiles


class Interval(NamedTuple):
    """A mean with its 95 % percentile interval."""

    mean: float
    low: float
    high: float


class Difference(NamedTuple):
    """A mean difference with its interval and its p value."""

    mean: float
    low: float
    high: float
    p: float
    """Two-sided; at least 2 / (resamples + 1)."""


Means = Float64[np.ndarray, "R C"]


def resampled_means(
    values: Float64[np.ndarray, "T C"], *, resamples: int = RESAMPLES, seed: int = 0
) -> Means:
    """(R, C): the means of C columns over tasks drawn with replacement.

    All columns share the draws, hence comparisons are paired.
    """
    tasks = len(values)
    if tasks == 0:
        raise ValueError("an interval needs at least one task, there are none")
    rng = np.random.default_rng(seed)
    parts = []
    step = max(1, MAX_DRAWS // tasks)
    for first in range(0, resamples, step):
        parts.append(_draw_counts(rng, tasks, min(step, resamples - first)) @ values / tasks)
    return np.concatenate(parts)


def _draw_counts(
    rng: np.random.Generator, tasks: int, resamples: int
) -> Float64[np.ndarray, "R T"]:
    """How often each task is drawn in each resample; counting draws is 3 x faster than
    `rng.multinomial`.
    """
    drawn = rng.integers(0, tasks, (resamples, tasks)) + tasks * np.arange(resamples)[:, None]
    return (
        np.bincount(drawn.ravel(), minlength=resamples * tasks)
        .reshape(resamples, tasks)
        .astype(np.float64)
    )


def interval(values: Float64[np.ndarray, "T"], means: Float64[np.ndarray, "R"]) -> Interval:
    """The mean over tasks with its 95 % percentile interval."""
    low, high = np.percentile(means, [LOW, HIGH])
    return Interval(float(values.mean()), float(low), float(high))


def difference(values: Float64[np.ndarray, "T"], means: Float64[np.ndarray, "R"]) -> Difference:
    """Like `interval`, for the differences of two scorers on the same tasks, with a p value."""
    middle = interval(values, means)
    tail = min((means <= 0).sum(), (means >= 0).sum())
    return Difference(*middle, p=min(1.0, 2.0 * (float(tail) + 1.0) / (len(means) + 1.0)))


def holm(p: Sequence[float]) -> list[float]:
    """P values adjusted for multiple comparisons (Holm, 1979): the smallest times n, the next times
    n - 1, made monotone.
    """
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0) if len(p) else scaled
    return adjusted.tolist()
