"""The contract that every recommender of this package fulfils, classic or learned."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64

from warmstart.tasks import Examples, Profile

State = Any  # what adaptation found out about T tasks; its leading dimension is T
Candidates = Int64[np.ndarray, "*own Q"]
Scores = Float32[np.ndarray, "T Q"]


@runtime_checkable
class Scorer(Protocol):
    """This adapts to somebody from a few examples, then scores any items for them.

    Both calls are batched over T tasks and pure: the state is returned, nothing is kept. An empty support set is
    valid: its answer is the prior. `score` takes (T, Q) item codes, or (Q,) where all tasks share the candidates.
    """

    items: int
    """Size of the catalogue: item codes are 0 to items - 1."""

    def adapt(self, support: Examples, profile: Profile = None) -> State:
        """What the support sets (and the profiles, where known) say about each of the T tasks."""
        ...

    def score(self, state: State, items: Candidates) -> Scores:
        """How well each candidate suits each task; higher is better."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything learned, by name; `type(scorer).restore(arrays, settings)` makes an equal scorer of it."""
        ...


@runtime_checkable
class Sampler(Scorer, Protocol):
    """A scorer that also knows how unsure it is."""

    noise: float
    """Standard deviation of a rating around its score, in the user's units; 0 where events are ranked."""

    def sample(self, state: State, rng: np.random.Generator) -> State:
        """A state drawn from all that the support sets leave possible, to be scored like any other."""
        ...


@runtime_checkable
class Unsure(Scorer, Protocol):
    """A scorer of ratings that says of each candidate how far off it may be."""

    def spread(self, state: State, items: Candidates) -> Scores:
        """Standard deviation of the rating of (Q,) or (T, Q) items around their scores."""
        ...


def candidates_of(scores: Float32[np.ndarray, "T I"], items: Candidates) -> Scores:
    """The candidates' part of the scores of the whole catalogue: (T, I) -> (T, Q)."""
    return np.take_along_axis(scores, items, axis=1) if items.ndim == 2 else scores[:, items]
