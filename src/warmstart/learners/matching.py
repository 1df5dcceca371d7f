"""Matching network: attention over the support set, with the labels as values.

Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra, Matching Networks for One Shot Learning,
NeurIPS 2016. With `full_context` every embedding depends on the whole support set: a bidirectional
LSTM over the examples, in their order, adds to their keys; an LSTM that attends to those keys
`reads` times adds to the query of each candidate. That costs some twenty times the arithmetic.

**Deviations.** A null example with a learned logit takes the attention that no example deserves, so
that an empty support set is an input like any other. Attention is added to the prior. Where all
labels are equal (ranking), their weighted mean is constant, so the score is the log-odds of the
attention against the null example.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from warmstart.learners.base import (
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
from warmstart.learners.objectives import MASKED_LOGIT, CandidateSet

CHUNK_PAIRS = 2**15  # of task and candidate; with full context a chunk takes some 300 MB


class SupportMemory(NamedTuple):
    """The support sets of T tasks as keys and values of an attention."""

    keys: Vectors  # not yet normalised
    labels: Values  # relative to the prior
    mask: Mask
    prior: Weights


class Matching(Learner):
    """Attention of each candidate over the support set, which is kept as a memory."""

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
        self.look_up = nn.Linear(dim, width)  # the query of a candidate
        self.log_sharpness = nn.Parameter(torch.tensor(5.0).log())
        self.null = nn.Parameter(torch.tensor(2.0))
        self.log_gain = nn.Parameter(torch.tensor(1.0).log())
        self.context = FullContext(width, reads) if full_context else None
        self.order_matters = full_context  # pyright: ignore[reportAttributeAccessIssue]  # a setting

    def adapt(self, support: Support, candidates: CandidateSet) -> SupportMemory:
        labels = support.y if self.is_ranking else support.y - project(support.x, support.prior)
        keys = torch.where(support.mask.unsqueeze(-1), self.key(support.x), 0.0)
        if self.context is not None:
            keys = self.context.embed_support(keys, support.mask)
        labels = labels.masked_fill(~support.mask, 0.0)
        return SupportMemory(keys, labels, support.mask, support.prior)

    def score(self, state: SupportMemory, x: Items) -> Scores:
        parts = x.split(max(1, CHUNK_PAIRS // len(state.mask)), dim=-2)
        return torch.cat([self._score_chunk(state, part) for part in parts], dim=-1)

    def attention(self, state: SupportMemory, x: Items) -> Float[Tensor, "T Q S"]:
        """The attention of each candidate to each example; the null example gets the rest of 1."""
        return self._logits(state, x).softmax(dim=-1)[..., 1:]

    def _score_chunk(self, state: SupportMemory, x: Tensor) -> Tensor:
        read = self._read(self._logits(state, x), state.labels)
        return project(x, state.prior) + self.log_gain.exp() * read

    def _logits(self, state: SupportMemory, x: Tensor) -> Tensor:
        """Attention logits of the null example and those of the support set: (T, Q, 1 + S)."""
        query = self.look_up(x)
        if self.context is not None:
            query = self.context.embed_query(query, state)
        similarity = normalize(query, dim=-1) @ normalize(state.keys, dim=-1).mT
        similarity = similarity * self.log_sharpness.exp()  # (T, Q, S)
        null = self.null.expand(*similarity.shape[:-1], 1)
        masked = similarity.masked_fill(~state.mask.unsqueeze(1), -torch.inf)
        return torch.cat([null, masked], dim=-1)

    def _read(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Attention's log-odds against the null example (ranking), or the mean label: (T, Q)."""
        if self.is_ranking:
            return logits.logsumexp(dim=-1) - self.null
        return (logits.softmax(dim=-1)[..., 1:] @ labels.unsqueeze(-1)).squeeze(-1)


class FullContext(nn.Module):
    """Full context embeddings: keys and queries that depend on the whole support set."""

    def __init__(self, width: int, reads: int) -> None:
        super().__init__()
        self.reads = reads
        self.support = nn.LSTM(width, width, bidirectional=True)
        # The gates of the reading LSTM in three parts; the first is the same for all tasks, so that
        # shared candidates pass through it once.
        self.plain = nn.Linear(width, 4 * width)
        self.query = nn.Linear(width, 4 * width, bias=False)
        self.read = nn.Linear(width, 4 * width, bias=False)

    def embed_support(self, keys: Tensor, mask: Tensor) -> Tensor:
        """Each key plus the LSTM's outputs in both directions: (T, S, W) -> (T, S, W)."""
        lengths = mask.sum(dim=1).clamp(min=1).cpu()  # packing wants them there, and none empty
        packed = pack_padded_sequence(keys, lengths, batch_first=True, enforce_sorted=False)
        output, _ = pad_packed_sequence(
            self.support(packed)[0], batch_first=True, total_length=keys.shape[1]
        )
        forward, backward = output.chunk(2, dim=-1)
        return keys + forward + backward

    def embed_query(self, plain: Tensor, memory: SupportMemory) -> Tensor:
        """The query after `reads` reads of the support: (T, Q, W) or (Q, W) -> (T, Q, W)."""
        query, cell = plain, torch.zeros_like(plain)
        for _ in range(self.reads):
            read = _attention(query, memory) @ self.read(memory.keys)  # (T, Q, 4 W)
            gates = self.plain(plain) + self.query(query) + read
            input_gate, forget_gate, output_gate, new = gates.chunk(4, dim=-1)
            cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * new.tanh()
            query = plain + output_gate.sigmoid() * cell.tanh()
        return query


def _attention(query: Tensor, memory: SupportMemory) -> Tensor:
    """The softmax over products of queries and keys: (T, Q, W) -> (T, Q, S).

    For an empty support set it is uniform over padding, whose keys are zero: no score depends on
    it.
    """
    logits = query @ memory.keys.mT
    return logits.masked_fill(~memory.mask.unsqueeze(1), MASKED_LOGIT).softmax(dim=-1)
