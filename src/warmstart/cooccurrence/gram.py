"""Precision: the inverse of how often items were met together, plus a ridge, held by the smaller of
its two sides.

With X the matrix of U users by J items, EASE and its kin need P = (X'X + l I)^-1, of J by J. Where
there are fewer users than items it is (I - X' (XX' + l I)^-1 X) / l (Woodbury, 1950), of which
only U by U numbers need to be held.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Int64
from scipy.linalg import get_lapack_funcs

from warmstart.tasks.tasks import Tasks

Dense = Float32[np.ndarray, "T J"]
Square = Float32[np.ndarray, "N N"]
SMALL = 4000  # items up to which P is held itself
BLOCK = 4096  # items whose diagonal is computed at once


@dataclass(frozen=True)
class DenseInverse:
    """P itself."""

    inverse: Square

    @property
    def diagonal(self) -> Float32[np.ndarray, "J"]:
        return np.diag(self.inverse)

    def left_multiply(self, rows: sp.csr_array) -> Dense:
        """Sparse (T, J) rows times P."""
        return rows @ self.inverse

    def submatrix(
        self, rows: Int64[np.ndarray, "A"], columns: Int64[np.ndarray, "B"]
    ) -> Float32[np.ndarray, "A B"]:
        """A few columns of a few rows of P."""
        return self.inverse[rows[:, None], columns]

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `restored` needs."""
        return {"inverse": self.inverse}


@dataclass(frozen=True)
class WoodburyInverse:
    """P by way of the users: their rows, and the inverse of XX' + l I."""

    met: sp.csr_array
    inverse: Square
    diagonal: Float32[np.ndarray, "J"]
    ridge: float

    def left_multiply(self, rows: sp.csr_array) -> Dense:
        """Sparse (T, J) rows times P."""
        alike = (rows @ self.met.T) @ self.inverse  # (T, U)
        return (rows.toarray() - (self.met.T @ alike.T).T) / np.float32(self.ridge)

    def submatrix(
        self, rows: Int64[np.ndarray, "A"], columns: Int64[np.ndarray, "B"]
    ) -> Float32[np.ndarray, "A B"]:
        """A few columns of a few rows of P."""
        by_item = sp.csr_array(self.met.T)
        reached = by_item[rows] @ (by_item[columns] @ self.inverse).T
        return ((rows[:, None] == columns) - reached).astype(np.float32) / np.float32(self.ridge)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `restored` needs."""
        facts = {
            "inverse": self.inverse,
            "diagonal": self.diagonal,
            "ridge": np.array([self.ridge]),
        }
        return {**facts, **sparse_to_arrays("met", self.met)}


GramInverse = DenseInverse | WoodburyInverse


def gram_inverse(met: sp.csr_array, ridge: float) -> GramInverse:
    """P of a (U, J) matrix of ones; itself where it is small, since a product with it takes the
    least time.
    """
    by_item = sp.csr_array(met.T)
    users, items = len(met.indptr) - 1, len(by_item.indptr) - 1
    if items <= max(users, SMALL):
        return DenseInverse(
            _inverse(sp.csr_array(by_item @ met), ridge).astype(np.float32, order="C")
        )
    inverted = _inverse(sp.csr_array(met @ by_item), ridge)
    blocks = [by_item[first : first + BLOCK] for first in range(0, items, BLOCK)]
    reached = np.concatenate(
        [np.asarray(block.multiply(block @ inverted).sum(axis=1)) for block in blocks]
    )
    diagonal = ((1 - reached) / ridge).astype(np.float32)
    return WoodburyInverse(met, inverted.astype(np.float32, order="C"), diagonal, ridge)


def restore_inverse(arrays: Mapping[str, np.ndarray]) -> GramInverse:
    """The precision of which these are the arrays."""
    if "met.start" not in arrays:
        return DenseInverse(arrays["inverse"])
    width = len(arrays["diagonal"])
    return WoodburyInverse(
        sparse_from_arrays("met", arrays, width),
        arrays["inverse"],
        arrays["diagonal"],
        float(arrays["ridge"].item()),
    )


def select_items(train: Tasks, items: int, limit: int) -> Int64[np.ndarray, "J"]:
    """All items where they or the users are at most `limit`, since P needs no more than the
    smaller square; else the `limit` most popular ones.
    """
    if min(items, len(train)) <= limit:
        return np.arange(items)
    return most_frequent(np.bincount(train.met.item, minlength=items), limit)


def most_frequent(counts: Int64[np.ndarray, "J"], most: int) -> Int64[np.ndarray, "K"]:
    """Those that were counted most often, at most so many, rising."""
    return np.sort(np.argsort(-counts, kind="stable")[:most])


def sparse_to_arrays(name: str, matrix: sp.csr_array) -> dict[str, np.ndarray]:
    """A sparse matrix as arrays to be saved."""
    return {
        f"{name}.data": matrix.data.astype(np.float32),
        f"{name}.column": matrix.indices.astype(np.int64),
        f"{name}.start": matrix.indptr.astype(np.int64),
    }


def sparse_from_arrays(name: str, arrays: Mapping[str, np.ndarray], width: int) -> sp.csr_array:
    """The sparse matrix of that name."""
    parts = tuple(arrays[f"{name}.{part}"] for part in ("data", "column", "start"))
    return sp.csr_array(parts, shape=(len(parts[2]) - 1, width))


def _inverse(gram: sp.csr_array, ridge: float) -> np.ndarray:
    """The inverse of a gram matrix with a ridge, by its Cholesky factor; half the work of a general
    one.
    """
    matrix = gram.toarray().astype(np.float64)
    matrix[np.diag_indices_from(matrix)] += ridge
    factorise, invert = get_lapack_funcs(("potrf", "potri"), (matrix,))
    factor, failed = factorise(matrix, overwrite_a=True)
    assert failed == 0, "a gram matrix with a positive ridge is positive definite"
    upper, failed = invert(factor, overwrite_c=True)
    assert failed == 0, "a Cholesky factor has an inverse"
    return np.triu(upper) + np.triu(upper, 1).T
