"""MAML by learn2learn or by a plain loop: what the speed of meta-training is compared with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import mse_loss

from warmstart.learners.base import Query, Support

FIELDS, WIDTH = 8, 32
DIM = FIELDS * WIDTH
RATE = 0.1  # of inner descent

Outer = Callable[[], list[Tensor]]
"""Returns one outer gradient: of the layers in the order of `LAYERS`, then of the item vectors."""
LAYERS = ("represent", "bend", "hidden", "offset", "output", "shift")


class Task(NamedTuple):
    """One task without padding, for a loop over tasks."""

    x: Tensor
    y: Tensor
    prior: Tensor
    items: Tensor
    values: Tensor


@dataclass(frozen=True)
class Case:
    """One comparison: inner steps, order of the gradient, and whether item vectors have one too."""

    steps: int
    first_order: bool
    vectors: bool

    def __str__(self) -> str:
        order, plural = (
            ("first" if self.first_order else "second"),
            ("" if self.steps == 1 else "s"),
        )
        return f"{order} order, {self.steps} step{plural}{', with vectors' if self.vectors else ''}"


class Head(nn.Module):
    """The head of the package as a module for one task; a shift of the prior is adapted too."""

    def __init__(self, head: nn.ParameterDict) -> None:
        super().__init__()
        self.represent, self.bend, self.hidden, self.offset, self.output = (
            nn.Parameter(head[name].detach().clone()) for name in LAYERS[:-1]
        )
        self.shift = nn.Parameter(torch.zeros(DIM))

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        z = torch.tanh(torch.addmm(self.bend, x, self.represent))
        z = torch.tanh(torch.addmm(self.offset, z, self.hidden))
        return z @ self.output + x @ (prior + self.shift)


Reference = Callable[[Head, Sequence[Task], Case], Tensor]
"""Returns the sum of the query losses of tasks after inner descent from a head."""


def reference() -> tuple[str, Reference]:
    """The name of the reference that is installed, and the reference."""
    try:
        l2l: Any = import_module("learn2learn")
    except (ImportError, OSError, RuntimeError) as error:
        print(f"learn2learn cannot be imported ({error}); the reference is a loop over the tasks")
        return "a loop over the tasks", looped

    def wrapped(head: Head, tasks: Sequence[Task], case: Case) -> Tensor:
        learner = l2l.algorithms.MAML(head, lr=RATE, first_order=case.first_order)
        total = torch.zeros(())
        for task in tasks:
            copy = learner.clone()
            for _ in range(case.steps):
                copy.adapt(mse_loss(copy(task.x, task.prior), task.y))
            total = total + mse_loss(copy(task.items, task.prior), task.values)
        return total

    return f"learn2learn {l2l.__version__}", wrapped


def looped(head: Head, tasks: Sequence[Task], case: Case) -> Tensor:
    """Inner descent as a plain loop with torch.autograd."""
    total = torch.zeros(())
    for task in tasks:
        weights: dict[str, Tensor] = dict(head.named_parameters())
        for _ in range(case.steps):
            loss = mse_loss(functional_call(head, weights, (task.x, task.prior)), task.y)
            slopes = torch.autograd.grad(
                loss, list(weights.values()), create_graph=not case.first_order
            )
            weights = {
                n: w - RATE * slope for (n, w), slope in zip(weights.items(), slopes, strict=True)
            }
        total = total + mse_loss(
            functional_call(head, weights, (task.items, task.prior)), task.values
        )
    return total


def outer_of_reference(
    reference: Reference, head: Head, case: Case, support: Support, query: Query
) -> Outer:
    """The reference on the same tasks, which are separated before the time is measured."""
    columns = zip(support.x, support.y, support.mask, support.prior, query.x, query.y, strict=True)
    tasks = [
        Task(*(part.detach().clone() for part in (x[known], y[known], prior, items, values)))
        for x, y, known, prior, items, values in columns
    ]
    vectors = [*(task.x for task in tasks), *(task.items for task in tasks)] if case.vectors else []
    for vector in vectors:
        vector.requires_grad_()

    def outer() -> list[Tensor]:
        return gradient(
            reference(head, tasks, case), [*(getattr(head, name) for name in LAYERS), *vectors]
        )

    return outer


def gradient(loss: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(loss, wanted, materialize_grads=True))
