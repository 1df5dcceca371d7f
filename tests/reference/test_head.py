"""The head against its formula for one task at a time, and its gradients against torch.autograd."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import vjp
from torch.testing import assert_close

from warmstart.learners.base import Support
from warmstart.learners.blocks.head import (
    ADAPTED_LAYERS,
    INNER_RATE,
    FastTanh,
    expand_to_tasks,
    fast_tanh_,
    head_scores,
    init_head,
    rowwise_products,
    support_gradient,
    support_loss,
    tanh_gradient,
    tanh_gradient_,
    weighted_sum,
)
from warmstart.learners.objectives import OBJECTIVES, CandidateSet

TASKS, SHOTS, ITEMS, DIM, HIDDEN = 3, 4, 6, 5, 2
COUNTS = (4, 0, 2)
BOTH = pytest.mark.parametrize("objective", ["ranking", "rating"])


def doubles(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture
def support():
    torch.manual_seed(0)
    mask = torch.arange(SHOTS) < torch.tensor(COUNTS)[:, None]
    return Support(doubles(TASKS, SHOTS, DIM), doubles(TASKS, SHOTS), mask, doubles(TASKS, DIM))


@pytest.fixture
def candidates():
    torch.manual_seed(1)
    return CandidateSet(doubles(7, DIM), doubles(7))


@pytest.fixture
def weights():
    """Different for every task."""
    torch.manual_seed(2)
    shapes = {
        "represent": (DIM, HIDDEN),
        "bend": (HIDDEN,),
        "hidden": (HIDDEN, HIDDEN),
        "offset": (HIDDEN,),
        "output": (HIDDEN,),
        "prior": (DIM,),
    }
    return {name: doubles(TASKS, *shape) for name, shape in shapes.items()}


def forward(weights, x):
    first = torch.tanh(x @ weights["represent"] + weights["bend"])
    second = torch.tanh(first @ weights["hidden"] + weights["offset"])
    return second @ weights["output"] + x @ weights["prior"]


def loss_of(objective, weights, support, candidates, t):
    """One task's mean loss over its own unpadded rows."""
    x, y = support.x[t, : COUNTS[t]], support.y[t, : COUNTS[t]]
    if len(x) == 0:
        return 0.0 * forward(weights, candidates.x).sum()
    if objective == "rating":
        return ((forward(weights, x) - y) ** 2).mean()
    rest = (forward(weights, candidates.x) + candidates.log_weight).exp().sum()
    return torch.stack([torch.log(rest + own.exp()) - own for own in forward(weights, x)]).mean()


def one(weights, t):
    return {name: weight[t].clone().requires_grad_() for name, weight in weights.items()}


def test_a_fresh_head_is_random_of_a_scale_that_keeps_that_of_its_input():
    torch.manual_seed(3)
    head = init_head(200, 100)
    shapes = {name: tuple(weight.shape) for name, weight in head.items()}
    assert shapes == {
        "represent": (200, 100),
        "bend": (100,),
        "hidden": (100, 100),
        "offset": (100,),
        "output": (100,),
    }
    assert not head["bend"].any() and not head["offset"].any()
    for name, scale in {"represent": 200**-0.5, "hidden": 0.1, "output": 0.1}.items():
        assert head[name].std().item() == pytest.approx(scale, rel=0.2)
        assert abs(head[name].mean().item()) < 0.3 * scale


def test_rates_start_larger_for_a_softmax_than_for_a_squared_error():
    assert INNER_RATE == {"ranking": 0.5, "rating": 0.1}


def test_all_tasks_start_from_the_head_and_each_from_its_prior():
    head, prior = init_head(DIM, HIDDEN), torch.randn(TASKS, DIM)
    weights = expand_to_tasks(head, prior)
    assert set(weights) == set(ADAPTED_LAYERS["all"])
    assert weights["prior"] is prior
    for name, weight in head.items():
        assert_close(weights[name], torch.stack([weight] * TASKS))


def test_scores_are_those_of_each_task_alone_for_own_and_shared_items(weights):
    own, shared = doubles(TASKS, ITEMS, DIM), doubles(ITEMS, DIM)
    for t in range(TASKS):
        assert_close(head_scores(weights, own)[t], forward(one(weights, t), own[t]))
        assert_close(head_scores(weights, shared)[t], forward(one(weights, t), shared))


@BOTH
def test_the_support_loss_is_that_of_each_task_alone(objective, weights, support, candidates):
    found = support_loss(OBJECTIVES[objective], weights, support, candidates)
    expected = [loss_of(objective, one(weights, t), support, candidates, t) for t in range(TASKS)]
    assert_close(found, torch.stack(expected))


