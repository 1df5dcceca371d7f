"""Recipes: names become learners, settings find their constructor, mistakes teach."""

from collections import Counter
from inspect import signature

import pytest

from warmstart.ensemble.experts import Experts
from warmstart.errors import UsageError
from warmstart.evaluation.validation import overall
from warmstart.model.encoder import Encoder
from warmstart.model.few_shot import FewShot
from warmstart.training import registry as recipes
from warmstart.training.meta_recipe import MetaLearnerRecipe
from warmstart.training.registry import RECIPES
from warmstart.training.requests import FitRequest
from warmstart.training.schedule import Schedule


def test_every_name_of_the_command_line_is_there():
    baselines = {"popularity", "bias", "item-knn", "ease", "als", "gru4rec", "sasrec"}
    baselines |= {"session-knn", "profile-knn", "profile-als", "bridge", "ptupcdr", "dropoutnet"}
    meta_learners = {
        "prototype",
        "neural-process",
        "siamese-users",
        "reptile",
        "imaml",
        "meta-rnn",
        "mann",
        "learn2learn",
    }
    meta_learners |= {
        "maml",
        "fomaml",
        "anil",
        "melu",
        "meta-sgd",
        "ridge",
        "matching",
        "siamese",
        "in-context",
    }
    meta_learners |= {"blend", "core", "factors", "stacked-blend", "stacked-bridge", "stacked-core"}
    assert {name for name, recipe in RECIPES.items() if recipe.kind == "baseline"} == baselines
    assert {name for name, recipe in RECIPES.items() if recipe.kind == "meta"} == meta_learners
    assert {name for name, recipe in RECIPES.items() if recipe.kind == "transfer"} == {"fine-tune"}


def test_how_to_fine_tune_is_chosen_on_validation_once_training_is_over(split):
    settings = {"dim": 8, "steps": 20, "validate_every": 20, "tasks": 16}
    chosen = recipes.fit("fine-tune", FitRequest(split, settings=settings))
    points = RECIPES["fine-tune"].posthoc_grid
    assert chosen.tune_seconds > 0 and {name: chosen.settings[name] for name in points[0]} in points
    for point in (points[0], points[-1]):
        given = recipes.fit("fine-tune", FitRequest(split, settings={**settings, **point}))
        assert {name: given.settings[name] for name in point} == point  # the caller's choice stands
        assert overall(given.valid) <= overall(chosen.valid)
        for name, array in chosen.scorer.arrays().items():
            assert (array == given.scorer.arrays()[name]).all()  # the same training


@pytest.mark.parametrize(
    "name", [name for name, recipe in RECIPES.items() if isinstance(recipe, MetaLearnerRecipe)]
)
def test_no_setting_belongs_to_two_constructors(name):
    served = RECIPES[name].inference_wrapper
    experts = [Experts.fit] if RECIPES[name].experts else []
    users = (
        Encoder,
        FewShot,
        Schedule,
        RECIPES[name].cls,
        *([] if served is None else [served]),
        *experts,
    )
    names = Counter(parameter for user in users for parameter in signature(user).parameters)
    assert [n for n, times in names.items() if times > 1] == [
        "dim"
    ]  # the one size that encoder and learner share


def test_an_unknown_learner_is_met_with_the_nearest_name(split):
    with pytest.raises(
        UsageError, match=r'there is no learner "matchin"; did you mean "matching"\?'
    ):
        recipes.fit("matchin", FitRequest(split))


def test_an_unknown_setting_is_met_with_those_there_are(split):
    with pytest.raises(
        UsageError, match=r'learner "ease" has no setting "l1"; it has l2=1000\.0, limit=8000'
    ):
        recipes.fit("ease", FitRequest(split, settings={"l1": 3}))


@pytest.mark.parametrize(
    ("name", "setting", "value", "message"),
    [
        ("ridge", "dim", "many", "a whole number above 0"),
        ("ridge", "steps", 0, "a whole number above 0"),
        ("ridge", "dim", True, "a whole number above 0"),
        ("ease", "l2", -1.0, "a number from 0 up"),
        ("ease", "l2", float("nan"), "a number from 0 up"),
        ("maml", "first_order", 3, "true or false"),
        ("maml", "adapts", "body", "one of all, decision, output"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(name, setting, value, message, split):
    with pytest.raises(UsageError, match=f'setting "{setting}" is {message}'):
        recipes.fit(name, FitRequest(split, settings={setting: value}))


def test_an_objective_that_a_learner_lacks_is_met_with_those_that_have_it(split):
    with pytest.raises(
        UsageError,
        match='learner "ease" has no objective "rating"; these have: bias, ptupcdr, blend, factors',
    ):
        recipes.fit("ease", FitRequest(split, "rating"))


def test_the_setting_of_a_classic_that_is_best_on_validation_is_chosen(split):
    chosen = recipes.fit("ease", FitRequest(split))
    all_settings = [
        recipes.fit("ease", FitRequest(split, settings=point)) for point in RECIPES["ease"].cls.GRID
    ]
    assert overall(chosen.valid) == max(overall(one.valid) for one in all_settings)
    assert chosen.tune_seconds > 0


def test_a_given_setting_is_taken(split):
    assert recipes.fit("ease", FitRequest(split, settings={"l2": 7.0})).scorer.settings["l2"] == 7.0
    small = {"dim": 6, "hidden": 5, "steps": 2, "validate_every": 2, "tasks": 4}
    model = recipes.fit("in-context", FitRequest(split, settings=small)).scorer.model
    assert model.encoder.dim == 6 and model.learner.read.mixing[0].out_features == 5
