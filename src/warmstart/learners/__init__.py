"""The meta-learners, one file each; every one is a `Learner` and imports its contract alone."""

from warmstart.learners.blend import Blend
from warmstart.learners.core import Core
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
from warmstart.learners.prototype import Prototype
from warmstart.learners.ptupcdr import PTUPCDR
from warmstart.learners.reptile import Reptile
from warmstart.learners.ridge import Ridge
from warmstart.learners.sasrec import SASRec
from warmstart.learners.siamese import Siamese

__all__ = [
    "IMAML",
    "MAML",
    "MANN",
    "PTUPCDR",
    "Blend",
    "Core",
    "DropoutNet",
    "FineTune",
    "GRU4Rec",
    "InContext",
    "Learn2Learn",
    "Matching",
    "MetaRNN",
    "NeuralProcess",
    "Prototype",
    "Reptile",
    "Ridge",
    "SASRec",
    "Siamese",
]
