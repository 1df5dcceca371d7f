"""Parsing of events: ids, values and times are read exactly, or the row that is wrong is named."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

from warmstart.data import parsing
from warmstart.data.reading import Inspection, inspect, read
from warmstart.errors import DataError

HEADER = "user,item,rating,timestamp\n"
EVENTS = pl.DataFrame({"user": ["b", "a"], "item": [1, 2], "rating": [4.0, 5.0]})


def messages(inspection: Inspection) -> str:
    return "\n".join(f"{found.level}: {found.message}" for found in inspection.findings)


# Ids


def test_ids_with_leading_zeros_stay_strings(write):
    log = read(write("user,item\n007,b\n7,a\n"))
    assert log.users.ids.to_list() == ["007", "7"]


def test_ids_that_are_all_numbers_become_integers(write):
    log = read(write("user,item\n10,-3\n9,12\n"))
    assert log.users.ids.to_list() == [9, 10]
    assert log.items.ids.to_list() == [-3, 12]
    assert log.user.tolist() == [1, 0]


def test_digits_in_a_typed_text_column_stay_text():
    log = read(pl.DataFrame({"user": ["1", "2"], "item": [5, 6]}))
    assert log.users.ids.to_list() == ["1", "2"]


def test_integers_too_large_for_64_bits_stay_text():
    large = pl.Series("user", [2**64 - 1], dtype=pl.UInt64)
    assert read(pl.DataFrame([large, pl.Series("item", ["a"])])).users.ids.to_list() == [
        str(2**64 - 1)
    ]


def test_whole_floats_are_integer_ids_and_others_text():
    log = read(pd.DataFrame({"user": [2.0, 1.0], "item": [1.5, 2.0]}))
    assert log.users.ids.to_list() == [1, 2]
    assert log.items.ids.to_list() == ["1.5", "2.0"]


def test_categorical_ids_are_text():
    frame = pl.DataFrame({"user": ["b", "a"], "item": ["y", "x"]}).cast(pl.Categorical)
    assert read(frame).users.ids.to_list() == ["a", "b"]


def test_codes_decode_to_the_ids_of_each_row():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"user": [f"u{k}" for k in rng.integers(50, size=300)], "item": rng.permutation(300)}
    )
    log = read(frame)
    assert log.users.decode(log.user) == frame["user"].to_list()
    assert log.items.decode(log.item) == frame["item"].to_list()


@pytest.mark.parametrize("row", [",b,1,1", '"",b,1,1'])
def test_a_missing_id_is_an_error_with_line_and_count(write, row):
    with pytest.raises(
        DataError, match=r"ratings.csv, line 3: the user is missing \(so in 2 rows in all\); fill"
    ):
        read(write(f"{HEADER}a,b,1,1\n{row}\n,c,1,2\n"))


def test_a_missing_id_in_a_frame_is_an_error_with_its_row():
    with pytest.raises(
        DataError, match=r"the data frame, row 2: the item is missing \(so in 1 rows"
    ):
        read(pd.DataFrame({"user": [1, 2], "item": [1.0, None]}))


def test_ids_of_a_nested_type_are_an_error():
    with pytest.raises(
        DataError, match=r"the data frame: the column user holds List\(Int64\), not ids; bring"
    ):
        read(pl.DataFrame({"user": [[1]], "item": [1]}))


# Values


def test_without_a_value_column_all_values_are_one(write):
    assert read(write("user,item\n1,2\n3,4\n")).value.tolist() == [1.0, 1.0]


def test_text_in_a_value_is_an_error_with_its_line(write):
    rows = "".join(f"{row},1,3,{row}\n" for row in range(6))
    with pytest.raises(
        DataError,
        match=r'^ratings.csv, line 8: value "five" is not a number; '
        r"correct it, or name another column with --columns value=NAME",
    ):
        read(write(HEADER + rows + "9,9,five,9\n"))


def test_the_line_is_right_after_fields_of_several_lines_and_empty_lines(write):
    with pytest.raises(DataError, match='line 6: value "five"'):
        read(write('\nuser,item,rating\n"a\nb",2,3\n\n1,2,five\n'))


def test_the_row_is_right_in_parquet(tmp_path):
    pl.DataFrame({"user": [1, 2], "item": [1, 2], "rating": ["1", "x"]}).write_parquet(
        tmp_path / "r.parquet"
    )
    with pytest.raises(DataError, match=r'r.parquet, row 2: value "x" is not a number'):
        read(tmp_path / "r.parquet")


def test_the_line_is_right_in_json(write):
    lines = '{"user": 1, "item": 1, "value": "1"}\n\n{"user": 1, "item": 2, "value": "x"}\n'
    with pytest.raises(DataError, match=r'r.jsonl, line 3: value "x" is not a number'):
        read(write(lines, "r.jsonl"))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e39", "1,5"])
def test_values_that_are_not_finite_numbers_are_errors(write, value):
    with pytest.raises(DataError, match=f'line 2: value "{value}" is not a number'):
        read(write(f'{HEADER}1,2,"{value}",4\n'))


def test_a_missing_value_is_an_error(write):
    with pytest.raises(DataError, match="line 2: the value is missing; correct it"):
        read(write(HEADER + "1,2,,4\n"))


def test_values_of_another_type_are_an_error():
    with pytest.raises(
        DataError, match="the data frame: the values are Date, not numbers; correct it"
    ):
        read(pl.DataFrame({"user": [1], "item": [1], "rating": [date(2020, 1, 1)]}))


# Times


def test_events_are_sorted_by_time_and_ties_keep_their_order(write):
    log = read(write(HEADER + "a,x,1,5\nb,x,1,3\nc,x,1,5\nd,x,1,3\n"))
    assert log.users.decode(log.user) == ["b", "d", "a", "c"]
    assert log.time is not None
    assert log.time.tolist() == [3, 3, 5, 5]


def micros(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("texts", "times"),
    [
        (["7", "-2"], [-2, 7]),
        (["7.5", "2.0"], [2_000_000, 7_500_000]),
        (["2020-01-02", "2020-01-01"], [micros(2020, 1, 1), micros(2020, 1, 2)]),
        (
            ["2020-01-01T10:00:00Z", "2020-01-01 09:30"],
            [micros(2020, 1, 1, 9, 30), micros(2020, 1, 1, 10)],
        ),
        (
            ["2020-01-01T10:00:00.5", "2020-01-01"],
            [micros(2020, 1, 1), micros(2020, 1, 1, 10) + 500_000],
        ),
        (["2020-01-01T10:00:00+02:00", "2020-01-01"], [micros(2020, 1, 1), micros(2020, 1, 1, 8)]),
    ],
)
def test_times_as_text_become_integers_that_grow(write, texts, times):
    log = read(write(HEADER + "".join(f"{row},1,1,{text}\n" for row, text in enumerate(texts))))
    assert log.time is not None
    assert log.time.tolist() == times


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([datetime(2020, 1, 2), datetime(2020, 1, 1)]).cast(pl.Datetime("ms")),
        pl.Series([datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)]).cast(
            pl.Datetime("ns", "UTC")
        ),
        pl.Series([date(2020, 1, 2), date(2020, 1, 1)]),
    ],
)
def test_dates_become_microseconds(column):
    log = read(pl.DataFrame({"user": [1, 2], "item": [1, 1], "time": column}))
    assert log.time is not None
    assert log.time.tolist() == [micros(2020, 1, 1), micros(2020, 1, 2)]


@pytest.mark.parametrize("time", ["yesterday", "99999999999999999999"])
def test_a_time_that_cannot_be_read_is_an_error_with_its_line(write, time):
    with pytest.raises(
        DataError, match=f'line 3: time "{time}" is neither a number nor an ISO date; correct it'
    ):
        read(write(f"{HEADER}1,2,3,4\n1,3,3,{time}\n"))


def test_a_missing_time_is_an_error(write):
    with pytest.raises(
        DataError, match=r"line 3: the time is missing; .* --columns time=NAME \(now timestamp\)"
    ):
        read(write(HEADER + "1,2,3,4\n1,3,3,\n"))


def test_equal_times_are_no_order(write):
    seen = inspect(write(HEADER + "1,2,3,4\n1,3,3,4\n"))
    assert seen.log.time is None
    assert "warning: all times are equal" in messages(seen)


def test_more_rows_than_codes_can_count_are_an_error(monkeypatch):
    monkeypatch.setattr(parsing, "MAX_ROWS", 1)
    with pytest.raises(
        DataError, match="the data frame has 2 rows; the most is 1, so leave old events out"
    ):
        read(EVENTS)
