"""The meta-learners, one file each; every one is a `Learner` and imports nothing else of the package."""

from warmstart.learners.in_context import InContext
from warmstart.learners.maml import MAML
from warmstart.learners.matching import Matching
from warmstart.learners.ridge import Ridge
from warmstart.learners.siamese import Siamese

__all__ = ["MAML", "InContext", "Matching", "Ridge", "Siamese"]
