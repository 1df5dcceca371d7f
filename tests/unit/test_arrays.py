"""Top-k and sparse triples against NumPy and SciPy."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from warmstart.arrays import (
    SparseTriples,
    n_columns,
    sparse_from_arrays,
    sparse_to_arrays,
    strip_prefix,
    top_k,
)


@pytest.mark.parametrize("size", [0, 1, 7, 100, 2000, 12345])
@pytest.mark.parametrize("k", [0, 1, 5, 60, 20000])
def test_top_k_is_a_stable_sort_of_falling_scores(size, k):
    scores = np.random.default_rng(size).integers(0, 50, size).astype(np.float32)  # many ties
    assert_array_equal(top_k(scores, k), np.argsort(-scores, kind="stable")[:k])


@pytest.fixture
def left() -> sp.csr_array:
    return sparse((3, 6), seed=0)


@pytest.fixture
def right() -> sp.csr_array:
    return sparse((6, 4), seed=1)


def sparse(shape: tuple[int, int], *, seed: int) -> sp.csr_array:
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random(shape) < 0.5, rng.uniform(0.5, 2, shape), 0)
    dense[1] = 0
    return sp.csr_array(dense, dtype=np.float32)


def dense(triples: SparseTriples, shape: tuple[int, int]) -> np.ndarray:
    found = np.zeros(shape, dtype=np.float32)
    np.add.at(found, (triples.row, triples.column), triples.value)
    return found


def test_triples_multiply_as_the_matrices_do(left, right):
    product = SparseTriples.from_matrix(left).matmul(right)
    assert_allclose(dense(product, (3, 4)), (left @ right).toarray(), rtol=1e-6)


def test_triples_are_scaled_by_column_and_normalised_by_row(left):
    triples, factor = SparseTriples.from_matrix(left), np.arange(6, dtype=np.float32)
    assert_allclose(dense(triples.scale_columns(factor), (3, 6)), left.toarray() * factor)
    shares = dense(triples.normalise_rows(3), (3, 6))
    assert_allclose(shares.sum(axis=1), [1, 0, 1], rtol=1e-6)
    assert_allclose(shares[0], left.toarray()[0] / left.toarray()[0].sum(), rtol=1e-6)


def test_a_sparse_matrix_comes_back_from_its_arrays(left):
    arrays = {f"part.{name}": array for name, array in sparse_to_arrays("x", left).items()}
    found = sparse_from_arrays("x", strip_prefix(arrays | {"other": left.data}, "part."), 6)
    assert n_columns(found) == 6
    assert_array_equal(found.toarray(), left.toarray())
