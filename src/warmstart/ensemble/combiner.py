"""Combiner: the level-1 network of a stack, over a base score and count features of each candidate.

Stacked generalisation (Wolpert, Neural Networks 1992). Before training its scores are those of the
base scorers.
"""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from warmstart.ensemble.count_features import FEATURE_NAMES, ITEM_FEATURE_NAMES

MAX_SHOTS = 4  # shots from which on all support sets share one bias


class Combiner(nn.Module):
    """The base score of a (task, item) pair, plus the output of one hidden layer of `units`.

    The input of the hidden layer is a sum, so that the item's part is computed once for all tasks.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.of_base = nn.Parameter(torch.randn(units) / 4)
        self.of_said = nn.Parameter(torch.randn(len(FEATURE_NAMES), units) / 4)
        self.of_item = nn.Linear(len(ITEM_FEATURE_NAMES), units)
        self.of_shots = nn.Parameter(torch.zeros(MAX_SHOTS + 1, units))
        self.out = nn.Parameter(torch.zeros(units))

    def forward(
        self,
        base: Float[Tensor, "*n"],
        features: Float[Tensor, "*n W"],
        context: Float[Tensor, "*n H"],
    ) -> Float[Tensor, "*n"]:
        """Scores of candidates; `context` is the hidden input of the item and of the shots."""
        hidden = (base.unsqueeze(-1) * self.of_base + features @ self.of_said + context).relu()
        return base + hidden @ self.out

    def score_without_features(
        self, base: Float[Tensor, "T I"], item: Float[Tensor, "H I"], shots: Float[Tensor, "T H"]
    ) -> Float[Tensor, "T I"]:
        """Scores of the whole catalogue where all count features are 0.

        One hidden unit at a time, so that no (T, I, H) tensor is held. As max(x + s, 0) is
        max(x, -s) + s, the part of the shots is added once and not to every item.
        """
        scores, hidden = base + shots @ self.out.unsqueeze(1), torch.empty_like(base)
        least = -shots[0] if len(shots) == 1 else -shots.T.unsqueeze(2)  # (H,), or (H, T, 1)
        weights = zip(self.of_base.tolist(), self.out.tolist(), strict=True)
        for unit, (of_base, out) in enumerate(weights):
            torch.add(item[unit], base, alpha=of_base, out=hidden)
            scores.add_(hidden.clamp_(min=least[unit]), alpha=out)
        return scores


def clip_shots(shots: Int64[np.ndarray, "T"]) -> Int64[np.ndarray, "T"]:
    """The row of `Combiner.of_shots` for each number of shots."""
    return np.minimum(shots, MAX_SHOTS)
