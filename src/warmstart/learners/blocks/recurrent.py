"""Sequence: the events of each task in their order, and a network that reads them one after the
other.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from warmstart.learners.base import CandidateSet, Mask, Query, Support, Vectors, Weights


class EventSequences(NamedTuple):
    """At most L events of each of T tasks, in order and without gaps; padding comes last and is
    zero.
    """

    x: Float[Tensor, "T L D"]
    mask: Bool[Tensor, "T L"]


class RecurrentEncoder(nn.Module):
    """A gated recurrent network that says after each event what is expected next, as weights; at
    first nothing.

    A learned token comes first, so that something can be expected before any event.
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
        """What is expected before the first event and after each."""
        tokens = torch.cat([self.start.expand(len(x), 1, -1), x], dim=1)
        hidden, _ = self.cells(self.dropout(tokens))
        return self.output(self.dropout(hidden))


def latest_events(support: Support, length: int) -> EventSequences:
    """The last `length` events of each support set, or all where there are fewer."""
    from_here_on = support.mask.flip(1).cumsum(1).flip(1)
    return _compact(support.x, support.mask & (from_here_on <= length), length)


def earliest_events(support: Support, query: Query, length: int) -> EventSequences:
    """The first `length` events of each task, its support and query as one sequence."""
    x, mask = torch.cat([support.x, query.x], dim=1), torch.cat([support.mask, query.mask], dim=1)
    return _compact(x, mask, length)


def last_state(states: Vectors, events: EventSequences) -> Weights:
    """The state after each task's last event, where state 0 is that before the first."""
    return states.take_along_dim(events.mask.sum(dim=1)[:, None, None], dim=1).squeeze(1)


def next_event_loss(
    states: Vectors, events: EventSequences, rivals: CandidateSet, *, position_decay: float = 0.5
) -> Float[Tensor, "T"]:
    """Softmax cross entropy of each event, by the state before it, against the rivals: a mean over
    a task's events.

    As in `ranking`, an event competes with the catalogue and not with what its task met before or
    after. The n-th event counts 1 / n^`fading`: what is said of people with few events is seldom
    trained otherwise, for each has all the later ones too.
    """
    task, place = events.mask.nonzero(as_tuple=True)
    state = states[task, place]  # (N, D): no padding, which may be most of a batch
    log_weight = rivals.log_weight[task] if rivals.log_weight.ndim == 2 else rivals.log_weight
    rest = (state @ rivals.x.mT + log_weight).logsumexp(dim=-1)
    surprise = softplus(rest - (state * events.x[task, place]).sum(dim=-1))
    weight = (
        events.mask
        / torch.arange(1, 1 + events.mask.shape[1], device=rest.device) ** position_decay
    )
    losses = torch.zeros_like(weight).index_put((task, place), surprise)
    return (losses * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def _compact(x: Vectors, mask: Mask, length: int) -> EventSequences:
    """What `mask` keeps, moved to the front and cut to `length`."""
    order = (~mask).long().argsort(dim=1, stable=True)[:, :length]
    kept = mask.gather(1, order)
    return EventSequences(
        torch.where(kept.unsqueeze(-1), x.take_along_dim(order.unsqueeze(-1), dim=1), 0.0), kept
    )
