"""DropoutNet: one network of content and events, in whose training events are dropped at random.

Volkovs, Yu & Poutanen, DropoutNet: Addressing Cold Start in Recommender Systems, NIPS 2017. One
network serves users without events, with some and with many.

**Deviations.** Item vectors are trained along with the network and not factorised beforehand, and
the targets are the events themselves. Content arrives as the prior that the profile gives; the
network's output is added to it.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

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


class DropoutNet(Learner):
    """A network of the prior and the mean event, trained with dropout of whole support sets.

    Training drops all of a task's events with probability `forgets`.
    """

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        layer_width: int = 128,
        forgets: float = 0.5,
    ) -> None:
        super().__init__(objective=objective)
        self.forgets = forgets
        self.network = nn.Sequential(
            *(nn.Linear(2 * dim, layer_width), nn.Tanh()),
            *(nn.Linear(layer_width, layer_width), nn.Tanh()),
            nn.Linear(layer_width, dim),
        )
        for parameter in self.network[-1].parameters():
            nn.init.zeros_(parameter)  # training starts at the prior

    def adapt(self, support: Support, candidates: CandidateSet) -> Weights:
        total = masked_sum(support.x * support.y.unsqueeze(-1), support.mask)
        mean = total / support.mask.sum(dim=1, keepdim=True).clamp(min=1)
        return support.prior + self.network(torch.cat([support.prior, mean], dim=-1))

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)

    def loss(
        self, support: Support, query: Query, candidates: CandidateSet, negatives: CandidateSet
    ) -> Float[Tensor, " T"]:
        if not self.training:
            return super().loss(support, query, candidates, negatives)
        kept = torch.rand(len(support.mask), 1, device=support.mask.device) >= self.forgets
        some = Support(support.x, support.y, support.mask & kept, support.prior)
        return super().loss(some, query, candidates, negatives)
