"""Posteriors of users and items in Bayesian matrix factorisation, and the prior of users."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Float64

from warmstart.tasks.examples import Examples, Profile

SHRINKAGE = 5.0  # pseudo-count: the number of ratings after which a mean counts half


class UserPosterior(NamedTuple):
    """The Gaussian posterior of the D factors of T users."""

    mean: Float64[np.ndarray, "T D"]
    covariance: Float64[np.ndarray, "T D D"]

    @property
    def mean_and_one(self) -> Float64[np.ndarray, "T E"]:
        """The mean factors and the constant 1, to be multiplied with item vectors."""
        return np.concatenate([self.mean, np.ones((len(self.mean), 1))], axis=1)


class ItemPosterior(NamedTuple):
    """The Gaussian posterior of I item vectors: D factors and a bias (E = D + 1)."""

    mean: Float64[np.ndarray, "I E"]
    covariance: Float64[np.ndarray, "I E E"]

    @property
    def second_moment(self) -> Float64[np.ndarray, "I E E"]:
        """The expected outer product of each vector with itself."""
        return self.mean[:, :, None] * self.mean[:, None, :] + self.covariance


class UserPrior(NamedTuple):
    """The prior mean of user factors: linear in the profile and in which items a user rated."""

    coefficients: Float64[np.ndarray, "L D"]  # L = F columns of the profile and C of the selection
    profile_mean: Float64[np.ndarray, "F"]
    selection: Float64[np.ndarray, "I C"]  # features of an item, summed over the items rated

    def mean(self, support: Examples, profile: Profile = None) -> Float64[np.ndarray, "T D"]:
        """The prior mean of T users; an unknown profile counts as the mean profile."""
        if profile is None:
            profile = sp.csr_array(np.tile(self.profile_mean, (len(support), 1)))
        centre = self.profile_mean @ self.coefficients[: len(self.profile_mean)]
        return self.design_matrix(support, profile) @ self.coefficients - centre

    def design_matrix(self, support: Examples, profile: sp.csr_array) -> sp.csr_array:
        """(T, L): the columns of the regression, without the ratings themselves."""
        rated = rating_matrix(support, len(self.selection), np.ones(len(support.item)))
        selection = (rated @ self.selection) / (support.counts + SHRINKAGE)[:, None]
        return sp.csr_array(sp.hstack([profile, selection], dtype=np.float64))

    def refitted(
        self, support: Examples, profile: sp.csr_array, users: UserPosterior, l2: float
    ) -> "UserPrior":
        """The prior with coefficients by ridge regression of user factors on the columns, which are
        centred at the mean profile.
        """
        design = self.design_matrix(support, profile)
        mean = np.pad(self.profile_mean, (0, self.selection.shape[1]))
        gram = (
            (design.T @ design).toarray()
            - len(support) * np.outer(mean, mean)
            + l2 * np.eye(len(mean))
        )
        right = design.T @ users.mean - np.outer(mean, users.mean.sum(axis=0))
        return self._replace(coefficients=np.linalg.solve(gram, right))


def posterior_given(
    ratings: Examples,
    mean: Float64[np.ndarray, "I E"],
    second_moment: Float64[np.ndarray, "I E E"],
    variance: float,
    prior: Float64[np.ndarray, "T D"],
) -> UserPosterior:
    """The posterior of T users given their ratings and the items, by Bayes' rule.

    The prior is Gaussian about `prior` with unit covariance; `variance` is that of the noise.
    """
    items, factors = len(mean), mean.shape[1] - 1
    rated = rating_matrix(ratings, items, np.ones(len(ratings.item)))
    values = rating_matrix(ratings, items, ratings.value)
    # (T, D, D): the precision that the ratings add, in units of that of the noise
    gram = (rated @ second_moment[:, :factors, :factors].reshape(items, -1)).reshape(
        -1, factors, factors
    )
    # (T, D): what the item biases leave over
    residual = values @ mean[:, :factors] - rated @ second_moment[:, :factors, factors]
    covariance = np.linalg.inv(gram / variance + np.eye(factors))
    posterior_mean = np.einsum("tde,te->td", covariance, residual / variance + prior)
    return UserPosterior(posterior_mean, covariance)


def rating_matrix(ratings: Examples, items: int, value: Float[np.ndarray, "N"]) -> sp.csr_array:
    """(T, I): a value for each of N ratings, sparse."""
    return sp.csr_array(
        (value.astype(np.float64), (ratings.task, ratings.item)), shape=(len(ratings), items)
    )
