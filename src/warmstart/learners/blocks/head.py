"""Head: a small network over item vectors, of whose weights every task has its own version.

Learners that adapt by changing weights share it: initial weights, scores under given weights, and
the gradient of a support set's loss. All of it is batched over tasks.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad

from warmstart.learners.base import Items, Scores, Support, Weights
from warmstart.learners.objectives import CandidateSet, Objective, ranking

HeadWeights = dict[str, Tensor]
"""Weights by layer, each (T, ...); "prior" (T, D) is the linear part that the profile gives."""
ADAPTED_LAYERS = {
    "all": ("represent", "bend", "hidden", "offset", "output", "prior"),
    "decision": ("hidden", "offset", "output", "prior"),
    "output": ("output", "prior"),
}
"""The layers that a task may adapt: all, those above the representation, or the last alone."""
INNER_RATE = {"ranking": 0.5, "rating": 0.1}
"""The initial inner rate: gradients of a softmax are small, those of a squared error large."""

Hidden = Float[Tensor, "T N H"]


class Activations(NamedTuple):
    """The activations of N items in the layers of each task's head."""

    first: Hidden
    second: Hidden
    scores: Float[Tensor, "T N"]


def init_head(dim: int, hidden: int) -> nn.ParameterDict:
    """Random weights of two hidden layers and a linear output; the prior comes with the task."""
    # The scales keep the variance of activations whatever the width.
    return nn.ParameterDict(
        {
            "represent": torch.randn(dim, hidden) * dim**-0.5,
            "bend": torch.zeros(hidden),
            "hidden": torch.randn(hidden, hidden) * hidden**-0.5,
            "offset": torch.zeros(hidden),
            "output": torch.randn(hidden) * hidden**-0.5,
        }
    )


def expand_to_tasks(head: nn.ParameterDict, prior: Weights) -> HeadWeights:
    """The initial weights of T tasks: the same head for all, and each one's own prior."""
    shared = {name: weight.expand(len(prior), *weight.shape) for name, weight in head.items()}
    return {**shared, "prior": prior}


def head_scores(weights: HeadWeights, x: Items) -> Scores:
    """The scores of Q items under each task's weights: (T, Q)."""
    return _forward(weights, x).scores


def support_loss(
    objective: Objective, weights: HeadWeights, support: Support, candidates: CandidateSet
) -> Float[Tensor, " T"]:
    """The loss of each task's weights on its own support set: (T,)."""
    return objective(
        lambda x: head_scores(weights, x), support.x, support.y, support.mask, candidates
    )


def support_gradient(
    objective: Objective,
    weights: HeadWeights,
    adapted: Sequence[str],
    support: Support,
    candidates: CandidateSet,
) -> HeadWeights:
    """The gradient of each task's support loss by its adapted weights, itself differentiable.

    The backward pass through the head is written out: to differentiate a formula costs less than to
    differentiate a gradient.
    """
    examples = _forward(weights, support.x)
    if objective is not ranking:
        (by_score,) = _score_gradients(objective, support, candidates, examples)
        return _backward(weights, adapted, support.x, examples, by_score)
    # A softmax depends on the scores of the candidates as well, and so on the weights through them.
    others = _forward(weights, candidates.x)
    by_score, by_other = _score_gradients(objective, support, candidates, examples, others)
    of_examples = _backward(weights, adapted, support.x, examples, by_score)
    of_others = _backward(weights, adapted, candidates.x, others, by_other)
    return {name: of_examples[name] + of_others[name] for name in adapted}


def rowwise_products(weights: Weights, x: Items) -> Scores:
    """The product of each item with each task's weights, faster on a CPU than `project`."""
    return weights @ x.mT if x.ndim == 2 else (weights.unsqueeze(1) @ x.mT).squeeze(1)


def weighted_sum(shares: Scores, x: Items) -> Weights:
    """The sum of the items of each task, each times its share: (T, Q), (T, Q, D) -> (T, D)."""
    return shares @ x if x.ndim == 2 else (shares.unsqueeze(1) @ x).squeeze(1)


class FastTanh(torch.autograd.Function):
    """tanh in less time, twice differentiable."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return fast_tanh_(x.clone())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        return tanh_gradient(gradient[0], ctx.saved_tensors[0])


def fast_tanh_(x: Tensor) -> Tensor:
    """tanh in place, as a scaled sigmoid, which takes a CPU a fifth of the time."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def tanh_gradient(gradient: Tensor, value: Tensor) -> Tensor:
    """The gradient before a tanh from that after it and its value: `gradient * (1 - value**2)`."""
    return torch.ops.aten.tanh_backward(gradient, value)


def tanh_gradient_(gradient: Tensor, value: Tensor) -> Tensor:
    """`tanh_gradient` in place, for gradients that autograd does not follow."""
    return torch.ops.aten.tanh_backward.grad_input(gradient, value, grad_input=gradient)


def _forward(weights: HeadWeights, x: Items) -> Activations:
    weight1, bias1 = weights["represent"], weights["bend"]
    weight2, bias2 = weights["hidden"], weights["offset"]
    first = FastTanh.apply(_first_layer(weight1, x) + bias1.unsqueeze(1))
    second = FastTanh.apply(first @ weight2 + bias2.unsqueeze(1))
    scores = rowwise_products(weights["output"], second) + rowwise_products(weights["prior"], x)
    return Activations(first, second, scores)


def _first_layer(weight1: Tensor, x: Items) -> Hidden:
    """Items times weights: shared items meet all tasks' weights in one large product."""
    return torch.einsum("nd,tdh->tnh", x, weight1) if x.ndim == 2 else x @ weight1


def _score_gradients(
    objective: Objective, support: Support, candidates: CandidateSet, *groups: Activations
) -> tuple[Tensor, ...]:
    """The gradient of the loss by the scores: of the examples, and of the candidates if given."""

    def total_loss(*scores: Tensor) -> Tensor:
        def score(x: Tensor) -> Tensor:
            return scores[-1] if x is candidates.x else scores[0]

        return objective(score, support.x, support.y, support.mask, candidates).sum()

    # The sum over tasks separates them: no loss depends on the scores of another task.
    by_scores = grad(total_loss, argnums=tuple(range(len(groups))))
    return by_scores(*(activations.scores for activations in groups))


def _backward(
    weights: HeadWeights,
    adapted: Sequence[str],
    x: Items,
    activations: Activations,
    by_score: Scores,
) -> HeadWeights:
    """The gradient by the adapted weights, no further down than the lowest of them."""
    first, second, _ = activations
    found = {"output": weighted_sum(by_score, second), "prior": weighted_sum(by_score, x)}
    # Each further layer costs two large products, which a task that keeps it need not pay.
    if "hidden" in adapted:
        by_second = tanh_gradient(by_score.unsqueeze(-1) * weights["output"].unsqueeze(1), second)
        found |= {"hidden": first.mT @ by_second, "offset": by_second.sum(dim=1)}
        if "represent" in adapted:
            by_first = tanh_gradient(by_second @ weights["hidden"].mT, first)
            found |= {"represent": _outer_sum(x, by_first), "bend": by_first.sum(dim=1)}
    return {name: found[name] for name in adapted}


def _outer_sum(x: Items, gradient: Hidden) -> Tensor:
    """The sum of the outer products of items and gradients: (T, N, D), (T, N, H) -> (T, D, H)."""
    return torch.einsum("nd,tnh->tdh", x, gradient) if x.ndim == 2 else x.mT @ gradient
