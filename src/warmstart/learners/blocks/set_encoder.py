"""Set encoder: a network that maps a support set to a task's weights, whatever its order.

After Deep Sets (Zaheer et al., NeurIPS 2017). **Deviations.** Pooling divides by the root of the
number of examples, so that many weak signals grow but do not explode; a linear path past the hidden
layer carries what needs no mixing.
"""

import torch
from torch import nn

from warmstart.learners.base import Support, Weights, masked_sum


class SetEncoder(nn.Module):
    """Sum of the examples' embeddings, mixed with the number of shots into weights."""

    def __init__(self, dim: int, *, hidden: int, width: int, dropout: float) -> None:
        super().__init__()
        self.example = nn.Linear(dim, width)
        self.strength = nn.Linear(dim, width, bias=False)
        self.linear = nn.Linear(width, dim, bias=False)
        self.mixing = nn.Sequential(
            nn.Linear(width + 1, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def zero_output(self) -> None:
        """Set the last layers to zero, so that training starts at the prior."""
        with torch.no_grad():
            for parameter in (self.linear.weight, *self.mixing[-1].parameters()):
                parameter.zero_()

    def forward(self, support: Support) -> Weights:
        """The weights that the support sets add to the prior: (T, D)."""
        x, y = support.x, support.y
        tokens = self.example(x) + self.strength(x * y.unsqueeze(-1))  # (T, S, W)
        shots = support.mask.sum(dim=1, keepdim=True)
        pooled = self.dropout(masked_sum(tokens, support.mask) / (shots + 1).sqrt())
        return self.linear(pooled) + self.mixing(torch.cat([pooled, shots.log1p()], dim=1))
