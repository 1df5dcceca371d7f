"""Cutting: how users are dealt to train, valid and test, and their events become tasks.

The rules against leaks are here: users are disjoint, nothing is in its own support unless it may
come again, and columns of users are fitted on training users alone.
"""

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from warmstart.data.features.table import Features
from warmstart.data.interactions import Interactions
from warmstart.errors import DataError
from warmstart.tasks.examples import Examples
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import Tasks

Shares = tuple[float, float, float]
Users = Int64[np.ndarray, "_"]
BENCHMARK: Shares = (0.7, 0.1, 0.2)
"""Shares of the users in train, valid and test where learners are compared."""
DEPLOY: Shares = (0.9, 0.1, 0.0)
"""The shares where a model is fitted for use: nobody is held out for testing."""
MIN_EVENTS = (25, 15, 10, 5, 3, 2)
"""Events that a user needs to be tested on: the first of these numbers that keeps half of the
users, or a hundred.
"""


def split_of(
    log: Interactions,
    tasks: Tasks,
    parts: Sequence[Users],
    *,
    min_events: Sequence[int] = MIN_EVENTS,
) -> Split:
    """The tasks of all users dealt to train, valid and test, with their profiles and the content
    of items.
    """
    train, valid, test = parts
    counts = tasks.events.counts
    least = _least_events(counts[valid if not len(test) else test], min_events)
    columns = None if log.user_table is None else _useful(Features.fit(log.user_table[train]))
    content = None if log.item_table is None else _useful(Features.fit(log.item_table))
    if columns is not None and log.user_table is not None:
        tasks = replace(tasks, profile=columns.transform(log.user_table))
    return Split(
        train=tasks.take(train),
        valid=tasks.take(valid[counts[valid] >= least]),
        test=tasks.take(test[counts[test] >= least]),
        n_items=len(log.items),
        least_events=least,
        item_features=None
        if content is None or log.item_table is None
        else content.transform(log.item_table),
        profile_columns=columns,
    )


def events_by_user(
    log: Interactions, rng: np.random.Generator, *, repeats: bool = False
) -> Examples:
    """Each user's events, first to last; of repeated items the first, unless `repeats` are wanted.

    Without times the order is drawn from `rng`.
    """
    position = rng.permutation(len(log)) if log.time is None else np.arange(len(log))
    rows = np.lexsort((position, log.user))
    if not repeats:
        pairs = log.user[rows] * len(log.items) + log.item[rows]
        rows = rows[np.sort(np.unique(pairs, return_index=True)[1])]
    counts = np.bincount(log.user[rows], minlength=len(log.users))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Examples(log.item[rows], log.value[rows], offsets)


def first_and_last(log: Interactions) -> tuple[Users, Users]:
    """The times of each user's first and last event."""
    assert log.time is not None, "only a log with times has first and last ones"
    first = np.full(len(log.users), np.iinfo(np.int64).max)
    last = np.full(len(log.users), np.iinfo(np.int64).min)
    np.minimum.at(first, log.user, log.time)
    np.maximum.at(last, log.user, log.time)
    return first, last


def dealt(
    log: Interactions, users: Users, rng: np.random.Generator, seed: int, shares: Shares
) -> Users:
    """Users in the order in which they are dealt to the parts: a seeded permutation.

    For `DEPLOY` the order follows from each user's id alone. So nearly all validation users of a
    model are validation users of the next one, too, and neither has learned from them.
    """
    shuffled = rng.permutation(users)
    if shares != DEPLOY:
        return shuffled
    keys = [
        zlib.crc32(f"{seed} {identifier}".encode()) for identifier in log.users.decode(shuffled)
    ]
    return shuffled[np.argsort(keys, kind="stable")]


def in_parts(users: Users, shares: Shares) -> list[Users]:
    """Users, in the order in which they are dealt, in train, valid and test."""
    ends = np.round(np.cumsum(shares) * len(users)).astype(int)
    parts = np.split(users, ends[:2])
    if any(share > 0 and len(part) == 0 for share, part in zip(shares, parts, strict=True)):
        raise DataError(
            f"the data have {len(users)} users with events, too few to hold some of them out for "
            "honest figures; bring at least 10 users, better some hundreds"
        )
    return parts


def _least_events(counts: Int64[np.ndarray, "K"], min_events: Sequence[int]) -> int:
    for least in min_events:
        able = int((counts >= least).sum())
        if able >= 100 or 2 * able >= len(counts):
            return least
    raise DataError(
        "most users have a single event, so there is nothing to predict after it; "
        "bring users with at least 2 events (5 or more are better)"
    )


def _useful(features: Features) -> Features | None:
    """None for a table of which no column can be read."""
    return features if features.width else None
