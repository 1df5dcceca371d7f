"""In-context set encoder: one forward pass reads the support set and writes the task's weights.

After Deep Sets (Zaheer et al., NeurIPS 2017) and conditional neural processes (Garnelo et al., ICML 2018).

**Deviations.** The decoder is a product of item and task weights, so that a whole catalogue costs one matrix product;
pooling divides by the root of the number of examples, so that many weak signals grow but do not explode; a linear
path past the hidden layer carries what needs no mixing.
"""

import torch
from torch import nn

from warmstart.learner import Catalogue, Items, Learner, Scores, Support, Weights, accumulate, project


class InContext(Learner):
    """This amortises adaptation: its state is the task's weights, read off the support set by a small network."""

    def __init__(
        self, dim: int, *, objective: str = "ranking", hidden: int = 128, width: int = 64, dropout: float = 0.1
    ) -> None:
        super().__init__(objective=objective)
        self.example = nn.Linear(dim, width)
        self.strength = nn.Linear(dim, width, bias=False)
        self.linear = nn.Linear(width, dim, bias=False)
        self.mixing = nn.Sequential(
            nn.Linear(width + 1, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def adapt(self, support: Support, catalogue: Catalogue) -> Weights:
        tokens = self.example(support.x) + self.strength(support.x * support.y.unsqueeze(-1))  # (T, S, W)
        shots = support.mask.sum(dim=1, keepdim=True)
        pooled = self.dropout(accumulate(tokens, support.mask) / (shots + 1).sqrt())
        return support.prior + self.linear(pooled) + self.mixing(torch.cat([pooled, shots.log1p()], dim=1))

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)
