from .data.interactions import Interactions as Interactions
from .data.quality import DataReport as DataReport
from .data.quality import check as check
from .data.reading import read as read
from .data.synthetic import synthetic_shop as synthetic_shop
from .errors import DataError as DataError
from .errors import NotFitted as NotFitted
from .errors import UnknownItem as UnknownItem
from .errors import UsageError as UsageError
from .errors import WarmstartError as WarmstartError
from .experiments.compare import evaluate as evaluate
from .experiments.learning_curve import LearningCurve as LearningCurve
from .experiments.learning_curve import learning_curve as learning_curve
from .experiments.report import Report as Report
from .explain.explanation import Explanation as Explanation
from .explain.insight import Insight as Insight
from .recommend.fit import fit as fit
from .recommend.recommender import Recommender as Recommender
from .recommend.recommender import load as load
from .recommend.request import Request as Request
from .recommend.response import Answer as Answer
from .recommend.response import Recommendation as Recommendation
from .tasks.scenarios import ScenarioOptions as ScenarioOptions

__version__: str
