"""Siamese network: one embedding for both of a pair, trained so that distance means difference
(Koch et al., 2015).

`d(x_i, x_j) = ||f(x_i) - f(x_j)||_2`; pairs from one task attract, pairs with the catalogue repel:
each for itself, up to a margin (contrastive loss, Hadsell et al., CVPR 2006), or one against the
other (triplet loss, Schroff et al., CVPR 2015).

**Deviations.** Items are recommended by their distance to the whole support set: each example lends
its label with a weight that falls with distance, against a fixed weight for the prior. That reading
is trained with the outer objective, beside the pairs. The mean goes over all pairs and triplets,
none are mined. What is drawn from the catalogue to repel may happen to be one of the task's own
items. Pairs of users are pairs of a user and an item, own or not: the users of a batch are not held
against each other, since the loss of a task does not depend on who else is in the batch.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warmstart.learners.base import (
    CandidateSet,
    Items,
    Learner,
    Mask,
    Query,
    Scores,
    Support,
    Values,
    Vectors,
    Weights,
    masked_mean,
    masked_sum,
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
        self.margin, self.pairs, self.pairs_of, self.contrast = margin, pairs, pairs_of, contrast
        self.embed = nn.Linear(dim, width)
        self.log_sharpness = nn.Parameter(torch.tensor(3.0).log())
        self.reach = nn.Parameter(
            torch.tensor(1.0)
        )  # the distance at which an example weighs as much as the prior
        self.log_gain = nn.Parameter(torch.tensor(1.0).log())

    def adapt(self, support: Support, catalogue: CandidateSet) -> Neighbourhood:
        labels = support.y if self.is_ranking else support.y - project(support.x, support.prior)
        return Neighbourhood(
            self.embed(support.x),
            labels.masked_fill(~support.mask, 0.0),
            support.mask,
            support.prior,
        )

    def score(self, state: Neighbourhood, x: Items) -> Scores:
        closeness = self.log_sharpness.exp() * (
            self.reach - _distance(self.embed(x), state.places)
        )  # (T, Q, S)
        closeness = closeness.masked_fill(~state.mask.unsqueeze(1), -torch.inf)
        logits = torch.cat([torch.zeros_like(closeness[..., :1]), closeness], dim=-1)
        return project(x, state.prior) + self.log_gain.exp() * self._read(logits, state.labels)

    def embed_users(self, support: Support) -> Float[Tensor, "T W"]:
        """Where each user lies: amid the places of their items, at f(0) without any."""
        shots = support.mask.sum(dim=1, keepdim=True).clamp(min=1)
        return self.embed(
            masked_sum(support.x, support.mask) / shots
        )  # f is affine: the mean of the places

    def loss(
        self, support: Support, query: Query, catalogue: CandidateSet, rivals: CandidateSet
    ) -> Float[Tensor, "T"]:
        outer = super().loss(support, query, catalogue, rivals)
        return outer + self.pairs * self._contrast(support, query, catalogue)

    def _read(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.is_ranking:
            return logits.logsumexp(dim=-1)
        return (logits.softmax(dim=-1)[..., 1:] @ labels.unsqueeze(-1)).squeeze(-1)

    def _contrast(self, support: Support, query: Query, catalogue: CandidateSet) -> Tensor:
        """How far the anchors of a task lie from its query, and how near to the catalogue: (T,)."""
        anchors, mask = self._anchors(support)
        near, far = (
            _distance(anchors, self.embed(query.x)),
            _distance(anchors, self.embed(catalogue.x)),
        )
        if self.contrast == "triplet":
            return masked_mean(
                masked_mean(_excess(near + self.margin, far), query.mask.unsqueeze(1)), mask
            )
        pulled = masked_mean(near**2, query.mask.unsqueeze(1))
        pushed = ((self.margin - far).clamp(min=0) ** 2).mean(dim=-1)
        return masked_mean(pulled + pushed, mask)

    def _anchors(self, support: Support) -> tuple[Vectors, Mask]:
        """What is paired with items: each support example, or the user as a whole: (T, A, W), (T,
        A).
        """
        if self.pairs_of == "users":
            return self.embed_users(support).unsqueeze(1), support.mask.any(dim=1, keepdim=True)
        return self.embed(support.x), support.mask


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of each pair: (T, Q, W) or (Q, W), (T, S, W) or (S, W) -> (T, Q, S)."""
    squared = (a**2).sum(-1).unsqueeze(-1) + (b**2).sum(-1).unsqueeze(-2) - 2 * (a @ b.mT)
    return squared.clamp(min=1e-6).sqrt()


def _excess(limits: Tensor, far: Tensor) -> Tensor:
    """The mean over C distances of max(0, limit - distance): (T, A, Q), (T, A, C) -> (T, A, Q).

    No (T, A, Q, C) tensor is made: of sorted distances those below a limit are the first n, and
    sums of firsts run.
    """
    far = far.sort(dim=-1).values
    sums = torch.cat([torch.zeros_like(far[..., :1]), far.cumsum(dim=-1)], dim=-1)
    first = torch.searchsorted(far, limits)
    return (first * limits - sums.gather(-1, first)) / far.shape[-1]
