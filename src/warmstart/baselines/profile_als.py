"""Profile-ALS: matrix factorisation in which somebody's factors are first foretold from their
columns.

A ridge regression from columns to the factors of training tasks, as for the cold items of Gantner
et al., ICDM 2010 (linear maps from attributes to factors). **Deviations.** Events are folded in as
ALS does it; what the columns foretell counts as much as `caution` events.
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
from warmstart.tasks.tasks import Examples, Profile, Tasks

OF_ALS = "als."


class ProfileALS:
    """This scores by factors; its state is the factors of every task."""

    capabilities = Capabilities()
    GRID: tuple[dict[str, Any], ...] = tuple(
        {"l2": l2, "caution": caution} for l2, caution in product((1.0, 10.0, 100.0), (1.0, 5.0))
    )

    def __init__(
        self,
        als: ALS,
        line: Float32[np.ndarray, "F K"],
        usual: Float32[np.ndarray, "K"],
        *,
        l2: float,
        caution: float,
    ) -> None:
        self.als, self.line, self.usual, self.items, self.caution = (
            als,
            line,
            usual,
            als.items,
            caution,
        )
        self.settings = {"l2": l2, "caution": caution, "als": als.settings}

    @classmethod
    def fit(
        cls, train: Tasks, *, items: int, l2: float = 10.0, caution: float = 1.0, seed: int = 0
    ) -> "ProfileALS":
        from sklearn.linear_model import Ridge  # half a second to import

        als = ALS.fit(train, items=items, seed=seed)
        factors = als.adapt(train.met)
        usual = factors.mean(axis=0)
        line = np.zeros((0, factors.shape[1]), dtype=np.float32)
        if train.profile is not None:
            ridge = Ridge(alpha=l2, solver="sparse_cg", tol=1e-3).fit(
                sp.csr_matrix(train.profile), factors
            )
            line, usual = ridge.coef_.T.astype(np.float32), ridge.intercept_.astype(np.float32)
        return cls(als, line, usual, l2=l2, caution=caution)

    def adapt(self, support: Examples, profile: Profile = None) -> Factors:
        foretold = np.tile(self.usual, (len(support), 1))
        if profile is not None:
            foretold += profile @ self.line
        weight = (support.counts / (support.counts + self.caution))[:, None]
        return (weight * self.als.adapt(support) + (1 - weight) * foretold).astype(np.float32)

    def score(self, state: Factors, items: Candidates) -> Scores:
        return self.als.score(state, items)

    def arrays(self) -> dict[str, np.ndarray]:
        als = {OF_ALS + name: array for name, array in self.als.arrays().items()}
        return {**als, "line": self.line, "usual": self.usual}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "ProfileALS":
        als = ALS.restore(strip_prefix(arrays, OF_ALS), settings["als"])
        return cls(
            als, arrays["line"], arrays["usual"], l2=settings["l2"], caution=settings["caution"]
        )
