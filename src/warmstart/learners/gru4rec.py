"""GRU4Rec: a gated recurrent network reads the events in order and predicts the next one.

Hidasi, Karatzoglou, Baltrunas & Tikk, ICLR 2016; trained with the softmax over the catalogue or a
sample of it (Hidasi & Karatzoglou, CIKM 2018).

**Deviations.** A step takes whole sequences of some tasks, not a slice of many sessions, and at
most their first `max_length` + 1 events; in use the last `max_length` are read. A learned token
comes first, so that the first event is predicted too. Items are read and scored by the same
vectors, which a linear layer fits to the hidden state; its output is added to the task's prior.
Negatives are drawn from the catalogue with a correction, not from the batch. Early events weigh
more in the loss.
"""

from jaxtyping import Float
from torch import Tensor

from warmstart.learners.base import (
    Items,
    Learner,
    Query,
    Scores,
    Support,
    Weights,
    project,
)
from warmstart.learners.blocks.recurrent import (
    RecurrentEncoder,
    earliest_events,
    last_state,
    latest_events,
    next_event_loss,
)
from warmstart.learners.objectives import CandidateSet


class GRU4Rec(Learner):
    """A recurrent network over the support set, whose state are weights of the next item."""

    order_matters = True
    trains_on_sequences = True

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        units: int = 64,
        dropout: float = 0.2,
        max_length: int = 50,
    ) -> None:
        super().__init__(objective=objective)
        self.max_length = max_length
        self.recurrence = RecurrentEncoder(dim, units, dropout)

    def adapt(self, support: Support, candidates: CandidateSet) -> Weights:
        events = latest_events(support, self.max_length)
        return support.prior + last_state(self.recurrence(events.x), events)

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)

    def loss(
        self, support: Support, query: Query, candidates: CandidateSet, negatives: CandidateSet
    ) -> Float[Tensor, " T"]:
        events = earliest_events(support, query, self.max_length + 1)
        # The last event is only predicted, never read: it predicts nothing that is known.
        states = support.prior.unsqueeze(1) + self.recurrence(events.x[:, :-1])
        return next_event_loss(states, events, negatives)
