"""Foretold: what somebody's columns say of what they will meet, by a ridge regression over all
training tasks.

As the linear maps from attributes of Gantner et al., ICDM 2010, but to the events themselves, not
to factors of them.

**Left out exactly.** In training a task hears what it would hear had it never been seen, by the
residual of a regression without one of its rows (Allen, Technometrics 1974). So it is known how
much more columns foretell than popularity does, which on some data is nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float32, Int64, Integer

from warmstart.arrays import n_columns
from warmstart.cooccurrence.gram import GramInverse, gram_inverse, most_frequent
from warmstart.cooccurrence.similarity import idf_weights, unit_rows

ItemScores = Float32[np.ndarray, "T J"]
MOST, CELLS = 6000, 40_000_000  # columns that take part, and numbers that are held: 160 MB
RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
FEWER, ASKED = 2000, 1000  # columns and training tasks by which a ridge is chosen
AT = 10  # items among which an event counts as found
LEAST = 1e-9  # a share as small as that is none
OWN = ("taken", "rareness", "line")
"""What is saved: all that is needed to foretell, but not to leave anybody out."""


@dataclass(frozen=True)
class ProfileRegression:
    """What each of F columns adds to J items, and what holds for everybody: the last of the rows of
    `line`.

    A row of columns has length 1 after rare ones were given more weight. Only the most common
    columns take part.
    """

    taken: Int64[np.ndarray, "F"]
    rareness: Float32[np.ndarray, "F"]
    line: Float32[np.ndarray, "G J"]
    gain: float
    """The share of what is found for tasks left out that popularity does not find; below 0 where it
    finds more.
    """
    precision: GramInverse | None
    """The inverse of how often columns come together, with a ridge; it leaves tasks out."""

    @classmethod
    def fit(
        cls, profile: sp.csr_array, met: sp.csr_array, *, ridge: float = 0.0
    ) -> "ProfileRegression":
        """The regression of (T, J) events on (T, F) columns; a ridge of 0 stands for the best on
        tasks left out.
        """
        most = min(MOST, CELLS // max(1, n_columns(met)))
        taken, weight, rows = _read(profile, most)
        ridge, gain = _tried((ridge,) if ridge else RIDGES, profile, met, min(most, FEWER))
        inverse = gram_inverse(rows, ridge)
        return cls(taken, weight, _line(inverse, sp.csr_array(met.T @ rows)), gain, inverse)

    @property
    def usual(self) -> Float32[np.ndarray, "J"]:
        """What holds for those of whom nothing is known."""
        return self.line[-1]

    def predict(self, profile: sp.csr_array) -> ItemScores:
        """How likely each of the J items is to be met by the T whose columns these are."""
        return np.asarray(_rows(profile, self.taken, self.rareness) @ self.line)

    def predict_left_out(self, profile: sp.csr_array, own: sp.csr_array) -> ItemScores:
        """The same had these tasks, whose events in training are `own`, not been there."""
        assert self.precision is not None, "whoever is left out of a fit was in it"
        return _unseen(_rows(profile, self.taken, self.rareness), own, self.line, self.precision)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs."""
        return {**{name: getattr(self, name) for name in OWN}, "gain": np.array([self.gain])}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray]) -> "ProfileRegression":
        """What foretells as the one did of which these are the arrays."""
        return cls(
            **{name: arrays[name] for name in OWN}, gain=float(arrays["gain"][0]), precision=None
        )


def _read(profile: sp.csr_array, most: int) -> tuple[np.ndarray, np.ndarray, sp.csr_array]:
    """The most common columns, the weight of each, and what they make of the profiles."""
    taken = most_frequent(np.bincount(profile.indices, minlength=n_columns(profile)), most)
    weight = idf_weights(profile[:, taken])
    return taken, weight, _rows(profile, taken, weight)


def _rows(
    columns: sp.csr_array, taken: Int64[np.ndarray, "F"], weight: Float32[np.ndarray, "F"]
) -> sp.csr_array:
    """The columns that take part as rows of length 1, with a one behind them, which is
    everybody's.
    """
    everybody = sp.csr_array(np.ones((len(columns.indptr) - 1, 1), dtype=np.float32))
    return sp.csr_array(sp.hstack([unit_rows(columns[:, taken], weight), everybody]))


def _line(inverse: GramInverse, together: sp.csr_array) -> Float32[np.ndarray, "G J"]:
    """The coefficients, by how often items and columns come together; the inverse is its own
    transpose.
    """
    return np.ascontiguousarray(inverse.left_multiply(together).T, dtype=np.float32)


def _unseen(
    rows: sp.csr_array, own: sp.csr_array, line: Float32[np.ndarray, "G J"], inverse: GramInverse
) -> ItemScores:
    """What is foretold by rows that were fitted, had they with their events not been there."""
    weight = np.asarray(rows.multiply(inverse.left_multiply(rows)).sum(axis=1), dtype=np.float32)[
        :, None
    ]
    return (rows @ line - weight * own.toarray()) / (
        1 - weight
    )  # the weight is below 1 by the ridge


def _tried(
    ridges: tuple[float, ...], profile: sp.csr_array, met: sp.csr_array, most: int
) -> tuple[float, float]:
    """The ridge with which most of what training tasks met is foretold for them, each left out, and
    its gain.

    This is asked of few tasks by few columns.
    """
    able = np.flatnonzero(np.diff(met.indptr))
    asked = able[np.random.default_rng(0).permutation(len(able))[:ASKED]]
    _, _, rows = _read(profile, most)
    together, wanted, theirs = (
        sp.csr_array(met.T @ rows),
        sp.csr_array(met[asked]),
        sp.csr_array(rows[asked]),
    )
    counts = np.asarray(met.sum(axis=0), dtype=np.float32) - wanted.toarray()

    def found(ridge: float) -> float:
        inverse = gram_inverse(rows, ridge)
        return _found(_unseen(theirs, wanted, _line(inverse, together), inverse), wanted)

    shares = [found(ridge) for ridge in ridges]
    best, by_counts = max(shares), _found(counts, wanted)
    return ridges[shares.index(best)], (best - by_counts) / max(best, by_counts, LEAST)


def _found(said: ItemScores, wanted: sp.csr_array) -> float:
    """The share of what each task met, or of as much as could be found, that is among the first
    ten.
    """
    counts = np.diff(wanted.indptr)
    task = np.repeat(np.arange(len(said)), counts)
    found = np.bincount(task, in_top_k(said, task, wanted.indices), minlength=len(said))
    return float((found / np.minimum(counts, _first(said))).mean())


def in_top_k(
    said: ItemScores, task: Integer[np.ndarray, "N"], item: Integer[np.ndarray, "N"]
) -> Bool[np.ndarray, "N"]:
    """Which of the items are among the first ten of their tasks; in small catalogues, in their
    first half.
    """
    at = _first(said)
    tenth = -np.partition(-said, at - 1, axis=1)[:, at - 1]
    return said[task, item] >= tenth[task]


def _first(said: ItemScores) -> int:
    return max(1, min(AT, said.shape[1] // 2))
