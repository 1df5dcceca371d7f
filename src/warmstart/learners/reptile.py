"""Reptile: initial weights move towards the end of plain gradient descent on each task.

Nichol, Achiam & Schulman, On First-Order Meta-Learning Algorithms, 2018. In training the inner loop
descends on all examples of a task, a different part of them at each step; the outer gradient is the
distance that the weights went, and nothing is differentiated twice. In use it descends on the
support.

**Deviations.** The item vectors are too many to have a version for each task: they move by the mean
of the gradients along the way, which is Reptile's own move where the inner rate of the vectors is
small. The outer step is Adam's.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from warmstart.learners.base import Items, Learner, Query, Scores, Support
from warmstart.learners.blocks.head import (
    ADAPTED_LAYERS,
    INNER_RATE,
    HeadWeights,
    expand_to_tasks,
    head_scores,
    init_head,
    support_gradient,
    support_loss,
)
from warmstart.learners.objectives import CandidateSet


class Reptile(Learner):
    """Plain gradient descent from initial weights that are near to every task's own optimum.

    `inner_rate` is in units of `INNER_RATE`, so that one number suits both objectives.
    """

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        inner_steps: int = 4,
        inner_rate: float = 1.0,
        hidden: int = 32,
    ) -> None:
        super().__init__(objective=objective)
        self.inner_steps, self.rate = inner_steps, inner_rate * INNER_RATE[objective]
        self.head = init_head(dim, hidden)

    def adapt(self, support: Support, candidates: CandidateSet) -> HeadWeights:
        weights = expand_to_tasks(self.head, support.prior)
        for _ in range(self.inner_steps):
            weights = self._step(weights, support, candidates)
        return weights

    def score(self, state: HeadWeights, x: Items) -> Scores:
        return head_scores(state, x)

    def loss(
        self, support: Support, query: Query, candidates: CandidateSet, negatives: CandidateSet
    ) -> Float[Tensor, " T"]:
        """The mean support loss along the descent, its gradient taken at the initial weights.

        By plain descent, initial - end = rate * the sum of the gradients, so this gradient is
        Reptile's, divided by rate * steps.
        """
        initial = expand_to_tasks(self.head, support.prior)
        weights = {name: weight.detach() for name, weight in initial.items()}
        losses = []
        for part in _parts(support, query, self.inner_steps):
            # The weights of this step, with the gradient of the initial ones: a sum with zero.
            current = {n: w + (initial[n] - initial[n].detach()) for n, w in weights.items()}
            losses.append(support_loss(self.objective, current, part, candidates))
            weights = {n: w.detach() for n, w in self._step(weights, part, candidates).items()}
        return torch.stack(losses).mean(dim=0)

    def _step(
        self, weights: HeadWeights, support: Support, candidates: CandidateSet
    ) -> HeadWeights:
        gradient = support_gradient(
            self.objective, weights, ADAPTED_LAYERS["all"], support, candidates
        )
        return {name: weight - self.rate * gradient[name] for name, weight in weights.items()}


def _parts(support: Support, query: Query, parts: int) -> list[Support]:
    """All examples of each task, dealt out in turn to as many smaller sets."""
    x, y = torch.cat([support.x, query.x], dim=1), torch.cat([support.y, query.y], dim=1)
    mask = torch.cat([support.mask, query.mask], dim=1)
    part_of = mask.cumsum(dim=1) % parts  # counts examples, so that padding does not decide
    return [Support(x, y, mask & (part_of == part), support.prior) for part in range(parts)]
