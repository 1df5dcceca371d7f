"""User-kNN in a learned space: the interactions of the nearest training users.

User-based collaborative filtering (Resnick et al., CSCW 1994) with the learned distance
`d(u, v) = ||embed(u) - embed(v)||_2` in the place of a correlation of ratings.

**Deviations.** For ranking alone: for ratings the neighbours were hardly better than a new user's
own mean (validation, ml-100k). The score is the probability that an event is of the item: a mixture
of the events of the neighbours and of the prior, weighted by the number of known events. The weight
of a neighbour falls with the squared distance and is zero for the last one, so that little depends
on which users are just among the nearest.
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
from warmstart.scorer import (
    Candidates,
    Capabilities,
    Scores,
    State,
    TrainingNeighbours,
    candidates_of,
)
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks

UserEmbeddings = Float32[np.ndarray, "T W"]
MAX_EVENTS = 200
"""The last events of a training user that are embedded; more changed nothing on validation."""
CHUNK_USERS = 256  # embedded at a time, to bound the memory
PREFIX = "neighbours."


@runtime_checkable
class EmbedsUsers(Protocol):
    """A learner that embeds users in the space of their items."""

    def embed_users(self, support: Support) -> Float[Tensor, "T W"]: ...


class NeighbourState(NamedTuple):
    """The N nearest training users of T tasks, their weights, and the weight of all of them."""

    nearest: Int64[np.ndarray, "T N"]  # codes of training tasks, nearest first
    weight: Float32[np.ndarray, "T N"]  # sums to 1
    neighbour_weight: Float32[np.ndarray, " T"]  # of the neighbours against the prior: 0 to 1
    prior: State  # of the trained model without events


class UserNeighbours:
    """Recommends the items of similar users; its state holds the nearest ones.

    `caution` is the number of events for which the neighbours weigh as much as the prior of the
    trained model. The histories of the training users are part of the model, as item codes without
    user ids.
    """

    def __init__(
        self,
        trained: FittedModel,
        interactions: sp.csr_array,
        embeddings: UserEmbeddings,
        *,
        nearest: int = 50,
        caution: float = 2.0,
    ) -> None:
        self.trained, self.interactions, self.embeddings = trained, interactions, embeddings
        self.caution, self.items = caution, trained.items
        self.capabilities = Capabilities(
            neighbours=TrainingNeighbours(interactions, self.user_weights)
        )
        from sklearn.neighbors import NearestNeighbors  # half a second to import, and few need it

        count = min(nearest, len(embeddings))
        self.index = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(embeddings)

    @classmethod
    def fit(cls, trained: FittedModel, train: Tasks, **settings: Any) -> "UserNeighbours":
        events = train.all_events
        latest = events.latest(MAX_EVENTS)
        parts = np.split(np.arange(len(train)), range(CHUNK_USERS, len(train), CHUNK_USERS))
        embeddings = np.concatenate([_embed(trained, latest.take(part)) for part in parts])
        return cls(trained, events.matrix(trained.items), embeddings, **settings)

    def adapt(self, support: Examples, profile: Profile = None) -> NeighbourState:
        distance, nearest = self.index.kneighbors(_embed(self.trained, support))
        # The floor keeps the sum above zero where all neighbours are equally near.
        closeness = distance[:, -1:] ** 2 - distance**2 + 1e-6
        shots = support.counts.astype(np.float32)
        no_events = support.window(0 * support.counts, 0 * support.counts)
        return NeighbourState(
            nearest=nearest,
            weight=(closeness / closeness.sum(axis=1, keepdims=True)).astype(np.float32),
            neighbour_weight=shots / np.maximum(shots + self.caution, 1),
            prior=self.trained.adapt(no_events, profile),
        )

    def score(self, state: NeighbourState, items: Candidates) -> Scores:
        prior = softmax(self.trained.score(state.prior, np.arange(self.items)), axis=1)
        events = self._weighted_events(state)
        weight = state.neighbour_weight[:, None]
        of_neighbours = weight * events / events.sum(axis=1, keepdims=True)
        return candidates_of(of_neighbours + (1 - weight) * prior, items)

    def user_weights(self, support: Examples, profile: Profile = None) -> sp.csr_array:
        """The weight of each training user for each of T support sets, 0 without events: (T, U)."""
        return self._user_weights(self.adapt(support, profile), support.counts > 0)

    def arrays(self) -> dict[str, np.ndarray]:
        matrix = self.interactions
        arrays = {"item": matrix.indices, "start": matrix.indptr, "places": self.embeddings}
        return {**self.trained.arrays(), **{PREFIX + name: a for name, a in arrays.items()}}

    @classmethod
    def restore(
        cls, trained: FittedModel, arrays: Mapping[str, np.ndarray], **settings: Any
    ) -> "UserNeighbours":
        names = ("item", "start", "places")
        item, offsets, embeddings = (arrays[PREFIX + name] for name in names)
        interactions = sp.csr_array(
            (np.ones(len(item), np.float32), item, offsets), shape=(len(embeddings), trained.items)
        )
        return cls(trained, interactions, embeddings, **settings)

    def _weighted_events(self, state: NeighbourState) -> Float32[np.ndarray, "T I"]:
        """The number of events of each item among a task's neighbours, by their weights."""
        weights = self._user_weights(state, np.ones(len(state.nearest), dtype=bool))
        return sp.csr_array(weights @ self.interactions).toarray()

    def _user_weights(
        self, state: NeighbourState, has_events: Bool[np.ndarray, " T"]
    ) -> sp.csr_array:
        """The neighbours' weights as a sparse matrix (T, U), zero for tasks without events."""
        tasks, width = state.nearest.shape
        rows = (
            (state.weight * has_events[:, None]).ravel(),
            state.nearest.ravel(),
            np.arange(tasks + 1) * width,
        )
        return sp.csr_array(rows, shape=(tasks, len(self.embeddings)))


@torch.no_grad()
def _embed(trained: FittedModel, examples: Examples) -> UserEmbeddings:
    """The embeddings of the users who have these examples."""
    model = trained.model
    assert isinstance(model.learner, EmbedsUsers), (
        f"{type(model.learner).__name__} does not embed users"
    )
    item, value, mask = map(torch.from_numpy, examples.padded())
    prior = model.encoder.priors(None, len(examples))
    support = Support(trained.vectors[item], torch.ones_like(value), mask, prior)
    return model.learner.embed_users(support).numpy()
