"""Fine-tuning, the rival of meta-learning: pre-train on all tasks, then plain gradient descent on
the new one.

Pre-training knows no inner loop: the last event known of a task predicts those that follow, by the
product of their vectors, as item2vec does within a basket (Barkan & Koenigstein, MLSP 2016). Then
the vectors are frozen, and a linear head is tuned on the support set by gradient descent with one
rate for all (the transfer baseline of few-shot learning, Chen et al., ICLR 2019).

**Deviations.** The head starts at the task's prior, which a part of the pre-training fits to
predict without any event, so that the profile is heard. Rate and number of steps are chosen on the
validation tasks after pre-training.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad

from warmstart.learners.base import (
    CandidateSet,
    Items,
    Learner,
    Query,
    Scores,
    Support,
    Weights,
    project,
)

BARE = 0.25  # the share of pre-training that has to do without any event


class FineTune(Learner):
    """This tunes a linear head on the support set; nothing in its training prepared it for that."""

    def __init__(
        self, dim: int, *, objective: str = "ranking", inner_steps: int = 5, inner_rate: float = 0.5
    ) -> None:
        super().__init__(objective=objective)
        self.inner_steps, self.inner_rate = inner_steps, inner_rate
        self.log_gain = nn.Parameter(torch.tensor(1.0).log())

    def adapt(self, support: Support, catalogue: CandidateSet) -> Weights:
        def total(weights: Weights) -> Tensor:
            return self.objective(
                lambda x: project(x, weights), support.x, support.y, support.mask, catalogue
            ).sum()

        weights = support.prior
        for _ in range(self.inner_steps):
            weights = weights - self.inner_rate * grad(total)(weights)
        return weights

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)

    def loss(
        self, support: Support, query: Query, catalogue: CandidateSet, rivals: CandidateSet
    ) -> Float[Tensor, "T"]:
        """How badly a task's last known event predicts the next ones, and how badly the prior does
        by itself.
        """

        def surprise(weights: Weights) -> Tensor:
            return self.objective(
                lambda x: project(x, weights), query.x, query.y, query.mask, rivals
            )

        informed = support.prior + self.log_gain.exp() * self._last_event(support)
        return (1 - BARE) * surprise(informed) + BARE * surprise(support.prior)

    def _last_event(self, support: Support) -> Weights:
        """The vector of the last example, times what the prior did not expect of it; 0 where there
        is none.
        """
        surprise = support.y if self.is_ranking else support.y - project(support.x, support.prior)
        position = torch.arange(support.mask.shape[1], device=support.mask.device)
        last = support.mask & (position == support.mask.sum(dim=1, keepdim=True) - 1)
        return torch.where(last.unsqueeze(-1), surprise.unsqueeze(-1) * support.x, 0.0).sum(dim=1)
