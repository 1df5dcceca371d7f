"""iMAML: the outer gradient from the inner optimum alone, by implicit differentiation.

Rajeswaran, Finn, Kakade & Levine, Meta-Learning with Implicit Gradients, NeurIPS 2019. A task's
weights minimise its support loss plus `pull / 2` times the squared distance to the shared initial
weights. How that minimum moves with the initial weights follows from the implicit function theorem:
a linear system in the Hessian, solved by conjugate gradients, which need Hessian-vector products
alone.

**Deviations.** The item vectors below the head are no weights of the task, but the minimum depends
on them as well: their gradient takes the same implicit way. Weights start at the shared head, each
task's prior at its profile. The system of a task is solved no further in directions where its
objective is not convex, since the proximal term alone seldom makes it so.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vjp

from warmstart.learners.base import Items, Learner, Query, Scores, Support
from warmstart.learners.blocks.head import (
    ADAPTED_LAYERS,
    INNER_RATE,
    HeadWeights,
    expand_to_tasks,
    head_scores,
    init_head,
    support_gradient,
)
from warmstart.learners.objectives import CandidateSet

MIN_CURVATURE = 0.05  # that of the proximal term included; below it the minimum is not trusted


class IMAML(Learner):
    """Proximal gradient descent whose outer loop sees where the descent ends, not its steps.

    `inner_rate` is in units of `INNER_RATE`, so that one number suits both objectives; `pull` is
    the strength of the proximal term.
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

    def adapt(self, support: Support, candidates: CandidateSet) -> HeadWeights:
        initial = expand_to_tasks(self.head, support.prior)
        weights = initial
        for _ in range(self.inner_steps):
            gradient = self._inner_gradient(weights, initial, support, candidates)
            weights = {name: w - self.rate * gradient[name] for name, w in weights.items()}
        return weights

    def score(self, state: HeadWeights, x: Items) -> Scores:
        return head_scores(state, x)

    def loss(
        self, support: Support, query: Query, candidates: CandidateSet, negatives: CandidateSet
    ) -> Float[Tensor, " T"]:
        """The query loss at the inner optimum, plus a zero whose gradient is the implicit one."""
        with torch.no_grad():
            optimum = self.adapt(support, candidates)
            as_support = Support(query.x, query.y, query.mask, support.prior)
            outer_gradient = support_gradient(
                self.objective, optimum, ADAPTED_LAYERS["all"], as_support, negatives
            )
            adjoint = self._solve(optimum, outer_gradient, support, candidates)
        outer = self.objective(
            lambda x: head_scores(optimum, x), query.x, query.y, query.mask, negatives
        )
        # The inner gradient is zero at the optimum, whatever the parameters: its total derivative
        # is zero too, and -adjoint times its partial derivative is what the optimum's shift does.
        initial = expand_to_tasks(self.head, support.prior)
        implicit = _dot(adjoint, self._inner_gradient(optimum, initial, support, candidates))
        return outer - (implicit - implicit.detach())

    def _inner_gradient(
        self,
        weights: HeadWeights,
        initial: HeadWeights,
        support: Support,
        candidates: CandidateSet,
    ) -> HeadWeights:
        """The gradient of the inner objective: support loss plus proximal term."""
        gradient = support_gradient(
            self.objective, weights, ADAPTED_LAYERS["all"], support, candidates
        )
        return {n: gradient[n] + self.pull * (weights[n] - initial[n]) for n in gradient}

    def _solve(
        self,
        optimum: HeadWeights,
        right: HeadWeights,
        support: Support,
        candidates: CandidateSet,
    ) -> HeadWeights:
        """(Hessian + pull)^-1 @ right for each task, at the optimum."""
        # A Hessian is symmetric, so a vector-Jacobian product of the gradient is a Hessian product.
        product = vjp(
            lambda weights: self._inner_gradient(weights, optimum, support, candidates), optimum
        )[1]
        return conjugate_gradients(
            lambda direction: product(direction)[0], right, self.solver_steps
        )


def conjugate_gradients(
    product: Callable[[HeadWeights], HeadWeights], right: HeadWeights, steps: int
) -> HeadWeights:
    """An approximate solution of `product(solution) = right` for each task.

    Conjugate gradients (Hestenes & Stiefel, 1952). A task stops for good at the first direction
    of too little curvature (Steihaug, 1983).
    """
    solution = {name: torch.zeros_like(value) for name, value in right.items()}
    residual = direction = right
    squared = _dot(residual, residual)  # (T,)
    convex = torch.ones_like(squared, dtype=torch.bool)
    for _ in range(steps):
        image = product(direction)
        curvature = _dot(direction, image)
        convex = convex & (curvature > MIN_CURVATURE * _dot(direction, direction))
        step = torch.where(convex, squared / curvature, 0.0)
        solution = _add_scaled(solution, step, direction)
        residual = _add_scaled(residual, -step, image)
        squared, before = _dot(residual, residual), squared
        direction = _add_scaled(residual, squared / before.clamp(min=1e-12), direction)
    return solution


def _dot(a: HeadWeights, b: HeadWeights) -> Float[Tensor, " T"]:
    return torch.stack([(a[n] * b[n]).flatten(start_dim=1).sum(dim=1) for n in a]).sum(dim=0)


def _add_scaled(a: HeadWeights, scale: Float[Tensor, " T"], b: HeadWeights) -> HeadWeights:
    """a + scale * b, with one scale for each task."""
    return {n: a[n] + scale.view(-1, *[1] * (a[n].ndim - 1)) * b[n] for n in a}
