"""Trained: a model in use, as a scorer that can do what its learner can."""

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
from warmstart.tasks.tasks import Examples, Profile

NOTHING = -80.0  # below the highest score; e to that power is lost in the sum over any catalogue
ITEM_COLUMNS = "columns"
"""The name of the vectors of all items, by columns."""
EXPERTS_PREFIX = "evidence."
"""What the names of the evidence's arrays begin with."""


class FittedModel:
    """A trained model in use: the vectors of all items are computed once, or given by columns; so
    it is a `Scorer`.
    """

    def __init__(self, model: FewShot, columns: Float[Tensor, "D I"] | None = None) -> None:
        self.model = model.eval()
        with torch.no_grad():
            self.view = model.item_view(columns)
        self.vectors, self.items = self.view.vectors, len(self.view.vectors)

    @torch.no_grad()
    def adapt(self, support: Examples, profile: Profile = None) -> State:
        """The learner's state for T support sets."""
        return self.model.adapt(self.view, support, profile)

    @torch.no_grad()
    def score(self, state: State, items: Candidates) -> Scores:
        """The scores of (Q,) or (T, Q) items, in the user's units where they are ratings."""
        return self.model.score(self.vectors, state, items).numpy()

    @property
    def capabilities(self) -> Capabilities:
        """What the model and its learner can do besides."""
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
        # (T, S, D): the weights of each task, less those without each of its examples
        added = self.model.learner.leave_one_out_differences(
            self.model.encode_support(self.vectors, padded, profile), self.view.candidates
        )
        rows = added[torch.from_numpy(padded.mask)] @ self.vectors[torch.from_numpy(items)].mT
        return (rows * (1.0 if self.model.learner.is_ranking else self.model.scale[1])).numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        """All parameters and buffers by name, the evidence, and the vectors, which who loads need
        not compute.
        """
        evidence = {} if self.model.experts is None else self.model.experts.arrays()
        learned = {name: tensor.numpy().copy() for name, tensor in self.model.state_dict().items()}
        columns = {ITEM_COLUMNS: self.vectors.mT.numpy()}
        return {
            **learned,
            **columns,
            **{EXPERTS_PREFIX + name: array for name, array in evidence.items()},
        }


def logsumexp(scores: Float32[np.ndarray, "I"]) -> float:
    """The logarithm of the sum of the exponentials, where one score at least is finite.

    What is too far below the highest to count is brought nearer: the exponential of what is minus
    infinity, or becomes less than the smallest number, takes torch up to fifty times as long.
    """
    highest = scores.max()
    return float(
        highest + torch.from_numpy(scores - highest).clamp_(min=NOTHING).exp_().sum().log()
    )
