"""Tasks: the log cut into somebody's support (what is known of them) and query (what to
predict).
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float32, Int64

from warmstart.data.features.table import Features
from warmstart.errors import UsageError

Items = Int64[np.ndarray, "N"]
Starts = Int64[np.ndarray, "_"]
PerTask = Int64[np.ndarray, "T"]
Profile = Any  # scipy.sparse.csr_array of shape (T, F), or None: nothing is known about anybody
Objective = Literal["ranking", "rating"]
"""What is predicted: which items come next, or the value of each."""
NEXT = 20
"""Events of a task that are to be predicted after its support."""


class Padded(NamedTuple):
    """Ragged rows as a rectangle of width S; where `mask` is False the entry is padding."""

    item: Int64[np.ndarray, "T S"]
    value: Float32[np.ndarray, "T S"]
    mask: Bool[np.ndarray, "T S"]


@dataclass(frozen=True)
class Examples:
    """The examples of T tasks, stored flat: those of task t are the rows start[t] to start[t +
    1].
    """

    item: Items
    value: Float32[np.ndarray, "N"]
    start: Starts

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def counts(self) -> PerTask:
        return np.diff(self.start)

    @cached_property
    def task(self) -> Items:
        """The task of each row."""
        return np.repeat(np.arange(len(self)), self.counts)

    @cached_property
    def alone(self) -> Bool[np.ndarray, "N"]:
        """Which events are the only ones of their task on their item."""
        _, place, count = np.unique(
            np.stack([self.task, self.item]), axis=1, return_inverse=True, return_counts=True
        )
        return count[place.ravel()] == 1

    @classmethod
    def plain(cls, item: Items, start: Starts) -> "Examples":
        """Events without values, each as strong as the others."""
        return cls(item, np.ones(len(item), dtype=np.float32), start)

    def window(self, first: PerTask, last: PerTask) -> "Examples":
        """The examples number first[t] to last[t] (not included) of each task, fewer where a task
        has fewer.
        """
        first, last = np.minimum(first, self.counts), np.minimum(last, self.counts)
        counts = np.maximum(last - first, 0)
        start = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self.start[:-1] + first - start[:-1], counts) + np.arange(start[-1])
        return Examples(self.item[rows], self.value[rows], start)

    def latest(self, most: int) -> "Examples":
        """The last `most` examples of each task."""
        return self.window(np.maximum(self.counts - most, 0), self.counts)

    def take(self, tasks: Int64[np.ndarray, "K"]) -> "Examples":
        """The examples of the given tasks, in that order."""
        counts = self.counts[tasks]
        start = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self.start[tasks] - start[:-1], counts) + np.arange(start[-1])
        return Examples(self.item[rows], self.value[rows], start)

    def where(self, kept: Bool[np.ndarray, "N"]) -> "Examples":
        """The examples of each task that are kept."""
        start = np.concatenate([[0], np.cumsum(np.bincount(self.task[kept], minlength=len(self)))])
        return Examples(self.item[kept], self.value[kept], start)

    def followed_by(self, more: "Examples") -> "Examples":
        """The examples of each task with those of the same task in `more` behind them."""
        task = np.concatenate([self.task, more.task])
        rows = np.argsort(task, kind="stable")
        item, value = (
            np.concatenate([self.item, more.item]),
            np.concatenate([self.value, more.value]),
        )
        return Examples(item[rows], value[rows], self.start + more.start)

    def with_tasks(self, more: "Examples") -> "Examples":
        """These tasks, and those of `more` behind them."""
        return Examples(
            np.concatenate([self.item, more.item]),
            np.concatenate([self.value, more.value]),
            np.concatenate([self.start, self.start[-1] + more.start[1:]]),
        )

    def shuffled(self, rng: np.random.Generator) -> "Examples":
        """The same examples with each task's own order drawn anew."""
        rows = np.lexsort((rng.random(len(self.item)), self.task))
        return Examples(self.item[rows], self.value[rows], self.start)

    def padded(self) -> Padded:
        """The examples as a rectangle, at least one column wide."""
        width = max(int(self.counts.max(initial=0)), 1)
        mask = np.arange(width) < self.counts[:, None]
        item = np.zeros(mask.shape, dtype=np.int64)
        value = np.zeros(mask.shape, dtype=np.float32)
        item[mask], value[mask] = self.item, self.value
        return Padded(item, value, mask)

    def matrix(self, items: int) -> sp.csr_array:
        """The examples as a sparse (T, I) matrix of ones, whatever their values."""
        ones = np.ones(len(self.item), dtype=np.float32)
        matrix = sp.csr_array((ones, (self.task, self.item)), shape=(len(self), items))
        matrix.data[:] = 1.0
        return matrix


