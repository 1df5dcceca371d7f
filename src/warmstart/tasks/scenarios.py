"""Scenarios: each is one way to cut the log into tasks; no learner and no classic knows which.

The rules against leaks are all here: what is asked of validation and test tasks was never seen in
fitting, nothing is in its own support unless it may come again, and columns of users are fitted on
training users alone.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from warmstart.data.features.table import Features
from warmstart.data.interactions import Interactions
from warmstart.errors import DataError, UsageError, join_names
from warmstart.tasks.domains import only, with_domains
from warmstart.tasks.tasks import ANYTHING, Examples, Question, Split, Tasks

Shares = tuple[float, float, float]
Users = Int64[np.ndarray, "_"]
BENCHMARK: Shares = (0.7, 0.1, 0.2)
"""Shares of the users in train, valid and test where learners are compared."""
DEPLOY: Shares = (0.9, 0.1, 0.0)
"""The shares where a model is fitted for use: everybody teaches it, but for those who stop its
training.
"""
ENOUGH = (25, 15, 10, 5, 3, 2)
"""Events that an user needs to be judged: the first of these that keeps half of the users, or a
hundred.
"""
WHOEVER_COMES = Question(next=None)
NEXT_CLICK = Question(next=1, again=True, each=True)


@dataclass(frozen=True)
class ScenarioOptions:
    """What some scenarios need to know beside the log."""

    gap: float | None = None
    """Seconds without an event after which somebody's session is over."""
    sources: tuple[str, ...] = ()
    """Domains of which events are known; none stands for all but the target."""
    target: str | None = None
    """The domain in which something is to be recommended."""
    overlap: float = 1.0
    """The share of the training users with events in both domains that are there to learn from."""


NO_OPTIONS = ScenarioOptions()


def user_cold_start(
    log: Interactions,
    *,
    seed: int = 0,
    shares: Shares = BENCHMARK,
    options: ScenarioOptions = NO_OPTIONS,
) -> Split:
    """New users: users are split into train, valid and test by a seeded permutation.

    Users are disjoint, and judged only with enough events. A repeated item counts once, at its
    first event. An user's order in time is kept; without times it is drawn once.
    """
    return _new_users(log, ANYTHING, seed=seed, shares=shares)


def item_cold_start(
    log: Interactions,
    *,
    seed: int = 0,
    shares: Shares = BENCHMARK,
    options: ScenarioOptions = NO_OPTIONS,
) -> Split:
    """New items: each item is a task, of which some users that met it are known; all others are to
    be found.

    What is known before anybody met it are its columns.
    """
    return _new_users(log.swapped(), WHOEVER_COMES, seed=seed, shares=shares)


def session(
    log: Interactions,
    *,
    seed: int = 0,
    shares: Shares = BENCHMARK,
    options: ScenarioOptions = NO_OPTIONS,
) -> Split:
    """New sessions: each is a task whose next click is asked for, which may be on an item of the
    session itself.

    Without a `gap` each user is one session; those of one event say nothing of a next one and are
    left out. Training sessions end before those of validation begin, and these before those of test
    begin; one that is under way at such a moment is left out of what is judged. Without comparable
    times sessions are split by a seeded permutation.
    """
    if options.gap is not None:
        log = log.sessions(round(options.gap * log.ticks))
    users = np.flatnonzero(np.bincount(log.user, minlength=len(log.users)) > 1)
    if log.time is None or not log.clock:
        return sessions_in(
            _parts(np.random.default_rng(seed).permutation(users), shares), log, seed=seed
        )
    first, last = _ends(log)
    parts = _parts(users[np.argsort(last[users], kind="stable")], shares)
    for i in (1, 2):
        over = max((last[part].max() for part in parts[:i] if len(part)), default=-1)
        begins_later = first[parts[i]] > over
        if len(parts[i]) and not begins_later.any():
            raise DataError(
                "every session begins before those to learn from end, so none can be judged honestly; "
                "cut long histories into sessions with --session-gap 30m, or choose the scenario user"
            )
        parts[i] = parts[i][begins_later]
    return sessions_in(parts, log, seed=seed)


def sessions_in(parts: Sequence[Users], log: Interactions, *, seed: int = 0) -> Split:
    """Sessions that are split into train, valid and test already, as those of a benchmark are."""
    events = _by_user(log, np.random.default_rng(seed), again=True)
    return _split(
        log, Tasks(events, ordered=log.time is not None, question=NEXT_CLICK), parts, enough=(2,)
    )


def cross_domain(
    log: Interactions,
    *,
    seed: int = 0,
    shares: Shares = BENCHMARK,
    options: ScenarioOptions = NO_OPTIONS,
) -> Split:
    """Users new to a domain of whom events in others are known; what they meet in the target domain
    is asked for.

    Users with events on both sides are split into train, valid and test; all others are there to
    learn from. Items of the target domain alone are recommended. The domain of an item is one of
    its columns.
    """
    codes, target = _domains(log, options)
    rng = np.random.default_rng(seed)
    events = _by_user(only(log, [target]), rng)
    before = _by_user(only(log, codes), rng)
    both = np.flatnonzero((events.counts > 0) & (before.counts > 0))
    parts = _parts(_drawn(log, both, rng, seed, shares), shares)
    apart = np.flatnonzero((events.counts > 0) != (before.counts > 0))
    together = parts[0][: max(1, round(options.overlap * len(parts[0])))]
    parts[0] = np.concatenate([together, apart])
    among = np.unique(log.item[log.domain == target])
    tasks = Tasks(
        events, ordered=log.time is not None, before=before, question=replace(ANYTHING, among=among)
    )
    return _split(with_domains(log), tasks, parts, enough=(1,))


