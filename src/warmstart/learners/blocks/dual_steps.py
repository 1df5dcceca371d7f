"""One step of descent in dual form, and its backward pass written out; see `dual_descent`."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from warmstart.learners.base import Scores
from warmstart.learners.blocks.head import (
    Activations,
    Hidden,
    fast_tanh_,
    rowwise_products,
    tanh_gradient,
    tanh_gradient_,
    weighted_sum,
)


class KernelRows(NamedTuple):
    """Rows (items or examples) under the initial first layer and prior, and their Gram matrix."""

    first: Hidden  # x @ weight1
    base: Scores  # x @ prior
    gram: Float[Tensor, "T N S"]  # products with the examples


class DualState(NamedTuple):
    """Weights of T tasks during the descent: as such above the first layer, else coefficients."""

    hidden: Tensor  # (T, H, H), or (H, H) at the beginning, where all tasks share it
    vectors: Float[Tensor, "T 3 H"]  # first bias, second bias, output
    coefficients: Hidden
    prior_coefficients: Scores


class HeadGradient(NamedTuple):
    """Gradient of a loss by the weights above the first layer, and by the layers of each row."""

    hidden: Float[Tensor, "T H H"]
    vectors: Float[Tensor, "T 3 H"]
    first: Hidden  # before its tanh
    middle: Hidden  # after it
    second: Hidden  # before its tanh


class Step(NamedTuple):
    """One step of the descent: the state before it, activations, errors and gradient."""

    state: DualState
    activations: Activations
    error: Scores  # the gradient of the inner loss by the scores
    gradient: HeadGradient


class GradientAdjoint(NamedTuple):
    """Gradient of the outer loss by the parts of a `HeadGradient` and by its scores."""

    first: Hidden
    middle: Hidden
    second: Hidden
    top: Hidden
    score: Scores


def adapted_rows(rows: KernelRows, state: DualState) -> KernelRows:
    """Rows under the first layer and prior that the coefficients stand for."""
    first = torch.baddbmm(rows.first, rows.gram, state.coefficients, alpha=-1)
    base = rows.base - rowwise_products(state.prior_coefficients, rows.gram)
    return rows._replace(first=first, base=base)


def head_activations(rows: KernelRows, state: DualState) -> Activations:
    """The forward pass of the head above the first layer's product."""
    bias1, bias2, output = state.vectors.unbind(dim=1)
    first = fast_tanh_(rows.first + bias1.unsqueeze(1))
    second = fast_tanh_((first @ state.hidden).add_(bias2.unsqueeze(1)))
    return Activations(first, second, rowwise_products(output, second) + rows.base)


def head_gradient(by_score: Scores, activations: Activations, state: DualState) -> HeadGradient:
    """The backward pass of the head: the gradient of a loss, given that by the scores."""
    first, second, _ = activations
    by_second = tanh_gradient_(by_score.unsqueeze(-1) * state.vectors[:, 2:], second)  # (T, N, H)
    middle = by_second @ state.hidden.mT
    by_first = tanh_gradient(middle, first)
    by_output = weighted_sum(by_score, second)
    vectors = torch.stack([by_first.sum(dim=1), by_second.sum(dim=1), by_output], dim=1)
    return HeadGradient(first.mT @ by_second, vectors, by_first, middle, by_second)


def next_state(step: Step, rates: Tensor) -> DualState:
    """The state after the step: each part less its rate times its gradient."""
    weight1, hidden, *_, prior = rates.tolist()
    state, gradient = step.state, step.gradient
    return DualState(
        torch.add(state.hidden, gradient.hidden, alpha=-hidden),
        state.vectors - rates[2:5].unsqueeze(-1) * gradient.vectors,
        torch.add(state.coefficients, gradient.first, alpha=weight1),
        torch.add(state.prior_coefficients, step.error, alpha=prior),
    )


def rates_gradient(adjoint: DualState, step: Step) -> Float[Tensor, "6"]:
    """The gradient of the outer loss by the rates of one step, given that by the state after it."""
    hidden, vectors, first, *_ = step.gradient
    return torch.cat(
        [
            _dot(adjoint.coefficients, first),
            -_dot(adjoint.hidden, hidden),
            -(adjoint.vectors * vectors).sum(dim=(0, 2)),
            _dot(adjoint.prior_coefficients, step.error),
        ]
    )


