"""Unit rows, inverse-frequency weights and nearest neighbours against loops."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from warmstart.arrays import top_k_per_row
from warmstart.cooccurrence.similarity import (
    IDF_SMOOTHING,
    idf_weights,
    keep_nearest,
    nearest_neighbours,
    nearest_shares,
    unit_rows,
)

ROWS, COLUMNS = 5, 8


@pytest.fixture
def scores() -> np.ndarray:
    """Different scores, so that the nearest ones are unique."""
    return np.random.default_rng(0).permutation(ROWS * COLUMNS).reshape(ROWS, COLUMNS) / 40 - 0.5


def test_rare_columns_weigh_more_and_rows_have_length_one():
    dense = np.array([[3.0, 0, 4], [0, 0, 2], [0, 0, 0]], dtype=np.float32)
    rows = sp.csr_array(dense)
    weights = idf_weights(rows)
    assert_allclose(weights, 1 / np.sqrt((dense**2).sum(axis=0) + IDF_SMOOTHING), rtol=1e-6)
    assert weights[1] > weights[0] > weights[2]
    found = unit_rows(rows, weights).toarray()
    assert_allclose(found[0], dense[0] * weights / np.linalg.norm(dense[0] * weights), rtol=1e-6)
    assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 0], rtol=1e-6)
    assert_allclose(unit_rows(rows).toarray()[0], [0.6, 0, 0.8], rtol=1e-6)


@pytest.mark.parametrize("k", [1, 3, COLUMNS, COLUMNS + 2])
def test_top_k_are_the_columns_of_the_largest_scores(scores, k):
    for row, found in zip(scores, top_k_per_row(scores, k), strict=True):
        assert sorted(found) == sorted(np.argsort(row)[-k:])


@pytest.mark.parametrize("k", [1, 3, COLUMNS + 2])
def test_neighbours_keep_the_largest_similarities_alone(scores, k):
    similarity = scores.astype(np.float32)
    found = nearest_neighbours(similarity, k).toarray()
    for row, kept in zip(similarity, found, strict=True):
        assert_array_equal(kept, [one if one in np.sort(row)[-k:] else 0 for one in row])


@pytest.mark.parametrize("k", [1, 3, COLUMNS + 2])
def test_sparse_similarities_are_kept_to_the_nearest_alone_and_ties_count(k):
    dense = np.array([[0, 0.5, 0.5, 1], [0, 0, 0, 0], [0.25, 0, 0.125, 0.75]], dtype=np.float32)
    similarity = sp.csr_array(dense)
    found = keep_nearest(similarity, k).toarray()
    for row, kept in zip(dense, found, strict=True):
        least = np.sort(row)[-k] if k <= len(row) else 0
        assert_array_equal(kept, np.where(row >= least, row, 0))
    assert_array_equal(similarity.toarray(), dense)  # the argument is as it was


def test_shares_are_of_the_positive_similarities_to_the_nearest_and_ties_count():
    similarity = np.array([[0.1, 0.4, 0.4, 0.2], [-0.3, 0.0, 0.5, -0.1], [0.0, -1.0, 0.0, 0.0]])
    assert_allclose(nearest_shares(similarity, 1), [[0, 0.5, 0.5, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    assert_allclose(nearest_shares(similarity, 3)[0], [0, 0.4, 0.4, 0.2])