@dataclass(frozen=True)
class Question:
    """What is asked of a task, and which answers there are."""

    next: int | None = NEXT
    """Events that are to be predicted after the support; None: whatever comes."""
    again: bool = False
    """Whether an item of the support may come again, and is an answer like any other."""
    each: bool = False
    """Whether every event is asked for alike, and not every number of shots."""
    among: Items | None = None
    """The items that may be an answer, rising; None where all may."""

    @property
    def most(self) -> int:
        """No more events than these are to be predicted."""
        return sys.maxsize // 2 if self.next is None else self.next

    def others(self, items: int) -> Bool[np.ndarray, "I"]:
        """The items of the catalogue that are no answer."""
        if self.among is None:
            return np.zeros(items, dtype=bool)
        marked = np.ones(items, dtype=bool)
        marked[self.among] = False
        return marked


ANYTHING = Question()


@dataclass(frozen=True)
class TaskBatch:
    """T tasks to learn from or to be judged on: what is known, and what has to be predicted."""

    support: Examples
    query: Examples
    profile: Profile = None
    own: Examples | None = None
    """In training: all events of the tasks, which whatever was counted over the training tasks has
    seen.
    """
    question: Question = ANYTHING


class Lengths(NamedTuple):
    """Some tasks, and how many events each has, the shortest first."""

    tasks: Int64[np.ndarray, "_"]
    counts: Int64[np.ndarray, "_"]

    def above(self, shots: PerTask, rng: np.random.Generator) -> tuple[PerTask, PerTask]:
        """For each number of shots a task with more events, and the number, smaller where no task
        has as many.
        """
        shots = np.minimum(shots, self.counts[-1] - 1)
        able_from = np.searchsorted(self.counts, shots, side="right")
        return self.tasks[rng.integers(able_from, len(self.tasks))], shots


