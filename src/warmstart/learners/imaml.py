"""iMAML: the outer gradient from the inner optimum alone, whatever the way to it (Rajeswaran et
al., NeurIPS 2019).

A task's weights minimise its support loss plus `pull / 2` times the squared distance to the start.
How that minimum moves with the start follows from its being one: a linear system in the curvature,
solved by conjugate gradients that need no more than products of the curvature with a vector.

**Deviations.** The item vectors below the head are no weights of the task, but the minimum depends
on them as well: their gradient takes the same implicit way. Weights start at the shared head, each
task's prior at its profile. A task's system is solved no further where its loss is no bowl, since
the pull alone seldom makes it one.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vjp

from warmstart.learners.base import CandidateSet, Items, Learner, Query, Scores, Support
from warmstart.learners.blocks.head import (
    ADAPTED_LAYERS,
    INNER_RATE,
    HeadWeights,
    expand_to_tasks,
    head_scores,
    init_head,
    support_gradient,
)

FLAT = 0.05  # a curvature, that of the pull included, below which the minimum cannot be trusted


class IMAML(Learner):
    """This adapts by regularised descent; its outer loop sees where that ends, not the steps.

    `inner_rate` is in units of `START_RATE`, so that one number suits both objectives.
    """

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        inner_steps: int = 5,
        inner_rate: float = 0.3,
        pull: float = 0.5,
        solver_steps: int = 5,
        hidden: int = 32,
    ) -> None:
        super().__init__(objective=objective)
        self.inner_steps, self.rate = inner_steps, inner_rate * INNER_RATE[objective]
        self.pull, self.solver_steps = pull, solver_steps
        self.head = init_head(dim, hidden)

    def adapt(self, support: Support, catalogue: CandidateSet) -> HeadWeights:
        start = expand_to_tasks(self.head, support.prior)
        weights = start
        for _ in range(self.inner_steps):
            uphill = self._force(weights, start, support, catalogue)
            weights = {name: weight - self.rate * uphill[name] for name, weight in weights.items()}
        return weights

    def score(self, state: HeadWeights, x: Items) -> Scores:
        return head_scores(state, x)

    def loss(
        self, support: Support, query: Query, catalogue: CandidateSet, rivals: CandidateSet
    ) -> Float[Tensor, "T"]:
        """The query loss at the minimum, with a zero added whose gradient is that of the minimum's
        place.
        """
        with torch.no_grad():
            place = self.adapt(support, catalogue)
            asked = Support(query.x, query.y, query.mask, support.prior)
            steepness = support_gradient(
                self.objective, place, ADAPTED_LAYERS["all"], asked, rivals
            )
            lever = self._solve(place, steepness, support, catalogue)
        outer = self.objective(
            lambda x: head_scores(place, x), query.x, query.y, query.mask, rivals
        )
        balance = _dot(
            lever, self._force(place, expand_to_tasks(self.head, support.prior), support, catalogue)
        )
        return outer - (balance - balance.detach())

    def _force(
        self, weights: HeadWeights, start: HeadWeights, support: Support, catalogue: CandidateSet
    ) -> HeadWeights:
        """The gradient of the inner objective, which is zero at its minimum."""
        uphill = support_gradient(
            self.objective, weights, ADAPTED_LAYERS["all"], support, catalogue
        )
        return {name: uphill[name] + self.pull * (weights[name] - start[name]) for name in uphill}

    def _solve(
        self, place: HeadWeights, right: HeadWeights, support: Support, catalogue: CandidateSet
    ) -> HeadWeights:
        """(curvature + pull)^-1 @ right for each task."""
        curve = vjp(lambda weights: self._force(weights, place, support, catalogue), place)[
            1
        ]  # symmetric
        return conjugate_gradients(lambda direction: curve(direction)[0], right, self.solver_steps)


def conjugate_gradients(
    product: Callable[[HeadWeights], HeadWeights], right: HeadWeights, steps: int
) -> HeadWeights:
    """An approximate solution of `product(solution) = right` for each task (Hestenes & Stiefel,
    1952).

    A task whose loss turns out to be no bowl keeps what it has so far, for good (Steihaug, 1983).
    """
    solution = {name: torch.zeros_like(value) for name, value in right.items()}
    rest = direction = right
    length = _dot(rest, rest)
    bowl = torch.ones_like(length, dtype=torch.bool)
    for _ in range(steps):
        moved = product(direction)
        bend = _dot(direction, moved)
        bowl = bowl & (bend > FLAT * _dot(direction, direction))
        step = torch.where(bowl, length / bend, 0.0)
        solution = _along(solution, step, direction)
        rest = _along(rest, -step, moved)
        length, before = _dot(rest, rest), length
        direction = _along(rest, length / before.clamp(min=1e-12), direction)
    return solution


def _dot(a: HeadWeights, b: HeadWeights) -> Float[Tensor, "T"]:
    return torch.stack([(a[name] * b[name]).flatten(start_dim=1).sum(dim=1) for name in a]).sum(
        dim=0
    )


def _along(a: HeadWeights, step: Float[Tensor, "T"], b: HeadWeights) -> HeadWeights:
    return {name: a[name] + step.view(-1, *[1] * (a[name].ndim - 1)) * b[name] for name in a}
