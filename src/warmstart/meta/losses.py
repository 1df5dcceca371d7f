"""Objectives of an episode: how far predictions are from targets, for each task."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import cross_entropy

Loss = Callable[[Tensor, Tensor], Tensor]
PerTask = Float[Tensor, " T"]


def rating(predicted: Float[Tensor, "T Q"], y: Shaped[Tensor, "T Q"]) -> PerTask:
    """Mean squared error."""
    return (predicted - y).square().mean(dim=1)


def classification(logits: Float[Tensor, "T Q N"], y: Shaped[Tensor, "T Q"]) -> PerTask:
    """Cross entropy of N-way classification; `y` holds class numbers from 0 to N - 1."""
    return cross_entropy(logits.mT, y.long(), reduction="none").mean(dim=1)


def ranking(scores: Float[Tensor, "T Q"], y: Shaped[Tensor, "T Q"]) -> PerTask:
    """Softmax cross entropy of the relevant examples (y = 1) among all examples of the task."""
    relevant = (y > 0).float()
    surprise = torch.logsumexp(scores, dim=1, keepdim=True) - scores
    return (surprise * relevant).sum(dim=1) / relevant.sum(dim=1).clamp(min=1)


LOSSES: dict[str, Loss] = {
    "rating": rating,
    "classification": classification,
    "ranking": ranking,
}
