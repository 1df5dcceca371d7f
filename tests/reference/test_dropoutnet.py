"""DropoutNet against its formula, and what it learns from tasks whose events it forgets."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from warmstart.learners import DropoutNet
from warmstart.learners.base import Query, Support
from warmstart.learners.objectives import CandidateSet

DIM, COUNTS = 5, (3, 1, 0)
CANDIDATES = CandidateSet(torch.zeros(1, DIM), torch.zeros(1))


@pytest.fixture
def support() -> Support:
    torch.manual_seed(0)
    mask = torch.arange(4) < torch.tensor(COUNTS)[:, None]
    return Support(torch.randn(3, 4, DIM), torch.rand(3, 4), mask, torch.randn(3, DIM))


def made(forgets: float) -> Any:
    torch.manual_seed(1)
    learner = DropoutNet(DIM, layer_width=7, forgets=forgets)
    for parameter in learner.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return learner


@torch.no_grad()
def test_the_network_reads_the_prior_and_the_mean_event(support):
    learner = made(0.5)
    found = learner.adapt(support, CANDIDATES)
    for t, count in enumerate(COUNTS):
        events = [y * x for y, x in zip(support.y[t, :count], support.x[t, :count], strict=True)]
        mean = sum(events, torch.zeros(DIM)) / max(count, 1)
        hidden = torch.cat([support.prior[t], mean])
        for index in (0, 2):
            layer = learner.network[index]
            hidden = torch.tanh(layer.weight @ hidden + layer.bias)
        wanted = support.prior[t] + learner.network[4].weight @ hidden + learner.network[4].bias
        assert_close(found[t], wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("forgets", [0.0, 1.0])
def test_in_training_events_are_dropped_at_random(support, forgets):
    query = Query(torch.randn(3, 2, DIM), torch.ones(3, 2), torch.ones(3, 2, dtype=torch.bool))
    negatives = CandidateSet(torch.randn(9, DIM), torch.zeros(9))
    nothing = Support(support.x, support.y, torch.zeros_like(support.mask), support.prior)
    learner, plain = made(forgets), made(0.0)
    wanted = plain.loss(nothing if forgets else support, query, CANDIDATES, negatives)
    assert_close(learner.loss(support, query, CANDIDATES, negatives), wanted)
    # In use and in evaluation mode never:
    assert_close(learner.adapt(support, CANDIDATES), plain.adapt(support, CANDIDATES))
    wanted = plain.eval().loss(support, query, CANDIDATES, negatives)
    assert_close(learner.eval().loss(support, query, CANDIDATES, negatives), wanted)
