"""Meta-learning beyond recommendation: MAML as a plain loop has it, prototypes, training."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from warmstart.meta import LOSSES, Episode, GradientDescent, Prototypes, meta_train

TASKS, SHOTS, QUERIES, WIDTH = 3, 4, 5, 2


def network(outputs: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(WIDTH, 7), nn.Tanh(), nn.Linear(7, outputs))


def episode(objective: str = "rating", seed: int = 1) -> Episode:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(TASKS, SHOTS + QUERIES, WIDTH))
    if objective == "classification":
        return Episode.split(x, rng.integers(0, 3, (TASKS, SHOTS + QUERIES)), SHOTS)
    if objective == "ranking":
        return Episode.split(x, (rng.random((TASKS, SHOTS + QUERIES)) < 0.5).astype(int), SHOTS)
    return Episode.split(x, rng.normal(size=(TASKS, SHOTS + QUERIES)), SHOTS)


def by_hand(
    net: nn.Module, one: Episode, objective: str, steps: int, first_order: bool
) -> torch.Tensor:
    """The outer loss of MAML, task by task, with torch.autograd."""
    losses = []
    for x, y, query_x, query_y in zip(*one, strict=True):
        weights = dict(net.named_parameters())
        for _ in range(steps):
            predicted = torch.func.functional_call(net, weights, (x,))
            loss = loss_of(objective, predicted, y)
            found = torch.autograd.grad(loss, list(weights.values()), create_graph=not first_order)
            weights = {
                name: w - 0.1 * g for (name, w), g in zip(weights.items(), found, strict=True)
            }
        losses.append(
            loss_of(objective, torch.func.functional_call(net, weights, (query_x,)), query_y)
        )
    return torch.stack(losses).mean()


def loss_of(objective: str, predicted: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if objective == "classification":
        return nn.functional.cross_entropy(predicted, y)
    scores = predicted.squeeze(-1)
    if objective == "rating":
        return ((scores - y) ** 2).mean()
    log_chance = scores.log_softmax(dim=0)
    return -log_chance[y > 0].sum() / max(int((y > 0).sum()), 1)


@pytest.mark.parametrize("objective", ["rating", "classification", "ranking"])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("first_order", [False, True])
def test_loss_and_gradient_are_those_of_a_plain_loop(objective, steps, first_order):
    net = network(3 if objective == "classification" else 1)
    other = copy.deepcopy(net)
    learner = GradientDescent(
        net, objective=objective, inner_steps=steps, inner_rate=0.1, first_order=first_order
    )
    one = episode(objective)
    loss, expected = (
        learner(one, np.random.default_rng(0)),
        by_hand(other, one, objective, steps, first_order),
    )
    assert_close(loss, expected)
    loss.backward()
    expected.backward()
    for found, wanted in zip(net.parameters(), other.parameters(), strict=True):
        assert_close(found.grad, wanted.grad)


def test_a_batch_is_each_task_alone():
    learner, one = GradientDescent(network(), objective="rating"), episode()
    whole = learner.score(learner.adapt(one.support_x, one.support_y), one.query_x)
    for t in range(TASKS):
        own = slice(t, t + 1)
        state = learner.adapt(one.support_x[own], one.support_y[own])
        assert_close(learner.score(state, one.query_x[own]), whole[own])


def test_a_rate_may_be_learned():
    learner = GradientDescent(network(), objective="rating", learn_rate=True)
    learner(episode(), np.random.default_rng(0)).backward()
    assert learner.log_rate.grad is not None and learner.log_rate.grad.abs().sum() > 0
    assert not GradientDescent(network(), objective="rating").log_rate.requires_grad


def test_prototypes_are_class_means_and_the_nearest_wins():
    x = torch.tensor([[[0.0, 0.0], [0.0, 2.0], [4.0, 0.0]]])
    learner = Prototypes(nn.Identity())
    state = learner.adapt(x, torch.tensor([[0, 0, 1]]))
    assert_close(state, torch.tensor([[[0.0, 1.0], [4.0, 0.0]]]))
    logits = learner.score(state, torch.tensor([[[1.0, 1.0], [4.0, 1.0]]]))
    assert_close(logits, torch.tensor([[[-1.0, -10.0], [-16.0, -1.0]]]))


def test_training_lowers_the_loss_and_the_seed_decides(tmp_path):
    def waves(rng: np.random.Generator) -> Episode:
        slope = rng.normal(size=(8, 1))
        x = rng.normal(size=(8, 10, WIDTH))
        return Episode.split(x, slope * x[..., 0], shots=5)

    def fit(checkpoint=None) -> tuple[float, list[float]]:
        learner = GradientDescent(network(), objective="rating", inner_rate=0.1)
        curve = meta_train(
            learner, waves, steps=60, learning_rate=0.01, validate_every=30, checkpoint=checkpoint
        )
        total = sum(float(p.detach().sum()) for p in learner.parameters())
        return total, curve.means

    first, means = fit()
    assert means[-1] > means[0] + 0.05
    assert fit()[0] == first
    assert fit(tmp_path / "c")[0] == first and fit(tmp_path / "c")[0] == first


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Episode.split(np.zeros((2, 3, 1)), np.zeros((2, 4)), 1), r"x is \(T, N, \.\.\.\)"),
        (lambda: Episode.split(np.zeros((2, 3, 1)), np.zeros((2, 3)), 3), "from 1 to 2, not 3"),
        (lambda: GradientDescent(network(), objective="joy"), "objective is one of rating, class"),
    ],
)
def test_wrong_calls_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_task_without_relevant_examples_has_no_ranking_loss():
    scores, y = torch.randn(2, 4), torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0]])
    assert LOSSES["ranking"](scores, y)[0] == 0
