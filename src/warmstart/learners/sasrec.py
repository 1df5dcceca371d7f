"""SASRec: causal self-attention over the events predicts the next one.

Kang & McAuley, Self-Attentive Sequential Recommendation, ICDM 2018. Trained with the softmax over
the catalogue or a sample of it, which makes it stronger than one negative for each event does
(Klenitskiy & Vasilev, RecSys 2023).

**Deviations.** A learned token comes first, so that the first event is predicted and attention
always has something to attend to. Positions are counted from the first event read, not from the
last; in use the last `max_length` events are read, in training the first `max_length` + 1 of a
task. Early events weigh more in the loss. The final vector is added to the task's prior. One head,
no biases in the attention and normalisation before each layer are the paper's own.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pad, scaled_dot_product_attention

from warmstart.learners.base import (
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
    earliest_events,
    last_state,
    latest_events,
    next_event_loss,
)
from warmstart.learners.objectives import CandidateSet


class SASRec(Learner):
    """A causal transformer over the support set, whose state are weights of the next item."""

    order_matters = True
    trains_on_sequences = True

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        blocks: int = 2,
        dropout: float = 0.2,
        max_length: int = 50,
    ) -> None:
        super().__init__(objective=objective)
        self.max_length = max_length
        # One vector for each position; the first is that of the token before all events.
        self.place = nn.Parameter(0.02 * torch.randn(max_length + 1, dim))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(dim, dropout) for _ in range(blocks)))
        self.norm = Norm(dim)
        nn.init.zeros_(self.norm.weight)  # training starts at the prior

    def adapt(self, support: Support, candidates: CandidateSet) -> Weights:
        events = latest_events(support, self.max_length)
        return support.prior + last_state(self._states(events.x), events)

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)

    def loss(
        self, support: Support, query: Query, candidates: CandidateSet, negatives: CandidateSet
    ) -> Float[Tensor, " T"]:
        events = earliest_events(support, query, self.max_length + 1)
        states = support.prior.unsqueeze(1) + self._states(events.x[:, :-1])
        return next_event_loss(states, events, negatives)

    def _states(self, x: Vectors) -> Float[Tensor, "T S+1 D"]:
        """The predicted next item before the first event and after each, relative to the prior."""
        tokens = pad(x, (0, 0, 1, 0)) + self.place[: x.shape[1] + 1]
        return self.norm(self.blocks(self.dropout(tokens)))


class Block(nn.Module):
    """Transformer block: causal attention and a feed-forward layer with skip connections."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.layer_norm = Norm(dim), Norm(dim)
        self.attention = nn.Linear(dim, 3 * dim, bias=False)
        self.layer = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(dim, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Vectors) -> Vectors:
        projected = self.attention(self.attention_norm(x)).unsqueeze(1)  # (T, 1, S, 3 D)
        query, key, value = projected.chunk(3, dim=-1)
        attended = scaled_dot_product_attention(query, key, value, is_causal=True).squeeze(1)
        x = x + self.dropout(attended)
        return x + self.dropout(self.layer(self.layer_norm(x)))


class Norm(nn.Module):
    """Layer normalisation whose gradient is the same for any number of threads.

    That of `nn.LayerNorm` sums the gradient of its weight in an order that depends on the threads.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x: Vectors) -> Vectors:
        return layer_norm(x, self.weight.shape) * self.weight + self.bias
