"""Blend: a set encoder, a recurrent encoder and gated closed-form experts in one forward pass.

After mixtures of experts (Jacobs et al., Neural Computation 1991). The score of an item is the sum
of what is strong in different places: an amortised set encoder (few shots; see `in_context`), a
recurrent encoder where events stand in time order (see `gru4rec`), a prior from profile and content
(no shots), and experts in closed form over all training tasks (see `ensemble.experts`): prediction
from the profile (no shots), EASE, item neighbours and transitions (many shots). In training the
experts leave the task's own events out.

**Deviations.** A gating network reads the experts' weights off the number of shots and their
spread, and not off the content of the task. The weights are not normalised: experts add to the
network's own scores. All parts are trained together.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from warmstart.learners.base import (
    Items,
    Learner,
    Scores,
    Support,
    Weights,
    masked_sum,
    project,
)
from warmstart.learners.blocks.recurrent import RecurrentEncoder, last_state, latest_events
from warmstart.learners.blocks.set_encoder import SetEncoder
from warmstart.learners.objectives import CandidateSet, ranking

MAX_EVENTS = 50  # the last ones, which the recurrent encoder reads
GATE_WIDTH = 16
GATE_RATE = 10.0
"""Learning rate of the gate relative to the rest: the experts are fitted before training begins."""


class Blend(Learner):
    """Set and recurrent encoder that write a task's weights, and a gate for `witnesses` experts."""

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
            self.objective = partial(ranking, focal_exponent=focus)
        self.read = SetEncoder(dim, hidden=hidden, width=width, dropout=dropout)
        self.read.zero_output()  # training starts at the prior and the experts
        self.recurrence = RecurrentEncoder(dim, units, unit_dropout) if ordered else None
        self.gate = _gate(witnesses, first_trust) if witnesses else None

    def adapt(self, support: Support, candidates: CandidateSet) -> Weights:
        weights = support.prior + self.read(support)
        if self.recurrence is None:
            return weights
        events = latest_events(support, MAX_EVENTS)
        return weights + last_state(self.recurrence(events.x), events)

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)

    def expert_weights(self, support: Support) -> Float[Tensor, "T E"]:
        assert self.gate is not None, "a model without experts has no gate"
        shots = support.mask.sum(dim=1, keepdim=True)
        mean = masked_sum(normalize(support.x, dim=-1), support.mask) / shots.clamp(min=1)
        # The squared length of the mean direction: 1 for equal examples, near 0 for unrelated ones.
        agreement = mean.square().sum(dim=1, keepdim=True)
        return GATE_RATE * self.gate(torch.cat([shots.log1p(), 1 / (1 + shots), agreement], dim=1))


def _gate(n_experts: int, initial_weight: float) -> nn.Sequential:
    """A gating network that weights every expert by `initial_weight` until it is trained."""
    output = nn.Linear(GATE_WIDTH, n_experts)
    nn.init.zeros_(output.weight)
    nn.init.constant_(output.bias, initial_weight / GATE_RATE)
    return nn.Sequential(nn.Linear(3, GATE_WIDTH), nn.Tanh(), output)
