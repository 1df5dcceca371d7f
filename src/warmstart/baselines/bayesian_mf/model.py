"""Bayesian matrix factorisation of ratings, with priors from profiles and content.

A rating is b_i . [z_u, 1] plus Gaussian noise. The user factors z_u have a Gaussian prior about a
linear function of the profile and of which items the user rated (Koren, KDD 2008); the item vector
b_i (factors and bias) about a linear function of its content. Both priors are learned from all
training tasks: they are what is meta-learned (Grant et al., ICLR 2018), and adaptation is Bayes'
rule in closed form. So predictions for a new user and for an item without ratings come with a
standard deviation.

Fitted by variational expectation maximisation (Lim & Teh, KDD Cup Workshop 2007) with priors from
feature columns (Agarwal & Chen, KDD 2009); factors that explain nothing shrink to zero (Bishop,
"Bayesian PCA", NIPS 1998).

**Deviations.** The regressions on content are ridge regressions, fitted anew every ten iterations.
The factors are rotated after each iteration to unit covariance, which speeds up convergence
(Luttinen & Ilin, Neurocomputing 2010). Initial values are a singular value decomposition of what
item and user means leave over.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from warmstart.baselines.bayesian_mf.posterior import (
    ItemPosterior,
    UserPosterior,
    UserPrior,
    posterior_given,
)
from warmstart.baselines.bayesian_mf.variational_em import fit_variational
from warmstart.scorer import Candidates, Capabilities, Posterior, Scores
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks


class BayesianMF:
    """Predicts ratings with their standard deviation; the state is the posterior of user factors.

    `factors` is the dimension of the factors, `content_l2` and `profile_l2` regularise the
    regressions on content and profile, `rounds` is the number of EM iterations.
    """

    GRID: tuple[dict[str, Any], ...] = ()

    def __init__(
        self, item_posterior: ItemPosterior, user_prior: UserPrior, variance: float, **settings: Any
    ) -> None:
        self.item_posterior, self.user_prior, self.variance = item_posterior, user_prior, variance
        self.second_moment = item_posterior.second_moment
        self.items, self.settings = len(item_posterior.mean), settings

    @classmethod
    def fit(
        cls,
        train: Tasks,
        *,
        items: int,
        content: sp.csr_array | None = None,
        factors: int = 16,
        content_l2: float = 1.0,
        profile_l2: float = 50.0,
        rounds: int = 40,
    ) -> "BayesianMF":
        """Fit to the ratings of all training tasks; `content` (I, G) are the columns of items."""
        fitted = fit_variational(train, items, content, factors, content_l2, profile_l2, rounds)
        settings = {"factors": factors, "content_l2": content_l2, "profile_l2": profile_l2}
        return cls(*fitted, **settings, rounds=rounds)

    @property
    def capabilities(self) -> Capabilities:
        """The posterior of the state, and the standard deviation of ratings."""
        return Capabilities(
            posterior=Posterior(self.noise, self.sample),
            standard_deviation=self.standard_deviation,
        )

    @property
    def noise(self) -> float:
        """Standard deviation of a rating around its score where the factors are known."""
        return self.variance**0.5

    def adapt(self, support: Examples, profile: Profile = None) -> UserPosterior:
        return posterior_given(
            support,
            self.item_posterior.mean,
            self.second_moment,
            self.variance,
            self.user_prior.mean(support, profile),
        )

    def score(self, state: UserPosterior, items: Candidates) -> Scores:
        users, vectors = state.mean_and_one, self.item_posterior.mean[items]
        if items.ndim == 1:
            return (users @ vectors.T).astype(np.float32)
        return np.einsum("te,tqe->tq", users, vectors).astype(np.float32)

    def standard_deviation(self, state: UserPosterior, items: Candidates) -> Scores:
        """Predictive standard deviation of each candidate's rating: from the noise, the item
        posterior and the user posterior.
        """
        users = state.mean_and_one
        outer = users[:, :, None] * users[:, None, :]
        factors = state.mean.shape[1]
        axes = "qde" if items.ndim == 1 else "tqde"
        of_items = np.einsum(f"tde,{axes}->tq", outer, self.item_posterior.covariance[items])
        of_users = np.einsum(
            f"tde,{axes}->tq", state.covariance, self.second_moment[items][..., :factors, :factors]
        )
        return np.sqrt(self.variance + of_items + of_users).astype(np.float32)

    def sample(self, state: UserPosterior, rng: np.random.Generator) -> UserPosterior:
        """User factors drawn from the posterior of each task; a sample has no covariance."""
        # the jitter keeps the Cholesky factor of a covariance that is zero
        root = np.linalg.cholesky(state.covariance + 1e-9 * np.eye(state.mean.shape[1]))
        drawn = state.mean + np.einsum("tde,te->td", root, rng.standard_normal(state.mean.shape))
        return UserPosterior(drawn, np.zeros_like(state.covariance))

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "mean": self.item_posterior.mean,
            "covariance": self.item_posterior.covariance,
            "line": self.user_prior.coefficients,
            "usual": self.user_prior.profile_mean,
            "choice": self.user_prior.selection,
            "variance": np.array([self.variance]),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "BayesianMF":
        items = ItemPosterior(arrays["mean"], arrays["covariance"])
        users = UserPrior(arrays["line"], arrays["usual"], arrays["choice"])
        return cls(items, users, float(arrays["variance"].item()), **settings)
