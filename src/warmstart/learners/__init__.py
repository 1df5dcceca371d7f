"""Meta-learners, one file an algorithm: a `Learner` adapts to a task and scores items for it."""

from warmstart.learners.base import CandidateSet, Learner, Query, Support
from warmstart.learners.blend import Blend
from warmstart.learners.core import CORE
from warmstart.learners.dropoutnet import DropoutNet
from warmstart.learners.fine_tune import FineTune
from warmstart.learners.gru4rec import GRU4Rec
from warmstart.learners.imaml import IMAML
from warmstart.learners.in_context import InContext
from warmstart.learners.learn2learn import Learn2Learn
from warmstart.learners.maml import MAML
from warmstart.learners.mann import MANN
from warmstart.learners.matching import Matching
from warmstart.learners.meta_rnn import MetaRNN
from warmstart.learners.neural_process import NeuralProcess
from warmstart.learners.objectives import OBJECTIVES
from warmstart.learners.prototype import Prototype
from warmstart.learners.ptupcdr import PTUPCDR
from warmstart.learners.reptile import Reptile
from warmstart.learners.ridge import Ridge
from warmstart.learners.sasrec import SASRec
from warmstart.learners.siamese import Siamese

__all__ = [  # noqa: RUF022 - by family
    # The contract
    "CandidateSet",
    "Learner",
    "OBJECTIVES",
    "Query",
    "Support",
    # Amortised: an encoder of the support set
    "Blend",
    "InContext",
    "NeuralProcess",
    # Gradient descent in the inner loop
    "IMAML",
    "Learn2Learn",
    "MAML",
    "MetaRNN",
    "Reptile",
    # A closed form on learned vectors
    "Ridge",
    # Metric learning
    "Matching",
    "Prototype",
    "Siamese",
    # External memory
    "MANN",
    # Sequences of events
    "CORE",
    "GRU4Rec",
    "SASRec",
    # Transfer without meta-learning
    "DropoutNet",
    "FineTune",
    "PTUPCDR",
]
