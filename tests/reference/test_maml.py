"""The MAML family against a loop over tasks and steps that is written out by hand."""

import pytest
import torch
from torch.testing import assert_close

from warmstart.learners import MAML
from warmstart.learners.base import Query, Support
from warmstart.learners.blocks import dual_descent as dual
from warmstart.learners.blocks.head import ADAPTED_LAYERS
from warmstart.learners.objectives import CandidateSet

DIM, HIDDEN = 5, 4
COUNTS = (4, 0, 1, 3)
MEMBERS = {
    "maml": {},
    "fomaml": {"first_order": True},
    "melu": {"adapts": "decision"},
    "anil": {"adapts": "output"},
    "meta-sgd": {"learn_rates": "each"},
    "first-order anil": {"adapts": "output", "first_order": True},
}
BOTH = pytest.mark.parametrize("objective", ["rating", "ranking"])
ALL = pytest.mark.parametrize("member", MEMBERS)


def forward(weights, x):
    first = torch.tanh(x @ weights["represent"] + weights["bend"])
    second = torch.tanh(first @ weights["hidden"] + weights["offset"])
    return second @ weights["output"] + x @ weights["prior"]


def loss_of(objective, weights, x, y, negatives, log_weight):
    """One task's mean loss over its own unpadded rows."""
    if len(x) == 0:
        return 0.0 * forward(weights, negatives).sum()
    if objective == "rating":
        return ((forward(weights, x) - y) ** 2).mean()
    rest = (forward(weights, negatives) + log_weight).exp().sum()
    return torch.stack([torch.log(rest + own.exp()) - own for own in forward(weights, x)]).mean()


def by_hand(learner, objective, x, y, prior, candidates):
    """One task's weights after its steps, by torch.autograd on those that it adapts."""
    weights = dict(learner.head.items()) | {"prior": prior}
    for _ in range(learner.inner_steps):
        leaves = [weights[name] for name in learner.adapted]
        loss = loss_of(objective, weights, x, y, candidates.x, candidates.log_weight)
        slopes = torch.autograd.grad(
            loss, leaves, create_graph=not learner.first_order, retain_graph=True
        )
        steps = {
            name: learner.log_rate[name].exp() * s
            for name, s in zip(learner.adapted, slopes, strict=True)
        }
        weights = weights | {name: weights[name] - step for name, step in steps.items()}
    return weights


def doubles(*shape):
    """In double precision, for steps through tanh amplify rounding."""
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture
def world():
    """Tasks of 4, 0, 1 and 3 examples, the last with a gap among them; all tensors that have a
    gradient need it.
    """
    torch.manual_seed(0)
    mask = torch.arange(5) < torch.tensor(COUNTS)[:, None]
    mask[3] = torch.tensor([True, False, True, False, True])
    asked = torch.arange(6) < torch.tensor([6, 2, 1, 4])[:, None]
    support = Support(
        doubles(4, 5, DIM).requires_grad_(), doubles(4, 5), mask, doubles(4, DIM).requires_grad_()
    )
    query = Query(doubles(4, 6, DIM).requires_grad_(), doubles(4, 6), asked)
    candidates = CandidateSet(doubles(7, DIM).requires_grad_(), doubles(7))
    return support, query, candidates, CandidateSet(doubles(8, DIM).requires_grad_(), doubles(4, 8))


def make(objective="rating", *, inner_steps=3, **switches):
    """A learner whose weights are not where they start, and whose rates differ from layer to
    layer.
    """
    torch.manual_seed(1)
    learner = MAML(
        DIM, objective=objective, hidden=HIDDEN, inner_steps=inner_steps, **switches
    ).double()
    with torch.no_grad():
        for number, rate in enumerate(learner.log_rate.values()):
            rate.copy_((0.05 + 0.03 * number) * (1 + 0.2 * torch.rand_like(rate))).log_()
        for weight in learner.head.values():
            weight.add_(0.3 * torch.randn_like(weight))
    return learner


