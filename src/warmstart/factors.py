"""Factors: ratings as the product of an item's and an owner's few factors, each known only so far as the data go.

A rating is b_i . [z_u, 1] plus noise. The owner's tastes z_u are Gaussian about what the profile says and what they
chose to rate at all (Koren, KDD 2008); the item's vector b_i is Gaussian about what its content says. Whatever these
lines and spreads are is learned from all training tasks: the prior is what is meta-learned (Grant et al., ICLR 2018),
adaptation is Bayes' rule in closed form. So an owner of whom nothing is known and an item that nobody rated come with
honest error bars.

Fitted by variational expectation maximisation (Lim & Teh, KDD Cup Workshop 2007) with priors from columns of features
(Agarwal & Chen, KDD 2009); factors that explain nothing shrink away (Bishop, "Bayesian PCA", NIPS 1998).

**Deviations.** The lines from content are ridge regressions, drawn anew every few rounds. Tastes are rotated after each
round to spread alike, which speeds up the rounds that follow (Luttinen & Ilin, Neurocomputing 2010). The start is the
singular value decomposition of what item and owner means leave over.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Float64

from warmstart.scorer import Candidates, Scores
from warmstart.tasks import Examples, Profile, Tasks

KINDER, FIRST = 0.4, 0.2  # what owners' kindness and each factor add at the start, in standard deviations of a rating
LINES = range(5, 30, 10)  # rounds after which the lines from content are drawn anew
FOLDS = 5  # of the items, for what content says of each
FEW = 5.0  # ratings that a mean needs to be believed half


class Tastes(NamedTuple):
    """What is believed of T owners' tastes: a mean, and how unsure it is."""

    mean: Float64[np.ndarray, "T D"]
    covariance: Float64[np.ndarray, "T D D"]


class Believed(NamedTuple):
    """What is believed of each item: D factors and a level (E = D + 1), and how unsure they are."""

    mean: Float64[np.ndarray, "I E"]
    covariance: Float64[np.ndarray, "I E E"]

    @property
    def squared(self) -> Float64[np.ndarray, "I E E"]:
        """The expected outer product of each vector with itself."""
        return self.mean[:, :, None] * self.mean[:, None, :] + self.covariance


class Prior(NamedTuple):
    """What is expected of an owner's tastes before any rating is read: lines from the profile, and from the choice."""

    line: Float64[np.ndarray, "L D"]  # L = F columns of the profile and C of the choice
    usual: Float64[np.ndarray, "F"]  # profile
    choice: Float64[np.ndarray, "I C"]  # what choosing an item says

    def of(self, support: Examples, profile: Profile = None) -> Float64[np.ndarray, "T D"]:
        """The expected tastes of T owners; of a profile that is not known the usual one."""
        if profile is None:
            profile = sp.csr_array(np.tile(self.usual, (len(support), 1)))
        return self.told(support, profile) @ self.line - self.usual @ self.line[: len(self.usual)]

    def told(self, support: Examples, profile: sp.csr_array) -> sp.csr_array:
        """The columns that the lines are drawn from."""
        chosen = _rated(support, len(self.choice), np.ones(len(support.item))) @ self.choice
        return sp.csr_array(sp.hstack([profile, chosen / (support.counts + FEW)[:, None]], dtype=np.float64))

    def redrawn(self, support: Examples, profile: sp.csr_array, tastes: Tastes, l2: float) -> "Prior":
        """The lines by ridge regression of tastes on profiles, about the usual one, and choices."""
        told, usual = self.told(support, profile), np.pad(self.usual, (0, self.choice.shape[1]))
        gram = (told.T @ told).toarray() - len(support) * np.outer(usual, usual) + l2 * np.eye(len(usual))
        right = told.T @ tastes.mean - np.outer(usual, tastes.mean.sum(axis=0))
        return self._replace(line=np.linalg.solve(gram, right))


