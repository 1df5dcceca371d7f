"""Reptile: move the start towards where plain gradient descent on a task ends (Nichol et al.,
2018).

The whole of a task's examples is what the inner loop descends on while training, a different part
of them at each step; its outer gradient is how far the weights went, and nothing is differentiated
twice. In use it descends on the support.

**Deviations.** The item vectors are too many to have a version for each task: they move by the mean
of the gradients along the way, which is Reptile's own move where the inner rate of the vectors is
small. The outer step is Adam's.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from warmstart.learners.base import CandidateSet, Items, Learner, Query, Scores, Support
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


class Reptile(Learner):
    """This adapts by plain gradient descent from a start that is near to every task's own optimum.

    `inner_rate` is in units of `START_RATE`, so that one number suits both objectives.
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

    def adapt(self, support: Support, catalogue: CandidateSet) -> HeadWeights:
        weights = expand_to_tasks(self.head, support.prior)
        for _ in range(self.inner_steps):
            weights = self._step(weights, support, catalogue)
        return weights

    def score(self, state: HeadWeights, x: Items) -> Scores:
        return head_scores(state, x)

    def loss(
        self, support: Support, query: Query, catalogue: CandidateSet, rivals: CandidateSet
    ) -> Float[Tensor, "T"]:
        """The mean support loss along the way down, its gradient carried to the start as if no step
        had been taken.

        By plain descent, start - end = rate * the sum of the gradients, so this gradient is
        Reptile's, divided by rate * steps.
        """
        start = expand_to_tasks(self.head, support.prior)
        weights = {name: weight.detach() for name, weight in start.items()}
        losses = []
        for part in _parts(support, query, self.inner_steps):
            here = {
                name: weight + (start[name] - start[name].detach())
                for name, weight in weights.items()
            }
            losses.append(support_loss(self.objective, here, part, catalogue))
            weights = {
                name: weight.detach()
                for name, weight in self._step(weights, part, catalogue).items()
            }
        return torch.stack(losses).mean(dim=0)

    def _step(self, weights: HeadWeights, support: Support, catalogue: CandidateSet) -> HeadWeights:
        downhill = support_gradient(
            self.objective, weights, ADAPTED_LAYERS["all"], support, catalogue
        )
        return {name: weight - self.rate * downhill[name] for name, weight in weights.items()}


def _parts(support: Support, query: Query, parts: int) -> list[Support]:
    """All examples of each task, dealt out in turn to as many smaller sets."""
    x, y = torch.cat([support.x, query.x], dim=1), torch.cat([support.y, query.y], dim=1)
    mask = torch.cat([support.mask, query.mask], dim=1)
    turn = mask.cumsum(dim=1) % parts  # counts examples, so that padding does not decide
    return [Support(x, y, mask & (turn == part), support.prior) for part in range(parts)]
