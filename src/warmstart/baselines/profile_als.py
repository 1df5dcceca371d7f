"""Profile-ALS: matrix factorisation in which a new user's factors are predicted from the profile.

The prediction is a ridge regression from profile columns to the factors of training tasks, as for
the cold items of Gantner et al., ICDM 2010 (linear maps from attributes to factors).
**Deviations.** Events are folded in as ALS does it; the prediction counts as much as `caution`
events.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32

from warmstart.arrays import strip_prefix
from warmstart.baselines.als import ALS, Factors
from warmstart.scorer import Candidates, Capabilities, Scores
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks

PREFIX = "als."  # of the names of the arrays of ALS


class ProfileALS:
    """Scores by factors; the state is the factors of each task.

    `l2` is the ridge of the regression, `caution` the pseudo-count of its prediction.
    """

    capabilities = Capabilities()
    GRID: tuple[dict[str, Any], ...] = tuple(
        {"l2": l2, "caution": caution} for l2, caution in product((1.0, 10.0, 100.0), (1.0, 5.0))
    )

    def __init__(
        self,
        als: ALS,
        coefficients: Float32[np.ndarray, "F K"],
        intercept: Float32[np.ndarray, "K"],
        *,
        l2: float,
        caution: float,
    ) -> None:
        self.als, self.coefficients, self.intercept = als, coefficients, intercept
        self.items, self.caution = als.items, caution
        self.settings = {"l2": l2, "caution": caution, "als": als.settings}

    @classmethod
    def fit(
        cls, train: Tasks, *, items: int, l2: float = 10.0, caution: float = 1.0, seed: int = 0
    ) -> "ProfileALS":
        from sklearn.linear_model import Ridge  # half a second to import

        als = ALS.fit(train, items=items, seed=seed)
        factors = als.adapt(train.all_events)
        intercept = factors.mean(axis=0)
        coefficients = np.zeros((0, factors.shape[1]), dtype=np.float32)
        if train.profile is not None:
            ridge = Ridge(alpha=l2, solver="sparse_cg", tol=1e-3).fit(
                sp.csr_matrix(train.profile), factors
            )
            coefficients = ridge.coef_.T.astype(np.float32)
            intercept = ridge.intercept_.astype(np.float32)
        return cls(als, coefficients, intercept, l2=l2, caution=caution)

    def adapt(self, support: Examples, profile: Profile = None) -> Factors:
        predicted = np.tile(self.intercept, (len(support), 1))
        if profile is not None:
            predicted += profile @ self.coefficients
        weight = (support.counts / (support.counts + self.caution))[:, None]
        return (weight * self.als.adapt(support) + (1 - weight) * predicted).astype(np.float32)

    def score(self, state: Factors, items: Candidates) -> Scores:
        return self.als.score(state, items)

    def arrays(self) -> dict[str, np.ndarray]:
        als = {PREFIX + name: array for name, array in self.als.arrays().items()}
        return {**als, "line": self.coefficients, "usual": self.intercept}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "ProfileALS":
        als = ALS.restore(strip_prefix(arrays, PREFIX), settings["als"])
        return cls(
            als, arrays["line"], arrays["usual"], l2=settings["l2"], caution=settings["caution"]
        )
