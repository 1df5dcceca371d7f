"""Trained: a model in use, as a scorer that can do what its learner can."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from warmstart.ensemble.experts import ColumnMask, ItemSubset
from warmstart.learners.base import LeaveOneOut, PosteriorSampler
from warmstart.model.few_shot import FewShot
from warmstart.scorer import Candidates, Scores, State
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

    @torch.no_grad()
    def of_few(self, support: Examples, profile: Profile, items: ItemSubset) -> Scores:
        """The scores of a few items after T support sets."""
        return self.model.of_few(self.view, support, profile, items).numpy()

    @property
    def content_width(self) -> int:
        """Columns of content that the model knows of each item."""
        return self.model.encoder.content_width

    @torch.no_grad()
    def content(
        self, support: Examples, profile: Profile, item: int, columns: Sequence[ColumnMask]
    ) -> Float32[np.ndarray, "P"]:
        """What each set of columns of an item's content adds to its score for one person."""
        return self.model.content(self.view, support, profile, item, columns).numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        """All parameters and buffers by name, the evidence, and the vectors, which who loads need
        not compute.
        """
        evidence = {} if self.model.evidence is None else self.model.evidence.arrays()
        learned = {name: tensor.numpy().copy() for name, tensor in self.model.state_dict().items()}
        columns = {ITEM_COLUMNS: self.vectors.mT.numpy()}
        return {
            **learned,
            **columns,
            **{EXPERTS_PREFIX + name: array for name, array in evidence.items()},
        }


class TrainedSampler(FittedModel):
    """A trained model whose learner knows how unsure it is.

    A class of its own, so that no model has a method which it would have to refuse.
    """

    def __init__(
        self, model: FewShot, learner: PosteriorSampler, columns: Float[Tensor, "D I"] | None = None
    ) -> None:
        super().__init__(model, columns)
        self.learner = learner

    @property
    def noise(self) -> float:
        """Standard deviation of a rating around its score, in the user's units."""
        return self.learner.noise * float(self.model.scale[1])

    @torch.no_grad()
    def sample(self, state: State, rng: np.random.Generator) -> State:
        """A state drawn from all that the support sets leave possible."""
        return self.learner.sample(state, torch.Generator().manual_seed(int(rng.integers(2**63))))


class TrainedRemover(TrainedSampler):
    """A trained model whose learner also knows in closed form what each event adds."""

    def __init__(
        self, model: FewShot, learner: LeaveOneOut, columns: Float[Tensor, "D I"] | None = None
    ) -> None:
        super().__init__(model, learner, columns)
        self.remover = learner

    @torch.no_grad()
    def influences(
        self, support: Examples, profile: Profile, items: Int64[np.ndarray, "Q"]
    ) -> Scores:
        """What each of the N events of all support sets adds to the scores of Q items: (N, Q)."""
        padded = support.padded()
        added = self.remover.leave_one_out_differences(
            self.model.encode_support(self.vectors, padded, profile), self.view.candidates
        )
        rows = added[torch.from_numpy(padded.mask)] @ self.vectors[torch.from_numpy(items)].mT
        return (rows * (1.0 if self.model.learner.is_ranking else self.model.scale[1])).numpy()


def logsumexp(scores: Float32[np.ndarray, "I"]) -> float:
    """The logarithm of the sum of the exponentials, where one score at least is finite.

    What is too far below the highest to count is brought nearer: the exponential of what is minus
    infinity, or becomes less than the smallest number, takes torch up to fifty times as long.
    """
    highest = scores.max()
    return float(
        highest + torch.from_numpy(scores - highest).clamp_(min=NOTHING).exp_().sum().log()
    )


def as_scorer(model: FewShot, columns: Float[Tensor, "D I"] | None = None) -> FittedModel:
    """The model as a scorer, which can do what its learner can."""
    if isinstance(model.learner, LeaveOneOut):
        return TrainedRemover(model, model.learner, columns)
    if isinstance(model.learner, PosteriorSampler):
        return TrainedSampler(model, model.learner, columns)
    return FittedModel(model, columns)
