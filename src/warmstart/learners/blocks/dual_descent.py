"""Dual form of gradient descent on ratings: steps of the whole head, written on the examples.

The gradient by the first layer is a sum over the examples, so that after any number of steps that
layer is `weight1 - x.mT @ coefficients`, with a row of coefficients for each example (the kernel
trick, as in a dual perceptron). Its effect on an item follows from the item's products with the
examples (a Gram matrix), so no task needs a first layer of its own, by far the largest part of its
weights. The same holds for the prior. Tasks of similar length are grouped, and the backward pass is
written out, second order included. With long vectors and support sets this takes a third of the
time that descent by `head.support_gradient` takes.
"""

from functools import reduce
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from warmstart.learners.base import Mask, Scores, Support, Vectors
from warmstart.learners.blocks.dual_steps import (
    DualState,
    KernelRows,
    Step,
    adapted_rows,
    gram_gradient,
    head_activations,
    head_gradient,
    next_state,
    rates_gradient,
    step_backward,
)
from warmstart.learners.blocks.head import Hidden, rowwise_products, weighted_sum

VECTOR_LAYERS = ("bend", "offset", "output")
RATE_NAMES = ("represent", "hidden", *VECTOR_LAYERS, "prior")
"""The layers in the order of their rates."""
MIN_GROUP_ROWS, MAX_GROUPS = 1000, 5
"""Examples of the smallest group of tasks, padding included, and the most groups.

On a CPU each group costs half a millisecond.
"""


class Group(NamedTuple):
    """Tasks of similar length, and the number of columns up to the last example of any of them."""

    tasks: Int64[Tensor, " T"]
    length: int


def scores_after_descent(
    head: nn.ParameterDict,
    rates: Float[Tensor, "6"],
    support: Support,
    x: Vectors,
    *,
    steps: int,
    first_order: bool,
) -> Scores:
    """The scores of each task's own items after `steps` of descent on its squared error: (T, Q).

    `rates` are those of the layers in `RATE_NAMES`.
    """
    groups = group_by_length(support.mask)
    # Tasks stand in the order of their groups until the end, so that a group is one slice.
    order, sizes = torch.cat([group.tasks for group in groups]), [len(g.tasks) for g in groups]
    x, prior = x.index_select(0, order), support.prior.index_select(0, order)
    rows = x, prior, x @ head["represent"], rowwise_products(prior, x)
    shots = support.mask.sum(dim=1, keepdim=True).clamp(min=1)
    share = 2 * support.mask.to(support.y.dtype) / shots  # d loss / d score = share * (score - y)
    above = head["hidden"], torch.stack([head[name] for name in VECTOR_LAYERS]), rates
    examples_of = GatherGroups.apply(support.x.detach() if first_order else support.x, groups)
    scores = []
    parts = zip(groups, examples_of, *(part.split(sizes) for part in rows), strict=True)
    for group, examples, items, priors, *item_rows in parts:
        gram = examples @ (examples if steps > 1 else examples[:, :0]).mT  # one step needs none
        example_rows = examples @ head["represent"], rowwise_products(priors, examples), gram
        item_gram = items @ examples.mT
        constants = _of_group(group, support.y), _of_group(group, share), steps, first_order
        scores.append(DualDescent.apply(*example_rows, *item_rows, item_gram, *above, *constants))
    return torch.cat(scores)[order.argsort()]


