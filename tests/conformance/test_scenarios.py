"""The laws that hold for every scorer in every scenario: batches, empty support, saved models, and
no leak.
"""

from dataclasses import replace
from functools import cache
from itertools import count

import numpy as np
import pytest

from warmstart.tasks.cutting import BENCHMARK
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.scenarios import ScenarioOptions, cut
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import Tasks
from warmstart.training import registry as recipes
from warmstart.training.registry import RECIPES
from warmstart.training.requests import FitRequest, Fitted

SETTINGS = {"dim": 8, "steps": 4, "tasks": 8, "validate_every": 4}
JUDGE = {"judge_cases": 50, "judge_steps": 4}
OPTIONS = {
    "item": ScenarioOptions(),
    "session": ScenarioOptions(gap=1500.0),
    "cross-domain": ScenarioOptions(target="films"),
}
CASES = [(s, n) for s in OPTIONS for n, recipe in RECIPES.items() if "ranking" in recipe.objectives]


@pytest.fixture(scope="module")
def splits(clicks) -> dict[str, Split]:
    log = clicks(items=40, events=900)
    return {
        name: cut(log, name, seed=0, shares=BENCHMARK, options=options)
        for name, options in OPTIONS.items()
    }


def order(split: Split, name: str) -> FitRequest:
    """Little training, and the first settings of a grid."""
    recipe = RECIPES[name]
    trains, judges = "steps" in recipe.options, "judge_steps" in recipe.options
    grid = getattr(recipe, "grid", ()) if trains else recipe.cls.GRID
    small = {**(SETTINGS if trains else {}), **(JUDGE if judges else {})}
    return FitRequest(split, settings={**small, **(grid[0] if grid else {})})


def fit(split: Split, name: str) -> Fitted:
    """Fitted as if each look at validation were better than the one before."""
    looks = count()
    with pytest.MonkeyPatch.context() as patch:
        for recipe in ("meta_recipe", "baseline_recipe"):
            patch.setattr(
                f"warmstart.training.{recipe}.quality", lambda *_: {0: float(next(looks))}
            )
        return recipes.fit(name, order(split, name))


@pytest.fixture(scope="module")
def fitted(splits):
    """Each case fitted once."""
    return cache(lambda scenario, name: fit(splits[scenario], name))


def scores_of(one: Fitted, support: Examples, profile: Profile) -> np.ndarray:
    return one.scorer.score(one.scorer.adapt(support, profile), np.arange(one.scorer.items))


@pytest.mark.parametrize(("scenario", "name"), CASES)
def test_many_tasks_are_as_each_alone_and_one_without_events_is_valid(
    scenario, name, splits, fitted
):
    one, tasks = fitted(scenario, name), splits[scenario].test
    for shots in (0, 1):
        batch = tasks.cut(shots)
        together = scores_of(one, batch.support, batch.profile)
        assert np.isfinite(together).all() and together.shape == (
            len(batch.support),
            splits[scenario].n_items,
        )
        profile = None if batch.profile is None else batch.profile[[2]]
        alone = scores_of(one, batch.support.take(np.array([2])), profile)
        # Of a distance that is next to nothing, half of the digits are left.
        np.testing.assert_allclose(together[[2]], alone, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("scenario", "name"), CASES)
def test_saved_and_restored_it_scores_the_same(scenario, name, splits, fitted):
    one, batch = fitted(scenario, name), splits[scenario].test.cut(1)
    again = replace(one, scorer=RECIPES[name].restore(one.scorer.arrays(), one.settings))
    np.testing.assert_array_equal(
        scores_of(again, batch.support, batch.profile), scores_of(one, batch.support, batch.profile)
    )


def scrambled(tasks: Tasks, items: int) -> Tasks:
    """The same tasks with other items and values, those known before the first shot included."""

    def other(events: Examples) -> Examples:
        return Examples(
            np.random.default_rng(9).integers(0, items, len(events.item)),
            events.value + 1,
            events.offsets,
        )

    return replace(
        tasks,
        events=other(tasks.events),
        context=None if tasks.context is None else other(tasks.context),
    )


@pytest.mark.parametrize(("scenario", "name"), CASES)
def test_nothing_of_validation_and_test_shows_in_the_weights(scenario, name, splits, fitted):
    split = splits[scenario]
    dirty = replace(
        split,
        valid=scrambled(split.valid, split.n_items),
        test=scrambled(split.test, split.n_items),
    )
    found = fit(dirty, name).scorer.arrays()
    for part, array in fitted(scenario, name).scorer.arrays().items():
        np.testing.assert_array_equal(array, found[part], err_msg=part)
