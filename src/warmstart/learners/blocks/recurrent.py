"""Recurrent encoder: event sequences of tasks, a GRU over them, and the loss of the next event."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from warmstart.learners.base import Mask, Query, Support, Vectors, Weights
from warmstart.learners.objectives import CandidateSet


class EventSequences(NamedTuple):
    """At most L events of each of T tasks, in order and without gaps; padding is last and zero."""

    x: Float[Tensor, "T L D"]
    mask: Bool[Tensor, "T L"]


class RecurrentEncoder(nn.Module):
    """A gated recurrent network: its output after each event are weights of the next item.

    A learned token comes first, so that there is a prediction before any event. All are zero at
    first.
    """

    def __init__(self, dim: int, units: int, dropout: float) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(dim))
        self.cells = nn.GRU(dim, units, batch_first=True)
        self.output = nn.Linear(units, dim)
        for parameter in self.output.parameters():
            nn.init.zeros_(parameter)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Vectors) -> Float[Tensor, "T S+1 D"]:
        """The prediction before the first event and after each."""
        tokens = torch.cat([self.start.expand(len(x), 1, -1), x], dim=1)
        hidden, _ = self.cells(self.dropout(tokens))
        return self.output(self.dropout(hidden))


def latest_events(support: Support, length: int) -> EventSequences:
    """The last `length` events of each support set, or all where there are fewer."""
    events_to_come = support.mask.flip(1).cumsum(1).flip(1)  # an event's own included
    return _compact(support.x, support.mask & (events_to_come <= length), length)


def earliest_events(support: Support, query: Query, length: int) -> EventSequences:
    """The first `length` events of each task, its support and query as one sequence."""
    x = torch.cat([support.x, query.x], dim=1)
    return _compact(x, torch.cat([support.mask, query.mask], dim=1), length)


def last_state(states: Vectors, events: EventSequences) -> Weights:
    """The state after each task's last event, where state 0 is that before the first."""
    return states.take_along_dim(events.mask.sum(dim=1)[:, None, None], dim=1).squeeze(1)


def next_event_loss(
    states: Vectors,
    events: EventSequences,
    negatives: CandidateSet,
    *,
    position_decay: float = 0.5,
) -> Float[Tensor, " T"]:
    """Softmax cross-entropy of each event given the state before it: the mean over a task's events.

    As in `objectives.ranking`, the denominator holds the event and the negatives, but not the
    task's other events. The n-th event is weighted by 1 / n^`position_decay`: every task has early
    events, but a mean over all of them would hardly train the predictions for users with few.
    """
    # Only the N real events are scored: padding may be most of a batch.
    task, position = events.mask.nonzero(as_tuple=True)
    state = states[task, position]  # (N, D)
    per_task = negatives.log_weight.ndim == 2
    log_weight = negatives.log_weight[task] if per_task else negatives.log_weight
    rest = (state @ negatives.x.mT + log_weight).logsumexp(dim=-1)
    nll = softplus(rest - (state * events.x[task, position]).sum(dim=-1))  # (N,)
    positions = torch.arange(1, 1 + events.mask.shape[1], device=rest.device)
    weight = events.mask / positions**position_decay  # (T, L)
    losses = torch.zeros_like(weight).index_put((task, position), nll)
    return (losses * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def _compact(x: Vectors, mask: Mask, length: int) -> EventSequences:
    """The events where `mask` holds, moved to the front and cut to `length`."""
    # A stable sort keeps the events in their order.
    order = (~mask).long().argsort(dim=1, stable=True)[:, :length]
    kept = mask.gather(1, order)
    compact = x.take_along_dim(order.unsqueeze(-1), dim=1)
    return EventSequences(torch.where(kept.unsqueeze(-1), compact, 0.0), kept)
