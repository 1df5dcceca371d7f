"""Objectives of a meta-learner, as functions of scores: softmax cross-entropy and squared error.

Inner and outer loop share them, and any learner can pursue each of them. A new objective is one
more function with the signature of `ranking`, by its name in `OBJECTIVES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

MASKED_LOGIT = -1e9
"""As good as minus infinity in a softmax, but differentiable when nothing else is left."""

Score = Callable[[Tensor], Tensor]
"""The scores of items: (N, D) -> (N,), with T in front or not."""
Offset = Tensor | float
Objective = Callable[..., Tensor]
"""The loss of examples: (S, D), (S,), (S,) -> (), or with T in front.

Perhaps with offsets (S,) that are added to their scores.
"""


@dataclass(frozen=True)
class CandidateSet:
    """C items over which the denominator of a softmax runs: the whole catalogue, or a sample of it.

    `log_weight` corrects for the sampling: the logarithm of how many items a candidate stands for.
    It is (T, C) where it also excludes candidates of single tasks, or holds a part of their scores
    that comes from outside the learner.
    """

    x: Float[Tensor, "C D"]
    log_weight: Float[Tensor, "*T C"]

    @cached_property
    def second_moment(self) -> Float[Tensor, "D D"]:
        """The mean of x x' over the items that the candidates stand for."""
        share = self.log_weight.softmax(dim=0)
        return (self.x * share.unsqueeze(-1)).mT @ self.x


def ranking(
    score: Score,
    x: Tensor,
    y: Tensor,
    mask: Tensor,
    candidates: CandidateSet,
    logit_offset: Offset = 0.0,
    *,
    focal_exponent: float = 0.0,
) -> Tensor:
    """Softmax cross-entropy of each example against the candidates.

    The denominator holds the example and the candidates, but not the task's other examples, which
    are as good as it is. With `focal_exponent` an example is weighted by that power of its
    probability. That is the focal loss (Lin et al., ICCV 2017) turned round: events that nobody can
    predict count little, as they do in a metric of the first ten items.
    """
    rest = (score(candidates.x) + candidates.log_weight).logsumexp(dim=-1, keepdim=True)
    loss = softplus(rest - score(x) - logit_offset)  # -log(e^s / (e^s + e^rest))
    # The weight is detached: nothing is gained by making an example less probable.
    return masked_mean(
        loss * (-focal_exponent * loss.detach()).exp() if focal_exponent else loss, mask
    )


def rating(
    score: Score,
    x: Tensor,
    y: Tensor,
    mask: Tensor,
    candidates: CandidateSet,
    logit_offset: Offset = 0.0,
) -> Tensor:
    """Mean squared error of examples in standard units."""
    return masked_mean((score(x) + logit_offset - y) ** 2, mask)


OBJECTIVES: dict[str, Objective] = {"ranking": ranking, "rating": rating}


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the last dimension where `mask` holds; 0 where it holds nowhere."""
    return values.masked_fill(~mask, 0.0).sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)
