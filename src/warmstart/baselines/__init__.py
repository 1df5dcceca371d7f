"""The classics that every learner has to beat, one file each; each fits the `Scorer` contract."""

from warmstart.baselines.als import ALS
from warmstart.baselines.bias import Bias
from warmstart.baselines.ease import EASE
from warmstart.baselines.emcdr import Bridge
from warmstart.baselines.item_knn import ItemKNN
from warmstart.baselines.popularity import Popularity
from warmstart.baselines.profile_als import ProfileALS
from warmstart.baselines.profile_knn import ProfileKNN
from warmstart.baselines.session_knn import SessionKNN

__all__ = [
    "ALS",
    "EASE",
    "Bias",
    "Bridge",
    "ItemKNN",
    "Popularity",
    "ProfileALS",
    "ProfileKNN",
    "SessionKNN",
]
