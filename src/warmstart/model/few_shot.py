"""FewShot: an encoder and a learner made one model, which trains on batches of tasks and serves as
a scorer.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from torch.nn.functional import (
    embedding,
)  # unlike indexing, its gradient is the same for any number of threads

from warmstart.ensemble.experts import CONTENT_EXPERT, ColumnMask, Experts, ItemSubset
from warmstart.learners.base import GatesExperts, Learner, Query, Support
from warmstart.learners.objectives import CandidateSet
from warmstart.model.encoder import Encoder
from warmstart.scorer import Candidates, State
from warmstart.tasks.tasks import NEXT, Examples, Padded, Profile, Question, TaskBatch

MASKED_LOGIT = (
    -1e9
)  # as good as minus infinity in a softmax, but differentiable when nothing else is left


class CandidateSample(NamedTuple):
    """C item codes and the logarithm of how many items of the catalogue each stands for."""

    item: Int64[np.ndarray, "C"]
    log_weight: Float32[np.ndarray, "C"]


def sample_candidates(
    popularity: Float32[np.ndarray, "I"], size: int, rng: np.random.Generator
) -> CandidateSample:
    """The whole catalogue where it is small enough, else `size` draws in which popular items are
    likelier.

    The weights undo the sampling in a softmax's denominator (Bengio & Senecal, IEEE TNN 2008).
    """
    if len(popularity) <= size:
        return CandidateSample(
            np.arange(len(popularity)), np.zeros(len(popularity), dtype=np.float32)
        )
    chance = np.sqrt(popularity + 1.0, dtype=np.float64)
    chance /= chance.sum()
    item = rng.choice(len(popularity), size=size, p=chance)
    return CandidateSample(item, -np.log(size * chance[item]).astype(np.float32))


class StateWithExperts(NamedTuple):
    """A learner's state after T support sets, and what the evidence adds to the score of each item
    of the catalogue.
    """

    state: State
    expert_scores: Float[Tensor, "T I"]


class ItemView(NamedTuple):
    """All items as a model sees them in use: their vectors, and the catalogue of the inner loop."""

    vectors: Float[Tensor, "I D"]
    candidates: CandidateSet


class FewShot(nn.Module):
    """This turns tasks in codes into vectors, lets the learner adapt and predict, and says how well
    that went.

    With `evidence` the learner says how far to trust each witness, and what they say is added to
    its scores. The catalogue is sampled twice: for the inner loop at most `inner` items (in use,
    always the same ones), for the outer softmax at most `outer`. Values enter and leave in the
    user's units, learners see standard units.
    """

    served_item: Tensor
    served_log_weight: Tensor
    scale: Tensor

    def __init__(
        self,
        encoder: Encoder,
        learner: Learner,
        popularity: Float32[np.ndarray, "I"],
        *,
        value_mean: float = 0.0,
        value_std: float = 1.0,
        evidence: Experts | None = None,
        inner: int = 1024,
        outer: int = 6000,
    ) -> None:
        super().__init__()
        self.encoder, self.learner, self.evidence = encoder, learner, evidence
        self.popularity, self.inner, self.outer = popularity, inner, outer
        served = sample_candidates(popularity, inner, np.random.default_rng(0))
        self.register_buffer("served_item", torch.from_numpy(served.item))
        self.register_buffer("served_log_weight", torch.from_numpy(served.log_weight))
        self.register_buffer("scale", torch.tensor([value_mean, value_std]))

    def forward(self, batch: TaskBatch, rng: np.random.Generator) -> Float[Tensor, ""]:
        """The mean loss of a batch of tasks; the samples of the catalogue are drawn from `rng`.

        A task counts by the events that it has to predict, up to those that are predicted in use:
        else, where most histories are short, the model would be made for people of whom hardly
        anything is asked.
        """
        vectors = self.encoder()
        padded, query = batch.support.padded(), self._asked(batch).padded()
        support = self.encode_support(vectors, padded, batch.profile)
        drawn = sample_candidates(self.popularity, self.outer, rng)
        met = self._met(batch, padded, query)
        rivals = self._rivals(
            vectors, drawn, met if self.learner.is_ranking else [], batch.question
        )
        asked = Query(*self._examples(vectors, query))
        if self.evidence is not None:
            known = self._known(support, batch.support, batch.own, batch.profile)
            rivals = replace(
                rivals, log_weight=rivals.log_weight + known[:, torch.from_numpy(drawn.item)]
            )
            asked = replace(asked, logit_offset=known.gather(1, torch.from_numpy(query.item)))
        catalogue = self._catalogue(vectors, sample_candidates(self.popularity, self.inner, rng))
        loss = self.learner.loss(support, asked, catalogue, rivals)
        weight = asked.mask.sum(dim=1)
        if not self._asks_for_all(batch):
            weight = weight.clamp(max=batch.question.most)
        return (loss * weight).sum() / weight.sum()

    def _asked(self, batch: TaskBatch) -> Examples:
        """What the loss asks for; all that comes next where the learner learns from it, though use
        asks for less.
        """
        if not self._asks_for_all(batch):
            return batch.query
        assert batch.own is not None, "training knows all events of a task"
        shots = batch.support.counts
        return batch.own.window(shots, shots + NEXT)

    def _met(self, batch: TaskBatch, padded: Padded, query: Padded) -> list[Padded]:
        """What does not compete with what is asked for.

        Where what was met may come again it does compete, the more so where each event of a
        sequence is asked for: else nothing would say how seldom it comes. That an answer is among
        its own rivals now and then does no harm.
        """
        if not batch.question.again:
            return [padded, query]
        return [] if self._asks_for_all(batch) else [query]

    def _asks_for_all(self, batch: TaskBatch) -> bool:
        return (
            self.learner.trains_on_sequences
            and batch.own is not None
            and batch.question.most < NEXT
        )

    def item_view(self, columns: Float[Tensor, "D I"] | None = None) -> ItemView:
        """All items in use; found once, since nothing about them changes any more, or given by
        columns.
        """
        # by column the product with one task takes half as long
        vectors = (self.encoder().T.contiguous() if columns is None else columns).T
        return ItemView(vectors, CandidateSet(vectors[self.served_item], self.served_log_weight))

    def adapt(self, view: ItemView, examples: Examples, profile: Profile) -> State:
        """The learner's state after T support sets, given all items; `Weighed` with evidence."""
        support = self.encode_support(view.vectors, examples.padded(), profile)
        state = self.learner.adapt(support, view.candidates)
        return (
            state
            if self.evidence is None
            else StateWithExperts(state, self._known(support, examples, None, profile))
        )

    def of_few(
        self, view: ItemView, examples: Examples, profile: Profile, items: ItemSubset
    ) -> Float[Tensor, "T Q"]:
        """The scores of a few items after T support sets, without what is only needed for the
        others.
        """
        support = self.encode_support(view.vectors, examples.padded(), profile)
        scores = self.learner.score(
            self.learner.adapt(support, view.candidates), view.vectors[torch.from_numpy(items)]
        )
        if self.evidence is None:
            return self.to_user_units(scores)
        assert isinstance(self.learner, GatesExperts), (
            "only a learner that weighs is told by witnesses"
        )
        witnesses = torch.from_numpy(self.evidence.score_subset(examples, profile, items))
        return self.to_user_units(
            scores + (witnesses @ self.learner.expert_weights(support).unsqueeze(-1)).squeeze(-1)
        )

    def score(self, vectors: Tensor, state: State, items: Candidates) -> Float[Tensor, "T Q"]:
        """The scores of (Q,) or (T, Q) items, as they leave: ratings in the user's units."""
        code = torch.from_numpy(items)
        every = all_item_codes(len(vectors))
        whole = items is every or (items.ndim == 1 and np.array_equal(items, every))
        x = vectors if whole else vectors[code]
        if self.evidence is None:
            return self.to_user_units(self.learner.score(state, x))
        known = (
            state.expert_scores
            if whole
            else state.expert_scores[:, code]
            if items.ndim == 1
            else state.expert_scores.gather(1, code)
        )
        return self.to_user_units(self.learner.score(state.state, x) + known)

    def content(
        self,
        view: ItemView,
        examples: Examples,
        profile: Profile,
        item: int,
        columns: Sequence[ColumnMask],
    ) -> Float[Tensor, "P"]:
        """What each set of columns of an item's content adds to its score for one person: with it,
        less without it.
        """
        support = self.encode_support(view.vectors, examples.padded(), profile)
        state = self.learner.adapt(support, view.candidates)
        without = [
            self.encoder.vector_without(item, torch.from_numpy(marked)) for marked in columns
        ]
        scores = self.learner.score(state, torch.stack([view.vectors[item], *without]))[0]
        added = scores[0] - scores[1:]
        if self.evidence is not None and self.evidence.content is not None:
            assert isinstance(self.learner, GatesExperts), (
                "only a learner that weighs is told by witnesses"
            )
            trust = self.learner.expert_weights(support)[0, CONTENT_EXPERT]
            added = added + trust * torch.from_numpy(
                self.evidence.content_attribution(examples, item, columns)
            )
        return added if self.learner.is_ranking else added * self.scale[1]

    def to_user_units(self, scores: Tensor) -> Tensor:
        """Scores as they leave: ratings in the user's units, ranking scores as they are."""
        return scores if self.learner.is_ranking else scores * self.scale[1] + self.scale[0]

    def encode_support(self, vectors: Tensor, examples: Padded, profile: Profile) -> Support:
        """What a learner sees of support sets."""
        return Support(
            *self._examples(vectors, examples), self.encoder.priors(profile, len(examples.mask))
        )

    def _known(
        self, support: Support, examples: Examples, own: Examples | None, profile: Profile
    ) -> Float[Tensor, "T I"]:
        """What the witnesses say of each item, as far as the learner trusts them; nothing of items
        they do not know.
        """
        assert self.evidence is not None and isinstance(self.learner, GatesExperts), (
            "only a learner that weighs is asked"
        )
        witnesses = torch.from_numpy(self.evidence.scores(examples, own, profile))
        said = (witnesses @ self.learner.expert_weights(support).unsqueeze(-1)).squeeze(-1)
        if len(self.evidence.taken) == len(self.popularity):
            return said
        return said.new_zeros(len(said), len(self.popularity)).index_copy(
            1, torch.from_numpy(self.evidence.taken), said
        )

    def _examples(self, vectors: Tensor, examples: Padded) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors, strengths and mask; for ranking an event is an event, whatever its value."""
        item, value, mask = (torch.from_numpy(column).to(vectors.device) for column in examples)
        strength = (
            torch.ones_like(value)
            if self.learner.is_ranking
            else (value - self.scale[0]) / self.scale[1]
        )
        return embedding(item, vectors), strength, mask

    def _catalogue(self, vectors: Tensor, drawn: CandidateSample) -> CandidateSet:
        item, log_weight = (torch.from_numpy(column).to(vectors.device) for column in drawn)
        return CandidateSet(embedding(item, vectors), log_weight)

    def _rivals(
        self, vectors: Tensor, drawn: CandidateSample, known: list[Padded], question: Question
    ) -> CandidateSet:
        """The catalogue as each task sees it: what it is known to have met is ruled out, and what
        is no answer.
        """
        catalogue = self._catalogue(vectors, drawn)
        met = question.others(
            len(self.popularity)
        )  # (I,), and (T, I) where somebody has met anything
        if known:
            met = np.tile(met, (len(known[0].mask), 1))
        for examples in known:
            met[np.nonzero(examples.mask)[0], examples.item[examples.mask]] = True
        ruled_out = torch.from_numpy(met[..., drawn.item]).to(vectors.device)
        return CandidateSet(catalogue.x, catalogue.log_weight.masked_fill(ruled_out, MASKED_LOGIT))


@lru_cache(maxsize=8)
def all_item_codes(items: int) -> Int64[np.ndarray, "I"]:
    """The codes of a catalogue, which each request is compared with: the same object each time, to
    be quick.
    """
    return np.arange(items)
