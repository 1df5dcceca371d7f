"""Variational expectation maximisation for Bayesian matrix factorisation, over all training tasks.

Each iteration updates the users given the items, the items given the users, the variance of the
noise, the priors of both; and it rotates the factors (see the module `model` for the sources).
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float64

from warmstart.baselines.bayesian_mf.posterior import (
    SHRINKAGE,
    ItemPosterior,
    UserPosterior,
    UserPrior,
    posterior_given,
    rating_matrix,
)
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import Tasks

# initial sizes of the user bias and of each factor, in standard deviations of a rating
INITIAL_BIAS, INITIAL_FACTOR = 0.4, 0.2
REGRESSION_ITERATIONS = range(5, 30, 10)  # at which the regressions on content are fitted anew
FOLDS = 5  # of the items, for the prediction of each from its content
MIN_VARIANCE = 1e-6
EPSILON = 1e-9  # against division by zero


class RatingData(NamedTuple):
    """The ratings of T training tasks in the forms that the updates need."""

    ratings: Examples
    profile: sp.csr_array  # (T, F); F = 0 where there are no profiles
    rated: sp.csr_array  # (T, I): 1 for each rating
    values: sp.csr_array  # (T, I)
    counts: Float64[np.ndarray, "I"]
    share: Float64[np.ndarray, "I"]
    """The share of each item in a user's ratings, summed over users."""

    @property
    def seen(self) -> Bool[np.ndarray, "I"]:
        """The items that have ratings."""
        return self.counts > 0


class Estimate(NamedTuple):
    """The parameters of all distributions after an iteration."""

    items: ItemPosterior
    item_prior: Float64[np.ndarray, "I E"]
    """The prior mean of each item vector."""
    item_precision: Float64[np.ndarray, "E"]
    """The prior precision of each coordinate of the item vectors, about that mean."""
    variance: float
    """Of a rating around its score."""
    users: UserPrior


def fit_variational(
    train: Tasks,
    items: int,
    content: sp.csr_array | None,
    factors: int,
    content_l2: float,
    profile_l2: float,
    iterations: int,
) -> tuple[ItemPosterior, UserPrior, float]:
    """The posterior of the items, the prior of the users and the variance of the noise."""
    data = _rating_data(train, items)
    estimate = _initial_estimate(data, items, factors)
    for iteration in range(iterations):
        if iteration in REGRESSION_ITERATIONS:
            selection = _selection_features(estimate.items, data)
            estimate = estimate._replace(users=estimate.users._replace(selection=selection))
        users = _update_users(estimate, data)
        estimate = _update_items(estimate, users, data)
        estimate = _update_user_prior(estimate, users, data, profile_l2)
        estimate = _rotate(estimate, users, data)
        estimate = _update_item_prior(estimate, data, content, content_l2, iteration)
    return estimate.items, estimate.users, estimate.variance


def _rating_data(train: Tasks, items: int) -> RatingData:
    ratings = train.all_events
    empty = sp.csr_array((len(train), 0), dtype=np.float64)
    rated = rating_matrix(ratings, items, np.ones(len(ratings.item)))
    return RatingData(
        ratings=ratings,
        profile=empty if train.profile is None else sp.csr_array(train.profile, dtype=np.float64),
        rated=rated,
        values=rating_matrix(ratings, items, ratings.value),
        counts=np.asarray(rated.sum(axis=0)),
        share=np.bincount(ratings.item, 1 / ratings.counts[ratings.task], minlength=items),
    )


def _initial_estimate(data: RatingData, items: int, factors: int) -> Estimate:
    vectors = _initial_vectors(data.ratings, items, factors)
    variance = _rating_variance(data.ratings)
    profile_mean = np.asarray(data.profile.mean(axis=0))
    selection = np.zeros((items, factors + 2))
    coefficients = np.zeros((len(profile_mean) + factors + 2, factors))
    return Estimate(
        items=ItemPosterior(vectors, np.zeros((items, factors + 1, factors + 1))),
        item_prior=np.tile(vectors[data.seen].mean(axis=0), (items, 1)),
        item_precision=np.r_[np.full(factors, 1 / INITIAL_FACTOR**2), 1.0] / variance,
        variance=variance,
        users=UserPrior(coefficients, profile_mean, selection),
    )


