"""PTUPCDR: cross-domain recommendation by a bridge that a meta-network makes for each user.

Zhu, Tang, Liu, Zhuang, Xie, Zhang, Lin & He, Personalized Transfer of User Preferences for
Cross-domain Recommendation, WSDM 2022. An attention over the user's events gives a summary, and a
meta-network makes of it a matrix (the bridge) that maps the user's mean vector to the user's
weights.

**Deviations.** Item vectors are trained along with the bridge and not fitted beforehand in each
domain, the loss is the common one, and the weights are added to the prior, so that a user without
events keeps the prior. The bridge is zero at first. The events may be of any domain.
"""

import torch
from torch import nn

from warmstart.learners.base import (
    Items,
    Learner,
    Scores,
    Support,
    Weights,
    project,
)
from warmstart.learners.objectives import CandidateSet


class PTUPCDR(Learner):
    """A meta-network that makes a matrix for each task, which maps its mean vector to weights."""

    def __init__(self, dim: int, *, objective: str = "ranking", bridge_width: int = 50) -> None:
        super().__init__(objective=objective)
        self.matters = nn.Sequential(
            nn.Linear(dim, bridge_width), nn.ReLU(), nn.Linear(bridge_width, 1)
        )
        # A softmax does not depend on a bias, so its gradient would be rounding alone.
        self.matters[-1].register_parameter("bias", None)
        self.makes = nn.Sequential(
            nn.Linear(dim, bridge_width), nn.ReLU(), nn.Linear(bridge_width, dim * dim)
        )
        for parameter in self.makes[-1].parameters():
            nn.init.zeros_(parameter)

    def adapt(self, support: Support, candidates: CandidateSet) -> Weights:
        x = torch.where(support.mask.unsqueeze(-1), support.x, 0.0)
        strength = torch.where(support.mask, support.y, 0.0).unsqueeze(-1)
        logits = self.matters(x).squeeze(-1).masked_fill(~support.mask, -torch.inf)
        attention = logits.softmax(dim=-1).nan_to_num(0.0)  # 0 / 0 without examples
        summary = (attention.unsqueeze(1) @ x).squeeze(1)  # (T, D)
        bridge = self.makes(summary).unflatten(-1, (x.shape[-1], x.shape[-1]))  # (T, D, D)
        shots = support.mask.sum(dim=1, keepdim=True).clamp(min=1)
        mean = (strength * x).sum(dim=1) / shots
        return support.prior + (bridge @ mean.unsqueeze(-1)).squeeze(-1)

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)
