"""Reptile, iMAML, Meta-RNN and fine-tuning against their formulas, written out one task and one
step at a time.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.testing import assert_close

from warmstart.learners import IMAML, FineTune, MetaRNN, Reptile
from warmstart.learners.base import Query, Support
from warmstart.learners.imaml import conjugate_gradients
from warmstart.learners.objectives import CandidateSet

DIM, HIDDEN = 4, 3
COUNTS, QUERIES = (4, 0, 2), (3, 5, 1)
NAMES = ("represent", "bend", "hidden", "offset", "output", "prior")


def doubles(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def world():
    """Three tasks with ragged support and query whose padding holds junk, and a catalogue."""
    torch.manual_seed(0)
    support = Support(
        doubles(3, 4, DIM),
        doubles(3, 4),
        torch.arange(4) < torch.tensor(COUNTS)[:, None],
        doubles(3, DIM),
    )
    query = Query(
        doubles(3, 5, DIM), doubles(3, 5), torch.arange(5) < torch.tensor(QUERIES)[:, None]
    )
    candidates = CandidateSet(doubles(7, DIM), doubles(7))
    negatives = CandidateSet(doubles(6, DIM), doubles(3, 6))
    return support, query, candidates, negatives


def make(cls, **settings) -> Any:
    torch.manual_seed(1)
    learner = cls(DIM, **settings).double()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return learner


def forward(weights, x):
    first = torch.tanh(x @ weights["represent"] + weights["bend"])
    second = torch.tanh(first @ weights["hidden"] + weights["offset"])
    return second @ weights["output"] + x @ weights["prior"]


def loss_of(objective, score, x, y, negatives_x, log_weight):
    """One task's mean loss over its own unpadded examples."""
    if len(x) == 0:
        return 0.0 * score(negatives_x).sum()
    if objective == "rating":
        return ((score(x) - y) ** 2).mean()
    rest = (score(negatives_x) + log_weight).exp().sum()
    return torch.stack([torch.log(rest + own.exp()) - own for own in score(x)]).mean()


def leaves(learner, prior):
    return {
        name: weight.clone().detach().requires_grad_()
        for name, weight in {**learner.head, "prior": prior}.items()
    }


def gradients(loss, weights):
    found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return {
        name: torch.zeros_like(weights[name]) if g is None else g
        for name, g in zip(weights, found, strict=True)
    }


def descended(learner, weights, batches, rate, objective):
    """Plain gradient descent, a batch for each step."""
    for x, y, negatives_x, log_weight in batches:
        current = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
        gradient_by_name = gradients(
            loss_of(objective, lambda q, w=current: forward(w, q), x, y, negatives_x, log_weight),
            current,
        )
        weights = {name: current[name].detach() - rate * gradient_by_name[name] for name in current}
    return weights


RATES = {"ranking": 0.5, "rating": 0.1}
BOTH = pytest.mark.parametrize("objective", ["ranking", "rating"])


@BOTH
def test_reptile_adapts_by_plain_gradient_descent_on_the_support(objective):
    support, _, candidates, _ = world()
    learner = make(Reptile, objective=objective, hidden=HIDDEN, inner_steps=3, inner_rate=0.6)
    state = learner.adapt(support, candidates)
    items = doubles(2, DIM)
    for t, count in enumerate(COUNTS):
        batch = (support.x[t, :count], support.y[t, :count], candidates.x, candidates.log_weight)
        start = leaves(learner, support.prior[t])
        end = descended(learner, start, [batch] * 3, 0.6 * RATES[objective], objective)
        for name in NAMES:
            assert_close(state[name][t], end[name])
        assert_close(learner.score(state, items)[t], forward(end, items))


@BOTH
def test_reptiles_outer_gradient_is_how_far_the_inner_loop_went(objective):
    support, query, candidates, negatives = world()
    learner = make(Reptile, objective=objective, hidden=HIDDEN, inner_steps=3)
    rate = RATES[objective]
    prior = support.prior.clone().requires_grad_()
    loss = learner.loss(
        Support(support.x, support.y, support.mask, prior), query, candidates, negatives
    )
    loss.sum().backward()
    assert prior.grad is not None
    moved = {name: torch.zeros_like(weight) for name, weight in learner.head.items()}
    for t in range(3):
        x = torch.cat([support.x[t, : COUNTS[t]], query.x[t, : QUERIES[t]]])
        y = torch.cat([support.y[t, : COUNTS[t]], query.y[t, : QUERIES[t]]])
        order = torch.arange(1, len(x) + 1) % 3
        batches = [
            (x[order == part], y[order == part], candidates.x, candidates.log_weight)
            for part in range(3)
        ]
        start = leaves(learner, support.prior[t])
        end = descended(learner, start, batches, rate, objective)
        for name in moved:
            moved[name] += (start[name].detach() - end[name]) / (3 * rate)
        assert_close(prior.grad[t], (start["prior"].detach() - end["prior"]) / (3 * rate))
        values = [
            loss_of(objective, lambda q, w=w: forward(w, q), *batches[i])
            for i, w in enumerate(
                descended(learner, start, batches[:i], rate, objective) for i in range(3)
            )
        ]
        assert_close(loss[t], torch.stack(values).mean())
    for name, expected in moved.items():
        assert_close(learner.head[name].grad, expected)


