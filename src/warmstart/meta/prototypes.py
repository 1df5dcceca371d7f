"""Prototypical network: a class is the mean of its embedded support examples (Snell et al., NeurIPS
2017).

**Deviations.** None: squared Euclidean distances are the negative logits.
"""

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.functional import one_hot

from warmstart.meta.episode import Episode
from warmstart.meta.losses import classification


class Prototypes(nn.Module):
    """Classifies by the nearest class mean in the space of `encoder`, which maps (N, *D) to (N, E).

    The number of classes is that of the support set, so a network trained on 5-way episodes
    classifies 20 ways, too.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def adapt(
        self, x: Shaped[Tensor, "T S *D"], y: Shaped[Tensor, "T S"]
    ) -> Float[Tensor, "T N E"]:
        """The prototypes of T tasks, a row for each class from 0 to the highest in `y`."""
        member = one_hot(y.long()).float()  # (T, S, N)
        count = member.sum(dim=1).clamp(min=1).unsqueeze(-1)
        return member.mT @ self._embedded(x) / count

    def score(
        self, state: Float[Tensor, "T N E"], x: Shaped[Tensor, "T Q *D"]
    ) -> Float[Tensor, "T Q N"]:
        """The logits of Q examples: minus their squared distances to the prototypes."""
        return -torch.cdist(self._embedded(x), state).square()

    def forward(self, episode: Episode, rng: np.random.Generator) -> Float[Tensor, ""]:
        """The outer loss: the mean over tasks of the cross entropy of the query set."""
        state = self.adapt(episode.support_x, episode.support_y)
        return classification(self.score(state, episode.query_x), episode.query_y).mean()

    def _embedded(self, x: Shaped[Tensor, "T N *D"]) -> Float[Tensor, "T N E"]:
        return self.encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2])
