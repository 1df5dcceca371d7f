"""Matching network: attention over the support set, with the labels as values (Vinyals et al.,
NeurIPS 2016).

With `full_context` every embedding sees the whole support set: a bidirectional LSTM over the
examples, in their order, adds to their keys; an LSTM that looks at those keys by attention, `reads`
times, adds to the query of each candidate. That costs some twenty times the arithmetic.

**Deviations.** A null example with a learned logit takes the attention that no example deserves, so
that an empty support set is an input like any other. Attention is added to the prior. Where all
labels are alike (ranking), the weighted mean says nothing, so the evidence against the null example
counts: the log-odds of the attention.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from warmstart.learners.base import (
    CandidateSet,
    Items,
    Learner,
    Mask,
    Scores,
    Support,
    Values,
    Vectors,
    Weights,
    project,
)

PAIRS = (
    2**15
)  # pairs of task and candidate at once, so that with full context a large batch takes some 300 MB
RULED_OUT = (
    -1e9
)  # as good as minus infinity in a softmax, but differentiable when nothing else is left


class Memory(NamedTuple):
    keys: Vectors  # before they are made unit length
    labels: Values  # relative to the prior
    mask: Mask
    prior: Weights


class Matching(Learner):
    """This keeps the support set as a memory and reads it by attention."""

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        width: int = 64,
        full_context: bool = False,
        reads: int = 2,
    ) -> None:
        super().__init__(objective=objective)
        self.key = nn.Linear(dim, width)
        self.look_up = nn.Linear(dim, width)
        self.log_sharpness = nn.Parameter(torch.tensor(5.0).log())
        self.null = nn.Parameter(torch.tensor(2.0))
        self.log_gain = nn.Parameter(torch.tensor(1.0).log())
        self.context = FullContext(width, reads) if full_context else None
        self.order_matters = full_context  # pyright: ignore[reportAttributeAccessIssue]  # here a switch decides it

    def adapt(self, support: Support, catalogue: CandidateSet) -> Memory:
        labels = support.y if self.is_ranking else support.y - project(support.x, support.prior)
        keys = torch.where(support.mask.unsqueeze(-1), self.key(support.x), 0.0)
        if self.context is not None:
            keys = self.context.of_support(keys, support.mask)
        return Memory(keys, labels.masked_fill(~support.mask, 0.0), support.mask, support.prior)

    def score(self, state: Memory, x: Items) -> Scores:
        parts = x.split(max(1, PAIRS // len(state.mask)), dim=-2)
        return torch.cat([self._compare(state, part) for part in parts], dim=-1)

    def attention(self, state: Memory, x: Items) -> Float[Tensor, "T Q S"]:
        """How much of the look at the memory goes to each example; what is missing to 1 goes to the
        null example.
        """
        return self._logits(state, x).softmax(dim=-1)[..., 1:]

    def _compare(self, state: Memory, x: Tensor) -> Tensor:
        return project(x, state.prior) + self.log_gain.exp() * self._read(
            self._logits(state, x), state.labels
        )

    def _logits(self, state: Memory, x: Tensor) -> Tensor:
        """How well the null example and those of the memory fit each candidate: (T, Q, 1+S)."""
        look_up = self.look_up(x)
        if self.context is not None:
            look_up = self.context.of_query(look_up, state)
        similarity = (
            normalize(look_up, dim=-1) @ normalize(state.keys, dim=-1).mT * self.log_sharpness.exp()
        )
        null = self.null.expand(*similarity.shape[:-1], 1)
        return torch.cat(
            [null, similarity.masked_fill(~state.mask.unsqueeze(1), -torch.inf)], dim=-1
        )

    def _read(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.is_ranking:
            return logits.logsumexp(dim=-1) - self.null
        return (logits.softmax(dim=-1)[..., 1:] @ labels.unsqueeze(-1)).squeeze(-1)


class FullContext(nn.Module):
    """This lets the embeddings of examples and candidates depend on the whole support set."""

    def __init__(self, width: int, reads: int) -> None:
        super().__init__()
        self.reads = reads
        self.support = nn.LSTM(width, width, bidirectional=True)
        # The gates of the reading LSTM, in three parts, of which the first is the same for all
        # tasks.
        self.plain = nn.Linear(width, 4 * width)
        self.query = nn.Linear(width, 4 * width, bias=False)
        self.read = nn.Linear(width, 4 * width, bias=False)

    def of_support(self, keys: Tensor, mask: Tensor) -> Tensor:
        """Each key plus what the LSTM says of it on its way forth and back: (T, S, W) -> (T, S,
        W).
        """
        lengths = mask.sum(dim=1).clamp(min=1).cpu()
        packed = pack_padded_sequence(keys, lengths, batch_first=True, enforce_sorted=False)
        said, _ = pad_packed_sequence(
            self.support(packed)[0], batch_first=True, total_length=keys.shape[1]
        )
        forth, back = said.chunk(2, dim=-1)
        return keys + forth + back

    def of_query(self, plain: Tensor, memory: Memory) -> Tensor:
        """The query after `reads` looks at the support: (T, Q, W) or (Q, W) -> (T, Q, W)."""
        query, cell = plain, torch.zeros_like(plain)
        for _ in range(self.reads):
            said = _attention(query, memory) @ self.read(memory.keys)  # (T, Q, 4W)
            admit, keep, show, new = (self.plain(plain) + self.query(query) + said).chunk(4, dim=-1)
            cell = keep.sigmoid() * cell + admit.sigmoid() * new.tanh()
            query = plain + show.sigmoid() * cell.tanh()
        return query


def _attention(query: Tensor, memory: Memory) -> Tensor:
    """A softmax over the products of queries and keys, (T, Q, W) -> (T, Q, S); without any key no
    score hears of it.
    """
    return (
        (query @ memory.keys.mT).masked_fill(~memory.mask.unsqueeze(1), RULED_OUT).softmax(dim=-1)
    )
