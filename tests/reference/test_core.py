"""CORE against the sums of one task written out."""

import pytest
import torch
from torch.nn.functional import softmax, softplus
from torch.testing import assert_close

from warmstart.learners import CORE
from warmstart.learners.base import FIXED_COORDINATES, Query, Support
from warmstart.learners.core import NORM_FLOOR
from warmstart.learners.objectives import CandidateSet

DIM, COUNTS = 7, (5, 0, 3)
CANDIDATES = CandidateSet(torch.zeros(1, DIM), torch.zeros(1))  # it does not look at it


@pytest.fixture
def learner() -> CORE:
    torch.manual_seed(1)
    one = CORE(DIM, units=6, max_length=4).eval()
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return one


@pytest.fixture
def support() -> Support:
    torch.manual_seed(0)
    mask = torch.arange(5) < torch.tensor(COUNTS)[:, None]
    return Support(torch.randn(3, 5, DIM), torch.ones(3, 5), mask, torch.randn(3, DIM))


def expected(learner: CORE, events: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """What is expected after all of these events of one task."""
    recurrent = learner.recurrence(events.unsqueeze(0))[0, len(events)].clone()
    recurrent[:FIXED_COORDINATES] = 0
    sought = recurrent.clone()
    if len(events):
        age = torch.stack([learner.age[len(events) - 1 - i] for i in range(len(events))])
        weight = softmax(torch.stack([learner.asks(recurrent) @ x for x in events]) + age, dim=0)
        parts = (w * x for w, x in zip(weight, events, strict=True))
        summed = sum(parts, torch.zeros(DIM))
        summed[:FIXED_COORDINATES] = 0
        sought = sought + summed
    direction = sought / (sought.square().sum() + NORM_FLOOR).sqrt()
    return direction / learner.log_temperature.exp() + learner.before[len(events)] * prior


@torch.no_grad()
def test_the_state_is_the_sum_written_out(learner, support):
    found = learner.adapt(support, CANDIDATES)
    for t, count in enumerate(COUNTS):
        last_four = support.x[t, max(count - 4, 0) : count]
        assert_close(found[t], expected(learner, last_four, support.prior[t]))


@torch.no_grad()
def test_the_loss_predicts_each_event_from_those_before_it(learner, support):
    torch.manual_seed(3)
    query = Query(
        torch.randn(3, 2, DIM),
        torch.ones(3, 2),
        torch.tensor([[True, True], [True, False], [False, False]]),
    )
    negatives = CandidateSet(torch.randn(9, DIM), torch.randn(3, 9))
    found = learner.loss(support, query, CANDIDATES, negatives)
    for t, count in enumerate(COUNTS):
        events = torch.cat([support.x[t, :count], query.x[t][query.mask[t]]])[:5]
        nll = []
        for position, event in enumerate(events):
            state = expected(learner, events[:position], support.prior[t])
            nll.append(
                softplus(
                    (negatives.x @ state + negatives.log_weight[t]).logsumexp(0) - event @ state
                )
            )
        assert_close(found[t], torch.stack(nll).mean(), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_at_first_only_a_task_without_events_uses_the_prior(support):
    one = CORE(DIM, units=6, max_length=5).eval()
    found = one.adapt(support, CANDIDATES)
    assert_close(found[1], support.prior[1])
    assert (found[[0, 2]][:, :FIXED_COORDINATES] == 0).all()
