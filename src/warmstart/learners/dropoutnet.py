"""DropoutNet: content and known events enter one network, and the events are forgotten at random
while it learns.

Volkovs, Yu & Poutanen, NIPS 2017. So one network serves whoever has no events, some, or many.

**Deviations.** The vectors of what was met are trained along with the network and not factorised
beforehand, and what it has to reproduce are the events themselves. Content arrives as the prior
that the profile gives; the network's output is added to it.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

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


class DropoutNet(Learner):
    """This reads the prior and the mean of what was met; in training the latter is forgotten with
    chance `forgets`.
    """

    def __init__(
        self, dim: int, *, objective: str = "ranking", layer_width: int = 128, forgets: float = 0.5
    ) -> None:
        super().__init__(objective=objective)
        self.forgets = forgets
        self.network = nn.Sequential(
            *(nn.Linear(2 * dim, layer_width), nn.Tanh()),
            *(nn.Linear(layer_width, layer_width), nn.Tanh()),
            nn.Linear(layer_width, dim),
        )
        for parameter in self.network[-1].parameters():
            nn.init.zeros_(parameter)

    def adapt(self, support: Support, catalogue: CandidateSet) -> Weights:
        met = torch.where(support.mask.unsqueeze(-1), support.x * support.y.unsqueeze(-1), 0.0).sum(
            dim=1
        )
        mean = met / support.mask.sum(dim=1, keepdim=True).clamp(min=1)
        return support.prior + self.network(torch.cat([support.prior, mean], dim=-1))

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)

    def loss(
        self, support: Support, query: Query, catalogue: CandidateSet, rivals: CandidateSet
    ) -> Float[Tensor, "T"]:
        kept = torch.rand(len(support.mask), 1, device=support.mask.device) >= self.forgets
        some = Support(support.x, support.y, support.mask & kept, support.prior)
        return super().loss(some, query, catalogue, rivals)
