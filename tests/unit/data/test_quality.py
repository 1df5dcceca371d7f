"""Data quality: each flaw that is put into good data is reported, and good data has no findings."""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from warmstart.data.quality import DataReport, check

USERS, ITEMS = 30, 40


def events(seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    pairs = rng.random((USERS, ITEMS)) < 0.3
    user, item = np.nonzero(pairs)
    order = rng.permutation(len(user))
    return pl.DataFrame(
        {
            "user": [f"u{code}" for code in user[order]],
            "item": item[order],
            "rating": rng.integers(1, 6, len(user)),
            "time": 1_000_000_000 + 60 * np.arange(len(user)),
        }
    )


def warnings(report: DataReport) -> str:
    return "\n".join(found.message for found in report.findings if found.level == "warning")


def notes(report: DataReport) -> str:
    return "\n".join(found.message for found in report.findings if found.level == "note")


def test_good_data_has_no_findings():
    assert check(events()).findings == ()


def test_the_figures_are_those_of_the_events():
    log = events()
    report = check(log)
    sizes = log.group_by("user").len()["len"]
    assert (report.rows, report.events, report.users, report.items) == (
        len(log),
        len(log),
        USERS,
        ITEMS,
    )
    assert report.density == pytest.approx(len(log) / USERS / ITEMS)
    assert report.events_per_user == (sizes.min(), sizes.median(), sizes.max())
    assert (report.values, report.distinct_values) == ((1.0, 5.0), 5)
    assert report.columns == {"user": "user", "item": "item", "value": "rating", "time": "time"}


@pytest.mark.parametrize(
    ("unit", "first"),
    [(1, "2001-09-09 01:46:40"), (1000, "2001-09-09 01:46:40"), (10**6, "2001-09-09 01:46:40")],
)
def test_times_are_shown_as_dates_whatever_their_unit(unit, first):
    report = check(events().with_columns(pl.col("time") * unit))
    assert report.times is not None
    assert report.times[0] == first


def test_times_that_are_no_dates_are_shown_as_numbers():
    report = check(events().with_columns(pl.col("time") - 1_000_000_000))
    assert report.times is not None
    assert report.times[0] == "0"


def test_the_report_is_json_and_a_table():
    log = events()
    items = pl.DataFrame({"item": range(ITEMS), "colour": ["red", "blue"] * (ITEMS // 2)})
    users = pl.DataFrame(
        {"user": [f"u{code}" for code in range(USERS)], "[age]": [20.5, 30] * (USERS // 2)}
    )
    report = check(pl.concat([log, log[:3]]), items=items, users=users, name="mine")
    described = json.loads(json.dumps(report.to_dict()))
    assert described["item_columns"] == {"colour": "categorical"}
    assert described["findings"][0]["level"] == "warning"
    # rich writes until the end
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(report)
    console.file.close()
    shown = console.export_text()
    for text in ("mine", "user=user", "colour", "[age]", "numeric", "3 rows repeat another one"):
        assert text in shown


def test_users_and_items_with_a_single_event_are_counted():
    more = pl.DataFrame({"user": ["once"], "item": [99], "rating": [3], "time": [2_000_000_000]})
    report = check(pl.concat([events(), more]))
    assert (
        f"1 of {USERS + 1} users have a single event, after which nothing can be predicted"
        in notes(report)
    )
    assert (
        f"1 of {ITEMS + 1} items have a single event, too few to learn whom they suit; "
        "bring a table" in notes(report)
    )


def test_mostly_single_events_are_a_warning():
    report = check(pl.DataFrame({"user": range(50), "item": range(50)}))
    assert "50 of 50 users have a single event" in warnings(report)
    assert "50 of 50 items have a single event" in warnings(report)


def test_a_table_of_items_quiets_the_warning_of_single_events():
    items = pl.DataFrame({"item": range(50), "colour": ["red", "blue"] * 25})
    report = check(pl.DataFrame({"user": range(50), "item": range(50)}), items=items)
    assert (
        "50 of 50 items have a single event, too few to learn whom they suit; "
        "the table of items helps" in notes(report)
    )


def test_equal_values_are_noted():
    assert "all values in rating are 3" in notes(check(events().with_columns(rating=pl.lit(3))))


def test_a_value_column_of_ids_is_a_warning():
    log = events()
    report = check(log.with_columns(rating=pl.Series(range(len(log)))))
    assert "rating holds" in warnings(report)
    assert (
        "looks like ids or times; name the column of values with --columns value=NAME"
        in warnings(report)
    )


def test_a_robot_is_a_warning():
    robot = pl.DataFrame(
        {"user": ["robot"] * 400, "item": range(400), "rating": [1] * 400, "time": range(400)}
    )
    assert "user robot alone has" in warnings(check(pl.concat([events(), robot])))


def test_items_missing_from_their_table_are_a_warning():
    items = pl.DataFrame({"item": range(10), "colour": ["red", "blue"] * 5})
    assert f"30 of {ITEMS} items have no row in the data frame; add them" in warnings(
        check(events(), items=items)
    )


@pytest.mark.parametrize(
    ("aggregate", "name"),
    [
        (pl.len(), "number of events"),
        (pl.len().log(), "number of events"),
        (pl.col("rating").mean(), "mean value"),
        (-3 * pl.col("rating").mean() + 1, "mean value"),
    ],
)
@pytest.mark.parametrize(
    ("role", "key", "what"), [("items", "item", "item"), ("users", "user", "user")]
)
def test_a_table_column_computed_from_the_events_is_a_warning(aggregate, name, role, key, what):
    table = (
        events().group_by(key).agg(aggregate.alias("leak"), pl.len().hash().mod(97).alias("fine"))
    )
    report = check(events(), **{role: table})
    assert f"the {what} column leak agrees with the {name} of each {what}" in warnings(report)
    assert "column fine" not in warnings(report)


@pytest.mark.skipif(
    "WARMSTART_DATA" not in os.environ,
    reason="WARMSTART_DATA does not name the folder of data sets",
)
def test_movielens_has_no_warnings():
    report = check(Path(os.environ["WARMSTART_DATA"]) / "ml-100k")
    assert warnings(report) == ""
    assert report.events_per_user == (20, 65.0, 737)
