"""Findings: repetition, types of events, domains and empty lines are noted, and handled."""

import polars as pl

from warmstart.data.reading import Inspection, inspect, read

HEADER = "user,item,rating,timestamp\n"


def messages(inspection: Inspection) -> str:
    return "\n".join(f"{found.level}: {found.message}" for found in inspection.findings)


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
