"""Reading: every file that can be understood is, and every other one is explained in a line."""

import gzip
import os
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from warmstart.data import parsing
from warmstart.data.files import SUFFIXES
from warmstart.data.reading import Inspection, inspect, read
from warmstart.errors import DataError

HEADER = "user,item,rating,timestamp\n"


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes, name: str = "ratings.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


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


# Roles


@pytest.mark.parametrize(
    ("header", "roles"),
    [
        ("userId,movieId,rating,timestamp", ["userId", "movieId", "rating", "timestamp"]),
        ("Customer ID,SKU,Stars,Date", ["Customer ID", "SKU", "Stars", "Date"]),
        ("visitorid,asin,weight,ts", ["visitorid", "asin", "weight", "ts"]),
        ("session_id,ISBN,hours,created_at", ["session_id", "ISBN", "hours", "created_at"]),
    ],
)
def test_roles_are_guessed_from_names(write, header, roles):
    seen = inspect(write(f"{header}\na,b,1,1\nc,d,2,2\n"))
    assert seen.columns == dict(zip(["user", "item", "value", "time"], roles, strict=True))


def test_user_id_wins_over_session_id(write):
    assert inspect(write("session_id,user_id,item_id\ns,u,i\n")).columns["user"] == "user_id"


def test_given_columns_win_over_guesses(write):
    seen = inspect(write("user,who,item,x\na,b,c,3\n"), columns={"user": "who", "value": "x"})
    assert seen.columns == {"user": "who", "item": "item", "value": "x"}
    assert seen.log.users.ids.to_list() == ["b"]
    assert seen.log.value.tolist() == [3.0]


def test_columns_without_a_known_name_are_an_error_that_shows_the_way(write):
    with pytest.raises(
        DataError,
        match=r"looks like users nor items; it has a, b; "
        r"say which is which with --columns user=...,item=...",
    ):
        read(write("a,b\n1,2\n"))


def test_only_the_missing_role_is_asked_for(write):
    with pytest.raises(DataError, match="no column that looks like items; it has user, b"):
        read(write("user,b\n1,2\n"))


def test_an_unknown_role_is_an_error(write):
    with pytest.raises(
        DataError, match="no role 'who' for a column; the roles are user, item, value, time, domain"
    ):
        read(write(HEADER + "1,2,3,4\n"), columns={"who": "user"})


def test_an_unknown_column_is_an_error(write):
    with pytest.raises(
        DataError, match=r"ratings.csv has no column 'sku'; it has user, item, rating, timestamp"
    ):
        read(write(HEADER + "1,2,3,4\n"), columns={"item": "sku"})


def test_a_file_without_header_is_an_error(write):
    with pytest.raises(
        DataError, match=r"has no header: its first line is 1,31,2.5,1260759144; put a line such as"
    ):
        read(write("1,31,2.5,1260759144\n1,1029,3.0,1260759179\n"))


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


# Repetition


def test_rows_written_twice_count_once(write):
    seen = inspect(write(HEADER + "1,2,3,5\n1,2,3,4\n1,2,3,5\n"))
    assert len(seen.log) == 2
    assert seen.rows == 3
    assert "warning: 1 rows repeat another one (user, item, value and time)" in messages(seen)


def test_repeated_pairs_stay_and_are_counted(write):
    seen = inspect(write(HEADER + "1,2,3,5\n1,2,4,6\n1,3,4,7\n"))
    assert len(seen.log) == 3
    assert "note: 1 events are another one of the same user with the same item" in messages(seen)


def test_types_of_events_are_noted(write):
    seen = inspect(write("user,item,event\n1,2,view\n1,3,view\n1,4,buy\n"))
    assert "note: types of events: view (2), buy (1); all count alike" in messages(seen)


def test_domains_are_coded_by_name():
    log = read(
        pl.DataFrame({"user": [1, 2, 3], "item": [1, 2, 3], "domain": ["toys", "books", None]})
    )
    assert log.domains == ("books", "toys", "unknown")
    assert log.domain is not None
    assert log.domain.tolist() == [1, 0, 2]