def _initial_vectors(ratings: Examples, items: int, factors: int) -> Float64[np.ndarray, "I E"]:
    """One factor that is the same for all items, for the user biases; then the singular vectors of
    what item and user means leave over.
    """
    from sklearn.utils.extmath import randomized_svd  # half a second to import

    counts = np.bincount(ratings.item, minlength=items)
    bias, residual = _shrunken_means(ratings, counts)
    weight = 1 / np.sqrt((counts[ratings.item] + 2 * SHRINKAGE) * ratings.counts[ratings.task])
    vectors, scale = np.zeros((items, factors + 1)), _rating_variance(ratings) ** 0.5
    vectors[:, 0], vectors[:, factors] = INITIAL_BIAS * scale, bias
    components = min(factors - 1, items, len(ratings))
    if components:
        matrix = sp.csr_matrix(rating_matrix(ratings, items, residual * weight))
        _, _, axes = randomized_svd(matrix, components, random_state=0)
        directions = axes.T * np.sqrt(counts + 2 * SHRINKAGE)[:, None]
        size = np.sqrt((directions[counts > 0] ** 2).mean(axis=0))
        vectors[:, 1 : components + 1] = (
            INITIAL_FACTOR * scale * directions / np.maximum(size, EPSILON)
        )
    return vectors


def _shrunken_means(
    ratings: Examples, counts: np.ndarray
) -> tuple[Float64[np.ndarray, "I"], Float64[np.ndarray, "N"]]:
    """The item biases, and the residuals of N ratings after these and the user biases."""
    overall = ratings.value.mean(dtype=np.float64)
    deviation = np.bincount(ratings.item, ratings.value - overall, minlength=len(counts))
    bias = overall + deviation / (counts + SHRINKAGE)
    residual = ratings.value - bias[ratings.item]
    sums = np.bincount(ratings.task, residual, minlength=len(ratings))
    residual -= (sums / (ratings.counts + SHRINKAGE))[ratings.task]
    return bias, residual


def _rating_variance(ratings: Examples) -> float:
    """The variance of all ratings; 1 where they are equal."""
    return float(ratings.value.astype(np.float64).var()) or 1.0


def _update_users(estimate: Estimate, data: RatingData) -> UserPosterior:
    """E step: the users given the items."""
    items, prior = estimate.items, estimate.users.mean(data.ratings, data.profile)
    return posterior_given(data.ratings, items.mean, items.second_moment, estimate.variance, prior)


def _update_items(estimate: Estimate, users: UserPosterior, data: RatingData) -> Estimate:
    """E step: the items given the users; M step: the variance of the noise given both."""
    moments, products = _user_moments(users, data)
    covariance = np.linalg.inv(moments / estimate.variance + np.diag(estimate.item_precision))
    right = products / estimate.variance + estimate.item_prior * estimate.item_precision
    items = ItemPosterior(np.einsum("ide,ie->id", covariance, right), covariance)
    total = float((data.ratings.value.astype(np.float64) ** 2).sum())
    # the expected squared error is total - explained, without a loop over ratings
    explained = 2 * (items.mean * products).sum() - (items.second_moment * moments).sum()
    variance = max((total - explained) / len(data.ratings.item), MIN_VARIANCE)
    return estimate._replace(items=items, variance=variance)


def _user_moments(
    users: UserPosterior, data: RatingData
) -> tuple[Float64[np.ndarray, "I E E"], Float64[np.ndarray, "I E"]]:
    """For each item the sums over the users who rated it: of the second moment of [z, 1], and of
    the rating times [z, 1].
    """
    vectors = users.mean_and_one
    moments = vectors[:, :, None] * vectors[:, None, :]  # (T, E, E)
    moments[:, :-1, :-1] += users.covariance
    width = vectors.shape[1]
    summed = data.rated.T @ moments.reshape(len(vectors), -1)
    return summed.reshape(-1, width, width), data.values.T @ vectors


