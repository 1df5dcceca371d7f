"""PTUPCDR: a bridge of one's own from what somebody met to what they will like.

Zhu, Tang, Liu, Zhuang, Xie, Zhang, Lin & He, WSDM 2022: a network reads which of somebody's events
matter, and another makes of them a matrix, by which their mean vector becomes their weights.

**Deviations.** Items' vectors are trained along with the bridge and not fitted beforehand on each
side, the loss is the common one, and the weights are added to the prior, so that without events
nothing is bridged. The matrix begins as nothing, too. The events may be of any domain.
"""

import torch
from torch import nn

from warmstart.learners.base import CandidateSet, Items, Learner, Scores, Support, Weights, project


class PTUPCDR(Learner):
    """This gives each task a matrix of its own, which reads its mean vector."""

    def __init__(self, dim: int, *, objective: str = "ranking", bridge_width: int = 50) -> None:
        super().__init__(objective=objective)
        self.matters = nn.Sequential(
            nn.Linear(dim, bridge_width), nn.ReLU(), nn.Linear(bridge_width, 1)
        )
        self.matters[-1].register_parameter("bias", None)  # which a softmax does not see
        self.makes = nn.Sequential(
            nn.Linear(dim, bridge_width), nn.ReLU(), nn.Linear(bridge_width, dim * dim)
        )
        for parameter in self.makes[-1].parameters():
            nn.init.zeros_(parameter)

    def adapt(self, support: Support, catalogue: CandidateSet) -> Weights:
        x = torch.where(support.mask.unsqueeze(-1), support.x, 0.0)
        strength = torch.where(support.mask, support.y, 0.0).unsqueeze(-1)
        attention = (
            self.matters(x)
            .squeeze(-1)
            .masked_fill(~support.mask, -torch.inf)
            .softmax(dim=-1)
            .nan_to_num(0.0)
        )
        character = (attention.unsqueeze(1) @ x).squeeze(1)  # (T, D)
        bridge = self.makes(character).unflatten(-1, (x.shape[-1], x.shape[-1]))
        shots = support.mask.sum(dim=1, keepdim=True).clamp(min=1)
        return support.prior + (bridge @ ((strength * x).sum(dim=1) / shots).unsqueeze(-1)).squeeze(
            -1
        )

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)
