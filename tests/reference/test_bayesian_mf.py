"""Bayesian matrix factorisation against Gaussian conditioning written out, and against ratings
drawn from the model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from warmstart.baselines.bayesian_mf.model import BayesianMF
from warmstart.baselines.bayesian_mf.posterior import ItemPosterior, UserPrior
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import Tasks

ITEMS, D, NOISE = 60, 2, 0.5


def examples(rows: Sequence[Sequence[tuple[int, Any]]]) -> Examples:
    flat = [pair for row in rows for pair in row]
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Examples(
        np.array([i for i, _ in flat], dtype=np.int64),
        np.array([v for _, v in flat], np.float32),
        start,
    )


class World:
    """Ratings drawn from the model: user factors depend on a profile, item vectors on content."""

    def __init__(self, seed: int = 0, users: int = 800, rated: int = 25) -> None:
        rng = np.random.default_rng(seed)
        self.content = rng.standard_normal((ITEMS, 3))
        self.vectors = self.content @ rng.standard_normal(
            (3, D + 1)
        ) * 0.4 + 0.3 * rng.standard_normal((ITEMS, D + 1))
        self.vectors[:, D] += 3
        self.profile = rng.integers(0, 2, (users, 2)).astype(float)
        line = np.array([[1.0, -0.5], [0.0, 0.8]])
        self.user_factors = (self.profile - 0.5) @ line + rng.standard_normal((users, D))
        self.mean = self.user_factors @ self.vectors[:, :D].T + self.vectors[:, D]
        self.chosen = np.stack([rng.permutation(ITEMS)[:rated] for _ in range(users)])
        self.ratings = self.mean + NOISE * rng.standard_normal(self.mean.shape)

    def tasks(self, users: np.ndarray, items: np.ndarray | None = None) -> Tasks:
        """These users' ratings, of these items alone."""
        allowed = set(range(ITEMS) if items is None else items.tolist())
        rows = [
            [(int(i), self.ratings[u, i]) for i in self.chosen[u] if i in allowed] for u in users
        ]
        return Tasks(
            examples(rows),
            ordered=False,
            profile=sp.csr_array(self.profile[users], dtype=np.float32),
        )


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def fitted(world: World) -> BayesianMF:
    return BayesianMF.fit(
        world.tasks(np.arange(600)), items=ITEMS, content=sp.csr_array(world.content), factors=4
    )


def handmade(seed: int = 0, variance: float = 0.0) -> BayesianMF:
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal((ITEMS, D + 1))
    covariance = variance * np.tile(np.eye(D + 1), (ITEMS, 1, 1))
    prior = UserPrior(
        rng.standard_normal((2 + 3, D)), np.array([0.3, 0.6]), rng.standard_normal((ITEMS, 3))
    )
    return BayesianMF(ItemPosterior(mean, covariance), prior, NOISE**2)


def test_adaptation_is_gaussian_conditioning():
    model = handmade()
    support = examples([[(4, 3.0), (9, 1.0), (17, 4.5)], []])
    profile = sp.csr_array(np.array([[1.0, 0.0], [0.0, 1.0]]))
    state, vectors = model.adapt(support, profile), model.item_posterior.mean
    choice = model.user_prior.selection[[4, 9, 17]].sum(axis=0) / (3 + 5)
    for t, (rated, values, chosen) in enumerate(
        [([4, 9, 17], [3.0, 1.0, 4.5], choice), ([], [], np.zeros(3))]
    ):
        centred = np.concatenate([profile.toarray()[t] - model.user_prior.profile_mean, chosen])
        prior = centred @ model.user_prior.coefficients
        v, level = vectors[rated, :D], vectors[rated, D]
        joint = v @ v.T + NOISE**2 * np.eye(
            len(rated)
        )  # of the ratings, with the user factors integrated out
        gain = v.T @ np.linalg.inv(joint)
        assert_allclose(
            state.mean[t], prior + gain @ (np.array(values) - level - v @ prior), rtol=1e-8
        )
        assert_allclose(state.covariance[t], np.eye(D) - gain @ v, atol=1e-10)


def test_an_unknown_profile_counts_as_the_mean_profile():
    model, support = handmade(), examples([[(4, 3.0)], []])
    mean_profile = sp.csr_array(np.tile(model.user_prior.profile_mean, (2, 1)))
    assert_allclose(model.adapt(support).mean, model.adapt(support, mean_profile).mean)


def test_the_standard_deviation_is_that_of_ratings_drawn_from_the_posterior():
    model = handmade(variance=0.2)
    state, items = model.adapt(examples([[(4, 3.0), (9, 1.0)], []])), np.array([7, 30])
    rng, draws = np.random.default_rng(0), 200_000
    for t in range(2):
        z = rng.multivariate_normal(state.mean[t], state.covariance[t], draws)
        one = np.concatenate([z, np.ones((draws, 1))], axis=1)
        for q, item in enumerate(items):
            b = rng.multivariate_normal(
                model.item_posterior.mean[item], model.item_posterior.covariance[item], draws
            )
            drawn = (one * b).sum(axis=1) + NOISE * rng.standard_normal(draws)
            assert model.standard_deviation(state, items)[t, q] == pytest.approx(
                drawn.std(), rel=0.02
            )
            assert model.score(state, items)[t, q] == pytest.approx(drawn.mean(), abs=0.02)
    per_task = model.standard_deviation(state, np.array([[7, 30], [30, 7]]))
    assert_allclose(per_task[1], model.standard_deviation(state, items)[1, ::-1], rtol=1e-5)


