"""The contract of a meta-learner: what the author of an algorithm writes, and the two objectives it
may pursue.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import softplus

FIXED_COORDINATES = 2
"""The first coordinates of every vector: the constant 1, and an item's mean appeal; the others are
learned.
"""
Vectors = Float[Tensor, "T S D"]
Values = Float[Tensor, "T S"]
Mask = Bool[Tensor, "T S"]
Weights = Float[Tensor, "T D"]
Items = Float[Tensor, "*T Q D"]  # (Q, D) where all tasks share the candidates
Scores = Float[Tensor, "T Q"]
State = Any  # a NamedTuple or Tensor whose leading dimension is T


@dataclass(frozen=True)
class Support:
    """What is known of T tasks: S examples each, and the prior that holds before any of them.

    `y` is the strength of an event (ranking) or its rating in standard units (rating). `prior` are
    the weights of the task before its first event: `x @ prior` is a cold user's score. Padding has
    `mask` False and may hold anything.
    """

    x: Vectors
    y: Values
    mask: Mask
    prior: Weights


@dataclass(frozen=True)
class Query:
    """What T tasks did next, to be predicted; `known` is what of its scores comes from elsewhere
    than the learner.
    """

    x: Vectors
    y: Values
    mask: Mask
    logit_offset: Values | float = 0.0


@dataclass(frozen=True)
class CandidateSet:
    """C items to choose among, for the denominator of a softmax; all items, or a sample with its
    correction.

    `log_weight` is (T, C) where it also rules out what a task cannot choose, and holds what of the
    scores comes from elsewhere than the learner.
    """

    x: Float[Tensor, "C D"]
    log_weight: Float[Tensor, "*T C"]

    @cached_property
    def second_moment(self) -> Float[Tensor, "D D"]:
        """The mean of x x' over the items that the drawn ones stand for; in use found once."""
        share = self.log_weight.softmax(dim=0)
        return (self.x * share.unsqueeze(-1)).mT @ self.x


Score = Callable[[Tensor], Tensor]
Offset = Tensor | float


Objective = Callable[..., Tensor]
"""The loss of examples: (S, D), (S,), (S,), perhaps with (S,) known of their scores -> (), with T
in front or not.
"""


def ranking(
    score: Score,
    x: Tensor,
    y: Tensor,
    mask: Tensor,
    catalogue: CandidateSet,
    known: Offset = 0.0,
    *,
    focus: float = 0.0,
) -> Tensor:
    """Softmax cross entropy of examples against the catalogue.

    Each example competes with the catalogue alone, not with the other examples, which are no worse
    than it is. With `focus` an example counts by that power of the chance it is given: those that
    nobody could foresee count little, as in a measure of the first ten items, which they will never
    be among.
    """
    rest = (score(catalogue.x) + catalogue.log_weight).logsumexp(dim=-1, keepdim=True)
    surprise = softplus(rest - score(x) - known)
    return masked_mean(surprise * (-focus * surprise.detach()).exp() if focus else surprise, mask)


def rating(
    score: Score, x: Tensor, y: Tensor, mask: Tensor, catalogue: CandidateSet, known: Offset = 0.0
) -> Tensor:
    """Mean squared error of examples in standard units."""
    return masked_mean((score(x) + known - y) ** 2, mask)


OBJECTIVES: dict[str, Objective] = {"ranking": ranking, "rating": rating}


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the entries of the last dimension that `mask` keeps; 0 where it keeps none."""
    return values.masked_fill(~mask, 0.0).sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)


class Learner(nn.Module, ABC):
    """This learns, over many tasks, how to adapt to a new one.

    `adapt` and `score` are batched over tasks, pure and differentiable: the outer loop trains the
    parameters through both. A learner sees vectors only: no ids, and of the catalogue just the
    sample that its inner loop may need.
    """

    order_matters: ClassVar[bool] = False
    """Whether the order of the support examples may change the scores."""
    trains_on_sequences: ClassVar[bool] = False
    """Whether the loss asks for each event of a task in turn, and so learns from all that come
    after the support.
    """

    def __init__(self, *, objective: str) -> None:
        super().__init__()
        self.objective = OBJECTIVES[objective]
        self.is_ranking = objective == "ranking"

    @abstractmethod
    def adapt(self, support: Support, catalogue: CandidateSet) -> State:
        """What T support sets say about their tasks."""

    @abstractmethod
    def score(self, state: State, x: Items) -> Scores:
        """The score of Q items for each of T tasks."""

    def loss(
        self, support: Support, query: Query, catalogue: CandidateSet, rivals: CandidateSet
    ) -> Float[Tensor, "T"]:
        """The outer objective of T tasks: how badly the adapted state predicts the query among its
        rivals.
        """
        state = self.adapt(support, catalogue)
        return self.objective(
            lambda x: self.score(state, x), query.x, query.y, query.mask, rivals, query.logit_offset
        )


@runtime_checkable
class GatesExperts(Protocol):
    """A learner that also says how far to trust what the training tasks as a whole say of a support
    set.
    """

    def expert_weights(self, support: Support) -> Float[Tensor, "T E"]:
        """The weight of each of E witnesses in the scores of each task."""
        ...


@runtime_checkable
class PosteriorSampler(Protocol):
    """A learner that knows how unsure it is."""

    @property
    def noise(self) -> float:
        """Standard deviation of a rating around its score, in standard units; 0 where events are
        ranked.
        """
        ...

    def sample(self, state: State, rng: torch.Generator) -> State:
        """A state drawn from all that the support set leaves possible, to be scored like any
        other.
        """
        ...


@runtime_checkable
class LeaveOneOut(PosteriorSampler, Protocol):
    """A learner of weights that also knows in closed form what each example adds to them."""

    def leave_one_out_differences(self, support: Support, catalogue: CandidateSet) -> Vectors:
        """The weights of each task less those that it would have without each of its examples: (T,
        S, D).
        """
        ...


def project(x: Items, weights: Weights) -> Scores:
    """The product of each item with each task's weights: (T, Q, D) or (Q, D), (T, D) -> (T, Q)."""
    if x.ndim == 2:
        return (
            weights @ x.mT
        )  # one product; the same items set side by side for each task take ten times as long
    return (x @ weights.unsqueeze(-1)).squeeze(-1)


def masked_sum(rows: Vectors, mask: Mask) -> Weights:
    """The sum of a task's rows; padding adds nothing."""
    return torch.where(mask.unsqueeze(-1), rows, 0.0).sum(dim=1)
