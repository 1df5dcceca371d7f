"""Siamese network: one embedding for both of a pair, trained so that distance means difference (Koch et al., 2015).

`d(x_i, x_j) = ||f(x_i) - f(x_j)||_2`; pairs from one task attract, pairs with the catalogue repel beyond a margin
(contrastive loss, Hadsell et al., CVPR 2006).

**Deviations.** Items are recommended by their distance to the whole support set: each example lends its label with a
weight that falls with distance, against a fixed weight for the prior. That reading is trained with the outer objective,
beside the pairs.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warmstart.learner import (
    Catalogue,
    Items,
    Learner,
    Mask,
    Query,
    Scores,
    Support,
    Values,
    Vectors,
    Weights,
    mean,
    project,
)


class Neighbourhood(NamedTuple):
    places: Vectors  # where f puts the support examples
    labels: Values  # relative to the prior
    mask: Mask
    prior: Weights


class Siamese(Learner):
    """This recommends what lies near the support set in a learned space."""

    def __init__(
        self, dim: int, *, objective: str = "ranking", width: int = 64, margin: float = 1.0, pairs: float = 0.1
    ) -> None:
        super().__init__(objective=objective)
        self.margin, self.pairs = margin, pairs
        self.embed = nn.Linear(dim, width)
        self.log_sharpness = nn.Parameter(torch.tensor(3.0).log())
        self.reach = nn.Parameter(torch.tensor(1.0))  # the distance at which an example weighs as much as the prior
        self.log_gain = nn.Parameter(torch.tensor(1.0).log())

    def adapt(self, support: Support, catalogue: Catalogue) -> Neighbourhood:
        labels = support.y if self.ranks else support.y - project(support.x, support.prior)
        return Neighbourhood(self.embed(support.x), labels.masked_fill(~support.mask, 0.0), support.mask, support.prior)

    def score(self, state: Neighbourhood, x: Items) -> Scores:
        closeness = self.log_sharpness.exp() * (self.reach - _distance(self.embed(x), state.places))  # (T, Q, S)
        closeness = closeness.masked_fill(~state.mask.unsqueeze(1), -torch.inf)
        logits = torch.cat([torch.zeros_like(closeness[..., :1]), closeness], dim=-1)
        return project(x, state.prior) + self.log_gain.exp() * self._read(logits, state.labels)

    def loss(self, support: Support, query: Query, catalogue: Catalogue, rivals: Catalogue) -> Float[Tensor, "T"]:
        outer = super().loss(support, query, catalogue, rivals)
        return outer + self.pairs * self._contrast(support, query, catalogue)

    def _read(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.ranks:
            return logits.logsumexp(dim=-1)
        return (logits.softmax(dim=-1)[..., 1:] @ labels.unsqueeze(-1)).squeeze(-1)

    def _contrast(self, support: Support, query: Query, catalogue: Catalogue) -> Tensor:
        """Squared distance of a task's own pairs, squared lack of distance to the catalogue: (T,)."""
        places = self.embed(support.x)
        alike = _distance(self.embed(query.x), places) ** 2  # (T, Q, S)
        strange = (self.margin - _distance(self.embed(catalogue.x), places)).clamp(min=0) ** 2  # (T, C, S)
        pulled = mean(mean(alike, support.mask.unsqueeze(1)), query.mask)
        return pulled + mean(strange.mean(dim=1), support.mask)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of each pair: (T, Q, W) or (Q, W), (T, S, W) -> (T, Q, S)."""
    squared = (a**2).sum(-1).unsqueeze(-1) + (b**2).sum(-1).unsqueeze(-2) - 2 * (a @ b.mT)
    return squared.clamp(min=1e-6).sqrt()
