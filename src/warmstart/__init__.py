"""warmstart: recommendations that are good from the first click."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warmstart.answer import Answer, Recommendation
    from warmstart.asked import Request
    from warmstart.checks import DataReport, check
    from warmstart.comparison import compare as evaluate
    from warmstart.efficiency import Efficiency, learning_curve
    from warmstart.errors import DataError, Misuse, NotFitted, WarmstartError
    from warmstart.explanation import Explanation
    from warmstart.fitting import fit
    from warmstart.insight import Insight
    from warmstart.interactions import Interactions
    from warmstart.reading import read
    from warmstart.recommender import Recommender, load
    from warmstart.report import Report
    from warmstart.scenarios import ScenarioOptions
    from warmstart.synthetic import shop

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
    "answer": ("Answer", "Recommendation"),
    "asked": ("Request",),
    "checks": ("DataReport", "check"),
    "comparison": ("evaluate",),
    "efficiency": ("Efficiency", "learning_curve"),
    "errors": ("DataError", "Misuse", "NotFitted", "WarmstartError"),
    "explanation": ("Explanation",),
    "fitting": ("fit",),
    "insight": ("Insight",),
    "interactions": ("Interactions",),
    "reading": ("read",),
    "recommender": ("Recommender", "load"),
    "report": ("Report",),
    "scenarios": ("ScenarioOptions",),
    "synthetic": ("shop",),
}
"""Where each name lives: what nobody asks for is not imported, and a service or a line of help starts at once."""
ALIASES = {"evaluate": "compare"}


def __getattr__(name: str) -> Any:
    for home, names in HOMES.items():
        if name in names:
            found = getattr(import_module(f"warmstart.{home}"), ALIASES.get(name, name))
            globals()[name] = found  # found at once from now on
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
