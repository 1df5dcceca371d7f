"""CORE: what is expected next lies in the space of the items, as a weighted sum of the last events.

Hou, Hu, Zhang & Zhao, SIGIR 2022.

Scores are cosines over a temperature, so that popular items, which have long vectors, do not win by
their length; the encoder gives the items vectors of length 1 in their learned coordinates.

**Deviations.** The weights come from what a recurrent network expects after each event, and not
from a transformer; what it expects is added to the sum. Every event of a task is asked for at once.
The prior counts as much as is learned for each number of events, at first before the first one
alone.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warmstart.learners.base import (
    FIXED_COORDINATES,
    CandidateSet,
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

SOFT = 1e-2  # of a vector's squared length, so that the direction of nothing is nothing


class Core(Learner):
    """This reads the last `max_length` events; its state is what it expects next, as weights."""

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
        self.asks = nn.Linear(dim, dim, bias=False)
        self.age = nn.Parameter(torch.zeros(max_length + 1))  # of an event, in events since
        self.before = nn.Parameter(
            torch.eye(1, max_length + 1)[0]
        )  # how much the prior counts after so many events
        self.log_temperature = nn.Parameter(torch.tensor(temperature).log())

    def adapt(self, support: Support, catalogue: CandidateSet) -> Weights:
        events = latest_events(support, self.max_length)
        return last_state(self._states(events.x, support.prior), events)

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)

    def loss(
        self, support: Support, query: Query, catalogue: CandidateSet, rivals: CandidateSet
    ) -> Float[Tensor, "T"]:
        events = earliest_events(support, query, self.max_length + 1)
        return next_event_loss(
            self._states(events.x[:, :-1], support.prior), events, rivals, position_decay=0.0
        )

    def _states(self, x: Vectors, prior: Weights) -> Float[Tensor, "T S+1 D"]:
        """What is expected before the first event and after each."""
        free = torch.arange(x.shape[-1], device=x.device) >= FIXED_COORDINATES
        expected = self.recurrence(x) * free  # (T, S + 1, D)
        place = torch.arange(x.shape[1] + 1, device=x.device)
        since = place[:, None] - 1 - place[None, :-1]  # (S + 1, S): below 0 for what comes later
        wanted = self.asks(expected) @ x.mT + self.age[since.clamp(min=0)]
        weight = wanted.masked_fill(since < 0, -torch.inf).softmax(dim=-1).nan_to_num(0.0)
        sought = (weight @ x) * free + expected
        direction = sought * (sought.square().sum(dim=-1, keepdim=True) + SOFT).rsqrt()
        return direction / self.log_temperature.exp() + self.before[place].unsqueeze(
            -1
        ) * prior.unsqueeze(1)
