"""Few-shot model: an encoder and a learner, trained on batches of tasks, as one network."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from torch.nn.functional import embedding

from warmstart.ensemble.closed_form import ColumnMask
from warmstart.ensemble.experts import CONTENT_EXPERT, Experts
from warmstart.ensemble.support_sets import ItemSubset
from warmstart.learners.base import GatesExperts, Learner, Query, Support
from warmstart.learners.objectives import CandidateSet
from warmstart.model.encoder import Encoder
from warmstart.model.sampled_softmax import (
    CandidateSample,
    candidate_set,
    exclude,
    mark_events,
    sample_candidates,
)
from warmstart.scorer import Candidates, State
from warmstart.tasks.examples import Examples, Padded, Profile
from warmstart.tasks.tasks import DEFAULT_HORIZON, TaskBatch


class StateWithExperts(NamedTuple):
    """A learner's state after T support sets, and the weighted sum of the experts' scores."""

    state: State
    expert_scores: Float[Tensor, "T I"]


class ItemView(NamedTuple):
    """The vectors of all items in use, and the candidates of the inner loop among them."""

    vectors: Float[Tensor, "I D"]
    candidates: CandidateSet


class FewShot(nn.Module):
    """A few-shot model: items and profiles become vectors, the learner adapts and predicts.

    With `experts` the learner weights their scores, and the sum is added to its own. The catalogue
    is sampled twice: for the inner loop at most `inner` items (in use always the same ones), for
    the outer softmax at most `outer`. Values enter and leave in the user's units; learners see
    standard units.
    """

    served_item: Tensor
    served_log_weight: Tensor
    scale: Tensor

    def __init__(
        self,
        encoder: Encoder,
        learner: Learner,
        popularity: Float32[np.ndarray, " I"],
        *,
        value_mean: float = 0.0,
        value_std: float = 1.0,
        experts: Experts | None = None,
        inner: int = 1024,
        outer: int = 6000,
    ) -> None:
        super().__init__()
        self.encoder, self.learner, self.experts = encoder, learner, experts
        self.popularity, self.inner, self.outer = popularity, inner, outer
        sample = sample_candidates(popularity, inner, np.random.default_rng(0))
        self.register_buffer("served_item", torch.from_numpy(sample.item))
        self.register_buffer("served_log_weight", torch.from_numpy(sample.log_weight))
        self.register_buffer("scale", torch.tensor([value_mean, value_std]))

    def forward(self, batch: TaskBatch, rng: np.random.Generator) -> Float[Tensor, ""]:
        """The mean loss of a batch of tasks; candidates are sampled by `rng`.

        A task is weighted by its number of query events, up to the number that is predicted in use.
        With equal weights the many short histories, which have hardly any query, would decide.
        """
        vectors = self.encoder()
        padded, targets = batch.support.padded(), self._targets(batch).padded()
        support = self.encode_support(vectors, padded, batch.profile)
        outer = sample_candidates(self.popularity, self.outer, rng)
        negatives = self._negatives(vectors, outer, batch, [padded, targets])
        query = Query(*self._examples(vectors, targets))
        if self.experts is not None:
            offset = self._expert_scores(support, batch.support, batch.task_events, batch.profile)
            log_weight = negatives.log_weight + offset[:, self._tensor(outer.item)]  # (T, C)
            negatives = replace(negatives, log_weight=log_weight)
            query = replace(query, logit_offset=offset.gather(1, self._tensor(targets.item)))
        inner = candidate_set(vectors, sample_candidates(self.popularity, self.inner, rng))
        loss = self.learner.loss(support, query, inner, negatives)  # (T,)
        weight = query.mask.sum(dim=1)
        if not self._is_autoregressive(batch):
            weight = weight.clamp(max=batch.query_spec.max_queries)
        return (loss * weight).sum() / weight.sum()

    def item_view(self, columns: Float[Tensor, "D I"] | None = None) -> ItemView:
        """All items in use, computed once; `columns` are their vectors where they are known."""
        # Stored by column: the product of all items with one task then takes half as long.
        vectors = (self.encoder().T.contiguous() if columns is None else columns).T
        return ItemView(vectors, CandidateSet(vectors[self.served_item], self.served_log_weight))

    def adapt(self, view: ItemView, examples: Examples, profile: Profile) -> State:
        """The learner's state after T support sets; `StateWithExperts` where there are experts."""
        support = self.encode_support(view.vectors, examples.padded(), profile)
        state = self.learner.adapt(support, view.candidates)
        if self.experts is None:
            return state
        return StateWithExperts(state, self._expert_scores(support, examples, None, profile))

    def score(self, vectors: Tensor, state: State, items: Candidates) -> Float[Tensor, "T Q"]:
        """The scores of (Q,) or (T, Q) items, ratings in the user's units."""
        every = all_item_codes(len(vectors))
        if items is every or (items.ndim == 1 and np.array_equal(items, every)):
            code, x = None, vectors  # nothing to select, which would copy all vectors
        else:
            code = self._tensor(items)
            x = vectors[code]
        if self.experts is None:
            return self.to_user_units(self.learner.score(state, x))
        offset = _select(state.expert_scores, code)
        return self.to_user_units(self.learner.score(state.state, x) + offset)

    def score_subset(
        self, view: ItemView, examples: Examples, profile: Profile, items: ItemSubset
    ) -> Float[Tensor, "T Q"]:
        """The scores of a few items after T support sets: those of the others are not computed."""
        support = self.encode_support(view.vectors, examples.padded(), profile)
        state = self.learner.adapt(support, view.candidates)
        scores = self.learner.score(state, view.vectors[self._tensor(items)])
        if self.experts is None:
            return self.to_user_units(scores)
        expert_scores = self._tensor(self.experts.score_subset(examples, profile, items))
        weights = self._gate().expert_weights(support).unsqueeze(-1)
        return self.to_user_units(scores + (expert_scores @ weights).squeeze(-1))

    def content_attribution(
        self,
        view: ItemView,
        examples: Examples,
        profile: Profile,
        item: int,
        columns: Sequence[ColumnMask],
    ) -> Float[Tensor, " P"]:
        """The effect of each set of content columns on the score of one item for one task."""
        support = self.encode_support(view.vectors, examples.padded(), profile)
        state = self.learner.adapt(support, view.candidates)
        without = [self.encoder.vector_without(item, self._tensor(mask)) for mask in columns]
        scores = self.learner.score(state, torch.stack([view.vectors[item], *without]))[0]
        effect = scores[0] - scores[1:]
        if self.experts is not None and self.experts.content is not None:
            weight = self._gate().expert_weights(support)[0, CONTENT_EXPERT]
            by_expert = self.experts.content_attribution(examples, item, columns)
            effect = effect + weight * self._tensor(by_expert)
        return effect if self.learner.is_ranking else effect * self.scale[1]

    def to_user_units(self, scores: Tensor) -> Tensor:
        """Ratings in the user's units; scores of a ranking as they are."""
        return scores if self.learner.is_ranking else scores * self.scale[1] + self.scale[0]

    def encode_support(self, vectors: Tensor, examples: Padded, profile: Profile) -> Support:
        """Support sets as vectors, with the priors that the profiles give."""
        priors = self.encoder.priors(profile, len(examples.mask))
        return Support(*self._examples(vectors, examples), priors)

    def _targets(self, batch: TaskBatch) -> Examples:
        """The events that the loss predicts: the query, or all events after the support set."""
        if not self._is_autoregressive(batch):
            return batch.query
        assert batch.task_events is not None, "training knows all events of a task"
        shots = batch.support.counts
        return batch.task_events.window(shots, shots + DEFAULT_HORIZON)

    def _is_autoregressive(self, batch: TaskBatch) -> bool:
        """Whether the loss predicts more events of a task than are predicted in use."""
        has_more = batch.task_events is not None and batch.query_spec.max_queries < DEFAULT_HORIZON
        return self.learner.trains_on_sequences and has_more

    def _negatives(
        self,
        vectors: Tensor,
        sample: CandidateSample,
        batch: TaskBatch,
        events: list[Padded],
    ) -> CandidateSet:
        """The candidates of the outer softmax, without those that are no negatives of a task.

        Where items may be repeated, those of the support set compete like any other, and in a
        sequence those of the query too: else nothing would teach how seldom an item comes again. An
        answer may then be among its own negatives, which does no harm.
        """
        if batch.query_spec.allow_repeats:
            events = [] if self._is_autoregressive(batch) else events[1:]
        if not self.learner.is_ranking:
            events = []  # a squared error has no negatives
        excluded = mark_events(batch.query_spec.non_candidates(len(self.popularity)), events)
        return exclude(candidate_set(vectors, sample), sample, excluded)

    def _gate(self) -> GatesExperts:
        assert isinstance(self.learner, GatesExperts), "experts need a learner with a gate"
        return self.learner

    def _expert_scores(
        self, support: Support, examples: Examples, events: Examples | None, profile: Profile
    ) -> Float[Tensor, "T I"]:
        """The weighted sum of the experts' scores; 0 for items that no expert knows.

        `events` are all events of training tasks, which the experts then leave out.
        """
        assert self.experts is not None, "a model without experts has no scores of theirs"
        scores = self._tensor(self.experts.scores(examples, events, profile))  # (T, J, E)
        summed = (scores @ self._gate().expert_weights(support).unsqueeze(-1)).squeeze(-1)
        if len(self.experts.kept_items) == len(self.popularity):
            return summed
        whole = summed.new_zeros(len(summed), len(self.popularity))
        return whole.index_copy(1, self._tensor(self.experts.kept_items), summed)

    def _examples(self, vectors: Tensor, examples: Padded) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors, strengths and mask; in a ranking all events are equal, whatever their value."""
        item, value, mask = (self._tensor(column) for column in examples)
        if self.learner.is_ranking:
            strength = torch.ones_like(value)
        else:
            strength = (value - self.scale[0]) / self.scale[1]
        # Unlike in indexing, the gradient of `embedding` is the same for any number of threads.
        return embedding(item, vectors), strength, mask

    def _tensor(self, array: np.ndarray) -> Tensor:
        """An array as a tensor on the device of the model."""
        return torch.from_numpy(array).to(self.scale.device)


def _select(scores: Tensor, code: Tensor | None) -> Tensor:
    """The scores of (Q,) or (T, Q) items; of all where `code` is None: (T, I) -> (T, Q)."""
    if code is None:
        return scores
    return scores[:, code] if code.ndim == 1 else scores.gather(1, code)


@lru_cache(maxsize=8)
def all_item_codes(n_items: int) -> Int64[np.ndarray, " I"]:
    """The codes of a whole catalogue: the same object at each call, so that `is` recognises it."""
    return np.arange(n_items)
