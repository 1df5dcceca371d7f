"""MANN: a controller writes each event into an external memory that is read by content (Santoro et
al., ICML 2016).

With memory `m` and parameters `theta`: `m_t = g_psi(x_t, m_{t-1}, theta_{t-1})`, since the
controller is told what `theta_{t-1}` expected of `x_t`; `theta_t = f_phi(x, m_t)`, since the
weights that score an item are read from memory by its own key.

**Deviations.** A label comes with its item, not one step later. A candidate's key is a linear map
of its vector, so that a whole catalogue can be scored; to the key of an event the controller adds
its word. A slot that holds nothing takes no attention, and a null slot takes what no other
deserves, so that without events the prior holds. There is one read head.
"""

from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from warmstart.learners.base import CandidateSet, Items, Learner, Scores, Support, Weights, project

Slots = Float[Tensor, "T M"]
Hidden = Float[Tensor, "T W"]
TINY = 1e-6  # a squared length that counts as none


class Memory(NamedTuple):
    """What the events of T tasks left in M slots: a slot's content is the sum of their keys,
    weighted by `written`.
    """

    content: Float[Tensor, "T M W"]  # zero where nothing was written
    written: Float[Tensor, "T S M"]  # how much of each event a slot holds
    usage: Slots
    attention: Slots  # where the last event read
    hidden: Hidden
    cell: Hidden
    prior: Weights


class MANN(Learner):
    """This writes each event into the least used slot, a part of it where it last read, and scores
    by reading.
    """

    order_matters = True

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        slots: int = 16,
        width: int = 64,
        decay: float = 0.95,
    ) -> None:
        super().__init__(objective=objective)
        self.slots, self.width, self.decay = slots, width, decay
        self.controller = nn.LSTMCell(
            dim + 2 + width, width
        )  # an item, its label, what was expected, the last read
        self.word = nn.Linear(width, width)
        self.look_up = nn.Linear(dim, width)
        self.value = nn.Linear(dim, width, bias=False)
        self.log_sharpness = nn.Parameter(torch.tensor(3.0).log())
        self.null = nn.Parameter(torch.tensor(0.0))
        self.gate = nn.Parameter(torch.tensor(-2.0))

    def adapt(self, support: Support, catalogue: CandidateSet) -> Memory:
        x = torch.where(support.mask.unsqueeze(-1), support.x, 0.0)
        y = torch.where(support.mask, support.y, 0.0)
        memory = self._blank(support)
        for s in range(x.shape[1]):
            memory = _choose(support.mask[:, s], self._witness(memory, s, x[:, s], y[:, s]), memory)
        return memory

    def score(self, state: Memory, x: Items) -> Scores:
        attention = self._attend(self.look_up(x), state.content)
        return project(x, state.prior) + (attention * (self.value(x) @ state.content.mT)).sum(
            dim=-1
        )

    def _blank(self, support: Support) -> Memory:
        tasks, shots = support.mask.shape
        zeros = partial(support.x.new_zeros, tasks)
        none, silent = zeros(self.slots), zeros(self.width)
        return Memory(
            zeros(self.slots, self.width),
            zeros(shots, self.slots),
            none,
            none,
            silent,
            silent,
            support.prior,
        )

    def _witness(self, memory: Memory, s: int, x: Tensor, y: Tensor) -> Memory:
        """The memories of T tasks after their event number s: (T, D), (T,)."""
        expected = self.score(memory, x.unsqueeze(1))  # (T, 1)
        read = (memory.attention.unsqueeze(1) @ memory.content).squeeze(1)
        seen = torch.cat([x, y.unsqueeze(1), expected, read], dim=1)
        hidden, cell = self.controller(seen, (memory.hidden, memory.cell))
        key = self.look_up(x) + self.word(hidden)
        kept, write = self._aim(memory)
        content = memory.content * kept.unsqueeze(-1) + write.unsqueeze(-1) * key.unsqueeze(1)
        now = torch.arange(memory.written.shape[1], device=x.device).unsqueeze(-1) == s  # (S, 1)
        written = torch.where(now, write.unsqueeze(1), memory.written * kept.unsqueeze(1))
        attention = self._attend(key.unsqueeze(1), content).squeeze(1)
        usage = self.decay * memory.usage + attention + write
        return Memory(content, written, usage, attention, hidden, cell, memory.prior)

    def _aim(self, memory: Memory) -> tuple[Tensor, Tensor]:
        """Which slots are not cleared for the next event, and how much of it goes into each: (T,
        M), (T, M).
        """
        least_used = one_hot(memory.usage.argmin(dim=1), self.slots)
        gate = self.gate.sigmoid()
        return 1 - least_used, gate * memory.attention + (1 - gate) * least_used

    def _attend(self, key: Tensor, content: Tensor) -> Tensor:
        """How much of its attention each key gives to each slot: (T, Q, W) or (Q, W), (T, M, W) ->
        (T, Q, M).
        """
        cosine = _unit(key) @ _unit(content).mT
        empty = (content.square().sum(dim=-1) == 0).unsqueeze(1)
        logits = (self.log_sharpness.exp() * cosine).masked_fill(empty, -torch.inf)
        null = self.null.expand(*logits.shape[:-1], 1)
        return torch.cat([null, logits], dim=-1).softmax(dim=-1)[..., 1:]


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays one, and has a gradient."""
    return rows / (rows.square().sum(dim=-1, keepdim=True) + TINY).sqrt()


def _choose(mask: Tensor, new: Memory, old: Memory) -> Memory:
    """The new memory for the tasks that the mask names, the old one for the others."""
    return Memory(
        *(
            torch.where(mask.view(-1, *[1] * (n.ndim - 1)), n, o)
            for n, o in zip(new, old, strict=True)
        )
    )
