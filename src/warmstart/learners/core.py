"""CORE: session recommendation by a weighted sum of item vectors, scored by cosine.

Hou, Hu, Zhang & Zhao, CORE: Simple and Effective Session-based Recommendation within Consistent
Representation Space, SIGIR 2022. Scores are cosines over a temperature, so that popular items,
which have long vectors, do not win by their length. The encoder gives the items vectors of length 1
in their learned coordinates.

**Deviations.** The weights of the sum come from a recurrent network and not from a transformer, and
the network's output is added to the sum. Every event of a task is predicted at once. The prior has
a learned weight for each number of events, at first 1 without events and else 0.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warmstart.learners.base import (
    FIXED_COORDINATES,
    Items,
    Learner,
    Query,
    Scores,
    Support,
    Vectors,
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

NORM_FLOOR = 1e-2  # added to a squared length, so that a sum of nothing has length 0 and not 1


class CORE(Learner):
    """Attention over the last `max_length` events, whose state are weights of the next item."""

    order_matters = True
    trains_on_sequences = True

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        units: int = 100,
        dropout: float = 0.2,
        max_length: int = 20,
        temperature: float = 0.07,
    ) -> None:
        super().__init__(objective=objective)
        self.max_length = max_length
        self.recurrence = RecurrentEncoder(dim, units, dropout)
        self.asks = nn.Linear(dim, dim, bias=False)  # the network's output as an attention query
        self.age = nn.Parameter(torch.zeros(max_length + 1))  # logit by the number of events since
        self.before = nn.Parameter(torch.eye(1, max_length + 1)[0])  # prior's weight by event count
        self.log_temperature = nn.Parameter(torch.tensor(temperature).log())

    def adapt(self, support: Support, candidates: CandidateSet) -> Weights:
        events = latest_events(support, self.max_length)
        return last_state(self._states(events.x, support.prior), events)

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)

    def loss(
        self, support: Support, query: Query, candidates: CandidateSet, negatives: CandidateSet
    ) -> Float[Tensor, " T"]:
        events = earliest_events(support, query, self.max_length + 1)
        states = self._states(events.x[:, :-1], support.prior)
        return next_event_loss(states, events, negatives, position_decay=0.0)

    def _states(self, x: Vectors, prior: Weights) -> Float[Tensor, "T S+1 D"]:
        """The predicted next item before the first event and after each event, as weights."""
        learned = torch.arange(x.shape[-1], device=x.device) >= FIXED_COORDINATES
        predicted = self.recurrence(x) * learned  # (T, S + 1, D)
        attention, position = self._attention(predicted, x)
        summed = (attention @ x) * learned + predicted
        direction = summed * (summed.square().sum(dim=-1, keepdim=True) + NORM_FLOOR).rsqrt()
        prior_weight = self.before[position].unsqueeze(-1)  # (S + 1, 1)
        return direction / self.log_temperature.exp() + prior_weight * prior.unsqueeze(1)

    def _attention(self, predicted: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The weight of each event in each state, and the positions: (T, S + 1, S), (S + 1,)."""
        position = torch.arange(x.shape[1] + 1, device=x.device)
        age = position[:, None] - 1 - position[None, :-1]  # (S + 1, S): below 0 for later events
        logits = self.asks(predicted) @ x.mT + self.age[age.clamp(min=0)]
        # Before the first event nothing can be attended to: that row's softmax is 0 / 0, made 0.
        weight = logits.masked_fill(age < 0, -torch.inf).softmax(dim=-1).nan_to_num(0.0)
        return weight, position
