"""Profile regression: item scores from a task's profile columns, by ridge over all training tasks.

As the linear maps from attributes of Gantner et al., ICDM 2010, but to the events themselves, not
to latent factors.

**Leave-one-out.** In training a task gets the prediction of a fit without it, in closed form by the
leverage of its row (Allen, Technometrics 1974). So the lift over popularity is known without bias,
and on some data there is none.

**Deviations.** A profile row is L2-normalised after inverse-frequency weights; only the most
frequent columns are used.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Int64

from warmstart.arrays import n_columns
from warmstart.cooccurrence.gram import MAX_DENSE_ITEMS, GramInverse, gram_inverse, most_frequent
from warmstart.cooccurrence.similarity import idf_weights, unit_rows
from warmstart.ensemble.hit_rate import hit_rate

logger = logging.getLogger(__name__)

ItemScores = Float32[np.ndarray, "T J"]
Coefficients = Float32[np.ndarray, "G J"]
MAX_COLUMNS = 6000  # profile columns that are used
MAX_COEFFICIENTS = 40_000_000  # columns times items: 160 MB
RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
RIDGE_SEARCH_COLUMNS = 2000  # columns with which a ridge is chosen
RIDGE_SEARCH_TASKS = 1000  # training tasks on which a ridge is chosen
LEAST_HIT_RATE = 1e-9  # so that a lift is finite where nothing is hit
ARRAYS = {"taken": "selected_columns", "rareness": "idf", "line": "coefficients"}
"""Name on disk of each field that predictions need; leave-one-out needs the inverse besides."""


@dataclass(frozen=True)
class ProfileRegression:
    """Ridge coefficients (G, J) from F profile columns and an intercept, G = F + 1, to J items."""

    selected_columns: Int64[np.ndarray, "F"]
    idf: Float32[np.ndarray, "F"]
    coefficients: Coefficients
    lift_over_popularity: float
    """Share of the leave-one-out hit rate that popularity does not reach; below 0 where popularity
    hits more.
    """
    inverse: GramInverse | None
    """Inverse Gram matrix (G, G) of the profile rows, for leave-one-out; None after a restore."""

    @classmethod
    def fit(
        cls,
        profile: sp.csr_array,
        interactions: sp.csr_array,
        *,
        ridge: float = 0.0,
        max_columns: int = MAX_COLUMNS,
        max_coefficients: int = MAX_COEFFICIENTS,
        max_dense_columns: int = MAX_DENSE_ITEMS,
    ) -> "ProfileRegression":
        """Regress (T, J) interactions on (T, F) profiles.

        A ridge of 0 stands for the one with the best leave-one-out hit rate.
        """
        most = min(max_columns, max_coefficients // max(1, n_columns(interactions)))
        ridges = (ridge,) if ridge else RIDGES
        few = min(most, RIDGE_SEARCH_COLUMNS)
        ridge, lift = _choose_ridge(ridges, profile, interactions, few, max_dense_columns)
        columns, idf, rows = _design_matrix(profile, most)
        inverse = gram_inverse(rows, ridge, max_dense_items=max_dense_columns)
        coefficients = _coefficients(inverse, sp.csr_array(interactions.T @ rows))
        return cls(columns, idf, coefficients, lift, inverse)

    @property
    def intercept(self) -> Float32[np.ndarray, "J"]:
        """The prediction for an empty profile."""
        return self.coefficients[-1]

    def predict(self, profile: sp.csr_array) -> ItemScores:
        """Scores of J items for T profiles."""
        return np.asarray(self._rows(profile) @ self.coefficients)

    def predict_left_out(self, profile: sp.csr_array, interactions: sp.csr_array) -> ItemScores:
        """Leave-one-out scores of training tasks, given their rows of the interactions."""
        assert self.inverse is not None, "leave-one-out needs the inverse of the fit"
        return _leave_one_out(self._rows(profile), interactions, self.coefficients, self.inverse)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs."""
        fields = {name: getattr(self, field) for name, field in ARRAYS.items()}
        return {**fields, "gain": np.array([self.lift_over_popularity])}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray]) -> "ProfileRegression":
        """The regression of which these are the arrays, without leave-one-out."""
        fields = {field: arrays[name] for name, field in ARRAYS.items()}
        return cls(**fields, lift_over_popularity=float(arrays["gain"][0]), inverse=None)

    def _rows(self, profile: sp.csr_array) -> sp.csr_array:
        return _with_intercept(profile, self.selected_columns, self.idf)


