"""Fitted model: a trained few-shot model as a scorer, with the capabilities of its learner."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from warmstart.learners.base import LeaveOneOut, PosteriorSampler
from warmstart.model.few_shot import FewShot
from warmstart.scorer import (
    Candidates,
    Capabilities,
    ContentAttribution,
    Posterior,
    Scores,
    State,
    Subset,
)
from warmstart.tasks.examples import Examples, Profile

MIN_EXPONENT = -80.0  # e to that power is lost in a sum that holds 1, over any catalogue
ITEM_COLUMNS = "columns"
"""Name of the array of all item vectors, stored by column."""
EXPERTS_PREFIX = "evidence."
"""Prefix of the names of the experts' arrays."""


class FittedModel:
    """A trained model as a `Scorer`: the vectors of all items are computed once.

    `columns` are these vectors (D, I) where they were saved with the model.
    """

    def __init__(self, model: FewShot, columns: Float[Tensor, "D I"] | None = None) -> None:
        self.model = model.eval()
        with torch.no_grad():
            self.view = model.item_view(columns)
        self.vectors, self.items = self.view.vectors, len(self.view.vectors)

    @torch.no_grad()
    def adapt(self, support: Examples, profile: Profile = None) -> State:
        """The learner's state after T support sets."""
        return self.model.adapt(self.view, support, profile)

    @torch.no_grad()
    def score(self, state: State, items: Candidates) -> Scores:
        """The scores of (Q,) or (T, Q) items, ratings in the user's units."""
        return self.model.score(self.vectors, state, items).numpy()

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the learner, and those of the encoder."""
        return self._capabilities

    @cached_property
    def _capabilities(self) -> Capabilities:
        learner, width = self.model.learner, self.model.encoder.content_width
        return Capabilities(
            posterior=Posterior(learner.noise * float(self.model.scale[1]), self._sample)
            if isinstance(learner, PosteriorSampler)
            else None,
            attribution=self._attribution if isinstance(learner, LeaveOneOut) else None,
            score_subset=self._score_subset,
            content=ContentAttribution(width, self.items, self._content) if width else None,
            log_probabilities=learner.is_ranking,
        )

    @torch.no_grad()
    def _score_subset(self, support: Examples, profile: Profile, items: Subset) -> Scores:
        return self.model.score_subset(self.view, support, profile, items).numpy()

    @torch.no_grad()
    def _content(
        self,
        support: Examples,
        profile: Profile,
        item: int,
        columns: Sequence[Bool[np.ndarray, "G"]],
    ) -> Float32[np.ndarray, "P"]:
        return self.model.content_attribution(self.view, support, profile, item, columns).numpy()

    @torch.no_grad()
    def _sample(self, state: State, rng: np.random.Generator) -> State:
        assert isinstance(self.model.learner, PosteriorSampler), "a learner with a posterior"
        seed = int(rng.integers(2**63))
        return self.model.learner.sample(state, torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def _attribution(
        self, support: Examples, profile: Profile, items: Subset
    ) -> Float32[np.ndarray, "N Q"]:
        assert isinstance(self.model.learner, LeaveOneOut), "a learner in closed form"
        padded = support.padded()
        encoded = self.model.encode_support(self.vectors, padded, profile)
        differences = self.model.learner.leave_one_out_differences(encoded, self.view.candidates)
        # Scores are linear in the weights: (N, D) for the N events, times (D, Q).
        events = differences[torch.from_numpy(padded.mask)]
        by_event = events @ self.vectors[torch.from_numpy(items)].mT
        scale = 1.0 if self.model.learner.is_ranking else self.model.scale[1]
        return (by_event * scale).numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        """All parameters and buffers by name, the experts' arrays, and the item vectors.

        The vectors could be computed from the rest, but a model is loaded more often than saved.
        """
        experts = {} if self.model.experts is None else self.model.experts.arrays()
        learned = {name: tensor.numpy().copy() for name, tensor in self.model.state_dict().items()}
        columns = {ITEM_COLUMNS: self.vectors.mT.numpy()}
        return {
            **learned,
            **columns,
            **{EXPERTS_PREFIX + name: array for name, array in experts.items()},
        }


def logsumexp(scores: Float32[np.ndarray, "I"]) -> float:
    """The logarithm of the sum of the exponentials, where one score at least is finite.

    Scores too far below the highest to count are raised: the exponential of minus infinity, or one
    that is less than the smallest normal number, takes torch up to fifty times as long.
    """
    highest = scores.max()
    return float(
        highest + torch.from_numpy(scores - highest).clamp_(min=MIN_EXPONENT).exp_().sum().log()
    )
