"""Assignment by shots: which finished trial of a search serves at how many known events."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from warmstart.evaluation.validation import overall
from warmstart.training.requests import Fitted

MAX_RANGES = 3
"""Trials that share the numbers of shots among them at most."""
MIN_LEAD = 1.0
"""Standard errors by which one trial must lead another to take its place in a range of shots."""

ByTask = Mapping[int, Float64[np.ndarray, "_"]]


class TrialResult(NamedTuple):
    """What a trial that was not stopped ended with: the scorer, and its quality task by task."""

    fitted: Fitted
    values: ByTask


@dataclass(frozen=True)
class Trial:
    """One learner with its settings in a search."""

    learner: str
    settings: Mapping[str, Any]
    seconds: float
    valid: Mapping[int, float]
    """Quality on the validation tasks by number of shots, at its last validation."""
    result: TrialResult | None
    stopped: str = ""
    """Where it was stopped, in words; empty if it was not."""

    @property
    def finished(self) -> TrialResult:
        assert self.result is not None, f"{self.learner} was stopped, so there is no result"
        return self.result


class ShotRange(NamedTuple):
    """The trial that is used from `first` shots on."""

    first: int
    trial: Trial


def assign_by_shots(trials: Sequence[Trial]) -> tuple[ShotRange, ...]:
    """The ranges of shots and the trial that is used in each: the best in the mean, and others
    where they lead it by more than chance.

    Greedy: the part of a range that gains most goes to the trial that leads there, until none leads
    by more than `MIN_LEAD` standard errors or there are `MAX_RANGES` ranges.
    """
    able = [one for one in trials if one.result is not None]
    best = max(able, key=lambda one: overall(one.valid))
    shots = sorted(best.valid)
    serves: list[Trial] = [best] * len(shots)
    while len(_ranges(shots, serves)) < MAX_RANGES:
        proposals = [
            (gain * len(positions), one, positions)
            for positions in _ends(serves)
            for one in able
            if (gain := _significant_gain(one, serves[positions[0]], [shots[i] for i in positions]))
            > 0
        ]
        if not proposals:
            break
        _, one, positions = max(proposals, key=lambda proposal: proposal[0])
        for i in positions:
            serves[i] = one
    return _ranges(shots, serves)


def _ranges(shots: Sequence[int], serves: Sequence[Trial]) -> tuple[ShotRange, ...]:
    return tuple(ShotRange(0 if i == 0 else shots[i], serves[i]) for i in _begins(serves))


def _begins(serves: Sequence[Trial]) -> list[int]:
    """Positions at which another trial begins to serve."""
    return [i for i in range(len(serves)) if i == 0 or serves[i] is not serves[i - 1]]


def _ends(serves: Sequence[Trial]) -> list[range]:
    """The beginnings and ends of each range, and each range as a whole, as positions."""
    begins = _begins(serves)
    found: list[range] = []
    for begin, end in zip(begins, [*begins[1:], len(serves)], strict=True):
        found += [range(begin, stop) for stop in range(begin + 1, end + 1)]
        found += [range(start, end) for start in range(begin + 1, end)]
    return found


def _significant_gain(one: Trial, other: Trial, shots: Sequence[int]) -> float:
    """The mean lead of one trial over another at these numbers of shots; 0 where it may be
    chance.
    """
    gains = [one.finished.values[k] - other.finished.values[k] for k in shots]
    mean = float(np.mean([gain.mean() for gain in gains]))
    return mean if mean > MIN_LEAD * standard_error(gains) else 0.0


def standard_error(values: Sequence[Float64[np.ndarray, "_"]]) -> float:
    """The standard error of the mean over k of means over tasks.

    Where all k have as many values, these are of the same tasks, so the error is that of the means
    over k.
    """
    if len({len(one) for one in values}) == 1:
        task_means = np.mean(values, axis=0)
        return float(task_means.std() / math.sqrt(len(task_means)))
    return float(np.mean([one.std() / math.sqrt(len(one)) for one in values]))


def values_by_range(ranges: Sequence[tuple[int, ByTask]]) -> dict[int, Float64[np.ndarray, "_"]]:
    """The values of each range at its own numbers of shots."""
    firsts = [first for first, _ in ranges]
    shots = sorted(ranges[0][1])
    return {k: ranges[int(np.searchsorted(firsts, k, side="right")) - 1][1][k] for k in shots}
