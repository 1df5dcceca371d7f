"""Unit rows with inverse-frequency weights, for cosines, and the nearest neighbours of rows."""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Float32

from warmstart.arrays import top_k_per_row

IDF_SMOOTHING = 10.0
"""Rows added to those that share a column, so that the rarest columns do not drown all others."""


def idf_weights(rows: sp.csr_array) -> Float32[np.ndarray, "F"]:
    """Inverse-frequency weight of each of F columns: 1 / sqrt(sum of squares + smoothing)."""
    frequency = np.asarray(rows.power(2).sum(axis=0))
    return (1 / np.sqrt(frequency + IDF_SMOOTHING)).astype(np.float32)


def unit_rows(rows: sp.csr_array, weight: Float32[np.ndarray, "F"] | None = None) -> sp.csr_array:
    """L2-normalised rows after their columns were weighted; an empty row stays empty."""
    weighted = rows if weight is None else sp.csr_array(rows @ sp.diags_array(weight))
    length = np.sqrt(np.asarray(weighted.power(2).sum(axis=1)))
    return sp.csr_array(sp.diags_array(1 / np.maximum(length, 1e-9)) @ weighted, dtype=np.float32)


def nearest_neighbours(similarity: Float32[np.ndarray, "T U"], k: int) -> sp.csr_array:
    """The k largest similarities of each row as a sparse (T, U) matrix."""
    nearest = top_k_per_row(similarity, k)
    value = np.take_along_axis(similarity, nearest, axis=1)
    start = np.arange(len(similarity) + 1) * nearest.shape[1]
    return sp.csr_array((value.ravel(), nearest.ravel(), start), shape=similarity.shape)


def keep_nearest(similarity: sp.csr_array, k: int) -> sp.csr_array:
    """The sparse similarities to the k nearest of each row, ties included; values are at most 1."""
    row = np.repeat(np.arange(len(similarity.indptr) - 1), np.diff(similarity.indptr))
    # one sort goes through row by row, since 1 - similarity is less than a row's number apart
    nearest_first = np.argsort(row + (1 - similarity.data.astype(np.float64)))
    rank = np.arange(len(row)) - similarity.indptr[row]
    last = nearest_first[rank == k - 1]  # (R,) the k-th nearest of each row that has as many
    least = np.zeros(len(similarity.indptr) - 1, dtype=np.float32)  # (R,)
    least[row[last]] = similarity.data[last]
    kept = (similarity.data >= least[row]) & (similarity.data != 0)
    start = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=len(least)))])
    parts = (similarity.data[kept], similarity.indices[kept], start)
    return sp.csr_array(parts, shape=similarity.shape)


def nearest_shares(similarity: Float[np.ndarray, "N I"], k: int) -> Float[np.ndarray, "N I"]:
    """Positive similarities to the k nearest, ties included, as shares that sum to 1 in each row.

    A row without a positive similarity stays 0.
    """
    k = min(k, similarity.shape[1])
    least = -np.partition(-similarity, k - 1, axis=1)[:, [k - 1]]
    kept = np.where((similarity >= least) & (similarity > 0), similarity, 0.0)
    return kept / np.maximum(kept.sum(axis=1, keepdims=True), 1e-12)
