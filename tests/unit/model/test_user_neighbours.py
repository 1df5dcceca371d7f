"""User neighbours, against loops over users, items and events."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import warmstart as ws
from warmstart.evaluation.validation import quality
from warmstart.model.fitted import FittedModel
from warmstart.model.statistics import InitialStatistics
from warmstart.model.user_neighbours import MAX_EVENTS, UserNeighbours
from warmstart.tasks.tasks import Tasks
from warmstart.training import registry as recipes
from warmstart.training.registry import RECIPES
from warmstart.training.requests import FitRequest

ITEMS = np.arange(30)
SMALL = {
    "dim": 16,
    "steps": 60,
    "tasks": 32,
    "validate_every": 30,
    "rate": 0.01,
    "most_shots": 8,
    "queries": 6,
}
SHOTS = (4, 0, 1)


def untrained(split, name: str = "siamese") -> FittedModel:
    """A model whose parameters are random, and whose profiles count."""
    torch.manual_seed(0)
    recipe: Any = RECIPES[name]
    model = recipe.build_model(InitialStatistics.of_split(split, "ranking"), {"dim": 8})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return FittedModel(model)


@pytest.fixture(scope="module")
def trained(split) -> FittedModel:
    return untrained(split)


@pytest.fixture
def support(examples):
    return examples([[3, 8, 1, 5], [], [7]])


@pytest.fixture(scope="module")
def fitted(split):
    return recipes.fit("siamese-users", FitRequest(split, settings=SMALL))


@torch.no_grad()
def embed(trained: FittedModel, items) -> np.ndarray:
    embed_item: Any = trained.model.learner.embed
    return np.mean([embed_item(trained.vectors[item]).numpy() for item in items], axis=0)


def histories(tasks: Tasks) -> list[np.ndarray]:
    return [
        tasks.events.item[first:last]
        for first, last in zip(tasks.events.offsets, tasks.events.offsets[1:], strict=False)
    ]


def nearest_users(
    trained: FittedModel, train: Tasks, items, nearest: int
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest training users of a user with `items`, and their weights."""
    centre = embed(trained, items)
    distance = np.array(
        [np.sqrt(((embed(trained, met) - centre) ** 2).sum()) for met in histories(train)]
    )
    order = np.argsort(distance)[:nearest]
    closeness = distance[order[-1]] ** 2 - distance[order] ** 2
    return order, closeness / closeness.sum()


def test_the_neighbours_are_the_nearest_users_in_the_learned_space(trained, split, support):
    state = UserNeighbours.fit(trained, split.train, nearest=9).adapt(support)
    assert state.nearest.shape == state.weight.shape == (3, 9) and (state.weight >= 0).all()
    for task, items in ((0, [3, 8, 1, 5]), (2, [7])):
        nearest, weight = nearest_users(trained, split.train, items, 9)
        assert_array_equal(state.nearest[task], nearest)
        assert_allclose(state.weight[task], weight, rtol=1e-3, atol=1e-4)


def test_a_score_is_the_chance_of_an_event_of_the_neighbours_or_of_the_prior(
    trained, split, support
):
    profile = split.test.profile[:3]
    scorer = UserNeighbours.fit(trained, split.train, nearest=9, caution=3.0)
    scores = scorer.score(scorer.adapt(support, profile), ITEMS)
    prior = prior_of(trained, profile)
    met = histories(split.train)
    for task, (items, trust) in enumerate((([3, 8, 1, 5], 4 / 7), ([], 0.0), ([7], 1 / 4))):
        events = np.zeros(30)
        if items:
            for user, weight in zip(*nearest_users(trained, split.train, items, 9), strict=True):
                events[met[user]] += weight
            events /= events.sum()
        assert_allclose(
            scores[task], trust * events + (1 - trust) * prior[task], rtol=1e-3, atol=1e-6
        )
    assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("caution", [0.0, 0.5, 5.0])
def test_without_events_a_user_gets_the_prior_of_the_model(caution, trained, split, examples):
    profile = split.test.profile[:2]
    scorer = UserNeighbours.fit(trained, split.train, caution=caution)
    scores = scorer.score(scorer.adapt(examples([[], []]), profile), ITEMS)
    assert_allclose(scores, prior_of(trained, profile), rtol=1e-5)
    assert not np.allclose(scores[0], scores[1])