class Factors:
    """This predicts ratings and knows how unsure it is; its state is what it believes of each owner's tastes."""

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
        """Fit to the ratings of all training tasks; `content` has a row of columns for each item."""
        believed, prior, variance = _fitted(train, items, content, factors, content_l2, profile_l2, rounds)
        settings = {"factors": factors, "content_l2": content_l2, "profile_l2": profile_l2, "rounds": rounds}
        return cls(believed, prior, variance, **settings)

    @property
    def noise(self) -> float:
        """Standard deviation of a rating around its score where tastes and item are known."""
        return self.variance**0.5

    def adapt(self, support: Examples, profile: Profile = None) -> Tastes:
        prior = self.prior.of(support, profile)
        return _tastes(support, self.believed.mean, self.squared, self.variance, prior)

    def score(self, state: Tastes, items: Candidates) -> Scores:
        tastes = np.concatenate([state.mean, np.ones((len(state.mean), 1))], axis=1)
        vectors = self.believed.mean[items]
        found = tastes @ vectors.T if items.ndim == 1 else np.einsum("te,tqe->tq", tastes, vectors)
        return found.astype(np.float32)

    def spread(self, state: Tastes, items: Candidates) -> Scores:
        """Standard deviation of the rating of each candidate: noise, unsure tastes and unsure items together."""
        tastes = np.concatenate([state.mean, np.ones((len(state.mean), 1))], axis=1)
        outer = tastes[:, :, None] * tastes[:, None, :]
        factors = state.mean.shape[1]
        own = "qde" if items.ndim == 1 else "tqde"
        of_item = np.einsum(f"tde,{own}->tq", outer, self.believed.covariance[items])
        of_tastes = np.einsum(f"tde,{own}->tq", state.covariance, self.squared[items][..., :factors, :factors])
        return np.sqrt(self.variance + of_item + of_tastes).astype(np.float32)

    def sample(self, state: Tastes, rng: np.random.Generator) -> Tastes:
        """Tastes drawn from what is believed of each owner; a drawn one is sure."""
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


def _tastes(
    ratings: Examples,
    mean: Float64[np.ndarray, "I E"],
    squared: Float64[np.ndarray, "I E E"],
    variance: float,
    prior: Float64[np.ndarray, "T D"],
) -> Tastes:
    """Bayes' rule for T owners: what is believed of their tastes after their ratings."""
    items, factors = len(mean), mean.shape[1] - 1
    rated, values = _rated(ratings, items, np.ones(len(ratings.item))), _rated(ratings, items, ratings.value)
    known = (rated @ squared[:, :factors, :factors].reshape(items, -1)).reshape(-1, factors, factors)
    surplus = values @ mean[:, :factors] - rated @ squared[:, :factors, factors]  # what the level does not explain
    covariance = np.linalg.inv(known / variance + np.eye(factors))
    return Tastes(np.einsum("tde,te->td", covariance, surplus / variance + prior), covariance)


def _fitted(
    train: Tasks,
    items: int,
    content: sp.csr_array | None,
    factors: int,
    content_l2: float,
    profile_l2: float,
    rounds: int,
) -> tuple[Believed, Prior, float]:
    """Rounds of: tastes given the items, items given the tastes, noise and priors given both."""
    ratings, profile = train.events, _profile(train)
    rated, values = _rated(ratings, items, np.ones(len(ratings.item))), _rated(ratings, items, ratings.value)
    counts = np.asarray(rated.sum(axis=0))
    weight = np.bincount(ratings.item, 1 / ratings.counts[ratings.task], minlength=items)
    met, total = counts > 0, float((ratings.value.astype(np.float64) ** 2).sum())
    start = _start(ratings, items, factors)
    believed = Believed(start, np.zeros((items, factors + 1, factors + 1)))
    expected = np.tile(start[met].mean(axis=0), (items, 1))  # of each item, before its ratings
    variance = _variance(ratings)
    sureness = np.r_[np.full(factors, 1 / FIRST**2), 1.0] / variance  # one over the variance of items about that
    usual, choice = np.asarray(profile.mean(axis=0)), np.zeros((items, factors + 2))
    prior = Prior(np.zeros((len(usual) + factors + 2, factors)), usual, choice)
    for done in range(rounds):
        if done in LINES:
            prior = prior._replace(choice=_choice(believed, counts, weight))
        tastes = _tastes(ratings, believed.mean, believed.squared, variance, prior.of(ratings, profile))
        moment, product = _moments(tastes, rated, values)
        covariance = np.linalg.inv(moment / variance + np.diag(sureness))
        mean = np.einsum("ide,ie->id", covariance, product / variance + expected * sureness)
        believed = Believed(mean, covariance)
        explained = 2 * (mean * product).sum() - (believed.squared * moment).sum()
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