def fit_profile_regression(
    profile: sp.csr_array | None, interactions: sp.csr_array, ridge: float
) -> ProfileRegression | None:
    """The regression on profiles; None where it predicts no better than popularity."""
    if profile is None:
        return None
    regression = ProfileRegression.fit(profile, interactions, ridge=ridge)
    return regression if regression.lift_over_popularity > 0 else None


def _design_matrix(
    profile: sp.csr_array, max_columns: int
) -> tuple[np.ndarray, np.ndarray, sp.csr_array]:
    """The most frequent columns (F,), their weights (F,), and the rows of all tasks (T, G)."""
    columns = most_frequent(np.bincount(profile.indices, minlength=n_columns(profile)), max_columns)
    idf = idf_weights(profile[:, columns])
    return columns, idf, _with_intercept(profile, columns, idf)


def _with_intercept(
    profile: sp.csr_array, columns: Int64[np.ndarray, "F"], idf: Float32[np.ndarray, "F"]
) -> sp.csr_array:
    """Weighted unit rows with a column of ones behind them: (T, G)."""
    ones = sp.csr_array(np.ones((len(profile.indptr) - 1, 1), dtype=np.float32))
    return sp.csr_array(sp.hstack([unit_rows(profile[:, columns], idf), ones]))


def _coefficients(inverse: GramInverse, cross: sp.csr_array) -> Coefficients:
    """The ridge solution P X'Y from X'Y transposed, (J, G); P is its own transpose."""
    return np.ascontiguousarray(inverse.left_multiply(cross).T, dtype=np.float32)


def _leave_one_out(
    rows: sp.csr_array, events: sp.csr_array, coefficients: Coefficients, inverse: GramInverse
) -> ItemScores:
    """Predictions of a fit without the row: (y_hat - h y) / (1 - h), h the leverage of the row."""
    quadratic = rows.multiply(inverse.left_multiply(rows)).sum(axis=1)
    leverage = np.asarray(quadratic, dtype=np.float32)[:, None]  # (T, 1), below 1 by the ridge
    return (rows @ coefficients - leverage * events.toarray()) / (1 - leverage)


def _choose_ridge(
    ridges: tuple[float, ...],
    profile: sp.csr_array,
    interactions: sp.csr_array,
    max_columns: int,
    max_dense_columns: int,
) -> tuple[float, float]:
    """The ridge with the best leave-one-out hit rate, and its lift over popularity.

    Hits are counted on a sample of tasks with few columns, since each ridge needs an inverse.
    """
    usable = np.flatnonzero(np.diff(interactions.indptr))
    sampled = usable[np.random.default_rng(0).permutation(len(usable))[:RIDGE_SEARCH_TASKS]]
    _, _, rows = _design_matrix(profile, max_columns)
    cross = sp.csr_array(interactions.T @ rows)  # (J, G)
    events, sampled_rows = sp.csr_array(interactions[sampled]), sp.csr_array(rows[sampled])

    def rate(ridge: float) -> float:
        inverse = gram_inverse(rows, ridge, max_dense_items=max_dense_columns)
        coefficients = _coefficients(inverse, cross)
        return hit_rate(_leave_one_out(sampled_rows, events, coefficients, inverse), events)

    rates = [rate(ridge) for ridge in ridges]
    popularity = np.asarray(interactions.sum(axis=0), dtype=np.float32) - events.toarray()
    best, by_popularity = max(rates), hit_rate(popularity, events)
    lift = (best - by_popularity) / max(best, by_popularity, LEAST_HIT_RATE)
    ridge = ridges[rates.index(best)]
    logger.info("ridge of the profile regression: %g, lift over popularity %.3f", ridge, lift)
    return ridge, lift
