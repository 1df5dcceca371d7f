"""Inverse of a regularised Gram matrix, P = (X'X + l I)^-1, held by the smaller side of X.

With X the interaction matrix of U users by J items, EASE and its kin need the J by J matrix P.
Where there are fewer users than items, P = (I - X' (XX' + l I)^-1 X) / l (Woodbury, 1950), of
which only U by U numbers need to be held.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Float64, Int64
from scipy.linalg import get_lapack_funcs

from warmstart.arrays import sparse_from_arrays, sparse_to_arrays
from warmstart.tasks.tasks import Tasks

Dense = Float32[np.ndarray, "T J"]
Square = Float32[np.ndarray, "N N"]
MAX_DENSE_ITEMS = 4000  # items up to which J by J matrices are dense: 64 MB
CHUNK_ITEMS = 4096  # items whose diagonal entries are computed at once


@dataclass(frozen=True)
class DenseInverse:
    """P as a dense (J, J) matrix."""

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
        """The given columns of the given rows of P."""
        return self.inverse[rows[:, None], columns]

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that `restore_inverse` reads."""
        return {"inverse": self.inverse}


@dataclass(frozen=True)
class WoodburyInverse:
    """P by the user side: the (U, J) interactions X and the (U, U) inverse of XX' + l I."""

    interactions: sp.csr_array
    inverse: Square
    diagonal: Float32[np.ndarray, "J"]
    ridge: float

    def left_multiply(self, rows: sp.csr_array) -> Dense:
        """Sparse (T, J) rows times P."""
        by_user = (rows @ self.interactions.T) @ self.inverse  # (T, U)
        projected = (self.interactions.T @ by_user.T).T  # (T, J)
        return (rows.toarray() - projected) / np.float32(self.ridge)

    def submatrix(
        self, rows: Int64[np.ndarray, "A"], columns: Int64[np.ndarray, "B"]
    ) -> Float32[np.ndarray, "A B"]:
        """The given columns of the given rows of P."""
        by_item = sp.csr_array(self.interactions.T)  # (J, U)
        projected = by_item[rows] @ (by_item[columns] @ self.inverse).T  # (A, B)
        identity = rows[:, None] == columns
        return (identity - projected).astype(np.float32) / np.float32(self.ridge)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that `restore_inverse` reads."""
        return {
            "inverse": self.inverse,
            "diagonal": self.diagonal,
            "ridge": np.array([self.ridge]),
            **sparse_to_arrays("met", self.interactions),
        }


GramInverse = DenseInverse | WoodburyInverse


def gram_inverse(
    interactions: sp.csr_array, ridge: float, *, max_dense_items: int = MAX_DENSE_ITEMS
) -> GramInverse:
    """P of a sparse (U, J) matrix.

    Up to `max_dense_items` items P is dense even where there are fewer users, since a product with
    a dense matrix takes the least time.
    """
    by_item = sp.csr_array(interactions.T)  # (J, U)
    users, items = len(interactions.indptr) - 1, len(by_item.indptr) - 1
    if items <= max(users, max_dense_items):
        inverse = _ridge_inverse(sp.csr_array(by_item @ interactions), ridge)
        return DenseInverse(inverse.astype(np.float32, order="C"))
    inverse = _ridge_inverse(sp.csr_array(interactions @ by_item), ridge)  # (U, U)
    diagonal = ((1 - _quadratic_forms(by_item, inverse)) / ridge).astype(np.float32)
    return WoodburyInverse(interactions, inverse.astype(np.float32, order="C"), diagonal, ridge)


def restore_inverse(arrays: Mapping[str, np.ndarray]) -> GramInverse:
    """The inverse of which these are the `arrays()`."""
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
    """All item codes where items or users are at most `limit`, else the `limit` most popular ones.

    One side below the limit is enough, since P is held by its smaller side.
    """
    if min(items, len(train)) <= limit:
        return np.arange(items)
    return most_frequent(np.bincount(train.all_events.item, minlength=items), limit)


def most_frequent(counts: Int64[np.ndarray, "J"], k: int) -> Int64[np.ndarray, "K"]:
    """The positions of the k largest counts, in rising order; among equals the first are taken."""
    return np.sort(np.argsort(-counts, kind="stable")[:k])


def _quadratic_forms(
    rows: sp.csr_array, matrix: Float64[np.ndarray, "U U"]
) -> Float64[np.ndarray, "J"]:
    """x' M x for each row x of a sparse (J, U) matrix: (J,)."""
    chunks = [
        rows[first : first + CHUNK_ITEMS] for first in range(0, len(rows.indptr) - 1, CHUNK_ITEMS)
    ]
    return np.concatenate(
        [np.asarray(chunk.multiply(chunk @ matrix).sum(axis=1)) for chunk in chunks]
    )


def _ridge_inverse(gram: sp.csr_array, ridge: float) -> np.ndarray:
    """(G + l I)^-1 by the Cholesky factor, which is half the work of a general inverse."""
    matrix = gram.toarray().astype(np.float64)
    matrix[np.diag_indices_from(matrix)] += ridge
    factorise, invert = get_lapack_funcs(("potrf", "potri"), (matrix,))
    factor, failed = factorise(matrix, overwrite_a=True)
    assert failed == 0, "a Gram matrix with a positive ridge is positive definite"
    upper, failed = invert(factor, overwrite_c=True)
    assert failed == 0, "a Cholesky factor has an inverse"
    return np.triu(upper) + np.triu(upper, 1).T
