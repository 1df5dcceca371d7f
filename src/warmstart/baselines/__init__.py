"""Baselines that every meta-learner has to beat, one file each; each fulfils `Scorer`."""

from warmstart.baselines.als import ALS
from warmstart.baselines.bias import Bias
from warmstart.baselines.ease import EASE
from warmstart.baselines.emcdr import EMCDR
from warmstart.baselines.item_knn import ItemKNN
from warmstart.baselines.popularity import Popularity
from warmstart.baselines.profile_als import ProfileALS
from warmstart.baselines.profile_knn import ProfileKNN
from warmstart.baselines.session_knn import SessionKNN

__all__ = [
    "ALS",
    "EASE",
    "EMCDR",
    "Bias",
    "ItemKNN",
    "Popularity",
    "ProfileALS",
    "ProfileKNN",
    "SessionKNN",
]