def test_samples_have_the_mean_and_covariance_of_the_posterior():
    model = handmade()
    state, rng = model.adapt(examples([[(4, 3.0), (9, 1.0)]])), np.random.default_rng(0)
    drawn = [model.sample(state, rng) for _ in range(20_000)]
    means = np.concatenate([one.mean for one in drawn])
    assert_allclose(means.mean(axis=0), state.mean[0], atol=0.03)
    assert_allclose(np.cov(means.T), state.covariance[0], atol=0.03)
    assert not drawn[0].covariance.any()


def test_it_finds_the_noise_and_the_number_of_factors(fitted):
    assert fitted.noise == pytest.approx(NOISE, rel=0.05)
    strength = np.linalg.svd(fitted.item_posterior.mean[:, :4], compute_uv=False) / ITEMS**0.5
    assert strength[1] > 0.3 > 0.1 > strength[2]  # two of the four are too many


def test_a_new_users_ratings_are_predicted_nearly_as_well_as_with_the_true_parameters(
    world, fitted
):
    tasks = world.tasks(np.arange(600, 800))
    for shots, wanted in [(0, 1.25), (15, 1.1)]:
        batch = tasks.cut(shots)
        query = batch.query.padded()
        error = fitted.score(fitted.adapt(batch.support, batch.profile), query.item) - query.value
        ideal = _ideal(world, np.arange(600, 800), shots)
        assert np.sqrt((error**2).mean()) < wanted * ideal


def _ideal(world: World, users: np.ndarray, shots: int) -> float:
    """The root mean squared error with the true item vectors and the true prior."""
    v, level = world.vectors[:, :D], world.vectors[:, D]
    errors = []
    for u in users:
        prior = (world.profile[u] - 0.5) @ np.array([[1.0, -0.5], [0.0, 0.8]])
        rated, query = world.chosen[u][:shots], world.chosen[u][shots : shots + 20]
        gain = v[rated].T @ np.linalg.inv(v[rated] @ v[rated].T + NOISE**2 * np.eye(shots))
        z = prior + gain @ (world.ratings[u, rated] - level[rated] - v[rated] @ prior)
        errors.append(v[query] @ z + level[query] - world.ratings[u, query])
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


def test_its_standard_deviations_are_as_large_as_its_errors(world, fitted):
    tasks = world.tasks(np.arange(600, 800))
    for shots in (0, 3, 15):
        batch = tasks.cut(shots)
        query, state = batch.query.padded(), fitted.adapt(batch.support, batch.profile)
        off = (fitted.score(state, query.item) - query.value) / fitted.standard_deviation(
            state, query.item
        )
        assert off.std() == pytest.approx(1, abs=0.1)


def test_an_item_without_ratings_is_predicted_from_its_content_with_more_uncertainty(world):
    warm = np.arange(10, ITEMS)
    model = BayesianMF.fit(
        world.tasks(np.arange(600), warm),
        items=ITEMS,
        content=sp.csr_array(world.content),
        factors=2,
    )
    support = world.tasks(np.arange(600, 800), warm)
    state = model.adapt(support.events, support.profile)
    cold, known = np.arange(10), np.arange(10, 20)
    truth = world.mean[600:]
    without_content = BayesianMF.fit(world.tasks(np.arange(600), warm), items=ITEMS, factors=2)
    not_predicted = without_content.score(
        without_content.adapt(support.events, support.profile), cold
    )
    assert (
        np.abs(model.score(state, cold) - truth[:, cold]).mean()
        < 0.75 * np.abs(not_predicted - truth[:, cold]).mean()
    )
    assert (
        model.standard_deviation(state, cold).mean()
        > 1.2 * model.standard_deviation(state, known).mean()
    )


def test_the_profile_improves_predictions_without_ratings(world, fitted):
    tasks = world.tasks(np.arange(600, 800))
    nothing = tasks.events.window(np.zeros(200, dtype=int), np.zeros(200, dtype=int))
    truth, items = world.mean[600:], np.arange(ITEMS)
    with_it = np.abs(fitted.score(fitted.adapt(nothing, tasks.profile), items) - truth).mean()
    assert with_it < 0.97 * np.abs(fitted.score(fitted.adapt(nothing), items) - truth).mean()


def test_which_items_a_user_rated_says_something_of_the_user_factors():
    """Users who like odd items rate odd ones."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(300):
        taste = rng.choice([-1, 1])
        odd = np.where(np.arange(ITEMS) % 2, 1, -1)
        chosen = rng.choice(
            ITEMS, 12, replace=False, p=np.exp(1.5 * taste * odd) / np.exp(1.5 * taste * odd).sum()
        )
        rows.append([(int(i), 3 + taste * odd[i] + 0.8 * rng.standard_normal()) for i in chosen])
    model = BayesianMF.fit(Tasks(examples(rows), ordered=False), items=ITEMS, factors=2)
    # Ratings that say nothing, of odd items.
    state = model.adapt(examples([[(1, 3.0), (3, 3.0), (5, 3.0)], [(2, 3.0), (4, 3.0), (6, 3.0)]]))
    scores = model.score(state, np.arange(ITEMS))
    liking = scores[:, 1::2].mean(axis=1) - scores[:, ::2].mean(axis=1)  # of odd items
    assert liking[0] > liking[1] + 0.05
    without_selection = BayesianMF(
        model.item_posterior,
        model.user_prior._replace(coefficients=0 * model.user_prior.coefficients),
        model.variance,
    )
    scores = without_selection.score(
        without_selection.adapt(examples([[(1, 3.0), (3, 3.0), (5, 3.0)]])), np.arange(ITEMS)
    )
    assert liking[0] > scores[0, 1::2].mean() - scores[0, ::2].mean()
