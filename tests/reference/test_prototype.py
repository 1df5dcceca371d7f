"""The prototypical network against loops over tasks, classes and examples."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from warmstart.learners import Prototype
from warmstart.learners.base import Support
from warmstart.learners.objectives import CandidateSet

DIM, WIDTH, ITEMS, COUNTS = 6, 3, 4, (3, 0, 1)


@pytest.fixture
def support():
    torch.manual_seed(0)
    mask = torch.arange(5) < torch.tensor(COUNTS)[:, None]
    return Support(_doubles(3, 5, DIM), _doubles(3, 5), mask, _doubles(3, DIM))


@pytest.fixture
def candidates():
    torch.manual_seed(1)
    return CandidateSet(_doubles(7, DIM), _doubles(7))


@pytest.fixture
def items():
    torch.manual_seed(2)
    return _doubles(ITEMS, DIM)


def make(objective) -> Any:
    """In double precision, with every parameter away from where it starts."""
    torch.manual_seed(3)
    learner = Prototype(DIM, objective=objective, width=WIDTH).double()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return learner


def shrunken_mean(rows, weights, centre, shrinkage):
    """The weighted mean of the rows and of `centre`, which weighs as much as `inertia` rows."""
    total, mean = shrinkage, shrinkage * centre
    for row, weight in zip(rows, weights, strict=True):
        total, mean = total + weight, mean + weight * row
    return mean / total


def centre_of(learner, candidates):
    shares = [math.exp(weight) for weight in candidates.log_weight]
    return shrunken_mean([learner.embed(x) for x in candidates.x], shares, torch.zeros(WIDTH), 0.0)


def odds_of(learner, item, first, second):
    embedding = learner.embed(item)
    return learner.log_gain.exp() * (
        ((embedding - second) ** 2).sum() - ((embedding - first) ** 2).sum()
    )


@torch.no_grad()
def test_an_item_scores_by_the_odds_of_the_chosen_against_the_rest(support, candidates, items):
    learner = make("ranking")
    shrinkage, rest = learner.log_inertia.exp(), centre_of(learner, candidates)
    scores = learner.score(learner.adapt(support, candidates), items)
    for t, count in enumerate(COUNTS):
        embeddings = [learner.embed(support.x[t, s]) for s in range(count)]
        chosen = shrunken_mean(embeddings, [1.0] * count, rest, shrinkage)
        for q in range(ITEMS):
            expected = items[q] @ support.prior[t] + odds_of(learner, items[q], chosen, rest)
            assert_close(scores[t, q], expected)


@torch.no_grad()
def test_a_rating_is_the_mean_residual_of_both_classes_by_their_odds(support, candidates, items):
    learner = make("rating")
    shrinkage, centre = learner.log_inertia.exp(), centre_of(learner, candidates)
    scores = learner.score(learner.adapt(support, candidates), items)
    for t, count in enumerate(COUNTS):
        embeddings = [learner.embed(support.x[t, s]) for s in range(count)]
        residual = [support.y[t, s] - support.x[t, s] @ support.prior[t] for s in range(count)]
        liked_shares = [
            1 / (1 + math.exp(-learner.log_contrast.exp() * amount)) for amount in residual
        ]
        disliked_shares = [1 - degree for degree in liked_shares]
        liked, disliked = (
            shrunken_mean(embeddings, weights, centre, shrinkage)
            for weights in (liked_shares, disliked_shares)
        )
        high, low = (
            shrunken_mean(residual, weights, 0.0, shrinkage)
            for weights in (liked_shares, disliked_shares)
        )
        for q in range(ITEMS):
            chance = 1 / (1 + math.exp(-odds_of(learner, items[q], liked, disliked)))
            expected = items[q] @ support.prior[t] + chance * high + (1 - chance) * low
            assert_close(scores[t, q], expected)


@torch.no_grad()
@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_an_empty_support_leaves_the_prior_as_it_is(objective, support, candidates, items):
    learner = make(objective)
    nothing = replace(support, mask=torch.zeros_like(support.mask))
    assert_close(learner.score(learner.adapt(nothing, candidates), items), support.prior @ items.mT)


@torch.no_grad()
@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_padding_may_hold_anything(objective, support, candidates, items):
    learner = make(objective)
    blank = ~support.mask
    junk = replace(
        support,
        x=torch.where(blank.unsqueeze(-1), torch.nan, support.x),
        y=torch.where(blank, torch.nan, support.y),
    )
    expected = learner.score(learner.adapt(support, candidates), items)
    assert_close(learner.score(learner.adapt(junk, candidates), items), expected)


def test_ranking_starts_with_a_shrinkage_of_one_example_and_unit_gain():
    learner = Prototype(DIM)
    assert_close(torch.stack([learner.log_inertia.exp(), learner.log_gain.exp()]), torch.ones(2))
    assert learner.log_contrast is None


def test_rating_starts_with_unit_slope_too():
    learner = Prototype(DIM, objective="rating")
    assert learner.log_contrast is not None
    values = [learner.log_inertia.exp(), learner.log_gain.exp(), learner.log_contrast.exp()]
    assert_close(torch.stack(values), torch.ones(3))


def _doubles(*shape):
    return torch.randn(*shape, dtype=torch.float64)
