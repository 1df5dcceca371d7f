"""The law of capabilities: whatever a scorer can do, it can do with an item added, behind a switch
by shots, and after save and load.
"""

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

import warmstart as ws
from warmstart.baselines import Popularity
from warmstart.data.interactions import Interactions
from warmstart.ensemble.switching import ShotSwitch
from warmstart.recommend.exploration import Policy
from warmstart.recommend.extended_scorer import ExtendedScorer
from warmstart.scorer import Capabilities, Scorer, delegate
from warmstart.service.models.refit import RecodedScorer
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import Objective
from warmstart.training import registry as recipes
from warmstart.training.registry import RECIPES
from warmstart.training.requests import FitRequest, Fitted

ITEMS = 30
BRIEF = {"dim": 8, "steps": 20, "tasks": 16, "validate_every": 20}
JUDGE = {"judge_cases": 300, "judge_steps": 20}
CASES = [
    ("popularity", "ranking"),
    ("bias", "rating"),
    ("ease", "ranking"),
    ("item-knn", "ranking"),
    ("session-knn", "ranking"),
    ("factors", "rating"),
    ("ridge", "ranking"),
    ("ridge", "rating"),
    ("neural-process", "ranking"),
    ("blend", "ranking"),
    ("siamese-users", "ranking"),
    ("stacked-bridge", "ranking"),
]
EVEN = [100, 106, 112]
NEW = pl.DataFrame({"item_id": [1000], "title": ["even thing"], "kind": ["even"]})


@pytest.fixture(scope="module")
def fitted(split: Split) -> Callable[[str, Objective], Fitted]:
    @cache
    def fit(name: str, objective: Objective) -> Fitted:
        brief = {**BRIEF, **JUDGE}.items()
        settings = {key: value for key, value in brief if key in RECIPES[name].options}
        return recipes.fit(name, FitRequest(split, objective, settings=settings))

    return fit


def abilities(scorer: Scorer) -> set[str]:
    """The names of what a scorer can do."""
    return {
        field.name
        for field in fields(Capabilities)
        if field.name != "delegate" and getattr(scorer.capabilities, field.name)
    }


def used(
    scorer: Scorer, support: Examples, profile: Profile, items: np.ndarray
) -> dict[str, np.ndarray]:
    """What each capability gives for some items and one task."""
    can, state, found = scorer.capabilities, scorer.adapt(support, profile), {}
    if can.posterior is not None:
        drawn = can.posterior.sample(state, np.random.default_rng(0))
        found["posterior"] = scorer.score(drawn, items)
        found["noise"] = np.full((1, len(items)), can.posterior.noise)
    if can.standard_deviation is not None:
        found["standard_deviation"] = can.standard_deviation(state, items)
    if can.attribution is not None:
        found["attribution"] = can.attribution(support, profile, items)
    if can.score_subset is not None:
        found["score_subset"] = can.score_subset(support, profile, items)
    if can.content is not None:
        masks = [np.ones(can.content.width, dtype=bool)]
        parts = [can.content.contributions(support, profile, int(i), masks) for i in items]
        found["content"] = np.stack(parts, axis=1)
    if can.neighbours is not None:
        weights = can.neighbours.weights(support, profile)
        read = sp.csr_array(weights @ can.neighbours.interactions)
        found["neighbours"] = read.toarray()[:, items]
    return found


def with_one_item(scorer: Scorer) -> ExtendedScorer:
    """The scorer with an item that is half like item 3, and a quarter like items 5 and 8."""
    row = np.zeros((1, ITEMS), dtype=np.float32)
    row[0, [3, 5, 8]] = 0.5, 0.25, 0.25
    return ExtendedScorer(scorer, sp.csr_array(row))


def behind_a_switch(scorer: Scorer, split: Split) -> ShotSwitch:
    return ShotSwitch([Popularity.fit(split.train, items=ITEMS), scorer], [0, 2])


@pytest.fixture
def support(examples) -> Examples:
    return examples([[3, 9, 1]], [[5.0, 1.0, 3.0]])


