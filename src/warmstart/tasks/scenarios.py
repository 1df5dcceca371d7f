"""Scenarios: each is one way to cut the log into tasks; no learner and no baseline knows which.

A scenario is one object of `SCENARIOS`. The command line, comparisons and reports read from it what
they need, so that a new scenario is a function and an entry here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from warmstart.data.interactions import Interactions
from warmstart.errors import DataError, UsageError
from warmstart.tasks.cutting import (
    BENCHMARK,
    Shares,
    Users,
    dealt,
    events_by_user,
    first_and_last,
    in_parts,
    split_of,
)
from warmstart.tasks.domains import only, source_and_target, with_domains
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import ANY_QUERY, QuerySpec, Tasks

ALL_QUERIES = QuerySpec(horizon=None)
NEXT_CLICK = QuerySpec(horizon=1, allow_repeats=True, per_event=True)


@dataclass(frozen=True)
class ScenarioOptions:
    """What some scenarios need to know besides the log."""

    gap: float | None = None
    """Seconds without an event after which a user's session is over."""
    sources: tuple[str, ...] = ()
    """Domains whose events are known; empty: all but the target."""
    target: str | None = None
    """The domain in which items are recommended."""
    overlap: float = 1.0
    """The share of the training users with events in both domains that is used."""


NO_OPTIONS = ScenarioOptions()


def user_cold_start(
    log: Interactions,
    *,
    seed: int = 0,
    shares: Shares = BENCHMARK,
    options: ScenarioOptions = NO_OPTIONS,
) -> Split:
    """New users: users are split into train, valid and test by a seeded permutation.

    Users are disjoint, and tested only with enough events. A repeated item counts once, at its
    first event. A user's order in time is kept; without times it is drawn once.
    """
    return _new_users(log, ANY_QUERY, seed=seed, shares=shares)


def item_cold_start(
    log: Interactions,
    *,
    seed: int = 0,
    shares: Shares = BENCHMARK,
    options: ScenarioOptions = NO_OPTIONS,
) -> Split:
    """New items: each item is a task; some of its users are known, all others are to be found.

    Before its first user an item is known by its columns.
    """
    return _new_users(log.transposed(), ALL_QUERIES, seed=seed, shares=shares)


def session(
    log: Interactions,
    *,
    seed: int = 0,
    shares: Shares = BENCHMARK,
    options: ScenarioOptions = NO_OPTIONS,
) -> Split:
    """New sessions: each is a task whose next click is to be predicted; items may repeat.

    Without a `gap` each user is one session; sessions of one event have no next one and are left
    out. Training sessions end before those of validation begin, and these before those of test
    begin; a session that is under way at such a moment is neither validated nor tested on. Without
    comparable times sessions are split by a seeded permutation.
    """
    if options.gap is not None:
        log = log.sessions(round(options.gap * log.time_unit))
    users = np.flatnonzero(np.bincount(log.user, minlength=len(log.users)) > 1)
    if log.time is None or not log.has_comparable_times:
        return sessions_in(
            in_parts(np.random.default_rng(seed).permutation(users), shares), log, seed=seed
        )
    first, last = first_and_last(log)
    parts = in_parts(users[np.argsort(last[users], kind="stable")], shares)
    for i in (1, 2):
        end = max((last[part].max() for part in parts[:i] if len(part)), default=-1)
        begins_later = first[parts[i]] > end
        if len(parts[i]) and not begins_later.any():
            raise DataError(
                "every session begins before the training sessions end, so none can be tested on "
                "honestly; cut long histories into sessions with --session-gap 30m, or choose the "
                "scenario user"
            )
        parts[i] = parts[i][begins_later]
    return sessions_in(parts, log, seed=seed)


def sessions_in(parts: Sequence[Users], log: Interactions, *, seed: int = 0) -> Split:
    """Sessions that are split into train, valid and test already, as those of a benchmark are."""
    events = events_by_user(log, np.random.default_rng(seed), repeats=True)
    return split_of(
        log,
        Tasks(events, ordered=log.time is not None, query_spec=NEXT_CLICK),
        parts,
        min_events=(2,),
    )