def of_task(t, support, query, negatives):
    """One task's support and query without padding, and what the query competes with."""
    known, asked = support.mask[t], query.mask[t]
    return (support.x[t][known], support.y[t][known], support.prior[t]), (
        query.x[t][asked],
        query.y[t][asked],
        negatives.x,
        negatives.log_weight[t],
    )


def gradients(loss, learner, world):
    """Of all parameters and of all vectors, by name; zero where none arrives."""
    support, query, candidates, negatives = world
    vectors = {
        "x": support.x,
        "priors": support.prior,
        "items": query.x,
        "candidates": candidates.x,
        "negatives": negatives.x,
    }
    wanted = dict(learner.named_parameters()) | vectors
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True, retain_graph=True)
    return {
        name: torch.zeros_like(tensor) if gradient is None else gradient
        for (name, tensor), gradient in zip(wanted.items(), found, strict=True)
    }


@BOTH
@ALL
@pytest.mark.parametrize("steps", [1, 3])
def test_loss_and_all_outer_gradients_equal_those_of_the_loop_by_hand(
    member, objective, steps, world
):
    support, query, candidates, negatives = world
    learner = make(objective, inner_steps=steps, **MEMBERS[member])
    losses = []
    for t in range(len(COUNTS)):
        known, asked = of_task(t, support, query, negatives)
        losses.append(loss_of(objective, by_hand(learner, objective, *known, candidates), *asked))
    expected = torch.stack(losses)
    loss = learner.loss(*world)
    assert_close(loss, expected)
    share = torch.tensor(
        [0.3, 1.0, -0.7, 2.0], dtype=torch.float64
    )  # so that tasks cannot be swapped
    assert_close(
        gradients((share * loss).sum(), learner, world),
        gradients((share * expected).sum(), learner, world),
    )


@BOTH
@ALL
def test_the_state_scores_as_the_weights_of_the_loop_by_hand(member, objective, world):
    support, query, candidates, negatives = world
    learner = make(objective, **MEMBERS[member])
    state = learner.adapt(support, candidates)
    own, shared = learner.score(state, query.x), learner.score(state, negatives.x)
    for t in range(len(COUNTS)):
        known, _ = of_task(t, support, query, negatives)
        weights = by_hand(learner, objective, *known, candidates)
        assert_close(own[t], forward(weights, query.x[t]))
        assert_close(shared[t], forward(weights, negatives.x))
    assert_close(gradients(own.sum(), learner, world)["items"].isfinite().all(), torch.tensor(True))


@BOTH
def test_first_order_and_second_order_gradients_differ(objective, world):
    first, second = (make(objective, first_order=first_order) for first_order in (True, False))
    found = [gradients(learner.loss(*world).sum(), learner, world) for learner in (first, second)]
    assert all(
        (found[0][name] - found[1][name]).abs().max() > 1e-3
        for name in ("head.represent", "head.hidden", "x")
    )
    assert not found[0]["x"].any()


@BOTH
def test_the_outer_gradient_agrees_with_finite_differences(objective, world):
    learner = make(objective)

    def loss():
        return learner.loss(*world).sum()

    for name, index in {
        "represent": (1, 2),
        "hidden": (1, 2),
        "bend": (3,),
        "offset": (0,),
        "output": (1,),
    }.items():
        weight, step = learner.head[name], 1e-5
        derivative = torch.autograd.grad(loss(), weight)[0][index]
        with torch.no_grad():
            weight[index] += step
            above = loss()
            weight[index] -= 2 * step
            below = loss()
            weight[index] += step
        assert_close(derivative, (above - below) / (2 * step), rtol=1e-6, atol=1e-8)