@pytest.mark.parametrize(("name", "objective"), CASES)
def test_what_a_scorer_can_do_it_can_do_in_every_wrapper(name, objective, fitted, split, support):
    one = fitted(name, objective)
    profile, known = split.test.profile[:1], np.arange(ITEMS)
    expected = used(one.scorer, support, profile, known)
    switch = behind_a_switch(one.scorer, split)
    wrappers = {
        "an item added": with_one_item(one.scorer),
        "behind a switch": delegate(switch, 3),
        "a switch with an item added": delegate(with_one_item(switch), 3),
        "restored": RECIPES[name].restore(one.scorer.arrays(), one.settings),
    }
    for wrapper, scorer in wrappers.items():
        assert abilities(scorer) == abilities(one.scorer), wrapper
        found = used(scorer, support, profile, known)
        assert found.keys() == expected.keys(), wrapper
        for ability, values in found.items():
            np.testing.assert_allclose(
                values, expected[ability], rtol=1e-4, atol=1e-5, err_msg=f"{ability}, {wrapper}"
            )


@pytest.mark.parametrize(("name", "objective"), CASES)
def test_of_a_new_item_an_ability_gives_the_mean_of_those_it_is_similar_to(
    name, objective, fitted, split, support
):
    scorer, profile = fitted(name, objective).scorer, split.test.profile[:1]
    similar = used(scorer, support, profile, np.array([3, 5, 8]))
    found = used(with_one_item(scorer), support, profile, np.array([3, ITEMS]))
    for ability, values in found.items():
        mean = similar[ability] @ np.array([0.5, 0.25, 0.25])
        if ability == "neighbours":  # no training task has events with a later item
            mean = 0 * mean
        np.testing.assert_allclose(values[:, 1], mean, rtol=1e-4, atol=1e-5, err_msg=ability)


def test_a_new_item_in_the_support_counts_as_the_one_it_is_most_similar_to(fitted, split, examples):
    scorer = fitted("ridge", "ranking").scorer
    stand_in, new = examples([[9, 3]]), examples([[9, ITEMS]])
    expected = used(scorer, stand_in, None, np.arange(ITEMS))
    for ability, values in used(with_one_item(scorer), new, None, np.arange(ITEMS)).items():
        np.testing.assert_allclose(values, expected[ability], rtol=1e-4, atol=1e-5, err_msg=ability)


def test_a_switch_knows_the_deviation_of_ratings_if_all_its_scorers_do(fitted, split, examples):
    factors, bias = (fitted(name, "rating").scorer for name in ("factors", "bias"))
    support, items = examples([[3, 8, 1], [4]]), np.arange(ITEMS)
    one, both = ShotSwitch([factors, bias], [0, 2]), ShotSwitch([factors, factors], [0, 2])
    assert one.capabilities.standard_deviation is None
    deviation, alone = both.capabilities.standard_deviation, factors.standard_deviation
    assert deviation is not None
    np.testing.assert_allclose(
        deviation(both.adapt(support), items), alone(factors.adapt(support), items), rtol=1e-5
    )


def test_a_scorer_in_another_catalogue_keeps_its_posterior(fitted, split):
    scorer = fitted("ridge", "ranking").scorer
    recoded = RecodedScorer(behind_a_switch(scorer, split), np.r_[-1, np.arange(ITEMS)])
    assert delegate(recoded, 1).capabilities.posterior is None
    assert delegate(recoded, 3).capabilities.posterior is not None


def test_the_first_new_item_takes_no_ability_from_a_recommender(log: Interactions, tmp_path: Path):
    model = ws.fit(log, learner="ridge", settings=BRIEF)
    grown = model.add_items(NEW)
    grown.save(tmp_path / "model")
    for one in (model, grown, ws.load(tmp_path / "model")):
        answer = one.recommend(EVEN, 3)
        chances = [item.probability for item in answer.items]
        assert all(chance is not None and 0 < chance < 1 for chance in chances)
        drawn = one.recommend(EVEN, 3, policy=Policy("thompson", seed=0))
        assert len(drawn.items) == 3
        assert set(one.explain(EVEN, 118).content) == set(model.explain(EVEN, 118).content) != set()
    assert set(grown.explain(EVEN, 1000).content) == set(model.explain(EVEN, 118).content)
