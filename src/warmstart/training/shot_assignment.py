"""Gate: who serves from how many known events on, chosen among the entrants of a race by what each
reached.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from warmstart.evaluation.validation import overall
from warmstart.training.tuning import Fitted

PARTS = 3
"""Learners that share the numbers of events among them at most."""
DOUBT = 1.0
"""Standard errors by which one learner must lead another to take its place at some numbers of
events.
"""

ByTask = Mapping[int, Float64[np.ndarray, "_"]]


class Finish(NamedTuple):
    """What came of an entrant that was not stopped: the scorer, and its quality task by task."""

    fitted: Fitted
    values: ByTask


@dataclass(frozen=True)
class Entrant:
    """One learner with its settings in the race."""

    learner: str
    settings: Mapping[str, Any]
    seconds: float
    valid: Mapping[int, float]
    """Quality on the validation tasks by shots, the last that was seen."""
    finish: Finish | None
    stopped: str = ""
    """Where it was stopped, in words; empty if it was not."""

    @property
    def done(self) -> Finish:
        assert self.finish is not None, f"{self.learner} was stopped and cannot be asked"
        return self.finish


class Stretch(NamedTuple):
    """The entrant that serves from `first` known events on."""

    first: int
    entrant: Entrant


def gate(entrants: Sequence[Entrant]) -> tuple[Stretch, ...]:
    """Who serves from how many known events on: the best in the mean, and others where they lead it
    beyond doubt.

    One stretch at a time gives way, the one by which most is gained, at either end of the numbers
    that somebody serves, until nobody leads by more than `DOUBT` standard errors or `PARTS` share.
    """
    able = [one for one in entrants if one.finish is not None]
    best = max(able, key=lambda one: overall(one.valid))
    shots = sorted(best.valid)
    serves: list[Entrant] = [best] * len(shots)
    while len(_stretches(shots, serves)) < PARTS:
        proposals = [
            (gain * len(places), one, places)
            for places in _ends(serves)
            for one in able
            if (gain := _sure_gain(one, serves[places[0]], [shots[i] for i in places])) > 0
        ]
        if not proposals:
            break
        _, one, places = max(proposals, key=lambda proposal: proposal[0])
        for i in places:
            serves[i] = one
    return _stretches(shots, serves)


def _stretches(shots: Sequence[int], serves: Sequence[Entrant]) -> tuple[Stretch, ...]:
    return tuple(Stretch(0 if i == 0 else shots[i], serves[i]) for i in _begins(serves))


def _begins(serves: Sequence[Entrant]) -> list[int]:
    """Where another one begins to serve, as places."""
    return [i for i in range(len(serves)) if i == 0 or serves[i] is not serves[i - 1]]


def _ends(serves: Sequence[Entrant]) -> list[range]:
    """The beginnings and ends of each stretch, and each as a whole, as places."""
    begins = _begins(serves)
    found: list[range] = []
    for begin, end in zip(begins, [*begins[1:], len(serves)], strict=True):
        found += [range(begin, stop) for stop in range(begin + 1, end + 1)]
        found += [range(start, end) for start in range(begin + 1, end)]
    return found


def _sure_gain(one: Entrant, other: Entrant, shots: Sequence[int]) -> float:
    """By how much one leads another at these numbers of shots, in the mean; 0 where that may be
    chance.
    """
    gains = [one.done.values[k] - other.done.values[k] for k in shots]
    mean = float(np.mean([gain.mean() for gain in gains]))
    return mean if mean > DOUBT * standard_error(gains) else 0.0


def standard_error(values: Sequence[Float64[np.ndarray, "_"]]) -> float:
    """The standard error of the mean over k of means over tasks; the same tasks stand in each where
    all are as many.
    """
    if len({len(one) for one in values}) == 1:
        together = np.mean(values, axis=0)
        return float(together.std() / math.sqrt(len(together)))
    return float(np.mean([one.std() / math.sqrt(len(one)) for one in values]))


def joined(stretches: Sequence[tuple[int, ByTask]]) -> dict[int, Float64[np.ndarray, "_"]]:
    """The values of each stretch at its own numbers of shots."""
    firsts = [first for first, _ in stretches]
    shots = sorted(stretches[0][1])
    return {k: stretches[int(np.searchsorted(firsts, k, side="right")) - 1][1][k] for k in shots}
