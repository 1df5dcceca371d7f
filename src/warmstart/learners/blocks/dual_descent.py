"""The dual form of descent on ratings: gradient steps of the whole head, written on the examples.

The gradient of the first layer is a sum over the examples, so that steps turn it into `represent -
x.mT @ pull`, with a row of `pull` for each example. What that changes for an item lies in its
overlaps with the examples: no task needs a first layer of its own, by far the largest part of its
weights. The same holds for the prior. Tasks of like length are kept together, and the way back is
written out, second order included. With long vectors and support sets this takes a third of the
time that descent by `slope` takes.
"""

from functools import reduce
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from warmstart.learners.base import Mask, Scores, Support, Vectors
from warmstart.learners.blocks.head import (
    Activations,
    Hidden,
    fast_tanh_,
    rowwise_products,
    tanh_gradient,
    tanh_gradient_,
    weighted_sum,
)

VECTORS = ("bend", "offset", "output")
RATE_NAMES = ("represent", "hidden", *VECTORS, "prior")
"""The layers in the order of their rates."""
MIN_GROUP_ROWS, MAX_GROUPS = 1000, 5
"""No group of tasks has fewer rows, and there are no more groups: on a CPU each costs half a
millisecond.
"""


class Group(NamedTuple):
    """Tasks of like length, and the place of the last example that any of them has."""

    tasks: Int64[Tensor, "T"]
    length: int


class Rows(NamedTuple):
    """What the first layer and the prior make of rows at the start, and how the rows overlap with
    the examples.
    """

    first: Hidden
    base: Scores
    overlaps: Float[Tensor, "T N S"]


class Place(NamedTuple):
    """Where T tasks are in their descent: weights above the first layer, below it how hard each
    example has pulled.
    """

    hidden: Tensor  # (T, H, H), or (H, H) where all start
    vectors: Float[Tensor, "T 3 H"]
    pull: Hidden
    prior_pull: Scores


class Slope(NamedTuple):
    """How fast a loss grows with the weights above the first layer, and with the layers of each
    row.
    """

    hidden: Float[Tensor, "T H H"]
    vectors: Float[Tensor, "T 3 H"]
    first: Hidden  # before its tanh
    middle: Hidden  # after it
    second: Hidden  # before its tanh


class Step(NamedTuple):
    """A step that was taken: from where, what the head made of the examples, how wrong that was,
    and the way down.
    """

    place: Place
    layers: Activations
    error: Scores
    slope: Slope


def scores_after_descent(
    head: nn.ParameterDict,
    rates: Float[Tensor, "6"],
    support: Support,
    x: Vectors,
    *,
    steps: int,
    first_order: bool,
) -> Scores:
    """The scores of each task's own items after `steps` of descent on its squared error, at the
    rates of `RATES`.
    """
    groups = group_by_length(support.mask)
    order, sizes = (
        torch.cat([group.tasks for group in groups]),
        [len(group.tasks) for group in groups],
    )
    x, prior = x.index_select(0, order), support.prior.index_select(0, order)
    whole = x, prior, x @ head["represent"], rowwise_products(prior, x)
    share = (
        2 * support.mask.to(support.y.dtype) / support.mask.sum(dim=1, keepdim=True).clamp(min=1)
    )
    above = head["hidden"], torch.stack([head[name] for name in VECTORS]), rates
    given = GatherGroups.apply(support.x.detach() if first_order else support.x, groups)
    scores = []
    for group, own, items, priors, *rows in zip(
        groups, given, *(part.split(sizes) for part in whole), strict=True
    ):
        among = own @ (own if steps > 1 else own[:, :0]).mT  # a single step has no need of it
        examples = Rows(own @ head["represent"], rowwise_products(priors, own), among)
        told = _of(group, support.y), _of(group, share), steps, first_order
        scores.append(DualDescent.apply(*examples, *rows, items @ own.mT, *above, *told))
    return torch.cat(scores)[order.argsort()]


