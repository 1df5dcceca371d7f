"""The contract that every recommender of this package fulfils, classic or learned."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from warmstart.tasks.tasks import Examples, Profile

State = Any  # what adaptation found out about T tasks; its leading dimension is T
Candidates = Int64[np.ndarray, "*own Q"]
Scores = Float32[np.ndarray, "T Q"]
STACK = 100  # items of which only the highest score is looked at when those of all are sought


@runtime_checkable
class Scorer(Protocol):
    """This adapts to somebody from a few examples, then scores any items for them.

    Both calls are batched over T tasks and pure: the state is returned, nothing is kept. An empty
    support set is valid: its answer is the prior. `score` takes (T, Q) item codes, or (Q,) where
    all tasks share the candidates.
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
        """Everything learned, by name; `type(scorer).restore(arrays, settings)` makes an equal
        scorer of it.
        """
        ...


@runtime_checkable
class Sampler(Scorer, Protocol):
    """A scorer that also knows how unsure it is."""

    noise: float
    """Standard deviation of a rating around its score, in the user's units; 0 where events are
    ranked.
    """

    def sample(self, state: State, rng: np.random.Generator) -> State:
        """A state drawn from all that the support sets leave possible, to be scored like any
        other.
        """
        ...


@runtime_checkable
class Unsure(Scorer, Protocol):
    """A scorer of ratings that says of each candidate how far off it may be."""

    def spread(self, state: State, items: Candidates) -> Scores:
        """Standard deviation of the rating of (Q,) or (T, Q) items around their scores."""
        ...


@runtime_checkable
class Additive(Scorer, Protocol):
    """A scorer that knows in closed form what each event does, and need not be asked without it."""

    def influences(
        self, support: Examples, profile: Profile, items: Int64[np.ndarray, "Q"]
    ) -> Float32[np.ndarray, "N Q"]:
        """What each of the N events of all support sets adds to the scores of Q items: with it,
        less without it.
        """
        ...


@runtime_checkable
class Selective(Scorer, Protocol):
    """A scorer that scores a few items in less time than the catalogue, where many support sets are
    adapted to.
    """

    def of_few(self, support: Examples, profile: Profile, items: Int64[np.ndarray, "Q"]) -> Scores:
        """The scores of Q items after T support sets, as `adapt` and `score` give them."""
        ...


@runtime_checkable
class Describing(Scorer, Protocol):
    """A scorer that reads the content of items, and knows what each column of it does."""

    content_width: int
    """Columns of content, of all features together."""

    def content(
        self,
        support: Examples,
        profile: Profile,
        item: int,
        columns: Sequence[Bool[np.ndarray, "G"]],
    ) -> Float32[np.ndarray, "P"]:
        """What each set of columns adds to the score of an item for one person: with it, less
        without it.
        """
        ...


@runtime_checkable
class Remembering(Scorer, Protocol):
    """A scorer that reads the histories of training tasks where it is used."""

    met: Any
    """Which of the I items each training task met, sparse."""

    def read(self, support: Examples, profile: Profile = None) -> Any:
        """How much each of T support sets makes it read each training task: sparse, a row for each
        set.
        """
        ...


def candidates_of(scores: Float32[np.ndarray, "T I"], items: Candidates) -> Scores:
    """The candidates' part of the scores of the whole catalogue: (T, I) -> (T, Q)."""
    return np.take_along_axis(scores, items, axis=1) if items.ndim == 2 else scores[:, items]


def best(
    scores: Float32[np.ndarray, "I"], barred: Bool[np.ndarray, "I"], n: int
) -> Int64[np.ndarray, "n"]:
    """The codes of the n best that are not barred, best first, of equals the first; fewer where
    there are fewer.
    """
    n = min(n, len(scores) - int(np.count_nonzero(barred)))
    return highest(np.where(barred, np.float32(-np.inf), scores), n)


def highest(scores: Float32[np.ndarray, "I"], n: int) -> Int64[np.ndarray, "n"]:
    """The codes of the n highest scores, the highest first, of equals the first.

    Of a large catalogue only a few are sorted: n stacks of items have a highest score no less than
    that of the n-th best of all stacks, and only a stack like that can hold one of the n best.
    """
    width = len(scores) // STACK
    if not 0 < n <= width // 2:
        return np.argsort(-scores, kind="stable")[:n]
    stacks = scores[: width * STACK].reshape(
        STACK, width
    )  # a stack is a column: so the maximum takes one fast pass
    maxima = stacks.max(axis=0)
    least = np.partition(maxima, width - n)[width - n]
    row, column = np.nonzero(stacks[:, high := np.flatnonzero(maxima >= least)] >= least)
    rest = np.arange(width * STACK, len(scores))
    few = np.concatenate(
        [row * width + high[column], rest[scores[rest] >= least]]
    )  # rising, row by row
    return few[np.argsort(-scores[few], kind="stable")][:n]
