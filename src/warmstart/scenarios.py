"""Scenarios: each is one way to cut the log into tasks; no learner and no classic knows which."""

import numpy as np
from jaxtyping import Int64

from warmstart.errors import DataError, Misuse
from warmstart.features import Features
from warmstart.interactions import Interactions
from warmstart.tasks import Examples, Split, Tasks

BENCHMARK = (0.7, 0.1, 0.2)
"""Shares of the owners in train, valid and test where learners are compared."""
DEPLOY = (0.9, 0.1, 0.0)
"""The shares where a model is fitted for use: everybody teaches it, but for those who stop its training."""
ENOUGH = (25, 15, 10, 5, 3, 2)
"""Events that an owner needs to be judged: the first of these that keeps half of the owners, or a hundred."""


def user_cold_start(log: Interactions, *, seed: int = 0, shares: tuple[float, float, float] = BENCHMARK) -> Split:
    """New users: owners are split into train, valid and test by a seeded permutation.

    The rules against leaks, all here: owners are disjoint; an owner's repeated item counts once, at its first event,
    so that no query item is in its own support; profile columns are fitted on training owners alone; owners are
    judged only with enough events. An owner's order in time is kept; without times it is drawn once.
    """
    rng = np.random.default_rng(seed)
    events = _by_owner(log, rng)
    train, valid, test = _parts(rng.permutation(np.flatnonzero(events.counts)), shares)
    enough = _enough(events.counts[valid if shares[2] == 0 else test])
    columns = None if log.owner_table is None else _useful(Features.fit(log.owner_table[train]))
    content = None if log.item_table is None else _useful(Features.fit(log.item_table))
    profile = None if columns is None or log.owner_table is None else columns.transform(log.owner_table)

    def part(owners: Int64[np.ndarray, "K"]) -> Tasks:
        return Tasks(
            events=events.take(owners),
            ordered=log.time is not None,
            profile=None if profile is None else profile[owners],
        )

    return Split(
        train=part(train),
        valid=part(valid[events.counts[valid] >= enough]),
        test=part(test[events.counts[test] >= enough]),
        items=len(log.items),
        least_events=enough,
        item_features=None if content is None or log.item_table is None else content.transform(log.item_table),
        profile_columns=columns,
    )


def _by_owner(log: Interactions, rng: np.random.Generator) -> Examples:
    """Each owner's events, first to last, repeated items left out."""
    position = rng.permutation(len(log)) if log.time is None else np.arange(len(log))
    rows = np.lexsort((position, log.owner))
    pairs = log.owner[rows] * len(log.items) + log.item[rows]
    rows = rows[np.sort(np.unique(pairs, return_index=True)[1])]
    counts = np.bincount(log.owner[rows], minlength=len(log.owners))
    start = np.concatenate([[0], np.cumsum(counts)])
    return Examples(log.item[rows], log.value[rows], start)


def _useful(features: Features) -> Features | None:
    """None for a table of which no column can be read."""
    return features if features.width else None


def _parts(owners: Int64[np.ndarray, "K"], shares: tuple[float, float, float]) -> list[Int64[np.ndarray, "_"]]:
    ends = np.round(np.cumsum(shares) * len(owners)).astype(int)
    parts = np.split(owners, ends[:2])
    if any(share > 0 and len(part) == 0 for share, part in zip(shares, parts, strict=True)):
        raise DataError(
            f"the data have {len(owners)} users with events, too few to hold some of them out for honest figures; "
            "bring at least 10 users, better some hundreds"
        )
    return parts


def _enough(counts: Int64[np.ndarray, "K"]) -> int:
    for least in ENOUGH:
        able = int((counts >= least).sum())
        if able >= 100 or 2 * able >= len(counts):
            return least
    raise DataError(
        "most users have a single event, so there is nothing to predict after it; "
        "bring users with at least 2 events (5 or more are better)"
    )


SCENARIOS = {"user": user_cold_start}


def cut(log: Interactions, scenario: str, *, seed: int, shares: tuple[float, float, float]) -> Split:
    """The log cut by the scenario of that name."""
    if scenario not in SCENARIOS:
        raise Misuse(f'there is no scenario "{scenario}"; there are {", ".join(SCENARIOS)}')
    return SCENARIOS[scenario](log, seed=seed, shares=shares)
