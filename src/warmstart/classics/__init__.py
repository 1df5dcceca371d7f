"""The classics that every learner has to beat, one file each; each fits the `Scorer` contract."""

from warmstart.classics.als import ALS
from warmstart.classics.bias import Bias
from warmstart.classics.bridge import Bridge
from warmstart.classics.ease import EASE
from warmstart.classics.item_knn import ItemKNN
from warmstart.classics.popularity import Popularity
from warmstart.classics.profile_als import ProfileALS
from warmstart.classics.profile_knn import ProfileKNN
from warmstart.classics.session_knn import SessionKNN

__all__ = ["ALS", "EASE", "Bias", "Bridge", "ItemKNN", "Popularity", "ProfileALS", "ProfileKNN", "SessionKNN"]