def _dot(a: Tensor, b: Tensor) -> Float[Tensor, "1"]:
    return torch.dot(a.flatten(), b.flatten()).view(1)


def step_backward(
    step: Step, adjoint: DualState, rates: Tensor, share: Scores
) -> tuple[DualState, Hidden, Scores]:
    """The gradient of the outer loss by the state before a step and by the rows of the examples.

    `adjoint` is the gradient by the state after it. The rows count as `KernelRows.first` and
    `base`. The order is that of reverse differentiation: what was computed last in the step (the
    gradient) comes first, and then the activations, on which the gradient depends as well.
    """
    by_vectors = -rates[2:5].unsqueeze(-1) * adjoint.vectors  # (T, 3, H)
    up = _through_gradient(step, adjoint, by_vectors, rates, share)
    by_first, by_second = _through_activations(step, adjoint, by_vectors, up, rates)
    z1, z2, _ = step.activations
    by_output = weighted_sum(step.error, up.top) + weighted_sum(up.score, z2)
    vectors = torch.stack([by_first.sum(dim=1), by_second.sum(dim=1), by_output], dim=1)
    before = adjoint._replace(
        hidden=adjoint.hidden.baddbmm_(up.middle.mT, step.gradient.second).baddbmm_(
            z1.mT, by_second
        ),
        vectors=adjoint.vectors + vectors,
    )
    return before, by_first, up.score


def _through_gradient(
    step: Step, adjoint: DualState, by_vectors: Tensor, rates: Tensor, share: Scores
) -> GradientAdjoint:
    """Back through `head_gradient`, from the first layer up to the error of the scores."""
    weight1_rate, hidden_rate, *_, prior_rate = rates.tolist()
    z1, z2, _ = step.activations
    by_bias1, by_bias2, by_output = by_vectors.unbind(dim=1)  # (T, H) each
    output = step.state.vectors[:, 2]
    first = torch.add(by_bias1.unsqueeze(1), adjoint.coefficients, alpha=weight1_rate)  # (T, S, H)
    middle = tanh_gradient(first, z1)
    second = (middle @ step.state.hidden).baddbmm_(z1, adjoint.hidden, alpha=-hidden_rate)
    second.add_(by_bias2.unsqueeze(1))
    top = tanh_gradient(second, z2)  # by the product of error and output weights
    score = rowwise_products(output, top) + rowwise_products(by_output, z2)  # (T, S)
    score = score.add_(adjoint.prior_coefficients, alpha=prior_rate).mul_(share)
    return GradientAdjoint(first, middle, second, top, score)


def _through_activations(
    step: Step, adjoint: DualState, by_vectors: Tensor, up: GradientAdjoint, rates: Tensor
) -> tuple[Hidden, Hidden]:
    """Back through `head_activations`: gradients by both layers before their tanh, (T, S, H) each.

    It overwrites `up.first` and `up.second`, which nobody needs any more: these tensors are the
    largest.
    """
    hidden_rate = rates.tolist()[1]
    (z1, z2, _), error, gradient = step.activations, step.error, step.gradient
    output, by_output = step.state.vectors[:, 2], by_vectors[:, 2]
    # The slope of tanh, 1 - z^2, is a factor of the gradient: its own derivative is -2 z.
    by_z2 = up.second.mul_(z2).mul_((-2 * error).unsqueeze(-1)).mul_(output.unsqueeze(1))
    # Both remaining terms, error x by_output + score x output, as one product of rank 2.
    by_z2.baddbmm_(torch.stack([error, up.score], dim=-1), torch.stack([by_output, output], dim=1))
    by_second = tanh_gradient_(by_z2, z2)
    by_z1 = up.first.mul_(gradient.middle).mul_(z1)
    by_z1.baddbmm_(gradient.second, adjoint.hidden.mT, beta=-2, alpha=-hidden_rate)
    by_first = tanh_gradient_(by_z1.add_(by_second @ step.state.hidden.mT), z1)
    return by_first, by_second


def gram_gradient(first: Hidden, base: Scores, state: DualState) -> Float[Tensor, "T N S"]:
    """The gradient by a Gram matrix, given that by the rows adapted with it."""
    by_base = base.unsqueeze(-1) * state.prior_coefficients.unsqueeze(1)
    return -(first @ state.coefficients.mT + by_base)
