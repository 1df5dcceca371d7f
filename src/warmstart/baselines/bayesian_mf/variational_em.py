"""Rounds: how `factors` are fitted, by variational expectation maximisation over all training
tasks.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float64

from warmstart.baselines.bayesian_mf.posterior import FEW, Believed, Prior, Tastes, given, rated
from warmstart.tasks.tasks import Examples, Tasks

KINDER, FIRST = (
    0.4,
    0.2,
)  # what users' kindness and each factor add at the start, in standard deviations of a rating
LINES = range(5, 30, 10)  # rounds after which the lines from content are drawn anew
FOLDS = 5  # of the items, for what content says of each


def fitted(
    train: Tasks,
    items: int,
    content: sp.csr_array | None,
    factors: int,
    content_l2: float,
    profile_l2: float,
    rounds: int,
) -> tuple[Believed, Prior, float]:
    """Rounds of: tastes given the items, items given the tastes, noise and priors given both."""
    ratings, profile = train.met, _profile(train)
    who, values = (
        rated(ratings, items, np.ones(len(ratings.item))),
        rated(ratings, items, ratings.value),
    )
    counts = np.asarray(who.sum(axis=0))
    weight = np.bincount(ratings.item, 1 / ratings.counts[ratings.task], minlength=items)
    met, total = counts > 0, float((ratings.value.astype(np.float64) ** 2).sum())
    start = _start(ratings, items, factors)
    believed = Believed(start, np.zeros((items, factors + 1, factors + 1)))
    expected = np.tile(start[met].mean(axis=0), (items, 1))  # of each item, before its ratings
    variance = _variance(ratings)
    sureness = (
        np.r_[np.full(factors, 1 / FIRST**2), 1.0] / variance
    )  # one over the variance of items about that
    usual, choice = np.asarray(profile.mean(axis=0)), np.zeros((items, factors + 2))
    prior = Prior(np.zeros((len(usual) + factors + 2, factors)), usual, choice)
    for done in range(rounds):
        if done in LINES:
            prior = prior._replace(choice=_choice(believed, counts, weight))
        tastes = given(
            ratings, believed.mean, believed.squared, variance, prior.of(ratings, profile)
        )
        moment, product = _moments(tastes, who, values)
        believed = _items(moment / variance, product / variance, expected, sureness)
        explained = 2 * (believed.mean * product).sum() - (believed.squared * moment).sum()
        variance = max((total - explained) / len(ratings.item), 1e-6)
        prior = prior.redrawn(ratings, profile, tastes, profile_l2)
        turn = _turn(tastes, prior.of(ratings, profile))
        believed, expected = _turned(believed, turn), expected @ turn
        prior = prior._replace(line=prior.line @ np.linalg.inv(turn[:factors, :factors]).T)
        if content is None or done < LINES[0]:
            expected = np.tile(believed.mean[met].mean(axis=0), (items, 1))
        elif done in LINES:
            expected = _expected(content, believed, sureness, met, content_l2)
        away = (believed.mean - expected) ** 2 + np.diagonal(believed.covariance, axis1=1, axis2=2)
        sureness = 1 / np.maximum(away[met].mean(axis=0), 1e-9)
    return believed, prior, variance


def _items(
    moment: Float64[np.ndarray, "I E E"],
    product: Float64[np.ndarray, "I E"],
    expected: Float64[np.ndarray, "I E"],
    sureness: Float64[np.ndarray, "E"],
) -> Believed:
    """Bayes' rule for the items: what is believed of each after its ratings."""
    covariance = np.linalg.inv(moment + np.diag(sureness))
    return Believed(np.einsum("ide,ie->id", covariance, product + expected * sureness), covariance)


def _start(ratings: Examples, items: int, factors: int) -> Float64[np.ndarray, "I E"]:
    """One factor that is the same for all items, since some users rate all higher; then the main
    axes of the rest.
    """
    from sklearn.utils.extmath import randomized_svd  # half a second to import

    overall, counts = (
        ratings.value.mean(dtype=np.float64),
        np.bincount(ratings.item, minlength=items),
    )
    level = overall + np.bincount(ratings.item, ratings.value - overall, minlength=items) / (
        counts + FEW
    )
    rest = ratings.value - level[ratings.item]
    rest -= (np.bincount(ratings.task, rest, minlength=len(ratings)) / (ratings.counts + FEW))[
        ratings.task
    ]
    weight = 1 / np.sqrt((counts[ratings.item] + 2 * FEW) * ratings.counts[ratings.task])
    start, unit = np.zeros((items, factors + 1)), _variance(ratings) ** 0.5
    start[:, 0], start[:, factors] = KINDER * unit, level
    axes = min(factors - 1, items, len(ratings))
    if axes:
        _, _, axis = randomized_svd(
            sp.csr_matrix(rated(ratings, items, rest * weight)), axes, random_state=0
        )
        place = axis.T * np.sqrt(counts + 2 * FEW)[:, None]
        size = np.sqrt((place[counts > 0] ** 2).mean(axis=0))
        start[:, 1 : axes + 1] = FIRST * unit * place / np.maximum(size, 1e-9)
    return start


