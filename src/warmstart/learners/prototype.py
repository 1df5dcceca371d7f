"""Prototypical network: a class is the mean of its embedded examples, and near means likely.

Snell, Swersky & Zemel, Prototypical Networks for Few-shot Learning, NeurIPS 2017. Distance is the
squared Euclidean one. Ranking has two classes, chosen items and the rest of the catalogue; an
item's score is the log-odds of the first.

**Deviations.** The rest is not given as examples: its prototype is the mean of the catalogue. Every
prototype is shrunken towards that mean, which counts as a learned number of examples, so that an
empty support set leaves the prior as it is. The odds have a learned gain and are added to the
prior. Rating has the classes liked and disliked with a soft assignment: an example belongs to the
liked class by the sigmoid of its residual from the prior. Each class has a mean residual (shrunken
to zero), and an item gets the two, weighted by the odds of its classes.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warmstart.learners.base import Items, Learner, Scores, Support, Weights, project
from warmstart.learners.objectives import CandidateSet


class Prototypes(NamedTuple):
    """Two classes of each task: chosen items and the rest, or liked and disliked ones."""

    prototypes: Float[Tensor, "T 2 W"]
    class_mean: Float[Tensor, "T 2"]  # of the residuals of ratings from the prior
    prior: Weights


class Prototype(Learner):
    """Scores an item by its distances to the means of the support set and of the catalogue."""

    def __init__(self, dim: int, *, objective: str = "ranking", width: int = 64) -> None:
        super().__init__(objective=objective)
        self.embed = nn.Linear(dim, width)
        self.log_inertia = nn.Parameter(torch.tensor(1.0).log())
        self.log_gain = nn.Parameter(torch.tensor(1.0).log())
        self.log_contrast = None if self.is_ranking else nn.Parameter(torch.tensor(1.0).log())

    def adapt(self, support: Support, candidates: CandidateSet) -> Prototypes:
        x = torch.where(support.mask.unsqueeze(-1), support.x, 0.0)
        residual = torch.where(support.mask, support.y - project(x, support.prior), 0.0)
        assignment = self._soft_assignment(residual) * support.mask.unsqueeze(1)  # (T, 2, S)
        shrinkage = self.log_inertia.exp()
        size = assignment.sum(dim=-1) + shrinkage  # (T, 2)
        centre = candidates.log_weight.softmax(dim=-1) @ self.embed(candidates.x)
        prototypes = (assignment @ self.embed(x) + shrinkage * centre) / size.unsqueeze(-1)
        return Prototypes(prototypes, project(assignment, residual) / size, support.prior)

    def score(self, state: Prototypes, x: Items) -> Scores:
        prior = project(x, state.prior)
        log_odds = self.log_gain.exp() * _log_odds(self.embed(x), state.prototypes)
        if self.is_ranking:
            return prior + log_odds
        liked, disliked = state.class_mean.unsqueeze(-1).unbind(dim=1)
        return prior + disliked + log_odds.sigmoid() * (liked - disliked)

    def _soft_assignment(self, residual: Tensor) -> Tensor:
        """The share of each example in the first class and in the second: (T, S) -> (T, 2, S)."""
        if self.log_contrast is None:
            return torch.stack([torch.ones_like(residual), torch.zeros_like(residual)], dim=1)
        slope = self.log_contrast.exp()
        liked = (slope * residual).sigmoid()
        return torch.stack([liked, 1 - liked], dim=1)


def _log_odds(x: Tensor, prototypes: Tensor) -> Tensor:
    """Squared distance to the second prototype less that to the first: (T, Q).

    The square of x is in both distances, so it is left out.
    """
    first, second = prototypes.unbind(dim=1)
    offset = (second**2).sum(dim=-1) - (first**2).sum(dim=-1)
    return 2 * project(x, first - second) + offset.unsqueeze(-1)
