"""Siamese network: one embedding for both of a pair, trained so that distance means difference.

Koch, Zemel & Salakhutdinov, Siamese Neural Networks for One-shot Image Recognition, ICML 2015
workshop. `d(x_i, x_j) = ||f(x_i) - f(x_j)||_2`; pairs from one task attract, pairs with the
catalogue repel: each for itself, up to a margin (contrastive loss, Hadsell et al., CVPR 2006), or
one against the other (triplet loss, Schroff et al., CVPR 2015).

**Deviations.** Items are recommended by their distance to the whole support set: each example gives
its label a weight that falls with distance, against a fixed weight for the prior. That score is
trained by the outer objective, beside the pairs. The mean goes over all pairs and triplets, none
are mined. A negative drawn from the catalogue may happen to be one of the task's own items. Pairs
of users are pairs of a user and an item, own or not: the users of a batch are not compared with
each other, since the loss of a task does not depend on who else is in the batch.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warmstart.learners.base import (
    Items,
    Learner,
    Mask,
    Query,
    Scores,
    Support,
    Values,
    Vectors,
    Weights,
    masked_sum,
    project,
)
from warmstart.learners.objectives import CandidateSet, masked_mean


class EmbeddedSupport(NamedTuple):
    """The support sets of T tasks in the learned space."""

    embeddings: Vectors
    labels: Values  # relative to the prior
    mask: Mask
    prior: Weights


class Siamese(Learner):
    """Scores an item by its distances to the support set in a learned space."""

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        width: int = 64,
        margin: float = 1.0,
        pairs: float = 0.1,
        pairs_of: Literal["items", "users"] = "items",
        contrast: Literal["contrastive", "triplet"] = "contrastive",
    ) -> None:
        super().__init__(objective=objective)
        self.margin, self.pairs, self.pairs_of = margin, pairs, pairs_of
        self.contrast = contrast
        self.embed = nn.Linear(dim, width)
        self.log_sharpness = nn.Parameter(torch.tensor(3.0).log())
        # The distance at which an example weighs as much as the prior.
        self.reach = nn.Parameter(torch.tensor(1.0))
        self.log_gain = nn.Parameter(torch.tensor(1.0).log())

    def adapt(self, support: Support, candidates: CandidateSet) -> EmbeddedSupport:
        labels = support.y if self.is_ranking else support.y - project(support.x, support.prior)
        labels = labels.masked_fill(~support.mask, 0.0)
        return EmbeddedSupport(self.embed(support.x), labels, support.mask, support.prior)

    def score(self, state: EmbeddedSupport, x: Items) -> Scores:
        distance = _distance(self.embed(x), state.embeddings)  # (T, Q, S)
        logits = self.log_sharpness.exp() * (self.reach - distance)
        logits = logits.masked_fill(~state.mask.unsqueeze(1), -torch.inf)
        logits = torch.cat([torch.zeros_like(logits[..., :1]), logits], dim=-1)  # 0 for the prior
        return project(x, state.prior) + self.log_gain.exp() * self._read(logits, state.labels)

    def embed_users(self, support: Support) -> Float[Tensor, "T W"]:
        """Users as the mean embedding of their items, at f(0) without any: (T, W)."""
        shots = support.mask.sum(dim=1, keepdim=True).clamp(min=1)
        # f is affine: the embedding of the mean is the mean of the embeddings.
        return self.embed(masked_sum(support.x, support.mask) / shots)

    def loss(
        self, support: Support, query: Query, candidates: CandidateSet, negatives: CandidateSet
    ) -> Float[Tensor, " T"]:
        outer = super().loss(support, query, candidates, negatives)
        return outer + self.pairs * self._pair_loss(support, query, candidates)

    def _read(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The log-odds against the prior (ranking), or the weighted mean of the labels: (T, Q)."""
        if self.is_ranking:
            return logits.logsumexp(dim=-1)
        return (logits.softmax(dim=-1)[..., 1:] @ labels.unsqueeze(-1)).squeeze(-1)

    def _pair_loss(self, support: Support, query: Query, candidates: CandidateSet) -> Tensor:
        """Contrastive or triplet loss of anchors with the query and the catalogue: (T,)."""
        anchors, mask = self._anchors(support)
        positive = _distance(anchors, self.embed(query.x))  # (T, A, Q)
        negative = _distance(anchors, self.embed(candidates.x))  # (T, A, C)
        if self.contrast == "triplet":
            hinge = _mean_hinge(positive + self.margin, negative)
            return masked_mean(masked_mean(hinge, query.mask.unsqueeze(1)), mask)
        attracted = masked_mean(positive**2, query.mask.unsqueeze(1))
        repelled = ((self.margin - negative).clamp(min=0) ** 2).mean(dim=-1)
        return masked_mean(attracted + repelled, mask)

    def _anchors(self, support: Support) -> tuple[Vectors, Mask]:
        """Each support example, or the user as a whole, paired with items: (T, A, W), (T, A)."""
        if self.pairs_of == "users":
            return self.embed_users(support).unsqueeze(1), support.mask.any(dim=1, keepdim=True)
        return self.embed(support.x), support.mask


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of each pair: (T, Q, W) or (Q, W), (T, S, W) or (S, W) -> (T, Q, S)."""
    norms = (a**2).sum(-1).unsqueeze(-1) + (b**2).sum(-1).unsqueeze(-2)
    squared = norms - 2 * (a @ b.mT)
    return squared.clamp(min=1e-6).sqrt()  # the slope of a root has no bound at 0


def _mean_hinge(limits: Tensor, distances: Tensor) -> Tensor:
    """The mean over C distances of max(0, limit - distance): (T, A, Q), (T, A, C) -> (T, A, Q).

    No (T, A, Q, C) tensor is made: of sorted distances the first n are below a limit, and the sums
    of the first n are cumulative.
    """
    distances = distances.sort(dim=-1).values
    zero = torch.zeros_like(distances[..., :1])
    sums = torch.cat([zero, distances.cumsum(dim=-1)], dim=-1)
    below = torch.searchsorted(distances, limits)  # (T, A, Q): the number below each limit
    return (below * limits - sums.gather(-1, below)) / distances.shape[-1]