def test_reptiles_item_vectors_get_the_mean_gradient_along_the_way():
    support, query, candidates, negatives = world()
    learner = make(Reptile, objective="rating", hidden=HIDDEN, inner_steps=2)
    x = support.x.clone().requires_grad_()
    learner.loss(
        Support(x, support.y, support.mask, support.prior), query, candidates, negatives
    ).sum().backward()
    count = COUNTS[0]
    own = torch.cat([support.x[0, :count], query.x[0, : QUERIES[0]]]).requires_grad_()
    y = torch.cat([support.y[0, :count], query.y[0, : QUERIES[0]]])
    order = torch.arange(1, len(own) + 1) % 2
    weights, total = leaves(learner, support.prior[0]), torch.zeros((), dtype=torch.float64)
    for part in range(2):
        fixed = {name: weight.detach() for name, weight in weights.items()}
        total = total + ((forward(fixed, own[order == part]) - y[order == part]) ** 2).mean()
        batch = (own[order == part].detach(), y[order == part], candidates.x, candidates.log_weight)
        weights = descended(learner, weights, [batch], 0.1, "rating")
    expected = torch.autograd.grad(total / 2, own)[0]
    assert x.grad is not None
    assert_close(x.grad[0, :count], expected[:count])
    assert_close(x.grad[1], torch.zeros_like(x.grad[1]))


def test_conjugate_gradients_solve_a_system_for_each_task():
    torch.manual_seed(3)
    roots = doubles(2, 6, 6)
    matrices = roots @ roots.mT + torch.eye(6, dtype=torch.float64)
    right = {"a": doubles(2, 4), "b": doubles(2, 2, 1)}

    def product(v):
        flat = torch.cat([v["a"], v["b"].flatten(1)], dim=1)
        moved = (matrices @ flat.unsqueeze(-1)).squeeze(-1)
        return {"a": moved[:, :4], "b": moved[:, 4:].reshape(2, 2, 1)}

    solution = conjugate_gradients(product, right, 6)
    flat = torch.cat([right["a"], right["b"].flatten(1)], dim=1)
    expected = torch.linalg.solve(matrices, flat)
    assert_close(torch.cat([solution["a"], solution["b"].flatten(1)], dim=1), expected)
    again = conjugate_gradients(product, right, 9)  # solved already: further steps change nothing
    assert_close(again["a"], expected[:, :4])


def test_conjugate_gradients_leave_a_task_without_convexity_at_zero():
    right = {"a": torch.tensor([[1.0, 2.0], [1.0, 2.0]])}
    curvature = torch.tensor([[-1.0], [2.0]])
    solution = conjugate_gradients(lambda v: {"a": curvature * v["a"]}, right, 3)
    assert_close(solution["a"], torch.tensor([[0.0, 0.0], [0.5, 1.0]]))


def test_conjugate_gradients_stop_for_good_at_negative_curvature():
    bends, right = torch.tensor([[3.0, -1.0], [3.0, 1.0]]), torch.tensor([[2.0, 1.0], [2.0, 1.0]])

    def solved(steps):
        return conjugate_gradients(lambda v: {"a": bends * v["a"]}, {"a": right}, steps)["a"]

    first = 5 / 11 * right[0]  # along the right side, whose curvature is 3 * 4 - 1 = 11
    for steps in (1, 2, 9):
        assert_close(solved(steps)[0], first)
    assert_close(solved(2)[1], right[1] / bends[1])


def test_conjugate_gradients_stop_at_too_little_curvature():
    right = {"a": torch.ones(2, 1)}
    solution = conjugate_gradients(
        lambda v: {"a": torch.tensor([[0.04], [0.06]]) * v["a"]}, right, 3
    )
    assert_close(solution["a"], torch.tensor([[0.0], [1 / 0.06]]))