def test_empty_lines_are_left_out_and_noted(write):
    seen = inspect(write("user,item\n1,2\n\n3,4\n\n"))
    assert (seen.rows, len(seen.log)) == (2, 2)
    assert "note: 2 empty rows were left out" in messages(seen)


# Kinds of files and frames

EVENTS = pl.DataFrame({"user": ["b", "a"], "item": [1, 2], "rating": [4.0, 5.0]})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_file_reads_alike(write, suffix, tmp_path):
    separator = "\t" if "tsv" in suffix else ","
    if suffix == ".parquet":
        EVENTS.write_parquet(tmp_path / f"log{suffix}")
    elif "json" in suffix:
        EVENTS.write_ndjson(tmp_path / f"log{suffix}")
    else:
        text = EVENTS.write_csv(separator=separator).encode()
        write(gzip.compress(text) if suffix.endswith(".gz") else text, f"log{suffix}")
    log = read(tmp_path / f"log{suffix}")
    assert log.users.ids.to_list() == ["a", "b"]
    assert log.items.ids.to_list() == [1, 2]
    assert log.value.tolist() == [4.0, 5.0]
    assert log.name == "log"


@pytest.mark.parametrize("frame", [EVENTS, EVENTS.lazy(), EVENTS.to_pandas(), EVENTS.to_arrow()])
def test_every_kind_of_frame_reads_alike(frame):
    log = read(frame)
    assert log.users.decode(log.user) == ["b", "a"]
    assert log.name == "data"


def test_a_frame_without_arrow_reads_through_its_dict():
    class Old:
        def to_dict(self, orient):
            return {"user": [1], "item": [2]} if orient == "list" else {}

    assert read(Old()).items.ids.to_list() == [2]


def test_semicolons_separate_where_the_header_has_them(write):
    assert read(write("user;item\nu,1;i\n")).users.ids.to_list() == ["u,1"]


def test_a_byte_order_mark_is_no_part_of_the_first_name(write):
    assert inspect(write(b"\xef\xbb\xbfuser,item\n1,2\n")).columns["user"] == "user"


@pytest.mark.parametrize("kind", ["frame", ".csv", ".parquet", ".jsonl"])
def test_names_of_columns_are_no_patterns(kind, tmp_path):
    events = pl.DataFrame(
        {"user": ["a", "b"], "item": ["x", "y"], "*": ["1", "2"], "^.*$": ["3", "4"]}
    )
    items = pl.DataFrame({"item": ["x", "y"], "*": ["red", "blue"], "^.*$": ["big", "small"]})
    frame = pl.DataFrame
    writers = {
        ".csv": frame.write_csv,
        ".parquet": frame.write_parquet,
        ".jsonl": frame.write_ndjson,
    }
    if kind in writers:
        for name, table in (("interactions", events), ("items", items)):
            writers[kind](table, tmp_path / f"{name}{kind}")
        lists = pl.DataFrame(
            {"item": ["x", "x", "y"], "*": ["soft", "warm", "soft"], "^.*$": ["p", "q", "q"]}
        )
        writers[kind](lists, tmp_path / f"items_extra{kind}")
        writers[kind](lists.rename({"*": "**"}), tmp_path / f"items_more{kind}")
    log = read(tmp_path) if kind in writers else read(events, items=items)
    assert log.item_table.columns[:2] == ["*", "^.*$"] and log.item_table["*"].to_list() == [
        "red",
        "blue",
    ]
    if kind in writers:
        assert log.item_table["**"].to_list() == ["soft|warm", "soft"]
    with pytest.raises(DataError, match="rename it"):
        read(events, columns={"item": "*"})


def test_brackets_in_a_path_are_no_pattern(write):
    assert len(read(write("user,item\n1,2\n", "log[1].csv"))) == 1


def test_an_arrow_table_with_mixed_nulls_reads():
    assert len(read(pa.table({"user": ["a", "b"], "item": [1, 2]}))) == 2


def test_something_else_is_an_error():
    with pytest.raises(DataError, match=r"as a path or a data frame .*, not as int"):
        read(3)


