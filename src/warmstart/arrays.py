"""Named arrays, aligned memory, sparse matrices on disk and as triples, top-k."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Float32, Int64, Integer

Array = TypeVar("Array")
ALIGNMENT = 64
"""Bytes: a cache line, and the width of the widest vector registers."""
CHUNKS = 100  # parts of a large array of scores; only the maximum of most of them is looked at


def strip_prefix(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The arrays whose name begins with `prefix`, by the rest of their name."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def aligned(array: np.ndarray) -> np.ndarray:
    """The array in row-major order at an address that is a multiple of `ALIGNMENT`; copied only
    where it is not.

    Matrix products take other paths, and round otherwise, where their operands begin elsewhere. So
    a model gives the same scores to the last bit before it is saved and after it is loaded only if
    both times its arrays are aligned.
    """
    if array.flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0:
        return array
    memory = np.empty(array.nbytes + ALIGNMENT, dtype=np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    copy = memory[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def n_columns(matrix: sp.csr_array) -> int:
    """The number of columns of a sparse matrix, whose type leaves its shape open."""
    assert matrix.shape is not None, "a sparse matrix has a shape"
    return matrix.shape[1]


def sparse_to_arrays(name: str, matrix: sp.csr_array) -> dict[str, np.ndarray]:
    """The three arrays of a sparse matrix: `name.data`, `name.column` and `name.start`."""
    return {
        f"{name}.data": matrix.data.astype(np.float32),
        f"{name}.column": matrix.indices.astype(np.int64),
        f"{name}.start": matrix.indptr.astype(np.int64),
    }


def sparse_from_arrays(name: str, arrays: Mapping[str, np.ndarray], width: int) -> sp.csr_array:
    """The sparse matrix with `width` columns that `sparse_to_arrays` took apart under that name."""
    parts = tuple(arrays[f"{name}.{part}"] for part in ("data", "column", "start"))
    return sp.csr_array(parts, shape=(len(parts[2]) - 1, width))


def top_k(scores: Float32[np.ndarray, "I"], k: int) -> Int64[np.ndarray, "k"]:
    """The positions of the k highest scores, highest first; among equals the first comes first.

    A large array is not sorted. It is read as CHUNKS rows of equal width, and only columns whose
    maximum is at least the k-th largest of these maxima can hold one of the k best.
    """
    width = len(scores) // CHUNKS
    if not 0 < k <= width // 2:
        return np.argsort(-scores, kind="stable")[:k]
    rows = scores[: width * CHUNKS].reshape(CHUNKS, width)  # by row, so that max is one fast pass
    maxima = rows.max(axis=0)
    least = np.partition(maxima, width - k)[width - k]
    row, column = np.nonzero(rows[:, high := np.flatnonzero(maxima >= least)] >= least)
    rest = np.arange(width * CHUNKS, len(scores))
    # in rising order, so that the stable sort keeps the first of equals in front
    few = np.concatenate([row * width + high[column], rest[scores[rest] >= least]])
    return few[np.argsort(-scores[few], kind="stable")][:k]


def top_k_per_row(scores: Float[np.ndarray, "T I"], k: int) -> Int64[np.ndarray, "T K"]:
    """The columns of the k largest scores of each row, in no order; all columns where k is more."""
    k = min(k, scores.shape[1])
    return np.argpartition(-scores, k - 1, axis=1)[:, :k]


class SparseTriples(NamedTuple):
    """A sparse matrix as N (row, column, value) triples; the values of equal pairs add up.

    For a matrix of one row a product takes a fifth of the time of scipy, which goes through all
    columns.
    """

    row: Int64[np.ndarray, "N"]
    column: Integer[np.ndarray, "N"]
    value: Float32[np.ndarray, "N"]

    @classmethod
    def from_matrix(cls, matrix: sp.csr_array) -> "SparseTriples":
        counts = np.diff(matrix.indptr)
        return cls(np.repeat(np.arange(len(counts)), counts), matrix.indices, matrix.data)

    def matmul(self, matrix: sp.csr_array) -> "SparseTriples":
        """The product with a sparse matrix; equal pairs are not yet added up."""
        first = matrix.indptr[self.column]  # (N,) where each triple's row of `matrix` begins
        counts = matrix.indptr[self.column + 1] - first
        end = np.cumsum(counts)
        position = np.repeat(first - (end - counts), counts) + np.arange(counts.sum())  # (M,)
        value = np.repeat(self.value, counts) * matrix.data[position]
        return SparseTriples(np.repeat(self.row, counts), matrix.indices[position], value)

    def scale_columns(self, factor: Float32[np.ndarray, "J"]) -> "SparseTriples":
        """Each value times the factor of its column."""
        return self._replace(value=self.value * factor[self.column])

    def normalise_rows(self, rows: int) -> "SparseTriples":
        """Values that sum to 1 in each of `rows` rows; an empty row stays empty."""
        sums = np.bincount(self.row, self.value, minlength=rows)
        share = self.value / np.where(sums > 0, sums, 1)[self.row]
        return self._replace(value=share.astype(np.float32))