@dataclass(frozen=True)
class Tasks:
    """Everything known about the users of one part of a split, each user one task.

    `ordered` says that the events stand in time order; else their order means nothing and is drawn
    anew in training. `before` are events that are known before the first shot, of another kind than
    those that are asked for.
    """

    events: Examples
    ordered: bool
    profile: Profile = None
    before: Examples | None = None
    question: Question = ANYTHING

    def __len__(self) -> int:
        return len(self.events)

    @cached_property
    def met(self) -> Examples:
        """All events of each task, those before the first shot in front."""
        return self.events if self.before is None else self.before.followed_by(self.events)

    @cached_property
    def alike_served(self) -> Bool[np.ndarray, "T"]:
        """Which tasks are such as will be served: something can be asked of them, and is known
        before.
        """
        asked = self.events.counts > 0
        return asked if self.before is None else asked & (self.before.counts > 0)

    def take(self, tasks: Int64[np.ndarray, "K"]) -> "Tasks":
        """The given tasks, in that order."""
        return replace(
            self,
            events=self.events.take(tasks),
            profile=None if self.profile is None else self.profile[tasks],
            before=None if self.before is None else self.before.take(tasks),
        )

    def cut(self, shots: int, *, queries: int | None = None) -> TaskBatch:
        """Support = the first `shots` events, query = the next `queries`; only tasks that have a
        query are in.

        Where nothing else is said, as many are asked for as the tasks' question says.
        """
        able = np.flatnonzero(self.events.counts > shots)
        asked = self.question.most if queries is None else queries
        return self._cut(self.events.take(able), able, np.full(len(able), shots), asked)

    @cached_property
    def _by_length(self) -> "Lengths":
        """The tasks, those with the fewest events first."""
        tasks = np.argsort(self.events.counts, kind="stable")
        return Lengths(tasks, self.events.counts[tasks])

    @cached_property
    def _served_by_length(self) -> "Lengths":
        """Of these the tasks that are such as will be served."""
        served = self.alike_served[self._by_length.tasks]
        return Lengths(*(column[served] for column in self._by_length))

    @cached_property
    def _met_something(self) -> Items:
        return np.flatnonzero(self.events.counts)

    def episodes(
        self,
        rng: np.random.Generator,
        tasks: int,
        *,
        most_shots: int,
        queries: int,
        whole: bool = False,
    ) -> TaskBatch:
        """A batch of training tasks, cut the way they will be served.

        Half of the shots are drawn from 0..5 and half from 0..most_shots: few shots are where a new
        user starts. Then somebody who has more events than that is drawn, so that the shots are as
        likely whatever histories there are. In time order the query ends where that of use does,
        since what comes much later is another question; in random order more events are more of the
        same, up to `queries`. Where something may be known before the first shot, it is of half of
        the tasks at least. Where each event is asked for alike, any of all is drawn; `whole` tasks,
        of whose events all are asked for at once, are drawn each alike.
        """
        if self.question.each and whole:
            able = self._met_something
            return self._episodes(
                rng, able[rng.integers(0, len(able), tasks)], np.zeros(tasks, dtype=int), queries
            )
        if self.question.each:
            return self._episodes(rng, *self._any_event(rng, tasks), queries)
        few = rng.random(tasks) < 0.5
        shots = np.where(few, rng.integers(0, 6, tasks), rng.integers(0, most_shots + 1, tasks))
        if self.before is None or not len(self._served_by_length.tasks):
            return self._episodes(rng, *self._by_length.above(shots, rng), queries)
        half = tasks // 2
        parts = (
            self._served_by_length.above(shots[:half], rng),
            self._by_length.above(shots[half:], rng),
        )
        chosen, shots = map(np.concatenate, zip(*parts, strict=True))
        return self._episodes(rng, chosen, shots, queries)

    def _any_event(self, rng: np.random.Generator, tasks: int) -> tuple[Items, PerTask]:
        """Tasks and shots after which the next event is any of all, each alike."""
        row = rng.integers(0, len(self.events.item), tasks)
        return self.events.task[row], row - self.events.start[:-1][self.events.task[row]]

    def _episodes(
        self, rng: np.random.Generator, chosen: Items, shots: PerTask, queries: int
    ) -> TaskBatch:
        events = self.events.take(chosen)
        if not self.ordered:
            events = events.shuffled(rng)
        batch = self._cut(
            events, chosen, shots, min(queries, self.question.most) if self.ordered else queries
        )
        return replace(
            batch,
            own=events if self.before is None else self.before.take(chosen).followed_by(events),
        )

    def _cut(self, events: Examples, chosen: Items, shots: PerTask, queries: int) -> TaskBatch:
        support = events.window(np.zeros_like(shots), shots)
        return TaskBatch(
            support=support
            if self.before is None
            else self.before.take(chosen).followed_by(support),
            query=events.window(shots, shots + queries),
            profile=None if self.profile is None else self.profile[chosen],
            question=self.question,
        )


def batches(batch: TaskBatch, size: int) -> Iterator[TaskBatch]:
    """The tasks of a large batch in parts of at most `size`."""
    for first in range(0, len(batch.support), size):
        tasks = np.arange(first, min(first + size, len(batch.support)))
        profile = None if batch.profile is None else batch.profile[tasks]
        yield TaskBatch(
            batch.support.take(tasks), batch.query.take(tasks), profile, question=batch.question
        )


@dataclass(frozen=True)
class Split:
    """A log cut into training, validation and test tasks whose users are disjoint.

    Everything a model may learn from is in `train` and `item_features`. `items` is the size of the
    catalogue; `profile_columns` turns a new user's columns into the profile row that models
    expect.
    """

    train: Tasks
    valid: Tasks
    test: Tasks
    items: int
    least_events: int
    """Users with fewer events are not judged."""
    item_features: sp.csr_array | None = None
    profile_columns: Features | None = None

    def learning_from(self, share: float) -> "Split":
        """The same split with a share of the training tasks, the first of their random order; at
        least one.
        """
        if not 0 < share <= 1:
            raise UsageError(f"a share of the training tasks is above 0 and at most 1, not {share}")
        count = max(1, round(share * len(self.train)))
        return replace(self, train=self.train.take(np.arange(count)))
