"""Meta-learning beyond recommendation: any network, any source of episodes.

The same outer loop that trains the recommenders, for regression, N-way classification and ranking
on tensors of your own; see docs/beyond-recommendation.md.
"""

from warmstart.meta.episode import Episode
from warmstart.meta.gradient_descent import GradientDescent
from warmstart.meta.losses import LOSSES
from warmstart.meta.meta_train import FunctionEpisodes, meta_train
from warmstart.meta.prototypes import Prototypes

__all__ = [
    "LOSSES",
    "Episode",
    "FunctionEpisodes",
    "GradientDescent",
    "Prototypes",
    "meta_train",
]
