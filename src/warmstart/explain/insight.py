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
from warmstart.explain.explanation import ExplainedUser
from warmstart.explain.list_shift import list_shift
from warmstart.explain.reasons import ItemNames
from warmstart.explain.user_groups import UserGroups, neighbourhood
from warmstart.scorer import Scorer, delegate
from warmstart.tasks.examples import Examples

NEAREST, ITEMS, VALUES = (
    3,
    5,
    12,
)  # prototypes, items of each, and values of a column that are shown


@dataclass(frozen=True)
class InsightItem:
    """An item as people see it."""

    item: Id
    title: str | None
    share: float | None = None
    """Of the tasks that met it, where tasks are spoken of."""


@dataclass(frozen=True)
class InsightGroup:
    """What at least ten training tasks have in common."""

    tasks: int
    items: tuple[InsightItem, ...]
    """Which set them apart from all others the most, with the share of them that met each."""


@dataclass(frozen=True)
class InsightStep:
    """What one event of a history does to the list."""

    item: Id
    title: str | None
    new: int
    """Items that it brought among the first n."""
    moved: float
    """Places by which the first n moved, on average."""
    first: InsightItem
    """The item in front after it."""


@dataclass(frozen=True)
class Insight:
    """What a model has learned, and how it listens."""

    prototypes: tuple[InsightGroup, ...]
    """Groups of training tasks whose taste is nearest to what is recommended, the nearest first."""
    read: InsightGroup | None
    """The training tasks that the model reads for this person; None where it reads none, or too few
    to show.
    """
    prior: Mapping[str, tuple[InsightItem, ...]]
    """For values of the profile, as country=FR: what they raise most before anything else is
    known.
    """
    steps: tuple[InsightStep, ...]
    """What each event does to the list."""

    def to_dict(self) -> dict[str, Any]:
        """The insight, fit for JSON."""
        return asdict(self)


def insight(
    scorer: Scorer,
    person: ExplainedUser,
    n: int,
    names: ItemNames,
    *,
    user_groups: UserGroups | None,
    features: Features | None,
) -> Insight:
    """What the model has learned, seen from one person."""
    known = person.context
    moves = list_shift(scorer, known, n, person.excluded)
    fronts = (
        [InsightItem(*one) for one in names.of(moves.lists[1:, 0])] if moves.lists.shape[1] else []
    )
    met = names.of(known.support.item)
    return Insight(
        prototypes=() if user_groups is None else _prototypes(user_groups, moves.lists[-1], names),
        read=_neighbourhood(scorer, person, names, user_groups),
        prior=_prior(scorer, features, names),
        steps=tuple(
            InsightStep(*one, new=int(new), moved=float(moved), first=front)
            for one, new, moved, front in zip(met, moves.new, moves.moved, fronts, strict=False)
        ),
    )


def _prototypes(
    tastes: UserGroups, listed: Int64[np.ndarray, "n"], names: ItemNames
) -> tuple[InsightGroup, ...]:
    nearest = np.argsort(-tastes.similarity(listed), kind="stable")[:NEAREST]
    return tuple(
        _group(int(tastes.tasks[k]), tastes.shares[[k]].toarray()[0], tastes.base_rate, names)
        for k in nearest
    )


def _neighbourhood(
    scorer: Scorer, person: ExplainedUser, names: ItemNames, tastes: UserGroups | None
) -> InsightGroup | None:
    known = person.context
    found = neighbourhood(delegate(scorer, known.shots), known.support, known.profile)
    if found is None:
        return None
    usual = np.zeros_like(found.shares) if tastes is None else tastes.base_rate[: len(found.shares)]
    return _group(found.tasks, found.shares, usual, names)


def _group(
    tasks: int, shares: Float32[np.ndarray, "I"], usual: Float32[np.ndarray, "I"], names: ItemNames
) -> InsightGroup:
    best = np.argsort(usual - shares, kind="stable")[:ITEMS]
    best = best[shares[best] > 0]
    told = zip(names.of(best), shares[best], strict=True)
    return InsightGroup(tasks, tuple(InsightItem(*one, share=float(share)) for one, share in told))


def _prior(
    scorer: Scorer, features: Features | None, names: ItemNames
) -> dict[str, tuple[InsightItem, ...]]:
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
        name: tuple(InsightItem(*one) for one in names.of(best))
        for (name, _), best in zip(told, raised, strict=True)
    }