def _update_user_prior(
    estimate: Estimate, users: UserPosterior, data: RatingData, l2: float
) -> Estimate:
    """M step: the regression of user factors on profile and selection."""
    return estimate._replace(users=estimate.users.refitted(data.ratings, data.profile, users, l2))


def _rotate(estimate: Estimate, users: UserPosterior, data: RatingData) -> Estimate:
    """The same model in factors of unit covariance about the prior, in which the next iterations
    converge sooner.
    """
    deviation = users.mean - estimate.users.mean(data.ratings, data.profile)
    covariance = (deviation[:, :, None] * deviation[:, None, :] + users.covariance).mean(axis=0)
    root = np.linalg.cholesky(covariance)
    rotation = np.eye(len(covariance) + 1)  # the item bias stays as it is
    rotation[:-1, :-1] = root
    coefficients = estimate.users.coefficients @ np.linalg.inv(root).T
    mean, covariances = estimate.items
    return estimate._replace(
        items=ItemPosterior(mean @ rotation, rotation.T @ covariances @ rotation),
        item_prior=estimate.item_prior @ rotation,
        users=estimate.users._replace(coefficients=coefficients),
    )


def _update_item_prior(
    estimate: Estimate, data: RatingData, content: sp.csr_array | None, l2: float, iteration: int
) -> Estimate:
    """M step: the prior mean of the items, from content where there is some, and its precision."""
    items, seen, prior = estimate.items, data.seen, estimate.item_prior
    if content is None or iteration < REGRESSION_ITERATIONS[0]:
        prior = np.tile(items.mean[seen].mean(axis=0), (len(prior), 1))
    elif iteration in REGRESSION_ITERATIONS:
        prior = _predicted_from_content(content, estimate, seen, l2)
    squared = (items.mean - prior) ** 2 + np.diagonal(items.covariance, axis1=1, axis2=2)
    precision = 1 / np.maximum(squared[seen].mean(axis=0), EPSILON)
    return estimate._replace(item_prior=prior, item_precision=precision)


def _selection_features(items: ItemPosterior, data: RatingData) -> Float64[np.ndarray, "I C"]:
    """The vector of each item and the logarithm of its count, standardised.

    They are centred at the mean over users, so that a user who selects items as others do sums to
    zero.
    """
    columns = np.concatenate([items.mean, np.log1p(data.counts)[:, None]], axis=1)
    columns -= np.average(columns, axis=0, weights=data.share)
    columns[~data.seen, -1] = 0.0  # an item without ratings may yet become popular
    return columns / np.maximum(columns[data.seen].std(axis=0), EPSILON)


def _predicted_from_content(
    content: sp.csr_array, estimate: Estimate, seen: Bool[np.ndarray, "I"], l2: float
) -> Float64[np.ndarray, "I E"]:
    """Item vectors from content, by ridge regression on other items, weighted by how well the
    ratings determine them.

    Items with ratings are predicted in folds, without their own ratings: otherwise the prior would
    be too precise for items that nobody rated.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold

    vectors, covariance = estimate.items
    remaining = np.diagonal(covariance, axis1=1, axis2=2) * estimate.item_precision
    # 1 where the ratings determine an item, 0 where there are none
    weight = (1 - remaining).clip(min=0).mean(axis=1)
    mean = vectors[seen].mean(axis=0)
    ridge = Ridge(alpha=l2, fit_intercept=False, solver="sparse_cg", tol=1e-3)
    columns, codes = sp.csr_matrix(content), np.flatnonzero(seen)
    if len(codes) < 2:
        return np.tile(mean, (len(seen), 1))

    def predict(fit_on: np.ndarray, items: np.ndarray) -> np.ndarray:
        ridge.fit(columns[fit_on], vectors[fit_on] - mean, sample_weight=weight[fit_on])
        return columns[items] @ ridge.coef_.T + mean

    predicted = np.empty_like(vectors)
    predicted[~seen] = predict(codes, np.flatnonzero(~seen))
    folds = KFold(min(FOLDS, len(codes)), shuffle=True, random_state=0)
    for others, fold in folds.split(codes):
        predicted[codes[fold]] = predict(codes[others], codes[fold])
    return predicted
