"""Prototypical network: a class is the mean of its embedded examples, near is likely (Snell et al.,
NeurIPS 2017).

Distance is the squared Euclidean one. Ranking has two classes, what was chosen and the rest of the
catalogue; an item's score is the log-odds of the first.

**Deviations.** The rest is not shown as examples: its prototype is the mean of the catalogue. Every
class begins with that mean, which counts as a learned number of examples, so that an empty support
set leaves the prior as it is. The odds have a learned gain and are added to the prior. Rating has
the classes liked and disliked, to which an example belongs by degrees, the more the further its
rating is from the prior's; each class holds the mean of what its examples surpass the prior by
(again shrunk, to zero), and an item gets the two means, weighted by the odds of its classes.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warmstart.learners.base import CandidateSet, Items, Learner, Scores, Support, Weights, project


class Prototypes(NamedTuple):
    places: Float[Tensor, "T 2 W"]  # chosen and the rest, or liked and disliked
    worth: Float[Tensor, "T 2"]  # what a rating of each class adds to the prior
    prior: Weights


class Prototype(Learner):
    """This recommends what lies nearer to the mean of the support set than to that of the
    catalogue.
    """

    def __init__(self, dim: int, *, objective: str = "ranking", width: int = 64) -> None:
        super().__init__(objective=objective)
        self.embed = nn.Linear(dim, width)
        self.log_inertia = nn.Parameter(torch.tensor(1.0).log())
        self.log_gain = nn.Parameter(torch.tensor(1.0).log())
        self.log_contrast = None if self.is_ranking else nn.Parameter(torch.tensor(1.0).log())

    def adapt(self, support: Support, catalogue: CandidateSet) -> Prototypes:
        x = torch.where(support.mask.unsqueeze(-1), support.x, 0.0)
        surplus = torch.where(support.mask, support.y - project(x, support.prior), 0.0)
        membership = self._membership(surplus) * support.mask.unsqueeze(1)  # (T, 2, S)
        inertia = self.log_inertia.exp()
        size = membership.sum(dim=-1) + inertia  # (T, 2)
        centre = catalogue.log_weight.softmax(dim=-1) @ self.embed(catalogue.x)
        places = (membership @ self.embed(x) + inertia * centre) / size.unsqueeze(-1)
        return Prototypes(places, project(membership, surplus) / size, support.prior)

    def score(self, state: Prototypes, x: Items) -> Scores:
        prior, odds = (
            project(x, state.prior),
            self.log_gain.exp() * _nearness(self.embed(x), state.places),
        )
        if self.is_ranking:
            return prior + odds
        first, second = state.worth.unsqueeze(-1).unbind(dim=1)
        return prior + second + odds.sigmoid() * (first - second)

    def _membership(self, surplus: Tensor) -> Tensor:
        """How far each example belongs to the first class and to the second: (T, S) -> (T, 2,
        S).
        """
        if self.log_contrast is None:
            return torch.stack([torch.ones_like(surplus), torch.zeros_like(surplus)], dim=1)
        liked = (self.log_contrast.exp() * surplus).sigmoid()
        return torch.stack([liked, 1 - liked], dim=1)


def _nearness(x: Tensor, places: Tensor) -> Tensor:
    """How much nearer x is to the first place than to the second, in squared distance: (T, Q, W),
    (T, 2, W) -> (T, Q).

    The square of x is in both distances, so it is left out.
    """
    first, second = places.unbind(dim=1)
    offset = (second**2).sum(dim=-1) - (first**2).sum(dim=-1)
    return 2 * project(x, first - second) + offset.unsqueeze(-1)