def test_a_frame_of_mixed_types_is_an_error():
    with pytest.raises(
        DataError, match=r"the data frame cannot be read \(.*\); give every column a single type"
    ):
        read(pd.DataFrame({"user": [1, "x"], "item": [1, 2]}))


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "r.csv", "r.csv is empty; bring a file with a header"),
        ("\n \n", "r.jsonl", "r.jsonl is empty; bring a file with one event a line"),
        (HEADER, "r.csv", "r.csv has a header but no events; add one"),
        ("x", "r.xlsx", r"r.xlsx is no file of a known kind; bring one of .csv, .tsv"),
        (
            HEADER + "1,2,3,4\n1,2,3,4,5\n",
            "r.csv",
            "r.csv, line 3: 5 fields where the header has 4; remove",
        ),
        (
            HEADER + '"1,2,3,4\n1,2,3,4\n',
            "r.csv",
            "r.csv, line 2 or soon after: a double quote is not closed",
        ),
        (
            HEADER + '"1"1,2,3,4\n1,2,3,4\n',
            "r.csv",
            "r.csv, line 2 or soon after: a double quote is not closed",
        ),
        (
            (HEADER + "1,2,3,4\n").encode() + b"\xff,2,3,4\n",
            "r.csv",
            "r.csv, line 3: not UTF-8 text; save the file",
        ),
        (
            (HEADER + "1,2,3,4\n").encode("utf-16"),
            "r.csv",
            "r.csv, line 1: not UTF-8 text; save the file",
        ),
        (
            gzip.compress(HEADER.encode() * 99, mtime=0)[:30],
            "r.csv.gz",
            "r.csv.gz is a damaged gzip file; compress",
        ),
        (
            b"PAR1 and so on",
            "r.parquet",
            r"r.parquet cannot be read as parquet \(.*\); write or download",
        ),
        (
            '{"user": 1, "item": 2}\n{"user": 1, "it\n',
            "r.jsonl",
            "r.jsonl, line 2: not valid JSON; write one object",
        ),
        ("[1]\n", "r.jsonl", "r.jsonl, line 1: no JSON object; write one object"),
    ],
)
def test_a_file_that_cannot_be_read_is_explained(write, content, name, message):
    with pytest.raises(DataError, match=message):
        read(write(content, name))


def test_a_parquet_file_cut_off_is_an_error(tmp_path):
    pl.DataFrame({"user": range(1000), "item": range(1000)}).write_parquet(tmp_path / "r.parquet")
    whole = (tmp_path / "r.parquet").read_bytes()
    (tmp_path / "r.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"r.parquet cannot be read as parquet"):
        read(tmp_path / "r.parquet")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"nothing.csv does not exist; give the path of a file"):
        read(tmp_path / "nothing.csv")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read every file")
def test_a_file_without_permission_is_an_error(write):
    path = write(HEADER + "1,2,3,4\n")
    path.chmod(0)
    with pytest.raises(DataError, match="may not be read by this user; change its permissions"):
        read(path)


def test_more_rows_than_codes_can_count_are_an_error(monkeypatch):
    monkeypatch.setattr(parsing, "MAX_ROWS", 1)
    with pytest.raises(
        DataError, match="the data frame has 2 rows; the most is 1, so leave old events out"
    ):
        read(EVENTS)


# Folders, and the tables of items and users


def test_a_folder_reads_with_its_tables(write, tmp_path):
    write("user,item\nu1,7\nu0,8\n", "interactions.csv")
    write("item,title\n8,eight\n7,seven\n", "items.csv")
    write("id,age\nu0,30\nu1,40\n", "users.csv")
    log = read(tmp_path)
    assert log.name == tmp_path.name
    assert log.item_table is not None
    assert log.item_table.to_dict(as_series=False) == {"title": ["seven", "eight"]}
    assert log.user_table is not None
    assert log.user_table.to_dict(as_series=False) == {"age": [30, 40]}


def test_given_tables_win_over_those_of_the_folder(write, tmp_path):
    write("user,item\nu1,7\n", "interactions.csv")
    write("item,title\n7,seven\n", "items.csv")
    log = read(tmp_path, items=pl.DataFrame({"item": [7], "colour": ["red"]}))
    assert log.item_table is not None
    assert log.item_table.columns == ["colour"]


def test_a_folder_without_interactions_is_an_error(tmp_path):
    with pytest.raises(
        DataError, match=r"holds no interactions file; name the file of events interactions.csv"
    ):
        read(tmp_path)


