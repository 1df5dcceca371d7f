"""MANN: a memory-augmented network, which writes events into a memory and reads it by content.

Santoro, Bartunov, Botvinick, Wierstra & Lillicrap, Meta-Learning with Memory-Augmented Neural
Networks, ICML 2016. With memory `m` and parameters `theta`: `m_t = g_psi(x_t, m_{t-1},
theta_{t-1})`, since the controller reads the score that `theta_{t-1}` gave to `x_t`; `theta_t =
f_phi(x, m_t)`, since the weights that score an item are read from memory by its own key.

**Deviations.** A label comes with its item, not one step later. A candidate's key is a linear map
of its vector, so that a whole catalogue can be scored; the controller adds its output to the key of
an event. An empty slot gets no attention, and a null slot takes the attention that no other
deserves, so that without events the prior holds. There is one read head.
"""

from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from warmstart.learners.base import Items, Learner, Scores, Support, Weights, project
from warmstart.learners.objectives import CandidateSet

Slots = Float[Tensor, "T M"]
Hidden = Float[Tensor, "T W"]
MIN_SQUARED_NORM = 1e-6  # a row of zeros counts as this long, so that it can be normalised


class Memory(NamedTuple):
    """Memory of M slots for T tasks; a slot's content is the sum of event keys, times `written`."""

    content: Float[Tensor, "T M W"]  # zero where nothing was written
    written: Float[Tensor, "T S M"]  # the share of each event in a slot
    usage: Slots
    attention: Slots  # of the last event's read
    hidden: Hidden
    cell: Hidden
    prior: Weights


class MANN(Learner):
    """Writes each event into the least used slot and the last read ones; scores by reading."""

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
        self.controller = nn.LSTMCell(dim + 2 + width, width)  # item, label, score, last read
        self.word = nn.Linear(width, width)  # the controller's part of an event's key
        self.look_up = nn.Linear(dim, width)  # the key of an item
        self.value = nn.Linear(dim, width, bias=False)
        self.log_sharpness = nn.Parameter(torch.tensor(3.0).log())
        self.null = nn.Parameter(torch.tensor(0.0))
        self.gate = nn.Parameter(torch.tensor(-2.0))

    def adapt(self, support: Support, candidates: CandidateSet) -> Memory:
        x = torch.where(support.mask.unsqueeze(-1), support.x, 0.0)
        y = torch.where(support.mask, support.y, 0.0)
        memory = self._empty_memory(support)
        for s in range(x.shape[1]):
            after = self._write_event(memory, s, x[:, s], y[:, s])
            memory = _update_where(support.mask[:, s], after, memory)
        return memory

    def score(self, state: Memory, x: Items) -> Scores:
        attention = self._attend(self.look_up(x), state.content)  # (T, Q, M)
        read = attention * (self.value(x) @ state.content.mT)
        return project(x, state.prior) + read.sum(dim=-1)

    def _empty_memory(self, support: Support) -> Memory:
        tasks, shots = support.mask.shape
        zeros = partial(support.x.new_zeros, tasks)
        slots, hidden = zeros(self.slots), zeros(self.width)
        return Memory(
            content=zeros(self.slots, self.width),
            written=zeros(shots, self.slots),
            usage=slots,
            attention=slots,
            hidden=hidden,
            cell=hidden,
            prior=support.prior,
        )

    def _write_event(self, memory: Memory, s: int, x: Tensor, y: Tensor) -> Memory:
        """The memories of T tasks after their event number s: (T, D), (T,)."""
        score = self.score(memory, x.unsqueeze(1))  # (T, 1)
        read = (memory.attention.unsqueeze(1) @ memory.content).squeeze(1)  # (T, W)
        inputs = torch.cat([x, y.unsqueeze(1), score, read], dim=1)
        hidden, cell = self.controller(inputs, (memory.hidden, memory.cell))
        key = self.look_up(x) + self.word(hidden)  # (T, W)
        kept, write = self._write_weights(memory)
        content = memory.content * kept.unsqueeze(-1) + write.unsqueeze(-1) * key.unsqueeze(1)
        # A slot that is cleared forgets its events, so their shares are cleared with it.
        now = torch.arange(memory.written.shape[1], device=x.device).unsqueeze(-1) == s  # (S, 1)
        written = torch.where(now, write.unsqueeze(1), memory.written * kept.unsqueeze(1))
        attention = self._attend(key.unsqueeze(1), content).squeeze(1)
        usage = self.decay * memory.usage + attention + write
        return Memory(content, written, usage, attention, hidden, cell, memory.prior)

    def _write_weights(self, memory: Memory) -> tuple[Tensor, Tensor]:
        """The slots that keep their content, and the next event's share in each: (T, M) both."""
        least_used = one_hot(memory.usage.argmin(dim=1), self.slots)
        gate = self.gate.sigmoid()
        return 1 - least_used, gate * memory.attention + (1 - gate) * least_used

    def _attend(self, key: Tensor, content: Tensor) -> Tensor:
        """The attention of each key over the slots: (T, Q, W) or (Q, W), (T, M, W) -> (T, Q, M)."""
        cosine = _normalize(key) @ _normalize(content).mT
        empty = (content.square().sum(dim=-1) == 0).unsqueeze(1)
        logits = (self.log_sharpness.exp() * cosine).masked_fill(empty, -torch.inf)
        null = self.null.expand(*logits.shape[:-1], 1)
        return torch.cat([null, logits], dim=-1).softmax(dim=-1)[..., 1:]


def _normalize(rows: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays one, and has a gradient."""
    return rows / (rows.square().sum(dim=-1, keepdim=True) + MIN_SQUARED_NORM).sqrt()


def _update_where(mask: Tensor, new: Memory, old: Memory) -> Memory:
    """The new memory for the tasks where `mask` holds, the old one for the others."""
    return Memory(
        *(
            torch.where(mask.view(-1, *[1] * (n.ndim - 1)), n, o)
            for n, o in zip(new, old, strict=True)
        )
    )
