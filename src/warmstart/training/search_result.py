"""Result of a search over learners and settings: all trials, and which serves at how many shots."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64

from warmstart.ensemble.switching import ShotSwitch
from warmstart.evaluation.evaluate import HEADLINE, NAMES
from warmstart.evaluation.validation import overall
from warmstart.tasks.tasks import Objective
from warmstart.training.recipes import RECIPES
from warmstart.training.requests import Fitted
from warmstart.training.shot_assignment import (
    ShotRange,
    Trial,
    standard_error,
    values_by_range,
)

AUTO = "auto"
"""The name of a choice among learners, by the number of known events."""


@dataclass(frozen=True)
class SearchResult:
    """All trials in the order of their start, and the ranges of shots at which some of them
    serve.
    """

    objective: Objective
    trials: tuple[Trial, ...]
    ranges: tuple[ShotRange, ...]
    seconds: float

    @cached_property
    def fitted(self) -> Fitted:
        """The chosen scorer; where several serve, a switch by the number of shots."""
        members = [one.trial.finished.fitted for one in self.ranges]
        fit_seconds = sum(member.fit_seconds for member in members)
        tune_seconds = max(self.seconds - fit_seconds, 0.0)
        if len(members) == 1:
            return replace(members[0], tune_seconds=tune_seconds)
        firsts = [one.first for one in self.ranges]
        return Fitted(
            learner=AUTO,
            kind="meta",
            scorer=ShotSwitch([member.scorer for member in members], firsts),
            settings={
                "members": [
                    {"learner": member.learner, "settings": dict(member.settings), "first": first}
                    for member, first in zip(members, firsts, strict=True)
                ]
            },
            valid={k: float(values.mean()) for k, values in self._values.items()},
            fit_seconds=fit_seconds,
            tasks=sum(member.tasks for member in members),
            tune_seconds=tune_seconds,
        )

    @property
    def summary(self) -> str:
        """The choice in one sentence, with its gain over the best baseline at each number of
        known events.
        """
        users = max(len(values) for values in self._values.values())
        return f"{self._who}: {self._gain}, on {users} cuts of validation users"

    def to_list(self) -> list[dict[str, Any]]:
        """The trials, fit for JSON."""
        return [
            {
                "learner": one.learner,
                "settings": dict(one.settings),
                "seconds": round(one.seconds, 2),
                "valid": {str(k): value for k, value in one.valid.items()},
                "mean": overall(one.valid) if one.valid else None,
                "error": None
                if one.result is None
                else standard_error(list(one.result.values.values())),
                "stopped": one.stopped,
                "from": [chosen.first for chosen in self.ranges if chosen.trial is one],
            }
            for one in self.trials
        ]

    @property
    def _who(self) -> str:
        """Which learner serves at how many known events."""
        names = [one.trial.learner for one in self.ranges]
        if len(names) == 1:
            return f"{names[0]} at any number of known events"
        ends = [one.first for one in self.ranges[1:]]
        parts = [f"{names[0]} below {ends[0]} known events"]
        parts += [f"{name} from {first} on" for name, first in zip(names[1:], ends, strict=True)]
        return ", ".join(parts)

    @property
    def _values(self) -> dict[int, Float64[np.ndarray, "_"]]:
        """What the chosen trials reach, task by task."""
        return values_by_range([(one.first, one.trial.finished.values) for one in self.ranges])

    @property
    def _gain(self) -> str:
        """The mean gain over the best baseline of each number of shots, with twice its error."""
        baselines = [
            one.result.values
            for one in self.trials
            if one.result and RECIPES[one.learner].kind == "baseline"
        ]
        if not baselines:
            return "no baseline was fitted to compare with"
        best = {k: max((values[k] for values in baselines), key=np.mean) for k in self._values}
        level = abs(float(np.mean([values.mean() for values in best.values()])))
        gains = [self._values[k] - best[k] for k in best]
        if all(not gain.any() for gain in gains):
            return "the best baselines themselves"
        mean, error = float(np.mean([gain.mean() for gain in gains])), standard_error(gains)
        sign = 1 if self.objective == "ranking" else -1
        return (
            f"{NAMES[HEADLINE[self.objective]]} {100 * sign * mean / level:+.0f} % "
            f"± {200 * error / level:.0f} % against the best baseline of each number"
        )