def test_the_prior_weighs_as_much_as_its_strength_in_events(trained, split, examples):
    scorer = UserNeighbours.fit(trained, split.train, caution=2.0)
    assert_allclose(
        scorer.adapt(examples([[], [4], [4, 9], [4, 9, 3, 7, 1, 2]])).neighbour_weight,
        [0, 1 / 3, 1 / 2, 3 / 4],
    )
    assert_array_equal(
        UserNeighbours.fit(trained, split.train, caution=0.0)
        .adapt(examples([[], [4]]))
        .neighbour_weight,
        [0, 1],
    )
    assert_allclose(
        UserNeighbours.fit(trained, split.train, caution=0.25)
        .adapt(examples([[4]]))
        .neighbour_weight,
        [0.8],
    )


def test_the_default_is_fifty_neighbours_and_a_prior_strength_of_two_events(
    trained, split, examples
):
    state = UserNeighbours.fit(trained, split.train).adapt(examples([[4, 9]]))
    assert state.nearest.shape == (1, 50)
    assert_allclose(state.neighbour_weight, [0.5])


def test_a_single_neighbour_recommends_its_history_alone(trained, split, support):
    scorer = UserNeighbours.fit(trained, split.train, nearest=1, caution=0.0)
    state = scorer.adapt(support)
    assert_array_equal(state.weight, np.ones((3, 1)))
    met = histories(split.train)[state.nearest[2, 0]]
    assert_allclose(scorer.score(state, ITEMS)[2], np.isin(ITEMS, met) / len(met), rtol=1e-6)


def test_more_neighbours_than_users_are_all_of_them(trained, split, support):
    state = UserNeighbours.fit(trained, split.train, nearest=10**6).adapt(support)
    assert_array_equal(np.sort(state.nearest), np.tile(np.arange(len(split.train)), (3, 1)))


def test_equally_near_users_have_equal_weights(trained, examples):
    train = Tasks(examples([[1, 2], [1, 2], [2, 1]]), ordered=True)
    state = UserNeighbours.fit(trained, train).adapt(examples([[5]]))
    assert_allclose(
        state.weight, np.full((1, 3), 1 / 3), rtol=0.2
    )  # but for the rounding of equal distances


def test_a_training_user_is_embedded_by_their_last_events(trained, examples):
    rng = np.random.default_rng(0)
    rows = [rng.integers(1, 30, size=rng.integers(1, 9)).tolist() for _ in range(600)]
    rows[5] = [0] * 50 + rows[5] + [7] * MAX_EVENTS
    scorer = UserNeighbours.fit(trained, Tasks(examples(rows), ordered=True))
    expected = np.stack([embed(trained, row[-MAX_EVENTS:]) for row in rows])
    assert_allclose(scorer.embeddings, expected, rtol=1e-4, atol=1e-5)
    assert_allclose(scorer.embeddings[5], embed(trained, [7]), rtol=1e-4, atol=1e-5)
    assert (
        MAX_EVENTS == 200 and scorer.interactions[[5], :].toarray()[0, 0] == 1
    )  # the rest of the history is recommended all the same


def test_a_learner_that_does_not_embed_users_is_refused(split):
    with pytest.raises(AssertionError, match="Ridge does not embed users"):
        UserNeighbours.fit(untrained(split, "ridge"), split.train)


def test_the_recipe_validates_what_it_serves(fitted, split):
    assert isinstance(fitted.scorer, UserNeighbours)
    assert fitted.scorer.trained.model.learner.pairs_of == "users"
    assert quality(fitted.scorer, split.valid, "ranking") == fitted.valid
    assert fitted.scorer.index.n_neighbors == fitted.settings.get("nearest", 50)


def test_the_number_of_neighbours_can_be_given(split):
    given: Any = recipes.fit(
        "siamese-users", FitRequest(split, settings={**SMALL, "nearest": 3, "caution": 7.0})
    ).scorer
    assert given.index.n_neighbors == 3 and given.caution == 7.0


def test_the_neighbours_have_similar_interests(fitted, split, examples):
    state = fitted.scorer.adapt(examples([[0, 4, 8], [1, 5, 9]]))
    odd = np.array(
        [np.mean(met % 2) for met in histories(split.train)]
    )  # the share of odd items in each history
    assert (state.weight * odd[state.nearest]).sum(axis=1) @ [1, -1] < -0.6


def test_it_is_saved_and_loaded_as_any_model(log, tmp_path):
    model = ws.fit(log, learner="siamese-users", settings={**SMALL, "nearest": 20})
    model.save(tmp_path / "model")
    assert ws.load(tmp_path / "model").recommend([100, 106]) == model.recommend([100, 106])


def prior_of(trained: FittedModel, profile) -> np.ndarray:
    """The chance of each item before any event: (T, I)."""
    weights = trained.model.encoder.priors(profile, profile.shape[0])
    return (weights @ trained.vectors.mT).softmax(dim=-1).detach().numpy()
