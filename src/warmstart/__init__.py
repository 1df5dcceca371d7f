"""warmstart: recommendations that are good from the first click."""

from warmstart.answer import Answer, Recommendation
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
