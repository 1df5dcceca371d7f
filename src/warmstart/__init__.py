"""warmstart: recommendations that are good from the first click."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warmstart.data.interactions import Interactions
    from warmstart.data.quality import DataReport, check
    from warmstart.data.reading import read
    from warmstart.data.synthetic import shop
    from warmstart.errors import DataError, Misuse, NotFitted, UsageError, WarmstartError
    from warmstart.experiments.compare import evaluate_learners as evaluate
    from warmstart.experiments.learning_curve import LearningCurve as Efficiency
    from warmstart.experiments.learning_curve import learning_curve
    from warmstart.experiments.report import Report
    from warmstart.explain.explanation import Explanation
    from warmstart.explain.insight import Insight
    from warmstart.recommend.fit import fit
    from warmstart.recommend.recommender import Recommender, load
    from warmstart.recommend.request import Request
    from warmstart.recommend.response import Answer, Recommendation
    from warmstart.tasks.scenarios import ScenarioOptions

__all__ = [
    "Answer",
    "DataError",
    "DataReport",
    "Efficiency",
    "Explanation",
    "Insight",
    "Interactions",
    "Misuse",
    "NotFitted",
    "Recommendation",
    "Recommender",
    "Report",
    "Request",
    "ScenarioOptions",
    "UsageError",
    "WarmstartError",
    "check",
    "evaluate",
    "fit",
    "learning_curve",
    "load",
    "read",
    "shop",
]

HOMES = {
    "recommend.response": ("Answer", "Recommendation"),
    "recommend.request": ("Request",),
    "data.quality": ("DataReport", "check"),
    "experiments.compare": ("evaluate",),
    "experiments.learning_curve": ("Efficiency", "learning_curve"),
    "errors": ("DataError", "Misuse", "NotFitted", "UsageError", "WarmstartError"),
    "explain.explanation": ("Explanation",),
    "recommend.fit": ("fit",),
    "explain.insight": ("Insight",),
    "data.interactions": ("Interactions",),
    "data.reading": ("read",),
    "recommend.recommender": ("Recommender", "load"),
    "experiments.report": ("Report",),
    "tasks.scenarios": ("ScenarioOptions",),
    "data.synthetic": ("shop",),
}
"""Where each name lives: what nobody asks for is not imported, and a service or a line of help
starts at once.
"""
ALIASES = {"evaluate": "evaluate_learners", "Efficiency": "LearningCurve"}


def __getattr__(name: str) -> Any:
    for home, names in HOMES.items():
        if name in names:
            found = getattr(import_module(f"warmstart.{home}"), ALIASES.get(name, name))
            globals()[name] = found  # found at once from now on
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
