"""Fine-tuning, the baseline of meta-learning: pre-train on all tasks, then plain gradient descent.

Pre-training has no inner loop: the last known event of a task predicts the next ones by the product
of their vectors, as item2vec does within a basket (Barkan & Koenigstein, MLSP 2016). Then the
vectors are frozen, and a linear head is tuned on the support set by gradient descent at one rate
(the transfer baseline of few-shot learning, Chen et al., ICLR 2019).

**Deviations.** The head starts at the task's prior, which a part of the pre-training fits to
predict without any event, so that the profile is used. Rate and number of steps are chosen on the
validation tasks after pre-training.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad

from warmstart.learners.base import (
    Items,
    Learner,
    Query,
    Scores,
    Support,
    Weights,
    masked_sum,
    project,
)
from warmstart.learners.objectives import CandidateSet

PRIOR_SHARE = 0.25  # of the pre-training loss: prediction from the prior alone


class FineTune(Learner):
    """A linear head tuned on the support set; nothing in its training prepared it for that."""

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        inner_steps: int = 5,
        inner_rate: float = 0.5,
    ) -> None:
        super().__init__(objective=objective)
        self.inner_steps, self.inner_rate = inner_steps, inner_rate
        self.log_gain = nn.Parameter(torch.tensor(1.0).log())

    def adapt(self, support: Support, candidates: CandidateSet) -> Weights:
        def total_loss(weights: Weights) -> Tensor:
            losses = self.objective(
                lambda x: project(x, weights), support.x, support.y, support.mask, candidates
            )
            return losses.sum()  # tasks share no weights, so each gets the gradient of its own loss

        weights = support.prior
        for _ in range(self.inner_steps):
            weights = weights - self.inner_rate * grad(total_loss)(weights)
        return weights

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)

    def loss(
        self, support: Support, query: Query, candidates: CandidateSet, negatives: CandidateSet
    ) -> Float[Tensor, " T"]:
        """The query loss given a task's last known event, and that given the prior alone."""

        def query_loss(weights: Weights) -> Tensor:
            return self.objective(
                lambda x: project(x, weights), query.x, query.y, query.mask, negatives
            )

        informed = support.prior + self.log_gain.exp() * self._last_event(support)
        return (1 - PRIOR_SHARE) * query_loss(informed) + PRIOR_SHARE * query_loss(support.prior)

    def _last_event(self, support: Support) -> Weights:
        """The vector of the last example, times its residual from the prior; 0 without examples."""
        residual = support.y if self.is_ranking else support.y - project(support.x, support.prior)
        position = torch.arange(support.mask.shape[1], device=support.mask.device)
        last = support.mask & (position == support.mask.sum(dim=1, keepdim=True) - 1)
        return masked_sum(residual.unsqueeze(-1) * support.x, last)