def _new_users(log: Interactions, question: Question, *, seed: int, shares: Shares) -> Split:
    """Users split by a seeded permutation; each is asked the question."""
    rng = np.random.default_rng(seed)
    events = _by_user(log, rng)
    parts = _parts(_drawn(log, np.flatnonzero(events.counts), rng, seed, shares), shares)
    return _split(log, Tasks(events, ordered=log.time is not None, question=question), parts)


def _split(
    log: Interactions, tasks: Tasks, parts: Sequence[Users], *, enough: Sequence[int] = ENOUGH
) -> Split:
    """The tasks of all users in train, valid and test, with what is known of users and items
    beside the events.
    """
    train, valid, test = parts
    counts = tasks.events.counts
    least = _enough(counts[valid if not len(test) else test], enough)
    columns = None if log.user_table is None else _useful(Features.fit(log.user_table[train]))
    content = None if log.item_table is None else _useful(Features.fit(log.item_table))
    if columns is not None and log.user_table is not None:
        tasks = replace(tasks, profile=columns.transform(log.user_table))
    return Split(
        train=tasks.take(train),
        valid=tasks.take(valid[counts[valid] >= least]),
        test=tasks.take(test[counts[test] >= least]),
        items=len(log.items),
        least_events=least,
        item_features=None
        if content is None or log.item_table is None
        else content.transform(log.item_table),
        profile_columns=columns,
    )


def _by_user(log: Interactions, rng: np.random.Generator, *, again: bool = False) -> Examples:
    """Each user's events, first to last; repeated items are left out but where they may come
    `again`.
    """
    position = rng.permutation(len(log)) if log.time is None else np.arange(len(log))
    rows = np.lexsort((position, log.user))
    if not again:
        pairs = log.user[rows] * len(log.items) + log.item[rows]
        rows = rows[np.sort(np.unique(pairs, return_index=True)[1])]
    counts = np.bincount(log.user[rows], minlength=len(log.users))
    start = np.concatenate([[0], np.cumsum(counts)])
    return Examples(log.item[rows], log.value[rows], start)


def _ends(log: Interactions) -> tuple[Users, Users]:
    """The times of each user's first and last event."""
    assert log.time is not None, "only a log with times has first and last ones"
    first = np.full(len(log.users), np.iinfo(np.int64).max)
    last = np.full(len(log.users), np.iinfo(np.int64).min)
    np.minimum.at(first, log.user, log.time)
    np.maximum.at(last, log.user, log.time)
    return first, last


def _domains(log: Interactions, options: ScenarioOptions) -> tuple[list[int], int]:
    """The codes of the source domains, and that of the target."""
    if log.domain is None or len(log.domains) < 2:
        raise UsageError(
            "cross-domain needs events of at least two domains; name the column of domains with --columns domain=..."
        )
    for name in (*options.sources, *([] if options.target is None else [options.target])):
        if name not in log.domains:
            raise UsageError(f'there is no domain "{name}"; the data have {join_names(log.domains)}')
    if options.target is None:
        raise UsageError(
            f"say in which domain to recommend with --target; the data have {join_names(log.domains)}"
        )
    if options.target in options.sources:
        raise UsageError(f'"{options.target}" cannot be source and target at once')
    sources = options.sources or tuple(name for name in log.domains if name != options.target)
    return [log.domains.index(name) for name in sources], log.domains.index(options.target)


def _useful(features: Features) -> Features | None:
    """None for a table of which no column can be read."""
    return features if features.width else None


def _drawn(
    log: Interactions, users: Users, rng: np.random.Generator, seed: int, shares: Shares
) -> Users:
    """Users in the order in which they are dealt to the parts.

    Where a model is fitted for use the lot of an user follows from the id alone: so nearly all who
    judge a model judge the next one, too, and neither of the two has learned from them.
    """
    shuffled = rng.permutation(users)
    if shares != DEPLOY:
        return shuffled
    lots = [
        zlib.crc32(f"{seed} {identifier}".encode()) for identifier in log.users.decode(shuffled)
    ]
    return shuffled[np.argsort(lots, kind="stable")]


def _parts(users: Users, shares: Shares) -> list[Users]:
    ends = np.round(np.cumsum(shares) * len(users)).astype(int)
    parts = np.split(users, ends[:2])
    if any(share > 0 and len(part) == 0 for share, part in zip(shares, parts, strict=True)):
        raise DataError(
            f"the data have {len(users)} users with events, too few to hold some of them out for honest figures; "
            "bring at least 10 users, better some hundreds"
        )
    return parts


def _enough(counts: Int64[np.ndarray, "K"], enough: Sequence[int]) -> int:
    for least in enough:
        able = int((counts >= least).sum())
        if able >= 100 or 2 * able >= len(counts):
            return least
    raise DataError(
        "most users have a single event, so there is nothing to predict after it; "
        "bring users with at least 2 events (5 or more are better)"
    )


SCENARIOS: dict[str, Callable[..., Split]] = {
    "user": user_cold_start,
    "item": item_cold_start,
    "session": session,
    "cross-domain": cross_domain,
}


def seen_by(scenario: str, log: Interactions) -> Interactions:
    """The log as a scenario sees it, so that its items are those that are recommended."""
    return log.swapped() if scenario == "item" else log


def cut(
    log: Interactions,
    scenario: str,
    *,
    seed: int,
    shares: Shares,
    options: ScenarioOptions = NO_OPTIONS,
) -> Split:
    """The log cut by the scenario of that name."""
    if scenario not in SCENARIOS:
        raise UsageError(f'there is no scenario "{scenario}"; there are {", ".join(SCENARIOS)}')
    return SCENARIOS[scenario](log, seed=seed, shares=shares, options=options)
