"""Folders and side tables: the rows of tables of items and users belong to the codes of the log."""

import os
from pathlib import Path

import polars as pl
import pytest

from warmstart.data.reading import Inspection, inspect, read
from warmstart.errors import DataError

EVENTS = pl.DataFrame({"user": ["b", "a"], "item": [1, 2], "rating": [4.0, 5.0]})


def messages(inspection: Inspection) -> str:
    return "\n".join(f"{found.level}: {found.message}" for found in inspection.findings)


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
