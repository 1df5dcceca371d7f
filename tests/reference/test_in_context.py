"""The in-context encoder against a loop over the examples of one task."""

import math
from typing import Any

import torch
from torch.nn.functional import gelu
from torch.testing import assert_close

from warmstart.learners import InContext
from warmstart.learners.base import Support
from warmstart.learners.objectives import CandidateSet

DIM, COUNTS = 5, (4, 0, 2)
CANDIDATES = CandidateSet(torch.zeros(1, DIM), torch.zeros(1))  # it does not look at it


def by_hand(learner: Any, x: torch.Tensor, y: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(learner.read.linear.in_features)
    for example, value in zip(x, y, strict=True):
        total = total + learner.read.example.weight @ example + learner.read.example.bias
        total = total + learner.read.strength.weight @ (value * example)
    pooled = total / math.sqrt(len(x) + 1)
    inside, outside = learner.read.mixing[0], learner.read.mixing[-1]
    hidden = gelu(
        inside.weight @ torch.cat([pooled, torch.tensor([math.log(1 + len(x))])]) + inside.bias
    )
    return prior + learner.read.linear.weight @ pooled + outside.weight @ hidden + outside.bias


@torch.no_grad()
def test_the_weights_are_read_off_a_scaled_sum_of_the_examples():
    torch.manual_seed(0)
    mask = torch.arange(4) < torch.tensor(COUNTS)[:, None]
    support = Support(torch.randn(3, 4, DIM), torch.randn(3, 4), mask, torch.randn(3, DIM))
    learner = InContext(DIM, objective="rating", hidden=7, width=6).eval()
    weights = learner.adapt(support, CANDIDATES)
    for t, count in enumerate(COUNTS):
        assert_close(
            weights[t],
            by_hand(learner, support.x[t, :count], support.y[t, :count], support.prior[t]),
        )


@torch.no_grad()
def test_in_training_the_sum_of_the_examples_is_dropped_too():
    torch.manual_seed(0)
    support = Support(
        torch.randn(2, 3, DIM), torch.ones(2, 3), torch.ones(2, 3).bool(), torch.randn(2, DIM)
    )
    learner: Any = InContext(DIM, hidden=7, width=6, dropout=1.0).train()
    assert_close(learner.adapt(support, CANDIDATES), support.prior + learner.read.mixing[-1].bias)


@torch.no_grad()
def test_in_training_hidden_units_are_dropped_and_the_others_doubled():
    """Nothing is known of these tasks, so that the one hidden unit is all that differs between
    them.
    """
    torch.manual_seed(0)
    support = Support(
        torch.zeros(20, 0, DIM), torch.zeros(20, 0), torch.zeros(20, 0).bool(), torch.zeros(20, DIM)
    )
    learner: Any = InContext(DIM, hidden=1, width=6, dropout=0.5).train()
    weights = learner.adapt(support, CANDIDATES)
    inside, outside = learner.read.mixing[0], learner.read.mixing[-1]
    kept = (weights - outside.bias).abs().sum(dim=1) > 1e-6
    assert 0 < kept.sum() < 20
    assert_close(
        weights[kept],
        (outside.bias + 2 * gelu(inside.bias) * outside.weight[:, 0]).expand(int(kept.sum()), -1),
    )


def test_by_default_it_ranks_with_64_numbers_an_example_and_128_hidden_units():
    learner = InContext(DIM)
    assert learner.is_ranking
    assert learner.read.linear.weight.shape == (DIM, 64)
    assert learner.read.mixing[0].weight.shape == (128, 65)
    assert learner.read.dropout.p == learner.read.mixing[2].p == 0.1
