"""Files and data frames: every kind gives the same log, and an unreadable one an error."""

import gzip
import os

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from warmstart.data.files import SUFFIXES
from warmstart.data.reading import inspect, read
from warmstart.errors import DataError

HEADER = "user,item,rating,timestamp\n"
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
