"""Filters: which items have what is asked for, however the table holds it."""

import polars as pl
import pytest

from warmstart.errors import UsageError
from warmstart.recommend.filters import matching

TABLE = pl.DataFrame(
    {
        "category": ["Toys", "Garden", None, "Toys"],
        "tags": ["eco|sale", "sale", "economy", None],
        "year": [1999, 2001, None, 1999],
        "price": [1.5, 2.0, 2.5, None],
        "stock": [True, False, None, True],
    }
)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"category": "Toys"}, [0, 3]),
        ({"category": ["Toys", "Garden"]}, [0, 1, 3]),
        ({"category": None}, [2]),
        ({"category": ["Garden", None]}, [1, 2]),
        ({"tags": "eco"}, [0]),
        ({"tags": "sale"}, [0, 1]),
        ({"year": 1999}, [0, 3]),
        ({"year": "1999"}, [0, 3]),
        ({"year": 1999.0}, [0, 3]),
        ({"price": 2}, [1]),
        ({"stock": True}, [0, 3]),
        ({"stock": False}, [1]),
        ({"category": "Toys", "tags": "sale"}, [0]),
        ({}, [0, 1, 2, 3]),
        ({"category": []}, []),
    ],
)
def test_items_with_the_wanted_properties_are_kept(wanted, expected):
    assert matching(TABLE, wanted).nonzero()[0].tolist() == expected


def test_a_property_that_no_item_has_is_refused():
    with pytest.raises(UsageError, match='no property "colour"; they have category, tags'):
        matching(TABLE, {"colour": "red"})


def test_without_a_table_nothing_can_be_filtered():
    with pytest.raises(UsageError, match="no table of items"):
        matching(None, {"colour": "red"})
