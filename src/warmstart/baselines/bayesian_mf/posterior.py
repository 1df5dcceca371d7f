"""Beliefs: what is held of an user's tastes and of the items' factors, how surely, and Bayes' rule
for tastes.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Float64

from warmstart.tasks.tasks import Examples, Profile

FEW = 5.0  # ratings that a mean needs to be believed half


class Tastes(NamedTuple):
    """What is believed of T users' tastes: a mean, and how unsure it is."""

    mean: Float64[np.ndarray, "T D"]
    covariance: Float64[np.ndarray, "T D D"]

    @property
    def and_one(self) -> Float64[np.ndarray, "T E"]:
        """The mean tastes and a one, which an item's vector with its level is multiplied with."""
        return np.concatenate([self.mean, np.ones((len(self.mean), 1))], axis=1)


class Believed(NamedTuple):
    """What is believed of each item: D factors and a level (E = D + 1), and how unsure they are."""

    mean: Float64[np.ndarray, "I E"]
    covariance: Float64[np.ndarray, "I E E"]

    @property
    def squared(self) -> Float64[np.ndarray, "I E E"]:
        """The expected outer product of each vector with itself."""
        return self.mean[:, :, None] * self.mean[:, None, :] + self.covariance


class Prior(NamedTuple):
    """What is expected of an user's tastes before any rating is read: lines from the profile, and
    from the choice.
    """

    line: Float64[np.ndarray, "L D"]  # L = F columns of the profile and C of the choice
    usual: Float64[np.ndarray, "F"]  # profile
    choice: Float64[np.ndarray, "I C"]  # what choosing an item says

    def of(self, support: Examples, profile: Profile = None) -> Float64[np.ndarray, "T D"]:
        """The expected tastes of T users; of a profile that is not known the usual one."""
        if profile is None:
            profile = sp.csr_array(np.tile(self.usual, (len(support), 1)))
        return self.told(support, profile) @ self.line - self.usual @ self.line[: len(self.usual)]

    def told(self, support: Examples, profile: sp.csr_array) -> sp.csr_array:
        """The columns that the lines are drawn from."""
        chosen = rated(support, len(self.choice), np.ones(len(support.item))) @ self.choice
        return sp.csr_array(
            sp.hstack([profile, chosen / (support.counts + FEW)[:, None]], dtype=np.float64)
        )

    def redrawn(
        self, support: Examples, profile: sp.csr_array, tastes: Tastes, l2: float
    ) -> "Prior":
        """The lines by ridge regression of tastes on profiles, about the usual one, and choices."""
        told, usual = self.told(support, profile), np.pad(self.usual, (0, self.choice.shape[1]))
        gram = (
            (told.T @ told).toarray()
            - len(support) * np.outer(usual, usual)
            + l2 * np.eye(len(usual))
        )
        right = told.T @ tastes.mean - np.outer(usual, tastes.mean.sum(axis=0))
        return self._replace(line=np.linalg.solve(gram, right))


def given(
    ratings: Examples,
    mean: Float64[np.ndarray, "I E"],
    squared: Float64[np.ndarray, "I E E"],
    variance: float,
    prior: Float64[np.ndarray, "T D"],
) -> Tastes:
    """Bayes' rule for T users: what is believed of their tastes after their ratings."""
    items, factors = len(mean), mean.shape[1] - 1
    met, values = (
        rated(ratings, items, np.ones(len(ratings.item))),
        rated(ratings, items, ratings.value),
    )
    known = (met @ squared[:, :factors, :factors].reshape(items, -1)).reshape(-1, factors, factors)
    surplus = (
        values @ mean[:, :factors] - met @ squared[:, :factors, factors]
    )  # what the level does not explain
    covariance = np.linalg.inv(known / variance + np.eye(factors))
    return Tastes(np.einsum("tde,te->td", covariance, surplus / variance + prior), covariance)


def rated(ratings: Examples, items: int, weight: Float[np.ndarray, "N"]) -> sp.csr_array:
    """A number for each rating as a sparse (T, I) matrix."""
    return sp.csr_array(
        (weight.astype(np.float64), (ratings.task, ratings.item)), shape=(len(ratings), items)
    )
