"""Matching network: attention over the support set, with the labels as values (Vinyals et al., NeurIPS 2016).

**Deviations.** A null example with a learned key takes the attention that no example deserves, so that an empty
support set is an input like any other. Attention is added to the prior. Where all labels are alike (ranking), the
weighted mean says nothing, so the evidence against the null example counts: the log-odds of the attention.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from warmstart.learner import Catalogue, Items, Learner, Mask, Scores, Support, Values, Vectors, Weights, project


class Memory(NamedTuple):
    keys: Vectors  # unit length
    labels: Values  # relative to the prior
    mask: Mask
    prior: Weights


class Matching(Learner):
    """This keeps the support set as a memory and reads it by attention."""

    def __init__(self, dim: int, *, objective: str = "ranking", width: int = 64) -> None:
        super().__init__(objective=objective)
        self.key = nn.Linear(dim, width)
        self.look_up = nn.Linear(dim, width)
        self.log_sharpness = nn.Parameter(torch.tensor(5.0).log())
        self.null = nn.Parameter(torch.tensor(2.0))
        self.log_gain = nn.Parameter(torch.tensor(1.0).log())

    def adapt(self, support: Support, catalogue: Catalogue) -> Memory:
        labels = support.y if self.ranks else support.y - project(support.x, support.prior)
        keys = normalize(self.key(support.x), dim=-1)
        return Memory(keys, labels.masked_fill(~support.mask, 0.0), support.mask, support.prior)

    def score(self, state: Memory, x: Items) -> Scores:
        similarity = normalize(self.look_up(x), dim=-1) @ state.keys.mT * self.log_sharpness.exp()  # (T, Q, S)
        null = self.null.expand(*similarity.shape[:-1], 1)
        logits = torch.cat([null, similarity.masked_fill(~state.mask.unsqueeze(1), -torch.inf)], dim=-1)
        return project(x, state.prior) + self.log_gain.exp() * self._read(logits, state.labels)

    def _read(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.ranks:
            return logits.logsumexp(dim=-1) - self.null
        return (logits.softmax(dim=-1)[..., 1:] @ labels.unsqueeze(-1)).squeeze(-1)
