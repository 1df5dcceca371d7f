"""Recipes: the named learners and baselines, each with the settings that suit it."""

from itertools import product

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
from warmstart.training.baseline_recipe import BaselineRecipe
from warmstart.training.meta_recipe import MetaLearnerRecipe
from warmstart.training.stacked_recipe import StackedRecipe

FINE_TUNING = tuple(
    {"inner_rate": rate, "inner_steps": steps}
    for rate, steps in product((0.1, 0.3, 1.0, 3.0, 10.0), (1, 3, 10))
)
"""Inner rates and steps for fine-tuning."""
DESCENTS = tuple(
    {"inner_rate": rate, "inner_steps": steps}
    for rate, steps in product((0.1, 0.3, 1.0), (1, 2, 4, 8))
)
"""Inner rates and steps for learners whose outer loop does not learn the rate."""
LIGHT = {"steps": 600, "tasks": 64, "inner": 256, "outer": 1500}
"""For learners whose step costs ten times that of the others; sampling loses them little."""
USERS = {**LIGHT, "pairs_of": "users"}
NEIGHBOURS = tuple({"nearest": nearest} for nearest in (25, 100, 200, 400))
"""How many neighbours of a new user to read, besides the default."""
WIDE_ENCODER = {"dim": 128, "width": 128, "hidden": 256, "rate": 0.003, "id_dropout": 0.0}
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
    "dropoutnet": MetaLearnerRecipe(
        DropoutNet, {"dim": 32, "rate": 0.003}, ("ranking",), kind="baseline"
    ),
    "ptupcdr": MetaLearnerRecipe(PTUPCDR, {"dim": 32, "rate": 0.003}, kind="baseline"),
    "gru4rec": MetaLearnerRecipe(GRU4Rec, {**LIGHT, "tasks": 32}, ("ranking",), kind="baseline"),
    "sasrec": MetaLearnerRecipe(
        SASRec, {**LIGHT, "tasks": 32, "rate": 0.003}, ("ranking",), kind="baseline"
    ),
    "blend": MetaLearnerRecipe(Blend, BLEND, experts=True),
    "core": MetaLearnerRecipe(CORE, CORE_SETTINGS, ("ranking",)),
    "stacked-core": StackedRecipe({"core": MetaLearnerRecipe(CORE, CORE_SETTINGS, ("ranking",))}),
    "stacked-bridge": StackedRecipe({"bridge": BaselineRecipe(EMCDR)}),
    "stacked-blend": StackedRecipe(
        {
            "bridge": BaselineRecipe(EMCDR),
            "blend": MetaLearnerRecipe(Blend, BLEND, ("ranking",), experts=True),
        }
    ),
    "factors": BaselineRecipe(BayesianMF, ("rating",), kind="meta", content=True),
    "in-context": MetaLearnerRecipe(InContext, WIDE_ENCODER),
    "ridge": MetaLearnerRecipe(Ridge),
    "matching": MetaLearnerRecipe(Matching, LIGHT),
    "siamese": MetaLearnerRecipe(Siamese, LIGHT),
    "prototype": MetaLearnerRecipe(Prototype, {"rate": 0.003}),
    "neural-process": MetaLearnerRecipe(NeuralProcess, {"rate": 0.003}),
    "siamese-users": MetaLearnerRecipe(
        Siamese, USERS, ("ranking",), posthoc_grid=NEIGHBOURS, inference_wrapper=UserNeighbours
    ),
    "maml": MetaLearnerRecipe(MAML, LIGHT),
    "fomaml": MetaLearnerRecipe(MAML, {**LIGHT, "first_order": True}),
    "anil": MetaLearnerRecipe(MAML, {**LIGHT, "adapts": "output"}),
    "melu": MetaLearnerRecipe(MAML, {**LIGHT, "adapts": "decision"}),
    "meta-sgd": MetaLearnerRecipe(MAML, {**LIGHT, "learn_rates": "each"}),
    "reptile": MetaLearnerRecipe(Reptile, {**LIGHT, "inner": 512}, posthoc_grid=DESCENTS),
    "imaml": MetaLearnerRecipe(IMAML, LIGHT, posthoc_grid=DESCENTS),
    "meta-rnn": MetaLearnerRecipe(MetaRNN, LIGHT),
    "mann": MetaLearnerRecipe(MANN, LIGHT),
    "fine-tune": MetaLearnerRecipe(FineTune, kind="transfer", posthoc_grid=FINE_TUNING),
    "learn2learn": MetaLearnerRecipe(Learn2Learn, LIGHT, package="learn2learn"),
}