@BOTH
@pytest.mark.parametrize("layers", ADAPTED_LAYERS)
def test_the_gradient_of_the_adapted_layers_is_that_of_each_task_alone(
    objective, layers, weights, support, candidates
):
    found = support_gradient(
        OBJECTIVES[objective], weights, ADAPTED_LAYERS[layers], support, candidates
    )
    assert tuple(found) == ADAPTED_LAYERS[layers]
    for t in range(TASKS):
        own = one(weights, t)
        loss = loss_of(objective, own, support, candidates, t)
        expected = torch.autograd.grad(loss, [own[name] for name in ADAPTED_LAYERS[layers]])
        assert_close([found[name][t] for name in ADAPTED_LAYERS[layers]], list(expected))


@BOTH
def test_the_gradient_can_itself_be_differentiated(objective, weights, support, candidates):
    torch.manual_seed(4)
    directions = {name: doubles(*weight.shape) for name, weight in weights.items()}
    leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    support_with_gradient = Support(
        support.x.clone().requires_grad_(), support.y, support.mask, support.prior
    )
    found = support_gradient(
        OBJECTIVES[objective], leaves, ADAPTED_LAYERS["all"], support_with_gradient, candidates
    )
    along = torch.stack([(found[name] * directions[name]).sum() for name in found]).sum()
    curves = torch.autograd.grad(along, [*leaves.values(), support_with_gradient.x])
    for t in range(TASKS):
        own, x = one(weights, t), support.x.clone().requires_grad_()
        loss = loss_of(
            objective, own, Support(x, support.y, support.mask, support.prior), candidates, t
        )
        slopes = torch.autograd.grad(loss, list(own.values()), create_graph=True)
        along = [(s * directions[name][t]).sum() for name, s in zip(own, slopes, strict=True)]
        expected = torch.autograd.grad(
            torch.stack(along).sum(),
            [*own.values(), x],
            materialize_grads=True,
        )
        assert_close([curve[t] for curve in curves], [*expected[:-1], expected[-1][t]])


@BOTH
def test_the_gradient_needs_no_graph_and_works_under_the_transforms_of_torch(
    objective, weights, support, candidates
):
    def down(weights):
        return support_gradient(
            OBJECTIVES[objective], weights, ADAPTED_LAYERS["all"], support, candidates
        )

    leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    expected = down(leaves)
    sent = {name: torch.ones_like(weight) for name, weight in weights.items()}
    curves = torch.autograd.grad(
        torch.stack([part.sum() for part in expected.values()]).sum(), list(leaves.values())
    )
    with torch.no_grad():
        found, back, *_ = vjp(down, weights)
        assert_close(back(sent)[0], dict(zip(weights, curves, strict=True)))
    assert_close(found, {name: part.detach() for name, part in expected.items()})


def test_products_and_sums_are_those_of_each_task_alone():
    own, shared = doubles(TASKS, ITEMS, DIM), doubles(ITEMS, DIM)
    weights, shares = doubles(TASKS, DIM), doubles(TASKS, ITEMS)
    for t in range(TASKS):
        for x, rows in ((own, own[t]), (shared, shared)):
            assert_close(
                rowwise_products(weights, x)[t], torch.stack([row @ weights[t] for row in rows])
            )
            assert_close(
                weighted_sum(shares, x)[t],
                sum(share * row for share, row in zip(shares[t], rows, strict=True)),
            )


def test_bent_is_tanh_to_the_last_digits_but_two():
    x = torch.linspace(-20, 20, 10_001)
    assert_close(FastTanh.apply(x).double(), x.double().tanh(), rtol=0, atol=3e-7)
    assert_close(FastTanh.apply(x.double()), x.double().tanh(), rtol=0, atol=1e-15)


def test_bent_has_the_gradients_of_tanh():
    x = torch.linspace(-2, 2, 7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(FastTanh.apply, x) and gradgradcheck(FastTanh.apply, x)
    assert_close(torch.autograd.grad(FastTanh.apply(x).sum(), x)[0], 1 - x.tanh() ** 2)


def test_fast_tanh_copies_its_argument_and_its_in_place_form_does_not():
    x = torch.tensor([0.5, -1.0])
    before = x.clone()
    FastTanh.apply(x)
    assert_close(x, before, rtol=0, atol=0)
    assert fast_tanh_(x) is x
    assert_close(x, before.tanh())


def test_the_gradient_before_a_tanh_follows_from_that_after_it():
    gradient, value = torch.tensor([2.0, -3.0]), torch.tensor([0.5, 0.1])
    expected = torch.tensor([1.5, -2.97])
    assert_close(tanh_gradient(gradient, value), expected)
    assert_close(gradient, torch.tensor([2.0, -3.0]))
    assert tanh_gradient_(gradient, value) is gradient
    assert_close(gradient, expected)
