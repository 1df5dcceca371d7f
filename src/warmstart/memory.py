"""Memory: what past tasks say, by counting alone, of what comes next: some witnesses for a stack to weigh.

All is counted anew when tasks come that happened since, so nothing has to be trained for them to be heard.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Int64

from warmstart.classics import SessionKNN
from warmstart.followers import after, behind, matrix_of
from warmstart.tasks import Examples

DECAY = 0.6  # of what an event says with each event after it, where events stand in time order
TOGETHER = 50  # events of a past task, the latest, whose items count as met together
SHARES = (1.0, 0.1, 0.03, 0.01)  # of all events, the latest ones, in which items are counted
SAID = ("alike", "together", "cosine", "next", "met", "last", "before_last")
OF_ITEM = (*(f"met in the latest {share:.0%}" for share in SHARES), "age")
FAINT = {"alike": 1e-5, "together": 1e-4, "next": 1e-4}
"""The share of what a witness says below which it is as good as nothing."""


@dataclass(frozen=True)
class Heard:
    """What the witnesses say after T support sets: N pairs of a task and an item that one of them names."""

    task: Int64[np.ndarray, "N"]
    item: Int64[np.ndarray, "N"]
    said: Float32[np.ndarray, "N W"]


@dataclass(frozen=True)
class Memory:
    """Past tasks over a catalogue of `items`, those that happened first in front.

    Where events are not `ordered`, nothing is said of what followed what.
    """

    past: Examples
    items: int
    ordered: bool

    def followed_by(self, more: Examples) -> "Memory":
        """The same with tasks that came since."""
        return Memory(self.past.with_tasks(more), self.items, self.ordered)

    @cached_property
    def of_items(self) -> Float32[np.ndarray, "I P"]:
        """How often each item was met of late, and how long ago, in logarithms."""
        met, columns = self.past.item, []
        for share in SHARES:
            counts = np.bincount(met[len(met) - round(share * len(met)) :], minlength=self.items)
            columns.append(np.log((counts + 0.3) / (counts.mean() + 0.3)))
        last = np.full(self.items, -1)
        last[met] = np.arange(len(met))  # of an item that comes again the latest place stays
        columns.append(np.log1p(100 * (len(met) - 1 - last) / max(len(met), 1)))
        return np.stack(columns, axis=1).astype(np.float32)

    def heard(self, support: Examples) -> Heard:
        """What past tasks that are alike met, what was met together, what followed, and what was met already."""
        said_by = self._witnesses(support)
        tables = [said_by[name] for name in SAID]
        task = np.concatenate([np.repeat(np.arange(len(support)), np.diff(table.indptr)) for table in tables])
        key = task * self.items + np.concatenate([table.indices for table in tables])
        pairs, place = np.unique(key, return_inverse=True)
        said = np.zeros((len(pairs), len(SAID)), dtype=np.float32)
        said[place, np.repeat(np.arange(len(SAID)), [table.nnz for table in tables])] = np.concatenate(
            [_loud(table.data, name) for name, table in zip(SAID, tables, strict=True)]
        )
        task, item = np.divmod(pairs, self.items)
        return Heard(task, item, said)

    @property
    def _decay(self) -> float:
        return DECAY if self.ordered else 1.0

    @cached_property
    def _alike(self) -> SessionKNN:
        popular = np.zeros(self.items, dtype=np.float32)
        return SessionKNN(self.past, popular, neighbours=100, sample=500, decay=self._decay)

    @cached_property
    def _recent(self) -> sp.csr_array:
        """What each past task met, if it met much what it met last: (T, I) of ones."""
        counts = self.past.counts
        return self.past.window(np.maximum(counts - TOGETHER, 0), counts).matrix(self.items)

    @cached_property
    def _pairs(self) -> sp.csr_array:
        """How many past tasks met both of two items: (I, I), nothing on the diagonal."""
        found = sp.csr_array(self._recent.T @ self._recent)
        found.setdiag(0)
        found.eliminate_zeros()
        return found

    @cached_property
    def _together(self) -> sp.csr_array:
        return _shares(self._pairs)

    @cached_property
    def _cosine(self) -> sp.csr_array:
        """Near 1 for two items that hardly anybody meets alone, such as a product that is listed twice."""
        root = sp.diags_array(1 / np.sqrt(np.maximum(self._recent.sum(axis=0), 1)))
        return sp.csr_array(root @ self._pairs @ root, dtype=np.float32)

    @cached_property
    def _next(self) -> sp.csr_array:
        return _shares(after(self.past, np.arange(self.items), self.items, 1))

    def _witnesses(self, support: Examples) -> dict[str, sp.csr_array]:
        """What each of `SAID` gives each item after each support set: (T, I)."""
        later = behind(support)
        heard = matrix_of(support, self.items, (self._decay**later).astype(np.float32))
        last, before_last = (matrix_of(support.where(self.ordered & (later == place)), self.items) for place in (0, 1))
        return {
            "alike": _shares(self._alike.adapt(support) @ self._alike.met),
            "together": _shares(heard) @ self._together,
            "cosine": heard @ self._cosine,
            "next": last @ self._next,
            "met": matrix_of(support, self.items),
            "last": last,
            "before_last": before_last,
        }


def _shares(table: sp.csr_array) -> sp.csr_array:
    """Rows that sum to 1, but for those that are empty."""
    sums = np.asarray(table.sum(axis=1), dtype=np.float32).ravel()
    data = table.data / np.repeat(np.where(sums > 0, sums, 1), np.diff(table.indptr))
    return sp.csr_array((data.astype(np.float32), table.indices, table.indptr), shape=table.shape)


def _loud(shares: Float32[np.ndarray, "_"], witness: str) -> Float32[np.ndarray, "_"]:
    """How loud a share is: 0 for nothing, about 1 for something, in between by its logarithm."""
    faint = FAINT.get(witness)
    return shares if faint is None else np.log1p(shares / faint) / math.log1p(0.1 / faint)