def _variance(ratings: Examples) -> float:
    """The variance of all ratings; 1 where they are all alike."""
    return float(ratings.value.astype(np.float64).var()) or 1.0


def _moments(
    tastes: Tastes, who: sp.csr_array, values: sp.csr_array
) -> tuple[Float64[np.ndarray, "I E E"], Float64[np.ndarray, "I E"]]:
    """What the items hear of those who rated them: the sums of [z, 1][z, 1]' and of rating times
    [z, 1].
    """
    one = tastes.and_one
    outer = one[:, :, None] * one[:, None, :]
    outer[:, :-1, :-1] += tastes.covariance
    width = one.shape[1]
    return (who.T @ outer.reshape(len(one), -1)).reshape(-1, width, width), values.T @ one


def _choice(
    believed: Believed, counts: Float64[np.ndarray, "I"], weight: Float64[np.ndarray, "I"]
) -> Float64[np.ndarray, "I C"]:
    """What an item is like among those that are met: its vector and how often it is met, in like
    units.

    `weight` is the share of each item in an user's ratings, summed over users: an user who
    chooses as others do comes to zero.
    """
    columns = np.concatenate([believed.mean, np.log1p(counts)[:, None]], axis=1)
    columns -= np.average(columns, axis=0, weights=weight)
    columns[counts == 0, -1] = 0.0  # it may be met often yet
    return columns / np.maximum(columns[counts > 0].std(axis=0), 1e-9)


def _turn(tastes: Tastes, prior: Float64[np.ndarray, "T D"]) -> Float64[np.ndarray, "E E"]:
    """What item vectors are multiplied with, so that tastes may have unit spread about their
    prior.
    """
    away = tastes.mean - prior
    spread = (away[:, :, None] * away[:, None, :] + tastes.covariance).mean(axis=0)
    turn = np.eye(len(spread) + 1)
    turn[:-1, :-1] = np.linalg.cholesky(spread)
    return turn


def _turned(believed: Believed, turn: Float64[np.ndarray, "E E"]) -> Believed:
    return Believed(believed.mean @ turn, turn.T @ believed.covariance @ turn)


def _expected(
    content: sp.csr_array,
    believed: Believed,
    sureness: Float64[np.ndarray, "E"],
    met: np.ndarray,
    l2: float,
) -> Float64[np.ndarray, "I E"]:
    """What content says of each item: a ridge regression on other items, which count by how well
    they are known.

    An item's own ratings are left out, in folds, else content would seem to say more than it does
    of an item that nobody rated.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold

    unsure = np.diagonal(believed.covariance, axis1=1, axis2=2)
    known = (
        (1 - unsure * sureness).clip(min=0).mean(axis=1)
    )  # 1 where its ratings say it all, 0 where there are none
    usual = believed.mean[met].mean(axis=0)
    line = Ridge(alpha=l2, fit_intercept=False, solver="sparse_cg", tol=1e-3)
    columns, known_of = sp.csr_matrix(content), np.flatnonzero(met)
    if len(known_of) < 2:
        return np.tile(usual, (len(met), 1))

    def said(teach: np.ndarray, ask: np.ndarray) -> np.ndarray:
        line.fit(columns[teach], believed.mean[teach] - usual, sample_weight=known[teach])
        return columns[ask] @ line.coef_.T + usual

    expected = np.empty_like(believed.mean)
    expected[~met] = said(known_of, np.flatnonzero(~met))
    for others, fold in KFold(min(FOLDS, len(known_of)), shuffle=True, random_state=0).split(
        known_of
    ):
        expected[known_of[fold]] = said(known_of[others], known_of[fold])
    return expected


def _profile(train: Tasks) -> sp.csr_array:
    """The profiles, of no columns where there are none."""
    empty = sp.csr_array((len(train), 0), dtype=np.float64)
    return empty if train.profile is None else sp.csr_array(train.profile, dtype=np.float64)
