"""The laws that hold for every learner, as tensors: padding, gradients, batches of tasks,
inference.
"""

import numpy as np
import pytest
import torch

from warmstart.model.fitted import FittedModel
from warmstart.testing.learner_laws import DIM, LEARNER_LAWS, LearnerCase, randomised
from warmstart.training.meta_recipe import MetaLearnerRecipe
from warmstart.training.registry import RECIPES
from warmstart.training.requests import accepted_settings

CASES = [
    (n, o)
    for n, recipe in RECIPES.items()
    if isinstance(recipe, MetaLearnerRecipe)
    for o in recipe.objectives
]
RNG = torch.Generator().manual_seed(5)


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest) -> LearnerCase:
    name, objective = request.param
    recipe = RECIPES[name]
    settings = accepted_settings(recipe.cls, recipe.overrides)
    torch.manual_seed(0)
    return LearnerCase.of(recipe.cls(**{**settings, "dim": DIM, "objective": objective}))


@pytest.mark.parametrize("law", LEARNER_LAWS, ids=lambda law: law.__name__)
def test_the_law_holds(law, case):
    law(case)


@pytest.mark.parametrize(("name", "objective"), CASES)
def test_the_gradient_reaches_every_parameter(name, objective, split):
    settings = {**RECIPES[name].overrides, "dim": 8, "objective": objective}
    model = RECIPES[name].build_model(RECIPES[name].statistics(split, settings), settings)
    randomised(model, RNG).train()
    rng = np.random.default_rng(0)
    model(split.train.episodes(rng, 40, max_shots=6, queries=5), rng).backward()
    learned = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    still = [n for n, p in learned if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


@pytest.mark.parametrize(("name", "objective"), CASES)
def test_dropout_is_off_in_use(name, objective, split, examples):
    settings = {
        **RECIPES[name].overrides,
        "dim": 8,
        "objective": objective,
        "id_dropout": 0.9,
        "profile_dropout": 0.9,
    }
    model = randomised(
        RECIPES[name].build_model(RECIPES[name].statistics(split, settings), settings), RNG
    )
    first, again = FittedModel(model), FittedModel(model.train())
    support = examples([[1, 2], [3]])
    np.testing.assert_array_equal(
        first.score(first.adapt(support, split.test.profile[:2]), np.arange(30)),
        again.score(again.adapt(support, split.test.profile[:2]), np.arange(30)),
    )