@BOTH
def test_imaml_adapts_by_descent_with_a_pull_to_the_start(objective):
    support, _, candidates, _ = world()
    learner = make(
        IMAML, objective=objective, hidden=HIDDEN, inner_steps=2, inner_rate=0.7, pull=0.4
    )
    state = learner.adapt(support, candidates)
    rate = 0.7 * RATES[objective]
    for t, count in enumerate(COUNTS):
        start = leaves(learner, support.prior[t])
        weights = start
        for _ in range(2):
            current = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
            inner = loss_of(
                objective,
                lambda q, w=current: forward(w, q),
                support.x[t, :count],
                support.y[t, :count],
                candidates.x,
                candidates.log_weight,
            ) + 0.2 * sum(((current[name] - start[name].detach()) ** 2).sum() for name in current)
            gradient_by_name = gradients(inner, current)
            weights = {name: current[name] - rate * gradient_by_name[name] for name in current}
        for name in NAMES:
            assert_close(state[name][t], weights[name].detach())


def minimum(learner, pull, start, x, y, candidates, objective):
    """One task's inner minimum by a quasi-Newton method on all weights as one vector."""
    shapes = {name: start[name].shape for name in NAMES}

    def named(flat):
        parts = torch.split(torch.as_tensor(flat), [math.prod(shape) for shape in shapes.values()])
        return {
            name: part.view(shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }

    def value(flat):
        weights = {name: part.clone().requires_grad_() for name, part in named(flat).items()}
        total = loss_of(
            objective, lambda q: forward(weights, q), x, y, candidates.x, candidates.log_weight
        )
        total = total + 0.5 * pull * sum(
            ((weights[name] - start[name]) ** 2).sum() for name in NAMES
        )
        gradient_by_name = gradients(total, weights)
        return total.item(), np.concatenate(
            [gradient_by_name[name].numpy().ravel() for name in NAMES]
        )

    first = np.concatenate([start[name].numpy().ravel() for name in NAMES])
    found = minimize(
        value, first, jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 2000}
    )
    return named(found.x)