def group_by_length(mask: Mask) -> list[Group]:
    """All tasks in order of length, in groups, so that each is padded to the longest of its group
    alone.
    """
    place = torch.arange(mask.shape[1] + 1, device=mask.device)
    length = (place * torch.cat([mask.new_zeros(len(mask), 1), mask], dim=1)).amax(dim=1)
    most = 1 if mask.is_cuda else min(MAX_GROUPS, len(mask))
    parts = length.argsort(stable=True).tensor_split(
        max(1, min(most, mask.numel() // MIN_GROUP_ROWS))
    )
    return [Group(tasks, int(length[tasks[-1]])) for tasks in parts]


def _of(group: Group, column: Tensor) -> Tensor:
    return column.narrow(1, 0, group.length).index_select(0, group.tasks)


class GatherGroups(torch.autograd.Function):
    """The examples of each group; indexing alone would send back a gradient of full size from
    each.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: list[Group]) -> tuple[Tensor, ...]:
        ctx.shape, ctx.groups = x.shape, groups
        return tuple(_of(group, x) for group in groups)

    @staticmethod
    @once_differentiable  # which hides the name of ctx
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        whole = gradients[0].new_zeros(ctx.shape)
        for group, gradient in zip(ctx.groups, gradients, strict=True):
            whole.narrow(1, 0, group.length).index_copy_(0, group.tasks, gradient)
        return whole, None


class DualDescent(torch.autograd.Function):
    """The scores of rows after the descent on examples, and the gradient of that.

    Its arguments are the fields of the examples as `Rows`, of the rows, `hidden`, `vectors` and
    `rates`, and last what knows no gradient: the ratings, the share of each in the slope, the
    number of steps, and whether to stop at first order.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        examples, rows = Rows(*arguments[:3]), Rows(*arguments[3:6])
        hidden, vectors, rates, y, share, steps, ctx.first_order = arguments[6:]
        still = [part.new_zeros(1).expand_as(part) for part in (examples.first, examples.base)]
        place = Place(hidden, vectors.expand(len(y), -1, -1), *still)
        ctx.steps = []
        for _ in range(steps):
            layers = _rise(_pulled(examples, place) if ctx.steps else examples, place)
            error = (layers.scores - y) * share
            ctx.steps.append(Step(place, layers, error, _fall(error, layers, place)))
            place = _moved(ctx.steps[-1], rates)
        layers = _rise(_pulled(rows, place), place)
        ctx.save_for_backward(examples.overlaps, rows.overlaps, rates, share)
        ctx.place, ctx.layers = place, layers
        return (
            layers.scores.clone()
        )  # a result that its own graph held would only be freed by the garbage collector

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        among, overlaps, rates, share = ctx.saved_tensors
        end = _fall(gradient[0], ctx.layers, ctx.place)
        of = Place(
            end.hidden,
            end.vectors,
            -(overlaps.mT @ end.first),
            -weighted_sum(gradient[0], overlaps),
        )
        of_rates, of_among = torch.zeros_like(rates), torch.zeros_like(among)
        of_rows: list[tuple[Hidden, Scores]] = []
        for step in reversed(ctx.steps):
            if ctx.needs_input_grad[8]:
                of_rates += _of_rates(of, step)
            if ctx.first_order:
                continue
            of, first, base = _back(step, of, rates, share)
            of_rows.append((first, base))
            if step is not ctx.steps[0]:
                of.pull.baddbmm_(among, first, alpha=-1)
                of.prior_pull.sub_(weighted_sum(base, among))
                if ctx.needs_input_grad[2]:
                    of_among += _of_overlaps(first, base, step.place)
        examples = [reduce(torch.add, parts) for parts in zip(*of_rows, strict=True)] or [
            None,
            None,
        ]
        of_overlaps = (
            _of_overlaps(end.first, gradient[0], ctx.place) if ctx.needs_input_grad[5] else None
        )
        above = of.hidden.sum(dim=0), of.vectors.sum(dim=0), of_rates
        return (
            *examples,
            of_among,
            end.first,
            gradient[0],
            of_overlaps,
            *above,
            None,
            None,
            None,
            None,
        )


def _pulled(rows: Rows, place: Place) -> Rows:
    """What has become of rows, now that the examples have pulled at the first layer and the
    prior.
    """
    first = torch.baddbmm(rows.first, rows.overlaps, place.pull, alpha=-1)
    return rows._replace(
        first=first, base=rows.base - rowwise_products(place.prior_pull, rows.overlaps)
    )


def _rise(rows: Rows, place: Place) -> Activations:
    bend, offset, output = place.vectors.unbind(dim=1)
    first = fast_tanh_(rows.first + bend.unsqueeze(1))
    second = fast_tanh_((first @ place.hidden).add_(offset.unsqueeze(1)))
    return Activations(first, second, rowwise_products(output, second) + rows.base)


def _fall(error: Scores, layers: Activations, place: Place) -> Slope:
    """The slope of a loss, given that of the scores."""
    second = tanh_gradient_(error.unsqueeze(-1) * place.vectors[:, 2:], layers.second)
    middle = second @ place.hidden.mT
    first = tanh_gradient(middle, layers.first)
    vectors = torch.stack(
        [first.sum(dim=1), second.sum(dim=1), weighted_sum(error, layers.second)], dim=1
    )
    return Slope(layers.first.mT @ second, vectors, first, middle, second)


def _moved(step: Step, rates: Tensor) -> Place:
    represent, hidden, *_, prior = rates.tolist()
    return Place(
        torch.add(step.place.hidden, step.slope.hidden, alpha=-hidden),
        step.place.vectors - rates[2:5].unsqueeze(-1) * step.slope.vectors,
        torch.add(step.place.pull, step.slope.first, alpha=represent),
        torch.add(step.place.prior_pull, step.error, alpha=prior),
    )


def _of_rates(of: Place, step: Step) -> Tensor:
    """What the outer loop says to the rates, given what it says to the place where the step led."""
    hidden, vectors, first, *_ = step.slope
    parts = [
        _dot(of.pull, first),
        -_dot(of.hidden, hidden),
        -(of.vectors * vectors).sum(dim=(0, 2)),
    ]
    return torch.cat([*parts, _dot(of.prior_pull, step.error)])


def _dot(a: Tensor, b: Tensor) -> Float[Tensor, "1"]:
    return torch.dot(a.flatten(), b.flatten()).view(1)


def _back(step: Step, of: Place, rates: Tensor, share: Scores) -> tuple[Place, Hidden, Scores]:
    """What the outer loop says to the start of a step and to the rows, given what it says to where
    the step led.
    """
    represent, by_hidden, *_, by_prior = rates.tolist()
    (z1, z2, _), error, slope, hidden = step.layers, step.error, step.slope, step.place.hidden
    output = step.place.vectors[:, 2]
    of_bend, of_offset, of_output = (-rates[2:5].unsqueeze(-1) * of.vectors).unbind(dim=1)
    # Up through the slope, from the first layer to the error,
    first = torch.add(of_bend.unsqueeze(1), of.pull, alpha=represent)
    middle = tanh_gradient(first, z1)
    second = (
        (middle @ hidden).baddbmm_(z1, of.hidden, alpha=-by_hidden).add_(of_offset.unsqueeze(1))
    )
    top = tanh_gradient(second, z2)
    score = (
        (rowwise_products(output, top) + rowwise_products(of_output, z2))
        .add_(of.prior_pull, alpha=by_prior)
        .mul_(share)
    )
    # and down again through the layers, whose values are part of the slope as well.
    of_z2 = second.mul_(z2).mul_((-2 * error).unsqueeze(-1)).mul_(output.unsqueeze(1))
    of_z2.baddbmm_(torch.stack([error, score], dim=-1), torch.stack([of_output, output], dim=1))
    of_second = tanh_gradient_(of_z2, z2)
    of_z1 = (
        first.mul_(slope.middle)
        .mul_(z1)
        .baddbmm_(slope.second, of.hidden.mT, beta=-2, alpha=-by_hidden)
    )
    of_first = tanh_gradient_(of_z1.add_(of_second @ hidden.mT), z1)
    vectors = [
        of_first.sum(dim=1),
        of_second.sum(dim=1),
        weighted_sum(error, top) + weighted_sum(score, z2),
    ]
    before = of._replace(
        hidden=of.hidden.baddbmm_(middle.mT, slope.second).baddbmm_(z1.mT, of_second),
        vectors=of.vectors + torch.stack(vectors, dim=1),
    )
    return before, of_first, score


def _of_overlaps(first: Hidden, base: Scores, place: Place) -> Float[Tensor, "T N S"]:
    return -(first @ place.pull.mT + base.unsqueeze(-1) * place.prior_pull.unsqueeze(1))
