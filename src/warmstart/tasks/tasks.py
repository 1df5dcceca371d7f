"""Tasks: the users of one part of a split, and the training episodes drawn from them."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from warmstart.tasks.examples import Examples, Items, PerTask, Profile

Objective = Literal["ranking", "rating"]
"""What is predicted: which items come next, or the value of each."""
DEFAULT_HORIZON = 20
"""Events of a task that are to be predicted after its support."""


@dataclass(frozen=True)
class QuerySpec:
    """What is to be predicted for a task, and which items are candidates."""

    horizon: int | None = DEFAULT_HORIZON
    """Number of events to predict after the support; None: all that follow."""
    allow_repeats: bool = False
    """Whether items of the support are candidates, since they may come again."""
    per_event: bool = False
    """Whether each event of a sequence is a query of its own, and not each number of shots."""
    candidates: Items | None = None
    """Codes of the items that may be recommended, rising; None: all items."""

    @property
    def max_queries(self) -> int:
        """The most events to predict."""
        return sys.maxsize // 2 if self.horizon is None else self.horizon

    def non_candidates(self, items: int) -> Bool[np.ndarray, "I"]:
        """Which of the I items of the catalogue are no candidates."""
        if self.candidates is None:
            return np.zeros(items, dtype=bool)
        marked = np.ones(items, dtype=bool)
        marked[self.candidates] = False
        return marked


ANY_QUERY = QuerySpec()


@dataclass(frozen=True)
class TaskBatch:
    """T tasks for training or testing: their support and query sets."""

    support: Examples
    query: Examples
    profile: Profile = None
    task_events: Examples | None = None
    """In training: all events of the tasks, so that counts over all training tasks can leave these
    out; None otherwise.
    """
    query_spec: QuerySpec = ANY_QUERY


class TasksByLength(NamedTuple):
    """Tasks by their number of events, the shortest first."""

    tasks: Int64[np.ndarray, "_"]
    counts: Int64[np.ndarray, "_"]

    def with_more_events(self, shots: PerTask, rng: np.random.Generator) -> tuple[PerTask, PerTask]:
        """A random task with more events than `shots`, for each of them, and the number of shots,
        which is smaller where no task has as many.
        """
        shots = np.minimum(shots, self.counts[-1] - 1)
        able_from = np.searchsorted(self.counts, shots, side="right")
        return self.tasks[rng.integers(able_from, len(self.tasks))], shots


@dataclass(frozen=True)
class Tasks:
    """The users of one part of a split, each of them a task.

    `ordered` says that events are in time order; otherwise their order means nothing and is random
    in training. `context` holds events in other domains, which are known before the first shot.
    """

    events: Examples
    ordered: bool
    profile: Profile = None
    context: Examples | None = None
    query_spec: QuerySpec = ANY_QUERY

    def __len__(self) -> int:
        return len(self.events)

    @cached_property
    def all_events(self) -> Examples:
        """All events of each task, context events first."""
        return self.events if self.context is None else self.context.followed_by(self.events)

    @cached_property
    def servable(self) -> Bool[np.ndarray, "T"]:
        """Which of the T tasks are such as will be served: they have events to predict, and context
        events where there are any.
        """
        to_predict = self.events.counts > 0
        return to_predict if self.context is None else to_predict & (self.context.counts > 0)

    def take(self, tasks: Int64[np.ndarray, "K"]) -> "Tasks":
        """The given tasks, in that order."""
        return replace(
            self,
            events=self.events.take(tasks),
            profile=None if self.profile is None else self.profile[tasks],
            context=None if self.context is None else self.context.take(tasks),
        )

    def cut(self, shots: int, *, queries: int | None = None) -> TaskBatch:
        """Tasks cut after `shots` events: these are the support, the next `queries` the query.

        Tasks without a query are left out. By default `queries` is that of the query specification.
        """
        able = np.flatnonzero(self.events.counts > shots)
        length = self.query_spec.max_queries if queries is None else queries
        return self._cut(self.events.take(able), able, np.full(len(able), shots), length)

    @cached_property
    def _by_length(self) -> "TasksByLength":
        """The tasks, those with the fewest events first."""
        tasks = np.argsort(self.events.counts, kind="stable")
        return TasksByLength(tasks, self.events.counts[tasks])

    @cached_property
    def _served_by_length(self) -> "TasksByLength":
        """The servable tasks, those with the fewest events first."""
        served = self.servable[self._by_length.tasks]
        return TasksByLength(*(column[served] for column in self._by_length))

    @cached_property
    def _with_events(self) -> Items:
        return np.flatnonzero(self.events.counts)

    def episodes(
        self,
        rng: np.random.Generator,
        n_tasks: int,
        *,
        max_shots: int,
        queries: int,
        whole_sequences: bool = False,
    ) -> TaskBatch:
        """A batch of training episodes, cut the way tasks will be served.

        Half of the numbers of shots are drawn from 0..5 and half from 0..max_shots, since a new
        user starts with few. Then a task with more events is drawn for each, so that numbers of
        shots are equally likely whatever the histories. In time order the query is as long as in
        use, since what comes much later is another question; in random order more events are more
        of the same, up to `queries`. With context events, half of the tasks at least have some.
        Where each event is a query, every event is equally likely; with `whole_sequences`, where
        all events of a task are predicted at once, every task is.
        """
        if self.query_spec.per_event and whole_sequences:
            able = self._with_events
            return self._episodes(
                rng,
                able[rng.integers(0, len(able), n_tasks)],
                np.zeros(n_tasks, dtype=int),
                queries,
            )
        if self.query_spec.per_event:
            return self._episodes(rng, *self._any_event(rng, n_tasks), queries)
        few = rng.random(n_tasks) < 0.5
        shots = np.where(few, rng.integers(0, 6, n_tasks), rng.integers(0, max_shots + 1, n_tasks))
        if self.context is None or not len(self._served_by_length.tasks):
            return self._episodes(rng, *self._by_length.with_more_events(shots, rng), queries)
        half = n_tasks // 2
        parts = (
            self._served_by_length.with_more_events(shots[:half], rng),
            self._by_length.with_more_events(shots[half:], rng),
        )
        chosen, shots = map(np.concatenate, zip(*parts, strict=True))
        return self._episodes(rng, chosen, shots, queries)

    def _any_event(self, rng: np.random.Generator, tasks: int) -> tuple[Items, PerTask]:
        """Tasks and shots whose next event is any of all events, each equally likely."""
        row = rng.integers(0, len(self.events.item), tasks)
        return self.events.task[row], row - self.events.offsets[:-1][self.events.task[row]]

    def _episodes(
        self, rng: np.random.Generator, chosen: Items, shots: PerTask, queries: int
    ) -> TaskBatch:
        events = self.events.take(chosen)
        if not self.ordered:
            events = events.shuffled(rng)
        batch = self._cut(
            events,
            chosen,
            shots,
            min(queries, self.query_spec.max_queries) if self.ordered else queries,
        )
        if self.context is not None:
            events = self.context.take(chosen).followed_by(events)
        return replace(batch, task_events=events)

    def _cut(self, events: Examples, chosen: Items, shots: PerTask, queries: int) -> TaskBatch:
        support = events.window(np.zeros_like(shots), shots)
        return TaskBatch(
            support=support
            if self.context is None
            else self.context.take(chosen).followed_by(support),
            query=events.window(shots, shots + queries),
            profile=None if self.profile is None else self.profile[chosen],
            query_spec=self.query_spec,
        )


def batches(batch: TaskBatch, size: int) -> Iterator[TaskBatch]:
    """A large batch in parts of at most `size` tasks."""
    for first in range(0, len(batch.support), size):
        tasks = np.arange(first, min(first + size, len(batch.support)))
        profile = None if batch.profile is None else batch.profile[tasks]
        yield TaskBatch(
            batch.support.take(tasks), batch.query.take(tasks), profile, query_spec=batch.query_spec
        )
