"""PTUPCDR against its formula, one task at a time."""

import pytest
import torch
from torch.testing import assert_close

from warmstart.learners import PTUPCDR
from warmstart.learners.base import Support
from warmstart.learners.objectives import CandidateSet

DIM, COUNTS = 6, (3, 1, 0)


@pytest.fixture
def support() -> Support:
    torch.manual_seed(0)
    mask = torch.arange(4) < torch.tensor(COUNTS)[:, None]
    return Support(torch.randn(3, 4, DIM), torch.rand(3, 4), mask, torch.randn(3, DIM))


@pytest.fixture
def learner() -> PTUPCDR:
    torch.manual_seed(1)
    made = PTUPCDR(DIM, bridge_width=5)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


CANDIDATES = CandidateSet(torch.zeros(1, DIM), torch.zeros(1))


@torch.no_grad()
def test_the_matrix_is_made_of_the_events_that_matter(learner, support):
    found = learner.adapt(support, CANDIDATES)
    for t, count in enumerate(COUNTS):
        wanted = support.prior[t].clone()
        if count:
            events = support.x[t, :count]
            importance = torch.exp(learner.matters(events)[:, 0])
            character = sum(
                w * x for w, x in zip(importance / importance.sum(), events, strict=True)
            )
            matrix = learner.makes(character).reshape(DIM, DIM)
            mean = sum(y * x for y, x in zip(support.y[t, :count], events, strict=True)) / count
            wanted = wanted + matrix @ mean
        assert_close(found[t], wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_two_tasks_with_the_same_mean_have_different_bridges(learner):
    a, b, c, d = torch.randn(4, DIM)
    pairs = torch.stack([torch.stack([a, b]), torch.stack([c, a + b - c])])
    other = learner.adapt(
        Support(pairs, torch.ones(2, 2), torch.ones(2, 2, dtype=torch.bool), d.expand(2, -1)),
        CANDIDATES,
    )
    assert (other[0] - other[1]).abs().max() > 1e-3


@torch.no_grad()
def test_at_first_nothing_is_bridged(support):
    assert_close(PTUPCDR(DIM).adapt(support, CANDIDATES), support.prior)
