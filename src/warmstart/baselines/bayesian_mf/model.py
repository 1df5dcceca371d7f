"""Factors: ratings as the product of an item's and an user's few factors, each known only so far
as the data go.

A rating is b_i . [z_u, 1] plus noise. The user's tastes z_u are Gaussian about what the profile
says and what they chose to rate at all (Koren, KDD 2008); the item's vector b_i is Gaussian about
what its content says. Whatever these lines and spreads are is learned from all training tasks: the
prior is what is meta-learned (Grant et al., ICLR 2018), adaptation is Bayes' rule in closed form.
So an user of whom nothing is known and an item that nobody rated come with honest error bars.

Fitted by variational expectation maximisation (Lim & Teh, KDD Cup Workshop 2007) with priors from
columns of features (Agarwal & Chen, KDD 2009); factors that explain nothing shrink away (Bishop,
"Bayesian PCA", NIPS 1998).

**Deviations.** The lines from content are ridge regressions, drawn anew every few rounds. Tastes
are rotated after each round to spread alike, which speeds up the rounds that follow (Luttinen &
Ilin, Neurocomputing 2010). The start is the singular value decomposition of what item and user
means leave over.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from warmstart.baselines.bayesian_mf.posterior import Believed, Prior, Tastes, given
from warmstart.baselines.bayesian_mf.variational_em import fitted
from warmstart.scorer import Candidates, Capabilities, Posterior, Scores
from warmstart.tasks.tasks import Examples, Profile, Tasks


class Factors:
    """This predicts ratings and knows how unsure it is; its state is what it believes of each
    user's tastes.
    """

    GRID: tuple[dict[str, Any], ...] = ()

    def __init__(self, believed: Believed, prior: Prior, variance: float, **settings: Any) -> None:
        self.believed, self.prior, self.variance = believed, prior, variance
        self.squared = believed.squared
        self.items, self.settings = len(believed.mean), settings

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
    ) -> "Factors":
        """Fit to the ratings of all training tasks; `content` has a row of columns for each
        item.
        """
        believed, prior, variance = fitted(
            train, items, content, factors, content_l2, profile_l2, rounds
        )
        settings = {
            "factors": factors,
            "content_l2": content_l2,
            "profile_l2": profile_l2,
            "rounds": rounds,
        }
        return cls(believed, prior, variance, **settings)

    @property
    def capabilities(self) -> Capabilities:
        """The posterior of the state, and the standard deviation of ratings."""
        return Capabilities(
            posterior=Posterior(self.noise, self.sample),
            standard_deviation=self.standard_deviation,
        )

    @property
    def noise(self) -> float:
        """Standard deviation of a rating around its score where tastes and item are known."""
        return self.variance**0.5

    def adapt(self, support: Examples, profile: Profile = None) -> Tastes:
        prior = self.prior.of(support, profile)
        return given(support, self.believed.mean, self.squared, self.variance, prior)

    def score(self, state: Tastes, items: Candidates) -> Scores:
        tastes, vectors = state.and_one, self.believed.mean[items]
        found = tastes @ vectors.T if items.ndim == 1 else np.einsum("te,tqe->tq", tastes, vectors)
        return found.astype(np.float32)

    def standard_deviation(self, state: Tastes, items: Candidates) -> Scores:
        """Standard deviation of the rating of each candidate: noise, unsure tastes and unsure items
        together.
        """
        tastes = state.and_one
        outer = tastes[:, :, None] * tastes[:, None, :]
        factors = state.mean.shape[1]
        own = "qde" if items.ndim == 1 else "tqde"
        of_item = np.einsum(f"tde,{own}->tq", outer, self.believed.covariance[items])
        of_tastes = np.einsum(
            f"tde,{own}->tq", state.covariance, self.squared[items][..., :factors, :factors]
        )
        return np.sqrt(self.variance + of_item + of_tastes).astype(np.float32)

    def sample(self, state: Tastes, rng: np.random.Generator) -> Tastes:
        """Tastes drawn from what is believed of each user; a drawn one is sure."""
        root = np.linalg.cholesky(state.covariance + 1e-9 * np.eye(state.mean.shape[1]))
        drawn = state.mean + np.einsum("tde,te->td", root, rng.standard_normal(state.mean.shape))
        return Tastes(drawn, np.zeros_like(state.covariance))

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "mean": self.believed.mean,
            "covariance": self.believed.covariance,
            **self.prior._asdict(),
            "variance": np.array([self.variance]),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "Factors":
        believed = Believed(arrays["mean"], arrays["covariance"])
        prior = Prior(*(arrays[name] for name in Prior._fields))
        return cls(believed, prior, float(arrays["variance"].item()), **settings)
