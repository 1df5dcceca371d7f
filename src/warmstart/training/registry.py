"""Registry: the only place where names, classes and recipes become learners to be fitted."""

from difflib import get_close_matches
from inspect import signature
from typing import Any, NamedTuple, get_args

from warmstart.errors import UsageError
from warmstart.scorer import Scorer
from warmstart.tasks.tasks import Objective
from warmstart.training.auto_recipe import AutoRecipe
from warmstart.training.meta_recipe import MetaLearnerRecipe, check_import
from warmstart.training.outside import (
    check_contract,
    entry_points_of_learners,
    import_path,
    imported,
    recipe_of,
    restore_outside,
)
from warmstart.training.recipes import RECIPES, Recipe
from warmstart.training.requests import Arrays, FitRequest, Fitted, Settings
from warmstart.training.search_result import AUTO

AnyRecipe = Recipe | AutoRecipe
LearnerLike = str | type | Recipe
"""What a caller may give as a learner: a name, an import path "module:Class", a class (of a
meta-learner, or of a scorer that is fitted in closed form), or a recipe.
"""


class Named(NamedTuple):
    """A recipe with the name under which its model is saved."""

    name: str
    recipe: AnyRecipe
    outside: bool = False
    """Whether it comes from outside this package."""


def named(learner: LearnerLike) -> Named:
    """The recipe that a caller means, and its name.

    Names of this package come first, then "module:Class", then names that installed packages
    offer in the entry point group "warmstart.learners". Raises `UsageError` where there is no such
    learner.
    """
    if not isinstance(learner, str):
        found = recipe_of(learner)
        known = [name for name, one in RECIPES.items() if one == found]
        return Named(known[0], found) if known else Named(import_path(found), found, outside=True)
    if learner == AUTO:
        return Named(AUTO, AutoRecipe(fit, restore))
    if learner in RECIPES:
        return Named(learner, RECIPES[learner])
    offered = entry_points_of_learners()
    if ":" in learner or learner in offered:
        path = learner if ":" in learner else offered[learner]
        return Named(learner, recipe_of(imported(path)), outside=True)
    names = [*RECIPES, AUTO, *offered]
    close = get_close_matches(learner, names, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    raise UsageError(f'there is no learner "{learner}"{hint} (there are {", ".join(names)})')


def recipe(learner: LearnerLike, objective: Objective) -> Named:
    """The recipe that a caller means, if it can pursue the objective."""
    found = named(learner)
    if objective not in found.recipe.objectives:
        able = [name for name, one in RECIPES.items() if objective in one.objectives]
        raise UsageError(
            f'learner "{found.name}" has no objective "{objective}"; these have: {", ".join(able)}'
        )
    if isinstance(found.recipe, MetaLearnerRecipe):
        check_import(found.recipe.package)
    return found


def fit(learner: LearnerLike, request: FitRequest) -> Fitted:
    """Fit a learner to what the request holds.

    A learner from outside this package is first held to the shapes and types of its contract on two
    small tasks.
    """
    name, chosen, outside = recipe(learner, request.objective)
    if isinstance(chosen, AutoRecipe):
        return chosen.fit(name, request)
    for setting, value in request.settings.items():
        if setting not in chosen.options:
            known = ", ".join(f"{key}={default}" for key, default in chosen.options.items())
            raise UsageError(
                f'learner "{name}" has no setting "{setting}"; it has {known or "none"}'
            )
        _check_value(setting, value, chosen)
    if outside and isinstance(chosen, MetaLearnerRecipe):
        check_contract(name, chosen, {**request.settings, "objective": request.objective})
    return chosen.fit(name, request)


def restore(name: str, arrays: Arrays, settings: Settings) -> Scorer:
    """The scorer whose arrays and settings these are.

    Raises `NotFitted` where it was fitted by a learner from outside that is missing here, or that
    has changed since.
    """
    if name == AUTO or name in RECIPES:
        return named(name).recipe.restore(arrays, settings)
    return restore_outside(name, lambda: named(name).recipe.restore(arrays, settings))


def _check_value(setting: str, value: Any, chosen: Recipe) -> None:
    """Refuse a value that is not of the kind of its default: a choice, a truth value, a count, or a
    number not below 0.
    """
    default = chosen.options[setting]
    choices = _choices(setting, chosen) if isinstance(default, str) else ()
    if choices:
        right, expected = value in choices, f"one of {', '.join(choices)}"
    elif isinstance(default, str):
        right, expected = isinstance(value, str), "a text"
    elif isinstance(default, bool):
        right, expected = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        whole = isinstance(value, int) and not isinstance(value, bool)
        right, expected = whole and value > 0, "a whole number above 0"
    else:
        number = isinstance(value, int | float)
        right, expected = number and 0 <= value < float("inf"), "a number from 0 up"
    if not right:
        raise UsageError(f'setting "{setting}" is {expected} (default {default}), not {value!r}')


def _choices(setting: str, chosen: Recipe) -> tuple[str, ...]:
    """What the annotation of a setting allows, where it is a `Literal`."""
    parameter = signature(chosen.cls).parameters.get(setting)
    return () if parameter is None else get_args(parameter.annotation)