def group_by_length(mask: Mask) -> list[Group]:
    """All tasks in order of length, in groups, each padded to the longest task of its own alone."""
    position = torch.arange(mask.shape[1] + 1, device=mask.device)
    length = (position * torch.cat([mask.new_zeros(len(mask), 1), mask], dim=1)).amax(dim=1)
    most = 1 if mask.is_cuda else min(MAX_GROUPS, len(mask))
    n_groups = max(1, min(most, mask.numel() // MIN_GROUP_ROWS))
    parts = length.argsort(stable=True).tensor_split(n_groups)
    return [Group(tasks, int(length[tasks[-1]])) for tasks in parts]


def _of_group(group: Group, column: Tensor) -> Tensor:
    return column.narrow(1, 0, group.length).index_select(0, group.tasks)


class GatherGroups(torch.autograd.Function):
    """The examples of each group, with a backward pass that fills one gradient of full size.

    Indexing alone would give one gradient of full size for each group.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: list[Group]) -> tuple[Tensor, ...]:
        ctx.shape, ctx.groups = x.shape, groups
        return tuple(_of_group(group, x) for group in groups)

    @staticmethod
    @once_differentiable  # which hides the name of ctx
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        whole = gradients[0].new_zeros(ctx.shape)
        for group, gradient in zip(ctx.groups, gradients, strict=True):
            whole.narrow(1, 0, group.length).index_copy_(0, group.tasks, gradient)
        return whole, None


class DualDescent(torch.autograd.Function):
    """The scores of rows after the descent on examples, with a backward pass written out.

    Its arguments are the fields of the examples as `KernelRows` (0 to 2), of the rows (3 to 5),
    `hidden`, `vectors` and `rates` (6 to 8), and last the constants: the ratings, the share of each
    in the gradient, the number of steps, and whether to stop at first order.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        examples, rows = KernelRows(*arguments[:3]), KernelRows(*arguments[3:6])
        hidden, vectors, rates, y, share, steps, ctx.first_order = arguments[6:]
        zeros = [part.new_zeros(1).expand_as(part) for part in (examples.first, examples.base)]
        state = DualState(hidden, vectors.expand(len(y), -1, -1), *zeros)
        ctx.steps = []
        for _ in range(steps):
            current = adapted_rows(examples, state) if ctx.steps else examples
            activations = head_activations(current, state)
            error = (activations.scores - y) * share
            gradient = head_gradient(error, activations, state)
            ctx.steps.append(Step(state, activations, error, gradient))
            state = next_state(ctx.steps[-1], rates)
        activations = head_activations(adapted_rows(rows, state), state)
        ctx.save_for_backward(examples.gram, rows.gram, rates, share)
        ctx.state, ctx.activations = state, activations
        # A copy: a result that its own graph held would only be freed by the garbage collector.
        return activations.scores.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        gram, rows_gram, rates, share = ctx.saved_tensors
        (by_score,) = gradient
        end = head_gradient(by_score, ctx.activations, ctx.state)
        # The gradient by the state after the last step, carried back step by step.
        adjoint = DualState(
            end.hidden,
            end.vectors,
            -(rows_gram.mT @ end.first),
            -weighted_sum(by_score, rows_gram),
        )
        by_rates, by_gram = torch.zeros_like(rates), torch.zeros_like(gram)
        by_examples: list[tuple[Hidden, Scores]] = []
        for step in reversed(ctx.steps):
            if ctx.needs_input_grad[8]:
                by_rates += rates_gradient(adjoint, step)
            if ctx.first_order:
                continue
            adjoint, first, base = step_backward(step, adjoint, rates, share)
            by_examples.append((first, base))
            if step is not ctx.steps[0]:  # whose coefficients are zero, and constant
                adjoint.coefficients.baddbmm_(gram, first, alpha=-1)
                adjoint.prior_coefficients.sub_(weighted_sum(base, gram))
                if ctx.needs_input_grad[2]:
                    by_gram += gram_gradient(first, base, step.state)
        sums = [reduce(torch.add, parts) for parts in zip(*by_examples, strict=True)]
        by_rows_gram = (
            gram_gradient(end.first, by_score, ctx.state) if ctx.needs_input_grad[5] else None
        )
        above = adjoint.hidden.sum(dim=0), adjoint.vectors.sum(dim=0), by_rates
        constants = (None, None, None, None)
        first_and_base = sums or [None, None]
        return *first_and_base, by_gram, end.first, by_score, by_rows_gram, *above, *constants
