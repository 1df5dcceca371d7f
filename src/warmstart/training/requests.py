"""What to fit, and what came of it: the request that every recipe takes, and its result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np

from warmstart.durations import UNLIMITED, Deadline
from warmstart.scorer import Scorer
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import Objective
from warmstart.training.outer_loop import Progress, ValidationCurve

Role = Literal["baseline", "meta", "transfer"]
"""How a learner stands in a report, however it is fitted."""
Settings = Mapping[str, Any]
Arrays = dict[str, np.ndarray]
FACTS = ("value_mean", "value_std", "profile_width", "ordered", "witnesses")
"""Arguments of constructors that are facts of the data, and no settings."""


@dataclass(frozen=True)
class FitRequest:
    """What to fit: the split to learn from, the objective, and all that the caller may decide.

    The fit should end by the `deadline`. A `checkpoint` is a file from which a killed run
    continues.
    """

    split: Split
    objective: Objective = "ranking"
    seed: int = 0
    settings: Settings = field(default_factory=dict)
    deadline: Deadline = UNLIMITED
    checkpoint: Path | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class Fitted:
    """A fitted scorer with what it took to get it.

    `settings` is all that `restore` needs besides the scorer's arrays.
    """

    learner: str
    kind: Role
    scorer: Scorer
    settings: Settings
    valid: Mapping[int, float]
    """Quality on the validation tasks by number of shots, on which all choices were made."""
    fit_seconds: float
    tasks: int
    """Tasks that were learned from in `fit_seconds`, each counted as often as it was drawn."""
    tune_seconds: float = 0.0
    """Seconds spent on settings that were not chosen."""
    curve: ValidationCurve | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else the recipe tells of the fit, for the manifest of a saved model."""


def default_settings(function: Any) -> dict[str, Any]:
    """The arguments of a constructor that a caller may choose, with their defaults.

    These are the ones whose default is a plain value and that are no facts of the data.
    """
    parameters = signature(function).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if isinstance(p.default, int | float | str) and p.name not in FACTS
    }


def accepted_settings(function: Any, settings: Settings) -> dict[str, Any]:
    """Those of the settings that a function has an argument for."""
    names = signature(function).parameters
    return {name: value for name, value in settings.items() if name in names}