def test_meta_sgd_has_a_rate_for_each_weight_and_maml_one_for_each_layer():
    each, one = MAML(DIM, hidden=HIDDEN, learn_rates="each"), MAML(DIM, hidden=HIDDEN)
    assert {name: tuple(rate.shape) for name, rate in each.log_rate.items()} == {
        "represent": (DIM, HIDDEN),
        "bend": (HIDDEN,),
        "hidden": (HIDDEN, HIDDEN),
        "offset": (HIDDEN,),
        "output": (HIDDEN,),
        "prior": (DIM,),
    }
    assert {rate.shape for rate in one.log_rate.values()} == {()}


@pytest.mark.parametrize(("objective", "start"), [("ranking", 0.5), ("rating", 0.1)])
@pytest.mark.parametrize("adapts", ADAPTED_LAYERS)
def test_rates_are_those_of_the_adapted_layers_and_start_as_the_objective_needs(
    objective, start, adapts
):
    learner = MAML(DIM, objective=objective, adapts=adapts)
    assert set(learner.log_rate) == set(ADAPTED_LAYERS[adapts])
    assert all(rate.exp().item() == pytest.approx(start) for rate in learner.log_rate.values())


@pytest.mark.parametrize("member", MEMBERS)
def test_only_maml_and_fomaml_on_ratings_take_the_shortcut(member):
    assert MAML(DIM, objective="rating", **MEMBERS[member]).uses_dual_form == (
        member in ("maml", "fomaml")
    )
    assert not MAML(DIM, objective="ranking", **MEMBERS[member]).uses_dual_form


@pytest.mark.parametrize("first_order", [False, True])
def test_the_shortcut_in_groups_of_like_length_is_the_long_way(first_order, monkeypatch):
    monkeypatch.setattr(dual, "MIN_GROUP_ROWS", 10)
    torch.manual_seed(2)
    counts = torch.tensor([3, 9, 0, 7, 1, 9, 2, 5, 8, 4, 6])
    support = Support(
        doubles(11, 9, DIM).requires_grad_(),
        doubles(11, 9),
        torch.arange(9) < counts[:, None],
        doubles(11, DIM).requires_grad_(),
    )
    query = Query(
        doubles(11, 3, DIM).requires_grad_(), doubles(11, 3), torch.ones(11, 3, dtype=torch.bool)
    )
    nothing = CandidateSet(doubles(1, DIM).requires_grad_(), doubles(1))
    world = support, query, nothing, nothing
    assert len(dual.group_by_length(support.mask)) == 5
    learner = make(first_order=first_order)
    loss = learner.loss(*world)
    learner.uses_dual_form = False
    assert_close(loss, learner.loss(*world))
    share = torch.linspace(-1, 2, 11, dtype=torch.float64)
    expected = gradients((share * learner.loss(*world)).sum(), learner, world)
    assert_close(gradients((share * loss).sum(), learner, world), expected)


def test_what_the_caller_freezes_gets_no_gradient_and_changes_no_other(world):
    learner = make()
    expected = gradients(learner.loss(*world).sum(), learner, world)
    learner.log_rate.requires_grad_(False)
    support, query, candidates, negatives = world
    still = (
        Support(support.x.detach(), support.y, support.mask, support.prior),
        query,
        candidates,
        negatives,
    )
    learner.loss(*still).sum().backward()
    assert all(rate.grad is None for rate in learner.log_rate.values())
    assert_close(
        {n: p.grad for n, p in learner.head.items()},
        {n: expected[f"head.{n}"] for n in learner.head},
    )
    assert_close(query.x.grad, expected["items"])
    assert_close(support.prior.grad, expected["priors"])


def test_going_back_twice_gives_the_same_gradient(world):
    learner = make()
    loss = learner.loss(*world).sum()
    assert_close(gradients(loss, learner, world), gradients(loss, learner, world), rtol=0, atol=0)


def test_the_gradient_of_the_shortcut_is_not_differentiated_again(world):
    learner = make()
    derivative = torch.autograd.grad(
        learner.loss(*world).sum(), learner.head["hidden"], create_graph=True
    )[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        derivative.sum().backward()