def _start(ratings: Examples, items: int, factors: int) -> Float64[np.ndarray, "I E"]:
    """One factor that is the same for all items, since some owners rate all higher; then the main axes of the rest."""
    from sklearn.utils.extmath import randomized_svd  # half a second to import

    overall, counts = ratings.value.mean(dtype=np.float64), np.bincount(ratings.item, minlength=items)
    level = overall + np.bincount(ratings.item, ratings.value - overall, minlength=items) / (counts + FEW)
    rest = ratings.value - level[ratings.item]
    rest -= (np.bincount(ratings.task, rest, minlength=len(ratings)) / (ratings.counts + FEW))[ratings.task]
    weight = 1 / np.sqrt((counts[ratings.item] + 2 * FEW) * ratings.counts[ratings.task])
    start, unit = np.zeros((items, factors + 1)), _variance(ratings) ** 0.5
    start[:, 0], start[:, factors] = KINDER * unit, level
    axes = min(factors - 1, items, len(ratings))
    if axes:
        _, _, axis = randomized_svd(sp.csr_matrix(_rated(ratings, items, rest * weight)), axes, random_state=0)
        place = axis.T * np.sqrt(counts + 2 * FEW)[:, None]
        size = np.sqrt((place[counts > 0] ** 2).mean(axis=0))
        start[:, 1 : axes + 1] = FIRST * unit * place / np.maximum(size, 1e-9)
    return start


def _variance(ratings: Examples) -> float:
    """The variance of all ratings; 1 where they are all alike."""
    return float(ratings.value.astype(np.float64).var()) or 1.0


def _moments(
    tastes: Tastes, rated: sp.csr_array, values: sp.csr_array
) -> tuple[Float64[np.ndarray, "I E E"], Float64[np.ndarray, "I E"]]:
    """What the items hear of those who rated them: the sums of [z, 1][z, 1]' and of rating times [z, 1]."""
    one = np.concatenate([tastes.mean, np.ones((len(tastes.mean), 1))], axis=1)
    outer = one[:, :, None] * one[:, None, :]
    outer[:, :-1, :-1] += tastes.covariance
    width = one.shape[1]
    return (rated.T @ outer.reshape(len(one), -1)).reshape(-1, width, width), values.T @ one


def _choice(
    believed: Believed, counts: Float64[np.ndarray, "I"], weight: Float64[np.ndarray, "I"]
) -> Float64[np.ndarray, "I C"]:
    """What an item is like among those that are met: its vector and how often it is met, in like units.

    `weight` is the share of each item in an owner's ratings, summed over owners: an owner who chooses as others do
    comes to zero.
    """
    columns = np.concatenate([believed.mean, np.log1p(counts)[:, None]], axis=1)
    columns -= np.average(columns, axis=0, weights=weight)
    columns[counts == 0, -1] = 0.0  # it may be met often yet
    return columns / np.maximum(columns[counts > 0].std(axis=0), 1e-9)


def _turn(tastes: Tastes, prior: Float64[np.ndarray, "T D"]) -> Float64[np.ndarray, "E E"]:
    """What item vectors are multiplied with, so that tastes may have unit spread about their prior."""
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
    """What content says of each item: a ridge regression on other items, which count by how well they are known.

    An item's own ratings are left out, in folds, else content would seem to say more than it does of an item that
    nobody rated.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold

    unsure = np.diagonal(believed.covariance, axis1=1, axis2=2)
    known = (1 - unsure * sureness).clip(min=0).mean(axis=1)  # 1 where its ratings say it all, 0 where there are none
    usual = believed.mean[met].mean(axis=0)
    line = Ridge(alpha=l2, fit_intercept=False, solver="sparse_cg", tol=1e-3)
    columns, rated = sp.csr_matrix(content), np.flatnonzero(met)
    if len(rated) < 2:
        return np.tile(usual, (len(met), 1))

    def said(teach: np.ndarray, ask: np.ndarray) -> np.ndarray:
        line.fit(columns[teach], believed.mean[teach] - usual, sample_weight=known[teach])
        return columns[ask] @ line.coef_.T + usual

    expected = np.empty_like(believed.mean)
    expected[~met] = said(rated, np.flatnonzero(~met))
    for others, fold in KFold(min(FOLDS, len(rated)), shuffle=True, random_state=0).split(rated):
        expected[rated[fold]] = said(rated[others], rated[fold])
    return expected


def _profile(train: Tasks) -> sp.csr_array:
    """The profiles, of no columns where there are none."""
    empty = sp.csr_array((len(train), 0), dtype=np.float64)
    return empty if train.profile is None else sp.csr_array(train.profile, dtype=np.float64)


def _rated(ratings: Examples, items: int, weight: Float[np.ndarray, "N"]) -> sp.csr_array:
    """A number for each rating as a sparse (T, I) matrix."""
    return sp.csr_array((weight.astype(np.float64), (ratings.task, ratings.item)), shape=(len(ratings), items))
