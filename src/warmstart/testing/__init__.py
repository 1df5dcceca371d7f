"""Laws that every learner and every scorer obeys, to be run on your own.

    from warmstart.testing import check_learner, check_scorer

    check_learner(MyLearner)            # tensors in, tensors out: seconds
    check_scorer(model.scorer)          # any fitted scorer

Like scikit-learn's `check_estimator`: the first law that is broken raises an `AssertionError` that
names the law, what was expected and what came. The project's own learners are held to the same laws
in its test suite.
"""

from warmstart.testing.learner_laws import LEARNER_LAWS, LearnerCase, check_learner
from warmstart.testing.scorer_laws import SCORER_LAWS, ScorerCase, check_scorer

__all__ = [
    "LEARNER_LAWS",
    "SCORER_LAWS",
    "LearnerCase",
    "ScorerCase",
    "check_learner",
    "check_scorer",
]
