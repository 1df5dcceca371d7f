"""The inverse Gram matrix against a plain inverse, held by either side."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from warmstart.cooccurrence.gram import (
    DenseInverse,
    WoodburyInverse,
    gram_inverse,
    restore_inverse,
    select_items,
)
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import Tasks

RIDGE = 3.0


def interactions(users: int, items: int) -> sp.csr_array:
    return sp.csr_array((np.random.default_rng(0).random((users, items)) < 0.3).astype(np.float32))


@pytest.mark.parametrize(
    ("users", "items", "kind"),
    [(30, 12, DenseInverse), (12, 30, WoodburyInverse), (9, 9, DenseInverse)],
)
def test_it_is_the_inverse_whichever_side_is_smaller(users, items, kind):
    x = interactions(users, items)
    expected = np.linalg.inv((x.T @ x).toarray().astype(float) + RIDGE * np.eye(items))
    found = gram_inverse(x, RIDGE, max_dense_items=0)
    assert isinstance(found, kind)
    assert_allclose(
        found.left_multiply(sp.csr_array(np.eye(items, dtype=np.float32))),
        expected,
        rtol=1e-4,
        atol=1e-6,
    )
    assert_allclose(found.diagonal, np.diag(expected), rtol=1e-5)
    rows = interactions(5, items)
    assert_allclose(found.left_multiply(rows), rows @ expected, rtol=1e-4, atol=1e-6)
    assert found.left_multiply(rows).dtype == np.float32
    some, others = np.array([5, 0]), np.array([8, 5, 2])
    assert_allclose(
        found.submatrix(some, others), expected[some[:, None], others], rtol=1e-4, atol=1e-6
    )
    assert_array_equal(
        restore_inverse(found.arrays()).left_multiply(rows), found.left_multiply(rows)
    )


def test_only_where_both_sides_are_large_are_items_dropped():
    events = Examples(
        np.array([0, 1, 2, 1, 2, 2, 3]), np.ones(7, dtype=np.float32), np.array([0, 3, 5, 6, 7])
    )
    train = Tasks(events, ordered=False)
    assert_array_equal(select_items(train, 5, limit=4), np.arange(5))  # four users
    assert_array_equal(select_items(train, 5, limit=5), np.arange(5))
    assert_array_equal(select_items(train, 5, limit=2), [1, 2])
