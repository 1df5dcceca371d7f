"""The precision against a plain inverse, from either side."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from warmstart.cooccurrence.gram import ByItems, ByOwners, precision, restored, taking_part
from warmstart.tasks.tasks import Examples, Tasks

RIDGE = 3.0


def met(owners: int, items: int) -> sp.csr_array:
    return sp.csr_array((np.random.default_rng(0).random((owners, items)) < 0.3).astype(np.float32))


@pytest.mark.parametrize(
    ("owners", "items", "kind"), [(30, 12, ByItems), (12, 30, ByOwners), (9, 9, ByItems)]
)
def test_it_is_the_inverse_whichever_side_is_smaller(owners, items, kind, monkeypatch):
    monkeypatch.setattr("warmstart.cooccurrence.gram.SMALL", 0)
    x = met(owners, items)
    expected = np.linalg.inv((x.T @ x).toarray().astype(float) + RIDGE * np.eye(items))
    found = precision(x, RIDGE)
    assert isinstance(found, kind)
    assert_allclose(
        found.of(sp.csr_array(np.eye(items, dtype=np.float32))), expected, rtol=1e-4, atol=1e-6
    )
    assert_allclose(found.diagonal, np.diag(expected), rtol=1e-5)
    rows = met(5, items)
    assert_allclose(found.of(rows), rows @ expected, rtol=1e-4, atol=1e-6)
    assert found.of(rows).dtype == np.float32
    some, others = np.array([5, 0]), np.array([8, 5, 2])
    assert_allclose(
        found.among(some, others), expected[some[:, None], others], rtol=1e-4, atol=1e-6
    )
    assert_array_equal(restored(found.arrays()).of(rows), found.of(rows))


def test_only_where_both_sides_are_large_some_items_are_left_out():
    events = Examples(
        np.array([0, 1, 2, 1, 2, 2, 3]), np.ones(7, dtype=np.float32), np.array([0, 3, 5, 6, 7])
    )
    train = Tasks(events, ordered=False)
    assert_array_equal(taking_part(train, 5, limit=4), np.arange(5))  # four owners
    assert_array_equal(taking_part(train, 5, limit=5), np.arange(5))
    assert_array_equal(taking_part(train, 5, limit=2), [1, 2])
