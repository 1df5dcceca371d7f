"""MAML against a loop over tasks and steps that is written out by hand."""

import pytest
import torch
from torch.testing import assert_close

from warmstart.learner import Catalogue, Query, Support
from warmstart.learners import MAML

DIM, RATE = 5, 0.1


def by_hand(learner, x, y, prior, *, first_order, adapted):
    """One task, gradient steps with torch.autograd instead of torch.func: its scores as a function of items."""
    weights = dict(learner.head.items()) | {"prior": prior.clone().requires_grad_()}
    for _ in range(learner.inner_steps):
        loss = ((forward(weights, x) - y) ** 2).mean()
        leaves = [weights[name] for name in adapted]
        slopes = torch.autograd.grad(loss, leaves, create_graph=not first_order, retain_graph=True)
        weights = weights | {n: w - RATE * s for n, w, s in zip(adapted, leaves, slopes, strict=True)}
    return lambda items: forward(weights, items)


def forward(weights, x):
    first = torch.tanh(x @ weights["represent"] + weights["bend"])
    second = torch.tanh(first @ weights["hidden"] + weights["offset"])
    return second @ weights["output"] + x @ weights["prior"]


@pytest.fixture
def world():
    torch.manual_seed(0)
    counts = torch.tensor([4, 1, 3])
    mask = torch.arange(4) < counts[:, None]
    support = Support(_doubles(3, 4, DIM), _doubles(3, 4), mask, _doubles(3, DIM))
    query = Query(_doubles(3, 6, DIM), _doubles(3, 6), torch.ones(3, 6, dtype=torch.bool))
    return support, query, Catalogue(_doubles(7, DIM), torch.zeros(7, dtype=torch.float64))


def _doubles(*shape):
    """In double precision, for three steps through tanh amplify rounding."""
    return torch.randn(*shape, dtype=torch.float64)


def make(**switches):
    torch.manual_seed(1)
    learner = MAML(DIM, objective="rating", hidden=4, inner_steps=3, **switches).double()
    with torch.no_grad():
        for rate in learner.log_rate.values():
            rate.fill_(RATE).log_()
        for weight in learner.head.values():
            weight.add_(0.3 * torch.randn_like(weight))
    return learner


MEMBERS = {
    "maml": ({}, ["represent", "bend", "hidden", "offset", "output", "prior"]),
    "fomaml": ({"first_order": True}, ["represent", "bend", "hidden", "offset", "output", "prior"]),
    "melu": ({"adapts": "decision"}, ["hidden", "offset", "output", "prior"]),
    "anil": ({"adapts": "output"}, ["output", "prior"]),
    "meta-sgd": ({"learn_rates": "each"}, ["represent", "bend", "hidden", "offset", "output", "prior"]),
}


@pytest.mark.parametrize("member", MEMBERS)
def test_loss_and_outer_gradient_equal_those_of_the_loop_by_hand(member, world):
    support, query, catalogue = world
    switches, adapted = MEMBERS[member]
    learner = make(**switches)
    losses = []
    for t, count in enumerate(support.mask.sum(dim=1)):
        x, y = support.x[t, :count], support.y[t, :count]
        score = by_hand(learner, x, y, support.prior[t], first_order=bool(learner.first_order), adapted=adapted)
        losses.append(((score(query.x[t]) - query.y[t]) ** 2).mean())
    expected = torch.stack(losses)
    loss = learner.loss(support, query, catalogue, catalogue)
    assert_close(loss, expected)
    weights = list(learner.head.values())
    assert_close(torch.autograd.grad(loss.sum(), weights), torch.autograd.grad(expected.sum(), weights))


def test_first_order_and_second_order_gradients_differ(world):
    support, query, catalogue = world
    slopes = []
    for first_order in (False, True):
        learner = make(first_order=first_order)
        loss = learner.loss(support, query, catalogue, catalogue).sum()
        slopes.append(torch.autograd.grad(loss, list(learner.head.values())))
    differences = [float((a - b).abs().max()) for a, b in zip(*slopes, strict=True)]
    assert max(differences) > 1e-3


def test_the_outer_gradient_agrees_with_finite_differences(world):
    support, query, catalogue = world
    learner = make()

    def loss():
        return learner.loss(support, query, catalogue, catalogue).sum()

    weight = learner.head["hidden"]
    slope = torch.autograd.grad(loss(), weight)[0][1, 2]
    step = 1e-5
    with torch.no_grad():
        weight[1, 2] += step
        above = loss()
        weight[1, 2] -= 2 * step
        below = loss()
    assert_close(slope, (above - below) / (2 * step), rtol=1e-6, atol=1e-8)


def test_meta_sgd_has_a_rate_for_each_weight_and_maml_one_for_each_layer():
    each, one = make(learn_rates="each"), make()
    assert each.log_rate["represent"].shape == each.head["represent"].shape
    assert one.log_rate["represent"].shape == ()
