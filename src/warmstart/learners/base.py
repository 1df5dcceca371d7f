"""The contract of a meta-learner: support and query sets as tensors, `adapt`, `score` and `loss`.

`T` is the number of tasks, `S` of support examples, `Q` of query items, `D` of coordinates of a
vector.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from warmstart.learners.objectives import OBJECTIVES, CandidateSet

FIXED_COORDINATES = 2
"""Coordinates of an item vector that are given: the constant 1 and the item's bias."""
Vectors = Float[Tensor, "T S D"]
Values = Float[Tensor, "T S"]
Mask = Bool[Tensor, "T S"]
Weights = Float[Tensor, "T D"]
Items = Float[Tensor, "*T Q D"]  # (Q, D) where all tasks share the candidates
Scores = Float[Tensor, "T Q"]
State = Any  # a NamedTuple or Tensor whose leading dimension is T


@dataclass(frozen=True)
class Support:
    """Support sets of T tasks: S examples each, and the prior that holds before any of them.

    `y` is the strength of an event (ranking) or its rating in standard units (rating). `prior` are
    the weights of a task without examples: `x @ prior` are the scores of a cold user. Padding has
    `mask` False and may hold anything.
    """

    x: Vectors
    y: Values
    mask: Mask
    prior: Weights


@dataclass(frozen=True)
class Query:
    """Query sets of T tasks, to be predicted from their support sets.

    `logit_offset` is the part of the scores that comes from outside the learner.
    """

    x: Vectors
    y: Values
    mask: Mask
    logit_offset: Values | float = 0.0


class Learner(nn.Module, ABC):
    """Meta-learner: learns over many tasks how to adapt to a new one.

    `adapt` and `score` are batched over tasks, pure and differentiable: the outer loop trains the
    parameters through both. A learner sees vectors only: no ids, and of the catalogue just the
    sample that its inner loop may need.
    """

    order_matters: ClassVar[bool] = False
    """Whether the order of the support examples may change the scores."""
    trains_on_sequences: ClassVar[bool] = False
    """Whether the loss is autoregressive: it predicts each event of a task from those before it.

    In training such a learner needs all events after the support set.
    """

    def __init__(self, *, objective: str) -> None:
        super().__init__()
        self.objective = OBJECTIVES[objective]
        self.is_ranking = objective == "ranking"

    @abstractmethod
    def adapt(self, support: Support, candidates: CandidateSet) -> State:
        """The state of T tasks after their support sets."""

    @abstractmethod
    def score(self, state: State, x: Items) -> Scores:
        """The scores of Q items for each of T tasks: (T, Q)."""

    def loss(
        self, support: Support, query: Query, candidates: CandidateSet, negatives: CandidateSet
    ) -> Float[Tensor, " T"]:
        """The outer loss of T tasks: that of the query among the negatives after adaptation."""
        state = self.adapt(support, candidates)
        return self.objective(
            lambda x: self.score(state, x),
            query.x,
            query.y,
            query.mask,
            negatives,
            query.logit_offset,
        )


@runtime_checkable
class GatesExperts(Protocol):
    """A learner with a gating network: it weights the scores of experts fitted over all tasks."""

    def expert_weights(self, support: Support) -> Float[Tensor, "T E"]:
        """The weight of each of E experts in the scores of each task."""
        ...


@runtime_checkable
class PosteriorSampler(Protocol):
    """A learner with a posterior over the states of a task, from which it can sample."""

    @property
    def noise(self) -> float:
        """Standard deviation of a rating around its score, in standard units; 0 for ranking."""
        ...

    def sample(self, state: State, rng: torch.Generator) -> State:
        """A state sampled from the posterior, to be scored like any other."""
        ...


@runtime_checkable
class LeaveOneOut(PosteriorSampler, Protocol):
    """A linear learner that knows its weights without each single example in closed form."""

    def leave_one_out_differences(self, support: Support, candidates: CandidateSet) -> Vectors:
        """The weights of each task less those without each of its examples: (T, S, D)."""
        ...


def project(x: Items, weights: Weights) -> Scores:
    """The product of each item with each task's weights: (T, Q, D) or (Q, D), (T, D) -> (T, Q)."""
    if x.ndim == 2:
        # One matrix product: with a copy of shared items for each task it takes ten times as long.
        return weights @ x.mT
    return (x @ weights.unsqueeze(-1)).squeeze(-1)


def masked_sum(rows: Vectors, mask: Mask) -> Weights:
    """The sum of each task's rows where `mask` holds: (T, S, D) -> (T, D)."""
    return torch.where(mask.unsqueeze(-1), rows, 0.0).sum(dim=1)
