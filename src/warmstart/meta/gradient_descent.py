"""MAML for any network: a few gradient steps from learned weights (Finn et al., ICML 2017).

**Deviations.** The inner learning rate may be learned, one number for each parameter tensor, as by
Antoniou et al. (ICLR 2019); `learn_rate=False` is the paper. Buffers, as those of batch
normalisation, are those of the network and not adapted.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from warmstart.meta.episode import Episode
from warmstart.meta.losses import LOSSES

Parameters = dict[str, Tensor]
"""The parameters of T copies of a network, each with T in front."""


class GradientDescent(nn.Module):
    """Adapts all parameters of `network` by gradient descent on the support set.

    `network` maps (N, *D) to (N, C) or (N, 1). First-order MAML (`first_order`) takes the inner
    gradients for constants. Dropout and batch normalisation in training mode are not supported,
    since all tasks run as one batch under `vmap`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        objective: str,
        inner_steps: int = 1,
        inner_rate: float = 0.01,
        first_order: bool = False,
        learn_rate: bool = False,
    ) -> None:
        super().__init__()
        if objective not in LOSSES:
            raise ValueError(f"objective is one of {', '.join(LOSSES)}, not {objective!r}")
        self.network, self.objective = network, objective
        self.inner_steps, self.first_order = inner_steps, first_order
        count = sum(1 for _ in network.parameters())
        self.log_rate = nn.Parameter(
            torch.full((count,), math.log(inner_rate)), requires_grad=learn_rate
        )

    def adapt(self, x: Tensor, y: Tensor) -> Parameters:
        """The parameters of each of T tasks after its support set: (T, S, *D), (T, S)."""
        return vmap(self._descend, randomness="different")(x, y)

    def score(self, state: Parameters, x: Tensor) -> Tensor:
        """The predictions of (T, Q, *D) under each task's parameters: (T, Q, C), or (T, Q)."""
        return vmap(self._predict)(state, x)

    def forward(self, episode: Episode, rng: np.random.Generator) -> Float[Tensor, ""]:
        """The outer loss: the mean over tasks of the query loss after adaptation."""
        state = self.adapt(episode.support_x, episode.support_y)
        predicted = self.score(state, episode.query_x)
        return LOSSES[self.objective](predicted, episode.query_y).mean()

    def _descend(self, x: Tensor, y: Tensor) -> Parameters:
        """The steps of one task: (S, *D), (S,)."""
        parameters: Parameters = dict(self.network.named_parameters())
        for _ in range(self.inner_steps):
            gradient = grad(self._support_loss)(parameters, x, y)
            if self.first_order:
                gradient = {name: value.detach() for name, value in gradient.items()}
            parameters = {
                name: value - rate * gradient[name]
                for (name, value), rate in zip(parameters.items(), self.log_rate.exp(), strict=True)
            }
        return parameters

    def _support_loss(self, parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
        predicted = self._predict(parameters, x)
        return LOSSES[self.objective](predicted.unsqueeze(0), y.unsqueeze(0)).squeeze(0)

    def _predict(self, parameters: Parameters, x: Tensor) -> Tensor:
        predicted = functional_call(self.network, parameters, (x,))
        return predicted if self.objective == "classification" else predicted.squeeze(-1)
