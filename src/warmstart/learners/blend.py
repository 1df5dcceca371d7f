"""Blend: what a network reads off the support set, and what all training tasks say of it, weighed
by how much is known.

One forward pass combines what is strong in different places: an amortised set encoder (few shots;
see `in_context`), where events stand in time order a recurrent one beside it (see `gru4rec`), a
prior from profile and content (no shots), and closed forms over all training tasks, with the task's
own row left out in training (see `evidence`): what a profile foretells (no shots), and EASE, item
neighbours and what tends to follow (many). How far each of the latter is trusted is read off the
number of shots and their spread, and learned with all the rest.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from warmstart.learners.base import (
    CandidateSet,
    Items,
    Learner,
    Scores,
    Support,
    Weights,
    masked_sum,
    project,
    ranking,
)
from warmstart.learners.blocks.recurrent import RecurrentEncoder, last_state, latest_events
from warmstart.learners.blocks.set_encoder import SetEncoder

READ = 50  # events, the last ones, that the recurrent network reads
GATE = 16
EAGERNESS = (
    10.0  # times as fast as the rest, since the witnesses come with all they know, the gate learns
)


class Blend(Learner):
    """This writes the task's weights in one forward pass, and says how far to trust each of
    `witnesses` witnesses.
    """

    order_matters = True

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        hidden: int = 64,
        width: int = 32,
        dropout: float = 0.1,
        units: int = 64,
        unit_dropout: float = 0.2,
        ordered: bool = False,
        witnesses: int = 0,
        first_trust: float = 0.3,
        focus: float = 0.25,
    ) -> None:
        super().__init__(objective=objective)
        if self.is_ranking:
            self.objective = partial(ranking, focus=focus)
        self.read = SetEncoder(dim, hidden=hidden, width=width, dropout=dropout)
        self.read.zero_output()  # training starts at the prior and the witnesses
        self.recurrence = RecurrentEncoder(dim, units, unit_dropout) if ordered else None
        self.gate = _gate(witnesses, first_trust) if witnesses else None

    def adapt(self, support: Support, catalogue: CandidateSet) -> Weights:
        weights = support.prior + self.read(support)
        if self.recurrence is None:
            return weights
        events = latest_events(support, READ)
        return weights + last_state(self.recurrence(events.x), events)

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)

    def expert_weights(self, support: Support) -> Float[Tensor, "T E"]:
        assert self.gate is not None, "without witnesses there is nothing to trust"
        shots = support.mask.sum(dim=1, keepdim=True)
        mean = masked_sum(normalize(support.x, dim=-1), support.mask) / shots.clamp(min=1)
        agreement = mean.square().sum(
            dim=1, keepdim=True
        )  # 1 where all examples are alike, 0 where they have nothing in common
        return EAGERNESS * self.gate(torch.cat([shots.log1p(), 1 / (1 + shots), agreement], dim=1))


def _gate(witnesses: int, first_trust: float) -> nn.Sequential:
    output = nn.Linear(GATE, witnesses)
    nn.init.zeros_(output.weight)
    nn.init.constant_(output.bias, first_trust / EAGERNESS)
    return nn.Sequential(nn.Linear(3, GATE), nn.Tanh(), output)
