"""Users like you: what the training users met who lie nearest to a new one in the space of a
trained model.

User-based collaborative filtering (Resnick et al., CSCW 1994) with `d(u, v) = ||place(u) -
place(v)||_2`, a learned distance, in the place of a correlation of ratings.

**Deviations.** For ranking alone: by ratings the neighbours told hardly more than a new user's own
mean (validation, ml-100k). The score is the chance that an event is of the item: of an event of the
neighbours, and of one before anything is known, mixed by how much is known. A neighbour's weight
falls with the squared distance and is nothing for the last one, so that little hangs on who comes
just in or just not.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Bool, Float, Float32, Int64
from scipy.special import softmax
from torch import Tensor

from warmstart.learners.base import Support
from warmstart.model.fitted import FittedModel
from warmstart.scorer import Candidates, Scores, State, candidates_of
from warmstart.tasks.tasks import Examples, Profile, Tasks

Places = Float32[np.ndarray, "T W"]
# events, the last ones, that say where a training user lies; more changed nothing on validation
LATEST = 200
AT_ONCE = 256  # users placed at a time, to bound the memory
PREFIX = "neighbours."


@runtime_checkable
class EmbedsUsers(Protocol):
    """A learner that can tell where a user lies."""

    def embed_users(self, support: Support) -> Float[Tensor, "T W"]: ...


class NeighbourState(NamedTuple):
    """The users like each of T new ones, and what else their scores take."""

    nearest: Int64[np.ndarray, "T N"]  # codes of training tasks, nearest first
    weight: Float32[np.ndarray, "T N"]  # 1 in all
    neighbour_weight: Float32[np.ndarray, "T"]  # in the neighbours, against the prior: 0 to 1
    prior: State  # of the trained model, before any event


class UserNeighbours:
    """This recommends what users like the new one met; its state says who they are.

    `caution` is the number of events after which the neighbours weigh as much as the prior of the
    trained model. The histories of the training users are part of the model, as codes of items:
    nobody's id, but somebody's events.
    """

    def __init__(
        self,
        trained: FittedModel,
        met: sp.csr_array,
        places: Places,
        *,
        nearest: int = 50,
        caution: float = 2.0,
    ) -> None:
        self.trained, self.met, self.places, self.caution = trained, met, places, caution
        self.items = trained.items
        from sklearn.neighbors import NearestNeighbors  # half a second to import, and few need it

        self.index = NearestNeighbors(n_neighbors=min(nearest, len(places)), algorithm="brute").fit(
            places
        )

    @classmethod
    def fit(cls, trained: FittedModel, train: Tasks, **settings: Any) -> "UserNeighbours":
        events = train.met
        latest = events.latest(LATEST)
        parts = np.split(np.arange(len(train)), range(AT_ONCE, len(train), AT_ONCE))
        places = np.concatenate([_places(trained, latest.take(part)) for part in parts])
        return cls(trained, events.matrix(trained.items), places, **settings)

    def adapt(self, support: Examples, profile: Profile = None) -> NeighbourState:
        distance, nearest = self.index.kneighbors(_places(self.trained, support))
        closeness = distance[:, -1:] ** 2 - distance**2 + 1e-6  # never nothing in all
        shots = support.counts.astype(np.float32)
        return NeighbourState(
            nearest=nearest,
            weight=(closeness / closeness.sum(axis=1, keepdims=True)).astype(np.float32),
            neighbour_weight=shots / np.maximum(shots + self.caution, 1),
            prior=self.trained.adapt(
                support.window(0 * support.counts, 0 * support.counts), profile
            ),
        )

    def score(self, state: NeighbourState, items: Candidates) -> Scores:
        prior = softmax(self.trained.score(state.prior, np.arange(self.items)), axis=1)
        events = self._events(state)
        trust = state.neighbour_weight[:, None]
        return candidates_of(
            trust * events / events.sum(axis=1, keepdims=True) + (1 - trust) * prior, items
        )

    def read(self, support: Examples, profile: Profile = None) -> sp.csr_array:
        """The weight of each training user for each of T support sets; those without events read
        nobody.
        """
        return self._weights(self.adapt(support, profile), support.counts > 0)

    def arrays(self) -> dict[str, np.ndarray]:
        own = {"item": self.met.indices, "start": self.met.indptr, "places": self.places}
        return {**self.trained.arrays(), **{PREFIX + name: array for name, array in own.items()}}

    @classmethod
    def restore(
        cls, trained: FittedModel, arrays: Mapping[str, np.ndarray], **settings: Any
    ) -> "UserNeighbours":
        item, start, places = (arrays[PREFIX + name] for name in ("item", "start", "places"))
        met = sp.csr_array(
            (np.ones(len(item), np.float32), item, start), shape=(len(places), trained.items)
        )
        return cls(trained, met, places, **settings)

    def _events(self, state: NeighbourState) -> Float32[np.ndarray, "T I"]:
        """How many of each task's neighbours met each item, by weight."""
        return sp.csr_array(
            self._weights(state, np.ones(len(state.nearest), dtype=bool)) @ self.met
        ).toarray()

    def _weights(self, state: NeighbourState, heard: Bool[np.ndarray, "T"]) -> sp.csr_array:
        """How much each training user weighs for each task that is heard."""
        tasks, width = state.nearest.shape
        rows = (
            (state.weight * heard[:, None]).ravel(),
            state.nearest.ravel(),
            np.arange(tasks + 1) * width,
        )
        return sp.csr_array(rows, shape=(tasks, len(self.places)))


@torch.no_grad()
def _places(trained: FittedModel, examples: Examples) -> Places:
    """Where the users lie who met these examples."""
    model = trained.model
    assert isinstance(model.learner, EmbedsUsers), (
        f"{type(model.learner).__name__} cannot tell where a user lies"
    )
    item, value, mask = map(torch.from_numpy, examples.padded())
    prior = model.encoder.priors(None, len(examples))
    return model.learner.embed_users(
        Support(trained.vectors[item], torch.ones_like(value), mask, prior)
    ).numpy()
