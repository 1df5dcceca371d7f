"""Recipes: the one place where names become learners."""

from difflib import get_close_matches
from inspect import signature
from itertools import product
from typing import Any, get_args

from warmstart.baselines import (
    ALS,
    EASE,
    EMCDR,
    Bias,
    ItemKNN,
    Popularity,
    ProfileALS,
    ProfileKNN,
    SessionKNN,
)
from warmstart.baselines.bayesian_mf.model import BayesianMF
from warmstart.ensemble.switching import ShotSwitch, arrays_of_scorer
from warmstart.errors import Misuse
from warmstart.evaluation.evaluate import Objective
from warmstart.learners import (
    CORE,
    IMAML,
    MAML,
    MANN,
    PTUPCDR,
    Blend,
    DropoutNet,
    FineTune,
    GRU4Rec,
    InContext,
    Learn2Learn,
    Matching,
    MetaRNN,
    NeuralProcess,
    Prototype,
    Reptile,
    Ridge,
    SASRec,
    Siamese,
)
from warmstart.model.user_neighbours import UserNeighbours
from warmstart.scorer import Scorer
from warmstart.training.stacked_recipe import StackedRecipe
from warmstart.training.tuning import Arrays, BaselineRecipe, Fitted, MetaLearnerRecipe, Order, Settings, check_import

DESCENTS = tuple(
    {"inner_rate": rate, "inner_steps": steps}
    for rate, steps in product((0.1, 0.3, 1.0, 3.0, 10.0), (1, 3, 10))
)
"""Ways to fine-tune: fewer and more steps, smaller and larger ones."""
SHORTER = tuple(
    {"inner_rate": rate, "inner_steps": steps}
    for rate, steps in product((0.1, 0.3, 1.0), (1, 2, 4, 8))
)
"""Ways down for learners whose outer loop does not learn the rate."""
LIGHT = {"steps": 600, "tasks": 64, "inner": 256, "outer": 1500}
"""For learners whose step costs ten times that of the others; sampling loses them little."""
USERS = {**LIGHT, "pairs_of": "users"}
CROWDS = tuple({"nearest": nearest} for nearest in (25, 100, 200, 400))
"""How many users like the new one to ask, beside the default."""
WIDE = {"dim": 128, "width": 128, "hidden": 256, "rate": 0.003, "id_dropout": 0.0}
"""For the encoder that has room for it: a thousandth better on validation (ml-1m) than half the
size.
"""
BLEND = {
    **{"dim": 32, "id_dropout": 0.0, "spectral": True, "profile_rate": 3.0, "fixed_appeal": True},
    **{"steps": 600, "rate": 0.003, "weight_decay": 0.3, "validate_every": 50},
}
"""What was best over several data sets; see docs/experiments.md."""

CORE_SETTINGS = {
    **{"dim": 102, "unit": True, "coordinate_dropout": 0.2, "rate": 0.002},
    **{
        "tasks": 512,
        "steps": 4000,
        "passes": 40,
        "outer": 3000,
        "inner": 1,
        "validate_every": 200,
        "patience": 100,
    },
}

