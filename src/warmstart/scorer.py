"""The contract that every recommender of this package fulfils, and what it may be able to do
besides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float32, Int64

from warmstart.arrays import top_k
from warmstart.tasks.examples import Examples, Profile

State = Any  # the result of an adaptation to T tasks; its leading dimension is T
Candidates = Int64[np.ndarray, "*T Q"]
Scores = Float32[np.ndarray, "T Q"]
Subset = Int64[np.ndarray, "Q"]


class Posterior(NamedTuple):
    """The uncertainty of a scorer about its state, which Thompson sampling and calibration need."""

    noise: float
    """Standard deviation of a rating around its score, in the user's units; 0 for ranking."""
    sample: Callable[[State, np.random.Generator], State]
    """A state drawn from the posterior of each task, to be scored like any other."""


class ContentAttribution(NamedTuple):
    """The contribution of item content to scores, for a scorer that reads the content of items."""

    width: int
    """Columns of content, of all features together."""
    items: int
    """The number of items that the content was fitted on: the first ones of the catalogue."""
    contributions: Callable[
        [Examples, Profile, int, Sequence[Bool[np.ndarray, "G"]]], Float32[np.ndarray, "P"]
    ]
    """(support, profile, item, column masks): score with each set of columns, less that without, of
    one item for one task.
    """


class TrainingNeighbours(NamedTuple):
    """The training tasks that a scorer reads where it is used, as nearest neighbours do."""

    interactions: sp.csr_array
    """(U, I): which items each training task interacted with."""
    weights: Callable[[Examples, Profile], sp.csr_array]
    """(T, U): the weight of each training task for each of T support sets."""


@dataclass(frozen=True)
class Capabilities:
    """What a scorer can do besides `adapt` and `score`; None for what it cannot.

    Abilities are values and not types, so a wrapper (added items, a switch between scorers) builds
    its own from those of the scorer that it wraps, and loses none.
    """

    posterior: Posterior | None = None
    """Samples of the state."""
    standard_deviation: Callable[[State, Candidates], Scores] | None = None
    """Predictive standard deviation of the rating of (Q,) or (T, Q) items."""
    attribution: Callable[[Examples, Profile, Subset], Float32[np.ndarray, "N Q"]] | None = None
    """Leave-one-out attribution in closed form: the scores of Q items with each of the N events of
    all support sets, less those without it.
    """
    score_subset: Callable[[Examples, Profile, Subset], Scores] | None = None
    """The scores of Q items after T support sets, in less time than `adapt` and `score` take."""
    content: ContentAttribution | None = None
    """The contribution of each content column to a score."""
    neighbours: TrainingNeighbours | None = None
    """Weights over training tasks."""
    log_probabilities: bool = False
    """Whether a softmax over the scores is the probability that an item is next."""
    delegate: "Callable[[int], Scorer] | None" = None
    """The scorer that serves a support set of so many events, where it depends on their number."""


@runtime_checkable
class Scorer(Protocol):
    """A recommender: it adapts to tasks from a few examples each, then scores any items for them.

    Both calls are batched over T tasks and pure: the state is returned, nothing is kept. An empty
    support set is valid: its answer is the prior. `score` takes (T, Q) item codes, or (Q,) where
    all tasks share the candidates.
    """

    items: int
    """Size of the catalogue: item codes are 0 to items - 1."""

    @property
    def capabilities(self) -> Capabilities:
        """What the scorer can do besides."""
        ...

    def adapt(self, support: Examples, profile: Profile = None) -> State:
        """The state after T support sets (and profiles, where they are known)."""
        ...

    def score(self, state: State, items: Candidates) -> Scores:
        """The score of each candidate for each task; higher is better."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """All learned arrays, by name; `type(scorer).restore(arrays, settings)` makes an equal
        scorer of them.
        """
        ...


def delegate(scorer: Scorer, shots: int) -> Scorer:
    """The scorer that serves support sets of `shots` events: the scorer itself, unless it switches.

    It answers for copies of such a support set with fewer events, too, so that their scores are in
    one unit.
    """
    while (choose := scorer.capabilities.delegate) is not None:
        scorer = choose(shots)
    return scorer


def candidates_of(scores: Float32[np.ndarray, "T I"], items: Candidates) -> Scores:
    """The candidates' part of the scores of the whole catalogue: (T, I) -> (T, Q)."""
    return np.take_along_axis(scores, items, axis=1) if items.ndim == 2 else scores[:, items]


def best(
    scores: Float32[np.ndarray, "I"], excluded: Bool[np.ndarray, "I"], n: int
) -> Int64[np.ndarray, "n"]:
    """The codes of the n best items that are not excluded, best first, ties by code; fewer where
    fewer are left.
    """
    n = min(n, len(scores) - int(np.count_nonzero(excluded)))
    return top_k(np.where(excluded, np.float32(-np.inf), scores), n)
