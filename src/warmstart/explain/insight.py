"""Insight: what a model has learned of people as a whole, and how it listens to one of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Int64

from warmstart.data.features.column_types import Categorical, Flag, MultiValued
from warmstart.data.features.table import Features
from warmstart.data.interactions import Id
from warmstart.explain.explanation import Person
from warmstart.explain.list_shift import movement
from warmstart.explain.reasons import Names
from warmstart.explain.user_groups import Tastes, read_taste
from warmstart.scorer import Scorer, delegate
from warmstart.tasks.examples import Examples

NEAREST, ITEMS, VALUES = (
    3,
    5,
    12,
)  # prototypes, items of each, and values of a column that are shown


@dataclass(frozen=True)
class Item:
    """An item as people see it."""

    item: Id
    title: str | None
    share: float | None = None
    """Of the tasks that met it, where tasks are spoken of."""


@dataclass(frozen=True)
class Taste:
    """What at least ten training tasks have in common."""

    tasks: int
    items: tuple[Item, ...]
    """Which set them apart from all others the most, with the share of them that met each."""


@dataclass(frozen=True)
class Step:
    """What one event of a history does to the list."""

    item: Id
    title: str | None
    new: int
    """Items that it brought among the first n."""
    moved: float
    """Places by which the first n moved, on average."""
    first: Item
    """The item in front after it."""


@dataclass(frozen=True)
class Insight:
    """What a model has learned, and how it listens."""

    prototypes: tuple[Taste, ...]
    """Groups of training tasks whose taste is nearest to what is recommended, the nearest first."""
    read: Taste | None
    """The training tasks that the model reads for this person; None where it reads none, or too few
    to show.
    """
    prior: Mapping[str, tuple[Item, ...]]
    """For values of the profile, as country=FR: what they raise most before anything else is
    known.
    """
    steps: tuple[Step, ...]
    """What each event does to the list."""

    def to_dict(self) -> dict[str, Any]:
        """The insight, fit for JSON."""
        return asdict(self)


def insight(
    scorer: Scorer,
    person: Person,
    n: int,
    names: Names,
    *,
    tastes: Tastes | None,
    features: Features | None,
) -> Insight:
    """What the model has learned, seen from one person."""
    known = person.known
    moves = movement(scorer, known, n, person.barred)
    fronts = [Item(*one) for one in names.of(moves.lists[1:, 0])] if moves.lists.shape[1] else []
    met = names.of(known.support.item)
    return Insight(
        prototypes=() if tastes is None else _prototypes(tastes, moves.lists[-1], names),
        read=_read(scorer, person, names, tastes),
        prior=_prior(scorer, features, names),
        steps=tuple(
            Step(*one, new=int(new), moved=float(moved), first=front)
            for one, new, moved, front in zip(met, moves.new, moves.moved, fronts, strict=False)
        ),
    )


def _prototypes(tastes: Tastes, listed: Int64[np.ndarray, "n"], names: Names) -> tuple[Taste, ...]:
    nearest = np.argsort(-tastes.near(listed), kind="stable")[:NEAREST]
    return tuple(
        _taste(int(tastes.tasks[k]), tastes.shares[[k]].toarray()[0], tastes.usual, names)
        for k in nearest
    )


def _read(scorer: Scorer, person: Person, names: Names, tastes: Tastes | None) -> Taste | None:
    known = person.known
    found = read_taste(delegate(scorer, known.shots), known.support, known.profile)
    if found is None:
        return None
    usual = np.zeros_like(found.shares) if tastes is None else tastes.usual[: len(found.shares)]
    return _taste(found.tasks, found.shares, usual, names)


def _taste(
    tasks: int, shares: Float32[np.ndarray, "I"], usual: Float32[np.ndarray, "I"], names: Names
) -> Taste:
    best = np.argsort(usual - shares, kind="stable")[:ITEMS]
    best = best[shares[best] > 0]
    told = zip(names.of(best), shares[best], strict=True)
    return Taste(tasks, tuple(Item(*one, share=float(share)) for one, share in told))


def _prior(scorer: Scorer, features: Features | None, names: Names) -> dict[str, tuple[Item, ...]]:
    """What each value of the profile raises most, against somebody of whom nothing is known."""
    if features is None:
        return {}
    told = [
        value
        for column, marked in features.places.items()
        if isinstance(kind := features.columns[column], Categorical | Flag | MultiValued)
        for value in list(zip(kind.names(column), np.flatnonzero(marked), strict=True))[:VALUES]
    ]
    rows = np.zeros((len(told) + 1, features.width), dtype=np.float32)
    rows[np.arange(len(told)), [place for _, place in told]] = 1.0
    nothing = Examples(
        np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(len(rows) + 1, np.int64)
    )
    scores = scorer.score(scorer.adapt(nothing, sp.csr_array(rows)), np.arange(scorer.items))
    level = scores - scores.mean(axis=1, keepdims=True)
    raised = np.argsort(level[-1] - level[:-1], axis=1, kind="stable")[:, :ITEMS]
    return {
        name: tuple(Item(*one) for one in names.of(best))
        for (name, _), best in zip(told, raised, strict=True)
    }
