"""Examples: the interactions of T tasks, ragged, stored flat and padded where tensors need it."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float32, Int64

Items = Int64[np.ndarray, "N"]
Offsets = Int64[np.ndarray, "_"]
PerTask = Int64[np.ndarray, "T"]
Profile = sp.csr_array | None
"""Profile features of T tasks, sparse (T, F); None: no profile is known."""


class Padded(NamedTuple):
    """Examples as a (T, S) rectangle; where `mask` is False the entry is padding."""

    item: Int64[np.ndarray, "T S"]
    value: Float32[np.ndarray, "T S"]
    mask: Bool[np.ndarray, "T S"]


@dataclass(frozen=True)
class Examples:
    """The examples of T tasks, stored flat; those of task t are rows offsets[t] to offsets[t + 1].

    N rows in all; the order of a task's rows is that of its events.
    """

    item: Items
    value: Float32[np.ndarray, "N"]
    offsets: Offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> PerTask:
        return np.diff(self.offsets)

    @cached_property
    def task(self) -> Items:
        """The task of each row."""
        return np.repeat(np.arange(len(self)), self.counts)

    @cached_property
    def unrepeated(self) -> Bool[np.ndarray, "N"]:
        """Which of the N events are the only ones of their task on their item."""
        _, place, count = np.unique(
            np.stack([self.task, self.item]), axis=1, return_inverse=True, return_counts=True
        )
        return count[place.ravel()] == 1

    @classmethod
    def unweighted(cls, item: Items, start: Offsets) -> "Examples":
        """Events without values: each counts 1."""
        return cls(item, np.ones(len(item), dtype=np.float32), start)

    def window(self, first: PerTask, last: PerTask) -> "Examples":
        """The examples first[t] to last[t] - 1 of each task; fewer where a task has fewer."""
        first, last = np.minimum(first, self.counts), np.minimum(last, self.counts)
        counts = np.maximum(last - first, 0)
        start = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self.offsets[:-1] + first - start[:-1], counts) + np.arange(start[-1])
        return Examples(self.item[rows], self.value[rows], start)

    def latest(self, most: int) -> "Examples":
        """The last `most` examples of each task, or all where there are fewer."""
        return self.window(np.maximum(self.counts - most, 0), self.counts)

    def take(self, tasks: Int64[np.ndarray, "K"]) -> "Examples":
        """The examples of the given tasks, in that order."""
        counts = self.counts[tasks]
        start = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self.offsets[tasks] - start[:-1], counts) + np.arange(start[-1])
        return Examples(self.item[rows], self.value[rows], start)

    def where(self, kept: Bool[np.ndarray, "N"]) -> "Examples":
        """The examples of each task that are kept."""
        start = np.concatenate([[0], np.cumsum(np.bincount(self.task[kept], minlength=len(self)))])
        return Examples(self.item[kept], self.value[kept], start)

    def followed_by(self, more: "Examples") -> "Examples":
        """Each task's examples followed by those of the same task in `more`."""
        task = np.concatenate([self.task, more.task])
        rows = np.argsort(task, kind="stable")
        item, value = (
            np.concatenate([self.item, more.item]),
            np.concatenate([self.value, more.value]),
        )
        return Examples(item[rows], value[rows], self.offsets + more.offsets)

    def with_tasks(self, more: "Examples") -> "Examples":
        """These tasks followed by the tasks of `more`."""
        return Examples(
            np.concatenate([self.item, more.item]),
            np.concatenate([self.value, more.value]),
            np.concatenate([self.offsets, self.offsets[-1] + more.offsets[1:]]),
        )

    def shuffled(self, rng: np.random.Generator) -> "Examples":
        """The same examples, each task's in a random order."""
        rows = np.lexsort((rng.random(len(self.item)), self.task))
        return Examples(self.item[rows], self.value[rows], self.offsets)

    def padded(self) -> Padded:
        """The examples as a (T, S) rectangle with its mask, at least one column wide."""
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