def cross_domain(
    log: Interactions,
    *,
    seed: int = 0,
    shares: Shares = BENCHMARK,
    options: ScenarioOptions = NO_OPTIONS,
) -> Split:
    """Users new to a target domain, of whom events in other domains are known.

    Users with events on both sides are split into train, valid and test; all others are training
    users. Only items of the target domain are candidates. The domain of an item is one of its
    columns.
    """
    codes, target = source_and_target(log, options.sources, options.target)
    rng = np.random.default_rng(seed)
    events = events_by_user(only(log, [target]), rng)
    context = events_by_user(only(log, codes), rng)
    both = np.flatnonzero((events.counts > 0) & (context.counts > 0))
    parts = in_parts(dealt(log, both, rng, seed, shares), shares)
    one_domain = np.flatnonzero((events.counts > 0) != (context.counts > 0))
    both_domains = parts[0][: max(1, round(options.overlap * len(parts[0])))]
    parts[0] = np.concatenate([both_domains, one_domain])
    candidates = np.unique(log.item[log.domain == target])
    tasks = Tasks(
        events,
        ordered=log.time is not None,
        context=context,
        query_spec=QuerySpec(candidates=candidates),
    )
    return split_of(with_domains(log), tasks, parts, min_events=(1,))


def _new_users(log: Interactions, query_spec: QuerySpec, *, seed: int, shares: Shares) -> Split:
    """Users split by a seeded permutation, with the same query specification for each."""
    rng = np.random.default_rng(seed)
    events = events_by_user(log, rng)
    parts = in_parts(dealt(log, np.flatnonzero(events.counts), rng, seed, shares), shares)
    return split_of(log, Tasks(events, ordered=log.time is not None, query_spec=query_spec), parts)


@runtime_checkable
class Cut(Protocol):
    """Cuts a log into training, validation and test tasks."""

    def __call__(
        self,
        log: Interactions,
        *,
        seed: int = 0,
        shares: Shares = BENCHMARK,
        options: ScenarioOptions = NO_OPTIONS,
    ) -> Split: ...


@dataclass(frozen=True)
class Scenario:
    """One way to cut a log into tasks, with what others need to know about it."""

    cut: Cut
    task_noun: str
    """What its tasks are called in reports, in the plural."""
    required_baselines: tuple[str, ...]
    """Learners without which a comparison of rankings says nothing."""
    transposed: bool = False
    """Whether users and items are exchanged, so that users are recommended for items."""


SCENARIOS: dict[str, Scenario] = {
    "user": Scenario(
        user_cold_start, "users", ("popularity", "item-knn", "ease", "als", "fine-tune")
    ),
    "item": Scenario(
        item_cold_start,
        "items",
        ("popularity", "item-knn", "ease", "als", "profile-knn", "profile-als", "fine-tune"),
        transposed=True,
    ),
    "session": Scenario(
        session, "sessions", ("popularity", "item-knn", "session-knn", "gru4rec", "fine-tune")
    ),
    "cross-domain": Scenario(
        cross_domain,
        "users",
        ("popularity", "item-knn", "session-knn", "ease", "als", "bridge", "fine-tune"),
    ),
}


def scenario_of(name: str) -> Scenario:
    """The scenario of that name; raises `UsageError` where there is none."""
    if name not in SCENARIOS:
        raise UsageError(f'there is no scenario "{name}"; there are {", ".join(SCENARIOS)}')
    return SCENARIOS[name]


def seen_by(scenario: str, log: Interactions) -> Interactions:
    """The log as a scenario sees it, so that its items are those that are recommended."""
    return log.transposed() if scenario_of(scenario).transposed else log


def cut(
    log: Interactions,
    scenario: str,
    *,
    seed: int,
    shares: Shares,
    options: ScenarioOptions = NO_OPTIONS,
) -> Split:
    """The log cut by the scenario of that name."""
    return scenario_of(scenario).cut(log, seed=seed, shares=shares, options=options)