def test_a_folder_with_several_interactions_is_an_error(write, tmp_path):
    write("user,item\n1,2\n", "interactions.csv")
    write("user\titem\n1\t2\n", "interactions.tsv")
    with pytest.raises(
        DataError, match=r"holds several: interactions.csv, interactions.tsv; keep one of them"
    ):
        read(tmp_path)


def test_other_files_in_a_folder_do_not_disturb(write, tmp_path):
    write("user,item\n1,2\n", "interactions.csv")
    write("about", "interactions.md")
    assert len(read(tmp_path)) == 1


def with_items(table: pl.DataFrame) -> Inspection:
    return inspect(pl.DataFrame({"user": [1, 1], "item": ["2", "3"]}), items=table)


def test_items_without_a_row_hold_nulls_and_rows_without_events_are_counted():
    seen = with_items(pl.DataFrame({"item": ["3", "9"], "title": ["three", "nine"]}))
    assert seen.log.item_table is not None
    assert seen.log.item_table["title"].to_list() == [None, "three"]
    assert len(seen.log.items) == 2
    assert "warning: 1 of 2 items have no row in the data frame" in messages(seen)
    assert "note: 1 items of the data frame have no events and were left out" in messages(seen)


def test_the_first_row_of_a_repeated_id_is_kept():
    seen = with_items(pl.DataFrame({"item": ["2", "3", "3", None], "title": ["a", "b", "c", "d"]}))
    assert seen.log.item_table is not None
    assert seen.log.item_table["title"].to_list() == ["a", "b"]
    assert "warning: 1 rows of the data frame repeat an id" in messages(seen)
    assert "warning: 1 rows of the data frame have no id" in messages(seen)


def test_integer_ids_in_a_table_match_text_ids_in_the_log():
    seen = with_items(pl.DataFrame({"item": [3, 2], "title": ["three", "two"]}))
    assert seen.log.item_table is not None
    assert seen.log.item_table["title"].to_list() == ["two", "three"]


def test_a_table_of_other_ids_is_warned_of():
    seen = with_items(pl.DataFrame({"item": ["x"], "title": ["a"]}))
    assert "warning: no id of the data frame stands in the events" in messages(seen)


def test_a_table_of_ids_alone_is_no_table():
    seen = with_items(pl.DataFrame({"item": ["2", "3"]}))
    assert seen.log.item_table is None
    assert "note: the data frame has no column but item" in messages(seen)


@pytest.mark.parametrize(("role", "name"), [("items", "item_id"), ("users", "user_id")])
def test_a_table_without_ids_is_an_error(role, name):
    with pytest.raises(
        DataError,
        match=f"looks like the ids of {role}; it has colour; rename its id column to {name}",
    ):
        read(EVENTS, **{role: pl.DataFrame({"colour": ["red"]})})


def test_lists_in_a_table_become_text_and_other_nesting_is_left_out():
    table = pl.DataFrame(
        {"item": ["2", "3"], "tags": [["a", "b"], ["c"]], "size": [{"w": 1}, {"w": 2}]}
    )
    log = with_items(table).log
    assert log.item_table is not None
    assert log.item_table.to_dict(as_series=False) == {"tags": ["a|b", "c"]}


def test_numbers_in_a_csv_table_are_numbers_but_codes_stay_text(write, tmp_path):
    write("user,item\n1,2\n1,3\n", "interactions.csv")
    write("item,price,zip,size\n2,1.5,01234,7\n3,,56789,8\n", "items.csv")
    log = read(tmp_path)
    assert log.item_table is not None
    assert log.item_table.to_dict(as_series=False) == {
        "price": [1.5, None],
        "zip": ["01234", "56789"],
        "size": [7, 8],
    }


@pytest.mark.skipif(
    "WARMSTART_DATA" not in os.environ,
    reason="WARMSTART_DATA does not name the folder of data sets",
)
@pytest.mark.parametrize(
    ("folder", "size"),
    [("ml-100k", (100_000, 943, 1682)), ("bookcrossing", (62_656, 1295, 14_684))],
)
def test_public_data_sets_read_as_their_readme_says(folder, size):
    log = read(Path(os.environ["WARMSTART_DATA"]) / folder)
    assert (len(log), len(log.users), len(log.items)) == size
    assert log.item_table is not None and len(log.item_table) == size[2]
    assert log.user_table is not None and len(log.user_table) == size[1]


