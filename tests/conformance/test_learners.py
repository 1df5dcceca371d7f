"""The laws that hold for every learner, as tensors: padding, gradients, batches of tasks,
inference.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from warmstart.learners.base import CandidateSet, Learner, Query, Support
from warmstart.model.fitted import FittedModel
from warmstart.training.registry import RECIPES
from warmstart.training.tuning import Meta, accepted

CASES = [
    (n, o) for n, recipe in RECIPES.items() if isinstance(recipe, Meta) for o in recipe.objectives
]
TASKS, SHOTS, QUERIES, CATALOGUE, DIM = 3, 4, 5, 7, 6
COUNTS = torch.tensor([4, 0, 2])


@pytest.fixture(params=CASES, ids="-".join)
def learner(request) -> Learner:
    name, objective = request.param
    recipe = RECIPES[name]
    settings = accepted(recipe.cls, recipe.preset)
    torch.manual_seed(0)
    return _randomised(recipe.cls(**{**settings, "dim": DIM, "objective": objective})).eval()


@pytest.fixture
def support() -> Support:
    torch.manual_seed(1)
    mask = torch.arange(SHOTS) < COUNTS[:, None]
    return Support(
        torch.randn(TASKS, SHOTS, DIM), torch.randn(TASKS, SHOTS), mask, torch.randn(TASKS, DIM)
    )


@pytest.fixture
def catalogue() -> CandidateSet:
    torch.manual_seed(2)
    return CandidateSet(torch.randn(CATALOGUE, DIM), torch.randn(CATALOGUE))


@pytest.fixture
def items() -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(QUERIES, DIM)


def test_padding_never_reaches_a_score(learner, support, catalogue, items):
    blank = ~support.mask
    junk = replace(
        support,
        x=torch.where(blank.unsqueeze(-1), 1e3, support.x),
        y=torch.where(blank, -1e3, support.y),
    )
    expected = learner.score(learner.adapt(support, catalogue), items)
    assert_close(learner.score(learner.adapt(junk, catalogue), items), expected)


def test_wider_padding_changes_nothing(learner, support, catalogue, items):
    wide = Support(
        torch.cat([support.x, torch.ones(TASKS, 2, DIM)], dim=1),
        torch.cat([support.y, torch.ones(TASKS, 2)], dim=1),
        torch.cat([support.mask, torch.zeros(TASKS, 2, dtype=torch.bool)], dim=1),
        support.prior,
    )
    expected = learner.score(learner.adapt(support, catalogue), items)
    assert_close(learner.score(learner.adapt(wide, catalogue), items), expected)


def test_shared_and_own_candidates_score_alike(learner, support, catalogue, items):
    state = learner.adapt(support, catalogue)
    own = items.expand(TASKS, QUERIES, DIM)
    assert learner.score(state, items).shape == (TASKS, QUERIES)
    assert_close(learner.score(state, own), learner.score(state, items))


def test_the_loss_of_a_batch_is_that_of_its_tasks(learner, support, catalogue):
    query = _query()
    together = learner.loss(support, query, catalogue, catalogue)
    alone = [
        learner.loss(
            Support(support.x[t], support.y[t], support.mask[t], support.prior[t]),
            Query(query.x[t], query.y[t], query.mask[t]),
            catalogue,
            catalogue,
        )
        for t in (slice(0, 1), slice(1, 2), slice(2, 3))
    ]
    assert_close(together, torch.cat(alone))


def test_no_gradient_is_needed_in_use(learner, support, catalogue, items):
    expected = learner.score(learner.adapt(support, catalogue), items)
    with torch.no_grad():
        scores = learner.score(learner.adapt(support, catalogue), items)
    assert not scores.requires_grad
    assert_close(scores, expected.detach())


@pytest.mark.parametrize(("name", "objective"), CASES)
def test_the_gradient_reaches_every_parameter(name, objective, split):
    settings = {**RECIPES[name].preset, "dim": 8, "objective": objective}
    model = RECIPES[name]._model(RECIPES[name].start(split, settings), settings)
    _randomised(model).train()
    rng = np.random.default_rng(0)
    model(split.train.episodes(rng, 40, most_shots=6, queries=5), rng).backward()
    learned = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    still = [n for n, p in learned if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


@pytest.mark.parametrize(("name", "objective"), CASES)
def test_dropout_is_off_in_use(name, objective, split, examples):
    settings = {
        **RECIPES[name].preset,
        "dim": 8,
        "objective": objective,
        "id_dropout": 0.9,
        "profile_dropout": 0.9,
    }
    model = _randomised(RECIPES[name]._model(RECIPES[name].start(split, settings), settings))
    first, again = FittedModel(model), FittedModel(model.train())
    support = examples([[1, 2], [3]])
    np.testing.assert_array_equal(
        first.score(first.adapt(support, split.test.profile[:2]), np.arange(30)),
        again.score(again.adapt(support, split.test.profile[:2]), np.arange(30)),
    )


def _query() -> Query:
    torch.manual_seed(4)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] * 4 + [False]])
    return Query(torch.randn(TASKS, QUERIES, DIM), torch.randn(TASKS, QUERIES), mask)


def _randomised(module):
    """Every parameter away from where it started: zeros hide mistakes."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module