Recipe = BaselineRecipe | MetaLearnerRecipe | StackedRecipe
RECIPES: dict[str, Recipe] = {
    "popularity": BaselineRecipe(Popularity),
    "bias": BaselineRecipe(Bias, objectives=("ranking", "rating")),
    "item-knn": BaselineRecipe(ItemKNN),
    "ease": BaselineRecipe(EASE),
    "als": BaselineRecipe(ALS),
    "session-knn": BaselineRecipe(SessionKNN),
    "profile-knn": BaselineRecipe(ProfileKNN),
    "profile-als": BaselineRecipe(ProfileALS),
    "bridge": BaselineRecipe(EMCDR),
    "dropoutnet": MetaLearnerRecipe(DropoutNet, {"dim": 32, "rate": 0.003}, ("ranking",), kind="classic"),
    "ptupcdr": MetaLearnerRecipe(PTUPCDR, {"dim": 32, "rate": 0.003}, kind="classic"),
    "gru4rec": MetaLearnerRecipe(GRU4Rec, {**LIGHT, "tasks": 32}, ("ranking",), kind="classic"),
    "sasrec": MetaLearnerRecipe(SASRec, {**LIGHT, "tasks": 32, "rate": 0.003}, ("ranking",), kind="classic"),
    "blend": MetaLearnerRecipe(Blend, BLEND, experts=True),
    "core": MetaLearnerRecipe(CORE, CORE_SETTINGS, ("ranking",)),
    "stacked-core": StackedRecipe({"core": MetaLearnerRecipe(CORE, CORE_SETTINGS, ("ranking",))}),
    "stacked-bridge": StackedRecipe({"bridge": BaselineRecipe(EMCDR)}),
    "stacked-blend": StackedRecipe(
        {"bridge": BaselineRecipe(EMCDR), "blend": MetaLearnerRecipe(Blend, BLEND, ("ranking",), experts=True)}
    ),
    "factors": BaselineRecipe(BayesianMF, ("rating",), kind="meta", content=True),
    "in-context": MetaLearnerRecipe(InContext, WIDE),
    "ridge": MetaLearnerRecipe(Ridge),
    "matching": MetaLearnerRecipe(Matching, LIGHT),
    "siamese": MetaLearnerRecipe(Siamese, LIGHT),
    "prototype": MetaLearnerRecipe(Prototype, {"rate": 0.003}),
    "neural-process": MetaLearnerRecipe(NeuralProcess, {"rate": 0.003}),
    "siamese-users": MetaLearnerRecipe(Siamese, USERS, ("ranking",), posthoc_grid=CROWDS, inference_wrapper=UserNeighbours),
    "maml": MetaLearnerRecipe(MAML, LIGHT),
    "fomaml": MetaLearnerRecipe(MAML, {**LIGHT, "first_order": True}),
    "anil": MetaLearnerRecipe(MAML, {**LIGHT, "adapts": "output"}),
    "melu": MetaLearnerRecipe(MAML, {**LIGHT, "adapts": "decision"}),
    "meta-sgd": MetaLearnerRecipe(MAML, {**LIGHT, "learn_rates": "each"}),
    "reptile": MetaLearnerRecipe(Reptile, {**LIGHT, "inner": 512}, posthoc_grid=SHORTER),
    "imaml": MetaLearnerRecipe(IMAML, LIGHT, posthoc_grid=SHORTER),
    "meta-rnn": MetaLearnerRecipe(MetaRNN, LIGHT),
    "mann": MetaLearnerRecipe(MANN, LIGHT),
    "fine-tune": MetaLearnerRecipe(FineTune, kind="transfer", posthoc_grid=DESCENTS),
    "learn2learn": MetaLearnerRecipe(Learn2Learn, LIGHT, package="learn2learn"),
}


AUTO = "auto"
"""The name of a choice among learners, by the number of known events."""


def restore(name: str, arrays: Arrays, settings: Settings) -> Scorer:
    """The scorer whose arrays and settings these are."""
    if name != AUTO:
        return RECIPES[name].restore(arrays, settings)
    members = settings["members"]
    scorers = [
        restore(one["learner"], arrays_of_scorer(arrays, i), one["settings"])
        for i, one in enumerate(members)
    ]
    return ShotSwitch(scorers, [one["first"] for one in members])


def recipe(name: str, objective: Objective) -> Recipe:
    """The recipe of that name, if it can pursue the objective."""
    if name not in RECIPES:
        close = get_close_matches(name, RECIPES, n=1)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        raise Misuse(f'there is no learner "{name}"{hint} (there are {", ".join(RECIPES)})')
    found = RECIPES[name]
    if objective not in found.objectives:
        able = [other for other, entry in RECIPES.items() if objective in entry.objectives]
        raise Misuse(
            f'learner "{name}" has no objective "{objective}"; these have: {", ".join(able)}'
        )
    if isinstance(found, MetaLearnerRecipe):
        check_import(found.package)
    return found


def fit(name: str, order: Order) -> Fitted:
    """Fit the learner of that name to what `order` holds."""
    chosen = recipe(name, order.objective)
    for setting in order.settings:
        if setting not in chosen.options:
            known = ", ".join(f"{key}={value}" for key, value in chosen.options.items())
            raise Misuse(f'learner "{name}" has no setting "{setting}"; it has {known or "none"}')
        _check(setting, order.settings[setting], chosen)
    return chosen.fit(name, order)


def _check(setting: str, value: Any, chosen: Recipe) -> None:
    """Whether a value is of the kind of its default: a choice, a truth value, a count, or a number
    not below 0.
    """
    default = chosen.options[setting]
    choices = (
        get_args(signature(chosen.cls).parameters[setting].annotation)
        if isinstance(default, str)
        else ()
    )
    if choices:
        right, expected = value in choices, f"one of {', '.join(choices)}"
    elif isinstance(default, bool):
        right, expected = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        right, expected = (
            isinstance(value, int) and not isinstance(value, bool) and value > 0,
            "a whole number above 0",
        )
    else:
        right, expected = (
            isinstance(value, int | float) and 0 <= value < float("inf"),
            "a number from 0 up",
        )
    if not right:
        raise Misuse(f'setting "{setting}" is {expected} (default {default}), not {value!r}')
