"""Learners from outside: found by import path or entry point, and held to the contract."""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeVar

import torch
from torch import Tensor

from warmstart.errors import NotFitted, UsageError
from warmstart.learners.base import CandidateSet, Learner, Query, Support
from warmstart.tasks.tasks import Objective
from warmstart.training.baseline_recipe import BaselineRecipe
from warmstart.training.meta_recipe import MetaLearnerRecipe
from warmstart.training.recipes import Recipe
from warmstart.training.requests import Settings, accepted_settings
from warmstart.training.stacked_recipe import StackedRecipe

GROUP = "warmstart.learners"
"""Entry point group in which a package offers learners by name: classes or recipes."""
TASKS, SHOTS, QUERIES, CANDIDATES, DIM = 2, 3, 4, 5, 8  # all different, for the trial of a contract
BOTH: tuple[Objective, ...] = ("ranking", "rating")
BASELINE = ("fit", "restore", "GRID")
"""What a scorer class has that is fitted in closed form."""
T = TypeVar("T")


def entry_points_of_learners() -> dict[str, str]:
    """The learners that installed packages offer: name -> "module:attribute"."""
    return {point.name: point.value for point in entry_points(group=GROUP)}


def import_path(recipe: Recipe) -> str:
    """Where the class of a recipe can be imported from: "module:Class".

    Raises `UsageError` for a recipe or a class that a saved model could never find again by such a
    path.
    """
    wrapped = isinstance(recipe, MetaLearnerRecipe) and recipe.inference_wrapper is not None
    if wrapped or isinstance(recipe, StackedRecipe):
        raise UsageError(
            "a stack or a learner with an inference wrapper is more than its class; put the recipe "
            'into a module and name it "module:RECIPE", so that a saved model can find it'
        )
    cls: Any = recipe.cls
    path = f"{cls.__module__}:{cls.__qualname__}"
    if "<locals>" in path:
        raise UsageError(
            f"learner {cls.__qualname__} is defined inside a function, where a saved model could "
            "not find it; define it at the top level of a module"
        )
    return path


def imported(path: str) -> Any:
    """What stands at "module:attribute"."""
    module, _, name = path.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f'learner "{path}" cannot be imported ({_line(error)}); it is written module:Class, '
            "and the module must be installed or in a folder on PYTHONPATH"
        ) from error
    return found


def recipe_of(learner: Any) -> Recipe:
    """The recipe of a learner class, or a recipe as it is."""
    if isinstance(learner, MetaLearnerRecipe | BaselineRecipe | StackedRecipe):
        return learner
    if isinstance(learner, type) and issubclass(learner, Learner):
        return MetaLearnerRecipe(learner, objectives=getattr(learner, "objectives", None) or BOTH)
    if isinstance(learner, type) and all(hasattr(learner, name) for name in BASELINE):
        return BaselineRecipe(learner)
    raise UsageError(
        "a learner is a name, an import path module:Class, a subclass of "
        "warmstart.learners.Learner, a scorer class with fit, restore and GRID, or a recipe, "
        f"not {_kind(learner)}"
    )


def check_contract(name: str, recipe: MetaLearnerRecipe, settings: Settings) -> None:
    """Adapt, score and compute the loss of two small tasks, one of them without events.

    Raises `UsageError` with one line that says which method returned what, and what was expected.
    """
    rng = torch.Generator().manual_seed(0)
    settings = {**recipe.overrides, **settings, "dim": DIM}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        learner = _tried(name, "__init__", lambda: recipe.cls(**_own(recipe, settings)))
        support = Support(
            torch.randn(TASKS, SHOTS, DIM, generator=rng),
            torch.randn(TASKS, SHOTS, generator=rng),
            torch.tensor([[True, True, False], [False, False, False]]),
            torch.randn(TASKS, DIM, generator=rng),
        )
        candidates = CandidateSet(
            torch.randn(CANDIDATES, DIM, generator=rng), torch.zeros(CANDIDATES)
        )
        x = torch.randn(TASKS, QUERIES, DIM, generator=rng)
        query = Query(x, torch.randn(TASKS, QUERIES, generator=rng), torch.ones(TASKS, QUERIES) > 0)
        state = _tried(name, "adapt", lambda: learner.adapt(support, candidates))
        for items, what in ((x, "(T, Q, D)"), (x[0], "(Q, D)")):
            scores = _tried(name, "score", lambda items=items: learner.score(state, items))
            _check_tensor(name, f"score of {what} items", scores, "(T, Q)", (TASKS, QUERIES))
        loss = _tried(name, "loss", lambda: learner.loss(support, query, candidates, candidates))
        _check_tensor(name, "loss", loss, "(T,)", (TASKS,))


def restore_outside(name: str, restore: Callable[[], T]) -> T:
    """A scorer of a learner from outside, or one line on what is missing or has changed."""
    try:
        return restore()
    except UsageError as error:
        raise NotFitted(
            f'the model was fitted by the learner "{name}", which is not here: {error}'
        ) from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise NotFitted(
            f'the model was fitted by another version of the learner "{name}": {_line(error)}; '
            "install the one that fitted it, or fit again"
        ) from error


def _own(recipe: MetaLearnerRecipe, settings: Settings) -> dict[str, Any]:
    return accepted_settings(recipe.cls, settings)


def _tried(name: str, method: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except Exception as error:
        raise UsageError(
            f'learner "{name}": {method} raised {type(error).__name__}: {_line(error)}; it was '
            f"given {TASKS} tasks of up to {SHOTS} events with vectors of {DIM} numbers"
        ) from error


def _check_tensor(name: str, what: str, value: object, axes: str, shape: tuple[int, ...]) -> None:
    if not isinstance(value, Tensor):
        raise UsageError(f'learner "{name}": {what} is a tensor {axes}, not {_kind(value)}')
    if not value.is_floating_point():
        raise UsageError(
            f'learner "{name}": {what} is a tensor of floating-point numbers, not of {value.dtype}'
        )
    if tuple(value.shape) != shape:
        raise UsageError(
            f'learner "{name}": {what} has the shape {axes} = {shape}, not {tuple(value.shape)}'
        )
    if not value.isfinite().all():
        raise UsageError(
            f'learner "{name}": {what} is finite, also for a task without events; it holds NaN or '
            "infinity (is padding masked?)"
        )


def _line(error: Exception) -> str:
    """The message of an error on one line."""
    return " ".join(str(error).split())


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