EVENTS_OF_THREE = "user_id,item_id\n" + "".join(
    f"{user},{item}\n" for user in "abc" for item in (7, 8, 9)
)


def test_a_list_beside_the_events_gives_each_id_one_value_of_many(tmp_path):
    (tmp_path / "interactions.csv").write_text(EVENTS_OF_THREE)
    (tmp_path / "items.csv").write_text("item_id,title\n7,Seven\n8,Eight\n9,Nine\n")
    (tmp_path / "item_tags.csv").write_text(
        "item_id,tag\n9,war\n7,drama\n7,war\n7,drama\n44,unused\n"
    )
    (tmp_path / "user_groups.csv").write_text("user_id,group\nb,x\nb,w\n")
    log = read(tmp_path)
    tags = dict(zip(log.items.ids, log.item_table["tags"], strict=True))
    assert tags == {7: "drama|war", 8: None, 9: "war"}
    assert log.item_table.columns == ["title", "tags"]
    assert dict(zip(log.users.ids, log.user_table["groups"], strict=True)) == {
        "a": None,
        "b": "w|x",
        "c": None,
    }


def test_a_list_with_one_row_for_each_id_keeps_its_types(tmp_path):
    (tmp_path / "interactions.csv").write_text(EVENTS_OF_THREE)
    (tmp_path / "item_facts.csv").write_text("item_id,price,colour\n8,1.5,red\n7,2.5,blue\n")
    log = read(tmp_path)
    assert dict(zip(log.items.ids, log.item_table["facts_price"], strict=True)) == {
        7: 2.5,
        8: 1.5,
        9: None,
    }
    assert log.item_table.columns == ["facts_price", "facts_colour"]


def test_a_list_of_something_else_is_left_alone_and_said_so(tmp_path):
    (tmp_path / "interactions.csv").write_text(EVENTS_OF_THREE)
    (tmp_path / "item_notes.csv").write_text("page,text\n1,hello\n")
    seen = inspect(tmp_path)
    assert seen.log.item_table is None
    assert [f.message for f in seen.findings if "item_notes.csv" in f.message] == [
        "item_notes.csv was not read, since it does not list something of items"
    ]


def test_a_list_never_takes_the_place_of_a_column_of_the_table(tmp_path):
    (tmp_path / "interactions.csv").write_text(EVENTS_OF_THREE)
    (tmp_path / "items.csv").write_text("item_id,tags\n7,old\n8,old\n9,new\n")
    (tmp_path / "item_tags.csv").write_text("item_id,tag\n7,a\n7,b\n")
    assert read(tmp_path).item_table.columns == ["tags", "tags_listed"]


def test_a_position_is_an_order_where_there_is_no_time():
    table = pl.DataFrame(
        {"user_id": [1, 1, 1, 2], "item_id": [5, 6, 7, 5], "position": [2, 0, 1, 0]}
    )
    log = read(table)
    assert (
        log.item[log.user == log.users.encode([1])[0]].tolist()
        == log.items.encode([6, 7, 5]).tolist()
    )
    assert inspect(table.with_columns(timestamp=pl.lit(3))).columns["time"] == "timestamp"


def test_a_further_table_of_items_adds_the_columns_that_the_first_one_lacks(tmp_path):
    (tmp_path / "interactions.csv").write_text(EVENTS_OF_THREE)
    (tmp_path / "items.csv").write_text("item_id,title\n7,Seven\n8,Eight\n9,Nine\n")
    (tmp_path / "items_extra.csv").write_text("item_id,title,year\n9,Neuf,1999\n7,Sept,1995\n")
    log = read(tmp_path)
    assert log.item_table.columns == ["title", "year"]
    assert dict(zip(log.items.ids, log.item_table["title"], strict=True)) == {
        7: "Seven",
        8: "Eight",
        9: "Nine",
    }
    assert dict(zip(log.items.ids, log.item_table["year"], strict=True)) == {
        7: 1995,
        8: None,
        9: 1999,
    }