@BOTH
def test_imamls_outer_gradient_is_that_of_the_query_loss_at_the_minimum(objective):
    """Against finite differences of the whole: solve the inner problem anew from a start moved a
    little.
    """
    support, query, candidates, negatives = world()
    pull = 2.0
    learner = make(
        IMAML,
        objective=objective,
        hidden=HIDDEN,
        inner_steps=1000,
        inner_rate=0.2,
        pull=pull,
        solver_steps=60,
    )
    prior, x = support.prior.clone().requires_grad_(), support.x.clone().requires_grad_()
    loss = learner.loss(Support(x, support.y, support.mask, prior), query, candidates, negatives)
    loss[0].backward()
    first = {
        name: weight.detach().clone()
        for name, weight in {**learner.head, "prior": support.prior[0]}.items()
    }

    def outer(start, x):
        best = minimum(learner, pull, start, x, support.y[0], candidates, objective)
        query_batch = (
            query.x[0, : QUERIES[0]],
            query.y[0, : QUERIES[0]],
            negatives.x,
            negatives.log_weight[0],
        )
        return loss_of(objective, lambda q: forward(best, q), *query_batch).item()

    assert loss[0].item() == pytest.approx(outer(first, support.x[0]), abs=1e-7)
    assert prior.grad is not None and x.grad is not None
    found = {**{name: weight.grad for name, weight in learner.head.items()}, "prior": prior.grad[0]}
    for name in NAMES:
        index = tuple(size // 2 for size in first[name].shape)
        expected = slope_of(
            lambda shift, n=name, i=index: outer(shifted(first, n, i, shift), support.x[0])
        )
        assert found[name][index].item() == pytest.approx(expected, abs=1e-4)
    moved = slope_of(
        lambda shift: outer(first, shifted({"x": support.x[0]}, "x", (1, 2), shift)["x"])
    )
    assert x.grad[0, 1, 2].item() == pytest.approx(moved, abs=1e-4)


@BOTH
def test_imamls_outer_gradient_depends_on_the_end_of_the_descent_alone(objective):
    """After two steps, far from the minimum, against a system of equations with the whole
    curvature.
    """
    support, query, candidates, negatives = world()
    pull = 8.0  # enough of it for a bowl
    learner = make(
        IMAML, objective=objective, hidden=HIDDEN, inner_steps=2, pull=pull, solver_steps=80
    )
    optimum = {
        name: weight[0].detach() for name, weight in learner.adapt(support, candidates).items()
    }
    loss = learner.loss(support, query, candidates, negatives)[0]
    loss.backward()

    def of_query(*weights):
        query_batch = (
            query.x[0, : QUERIES[0]],
            query.y[0, : QUERIES[0]],
            negatives.x,
            negatives.log_weight[0],
        )
        return loss_of(
            objective, lambda q: forward(dict(zip(NAMES, weights, strict=True)), q), *query_batch
        )

    def of_support(flat):
        parts = torch.split(flat, [optimum[name].numel() for name in NAMES])
        weights = {
            name: part.view(optimum[name].shape) for name, part in zip(NAMES, parts, strict=True)
        }
        return loss_of(
            objective,
            lambda q: forward(weights, q),
            support.x[0],
            support.y[0],
            candidates.x,
            candidates.log_weight,
        )

    current = [optimum[name].requires_grad_() for name in NAMES]
    assert_close(loss, of_query(*current))
    outer_gradient = torch.cat(
        [derivative.flatten() for derivative in torch.autograd.grad(of_query(*current), current)]
    )
    curvature = torch.autograd.functional.hessian(
        of_support, torch.cat([part.detach().flatten() for part in current])
    )
    adjoint = torch.linalg.solve(
        curvature + pull * torch.eye(len(outer_gradient), dtype=torch.float64), outer_gradient
    )
    expected = torch.split(pull * adjoint, [part.numel() for part in current])
    for name, part in zip(NAMES[:-1], expected[:-1], strict=True):
        assert_close(learner.head[name].grad.flatten(), part, rtol=1e-5, atol=1e-8)


def slope_of(function, step=1e-3):
    return (function(step) - function(-step)) / (2 * step)


def shifted(weights, name, index, shift):
    moved = weights[name].clone()
    moved[index] += shift
    return {**weights, name: moved}


def compressed(signal):
    if abs(signal) >= math.exp(-10):
        return math.log(abs(signal)) / 10, math.copysign(1.0, signal)
    return -1.0, math.exp(10) * signal


@BOTH
def test_meta_rnn_is_an_lstm_whose_gates_read_gradient_loss_weight_and_gate_before(objective):
    """One weight of each layer at a time, one task at a time, over two steps."""
    support, _, candidates, _ = world()
    learner = make(MetaRNN, objective=objective, hidden=HIDDEN, inner_steps=2)
    state = learner.adapt(support, candidates)
    reach = learner.log_reach.exp().item()
    for t, count in enumerate(COUNTS):
        weights = {
            name: weight.detach() for name, weight in leaves(learner, support.prior[t]).items()
        }
        before = {name: (np.zeros(w.numel()), np.zeros(w.numel())) for name, w in weights.items()}
        for _ in range(2 if count else 0):
            current = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
            batch = (
                support.x[t, :count],
                support.y[t, :count],
                candidates.x,
                candidates.log_weight,
            )
            loss = loss_of(objective, lambda q, w=current: forward(w, q), *batch)
            gradient_by_name = gradients(loss, current)
            for name, weight in weights.items():
                flat, slopes = weight.flatten().clone(), gradient_by_name[name].flatten()
                for i in range(len(flat)):
                    signals = [
                        *compressed(slopes[i].item()),
                        *compressed(loss.item()),
                        flat[i].item(),
                    ]
                    admit = reach * opened(learner.admit[name], [*signals, before[name][0][i]])
                    keep = opened(learner.keep[name], [*signals, before[name][1][i]])
                    before[name][0][i], before[name][1][i] = admit, keep
                    flat[i] = keep * flat[i] - admit * slopes[i]
                weights[name] = flat.view_as(weight)
        for name in NAMES:
            assert_close(state[name][t], weights[name])


def opened(gate, signals):
    total = (gate.weight[0] * torch.tensor(signals, dtype=torch.float64)).sum() + gate.bias[0]
    return total.sigmoid().item()


@BOTH
def test_meta_rnn_with_gates_at_rate_and_one_is_gradient_descent_step_for_step(objective):
    support, _, candidates, _ = world()
    rate = 0.2
    for steps in (1, 2, 5):
        learner = make(MetaRNN, objective=objective, hidden=HIDDEN, inner_steps=steps)
        with torch.no_grad():
            for gate in (*learner.admit.values(), *learner.keep.values()):
                gate.weight.zero_()
            for gate in learner.admit.values():
                gate.bias.zero_()
            for gate in learner.keep.values():
                gate.bias.fill_(40.0)
            learner.log_reach.fill_(math.log(2 * rate))
        plain = make(
            MetaRNN, objective=objective, hidden=HIDDEN, inner_steps=steps, fixed_rate=rate
        )
        plain.load_state_dict(learner.state_dict(), strict=False)
        gated, fixed = learner.adapt(support, candidates), plain.adapt(support, candidates)
        for t, count in enumerate(COUNTS):
            batch = (
                support.x[t, :count],
                support.y[t, :count],
                candidates.x,
                candidates.log_weight,
            )
            end = descended(
                learner, leaves(learner, support.prior[t]), [batch] * steps, rate, objective
            )
            for name in NAMES:
                assert_close(gated[name][t], end[name])
                assert_close(fixed[name][t], end[name])


@BOTH
def test_untrained_meta_rnn_starts_near_gradient_descent_at_the_usual_rate(objective):
    learner = MetaRNN(DIM, objective=objective, hidden=HIDDEN)
    for name in NAMES:
        signals = torch.randn(6)
        admitted, kept = (
            gate[name](signals).sigmoid().item() for gate in (learner.admit, learner.keep)
        )
        assert admitted * learner.log_reach.exp().item() == pytest.approx(RATES[objective])
        assert kept == pytest.approx(0.9933, abs=1e-4)


def test_meta_rnn_compresses_signals_by_size_and_sign():
    from warmstart.learners.meta_rnn import _log_and_sign

    signals = [3.0, -0.5, 2e-5, -2e-5, 0.0, math.exp(-10), -1e-3]
    size, sign = _log_and_sign(torch.tensor(signals, dtype=torch.float64))
    expected = [compressed(signal) for signal in signals]
    assert_close(size, torch.tensor([e[0] for e in expected], dtype=torch.float64))
    assert_close(sign, torch.tensor([e[1] for e in expected], dtype=torch.float64))


@pytest.mark.parametrize("fixed_rate", [0.0, 0.1])
def test_meta_rnn_takes_loss_and_gradient_for_constants(fixed_rate):
    support, _, candidates, _ = world()
    learner = make(MetaRNN, objective="rating", hidden=HIDDEN, inner_steps=1, fixed_rate=fixed_rate)
    x = support.x.clone().requires_grad_()
    state = learner.adapt(Support(x, support.y, support.mask, support.prior), candidates)
    assert not any(
        g is not None for g in torch.autograd.grad(state["output"].sum(), x, allow_unused=True)
    )


@BOTH
def test_fine_tuning_is_plain_gradient_descent_on_a_linear_head(objective):
    support, _, candidates, _ = world()
    learner = make(FineTune, objective=objective, inner_steps=3, inner_rate=0.15)
    state = learner.adapt(support, candidates)
    items = doubles(2, DIM)
    for t, count in enumerate(COUNTS):
        weights = support.prior[t]
        for _ in range(3):
            current = weights.detach().clone().requires_grad_()
            batch = (
                support.x[t, :count],
                support.y[t, :count],
                candidates.x,
                candidates.log_weight,
            )
            weights = (
                current
                - 0.15
                * torch.autograd.grad(
                    loss_of(objective, lambda q, w=current: q @ w, *batch), current
                )[0]
            )
        assert_close(state[t], weights.detach())
        assert_close(learner.score(state, items)[t], items @ weights.detach())


@BOTH
def test_pre_training_predicts_the_query_from_the_last_known_event_and_from_none(objective):
    support, query, candidates, negatives = world()
    learner = make(FineTune, objective=objective)
    loss = learner.loss(support, query, candidates, negatives)
    for t, (count, queries) in enumerate(zip(COUNTS, QUERIES, strict=True)):
        weights = support.prior[t].clone()
        if count:
            x, y = support.x[t, count - 1], support.y[t, count - 1]
            residual = y if objective == "ranking" else y - x @ support.prior[t]
            weights += learner.log_gain.exp().item() * residual * x
        query_batch = (
            query.x[t, :queries],
            query.y[t, :queries],
            negatives.x,
            negatives.log_weight[t],
        )
        informed, bare = (
            loss_of(objective, lambda q, w=w: q @ w, *query_batch)
            for w in (weights, support.prior[t])
        )
        assert_close(loss[t], 0.75 * informed + 0.25 * bare)


def test_fine_tuning_leaves_the_inner_loop_out_of_its_training():
    support, query, candidates, negatives = world()
    few, many = make(FineTune, inner_steps=1), make(FineTune, inner_steps=9, inner_rate=3.0)
    assert_close(
        few.loss(support, query, candidates, negatives),
        many.loss(support, query, candidates, negatives),
    )
