"""ALS: matrix factorisation of implicit feedback; a new user is folded in by least squares.

Hu, Koren & Volinsky, ICDM 2008, as implemented by the `implicit` library, which also does the
fold-in.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from jaxtyping import Float32
from threadpoolctl import threadpool_limits

from warmstart.baselines.popularity import Popular, break_ties, popularity
from warmstart.scorer import Candidates, Capabilities, Scores, candidates_of
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks

Factors = Float32[np.ndarray, "I K"]


class ALS:
    """K factors for each item and each user; the state is the factors of each task.

    `alpha` is the confidence in an interaction, `l2` the ridge.
    """

    capabilities = Capabilities()
    GRID: tuple[dict[str, Any], ...] = (
        {"factors": 32, "l2": 1.0, "alpha": 1.0},
        {"factors": 32, "l2": 20.0, "alpha": 5.0},
        {"factors": 32, "l2": 100.0, "alpha": 5.0},
        {"factors": 64, "l2": 20.0, "alpha": 2.0},
        {"factors": 64, "l2": 100.0, "alpha": 5.0},
        {"factors": 128, "l2": 100.0, "alpha": 2.0},
    )

    def __init__(self, item_factors: Factors, popular: Popular, **settings: Any) -> None:
        self.popular, self.items, self.settings = popular, len(popular), settings
        self.model = _model(**settings)
        self.model.item_factors = item_factors

    @classmethod
    def fit(
        cls,
        train: Tasks,
        *,
        items: int,
        factors: int = 64,
        l2: float = 20.0,
        alpha: float = 5.0,
        seed: int = 0,
    ) -> "ALS":
        settings = {"factors": factors, "l2": l2, "alpha": alpha, "seed": seed}
        model = _model(**settings)
        with threadpool_limits(1, "blas"):  # implicit runs its own threads
            model.fit(_matrix(train.all_events, items), show_progress=False)
        return cls(np.asarray(model.item_factors), popularity(train, items), **settings)

    def adapt(self, support: Examples, profile: Profile = None) -> Factors:
        with threadpool_limits(1, "blas"):
            factors = self.model.recalculate_user(
                np.arange(len(support)), _matrix(support, self.items)
            )
        return np.where(support.counts[:, None] > 0, factors, 0.0).astype(np.float32)

    def score(self, state: Factors, items: Candidates) -> Scores:
        return candidates_of(break_ties(state @ self.model.item_factors.T, self.popular), items)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"factors": np.asarray(self.model.item_factors), "popular": self.popular}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "ALS":
        return cls(arrays["factors"], arrays["popular"], **settings)


def _model(*, factors: int, l2: float, alpha: float, seed: int) -> AlternatingLeastSquares:
    with threadpool_limits(1, "blas"):
        return AlternatingLeastSquares(
            factors=factors,
            regularization=l2,
            alpha=alpha,
            iterations=15,
            random_state=seed,
            calculate_training_loss=False,
        )


def _matrix(examples: Examples, items: int) -> sp.csr_matrix:
    return sp.csr_matrix(examples.matrix(items))
