"""Any bytes are read as a log or give an error of one line; ids come back as they were written."""

import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warmstart.data.interactions import Interactions
from warmstart.data.reading import read
from warmstart.errors import DataError

relaxed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
GOOD = {
    "csv": b'user,item,rating,timestamp\nu1,"a ""b""",3,1260759144\n'
    b"u2,x,4.5,1260759145\n\nu1,x,1,1260759146\n",
    "tsv": b"user\titem\trating\nu1\ta\t3\nu2\tx\t4.5\n",
    "jsonl": b'{"user": "u1", "item": 3, "time": "2020-01-01"}\n'
    b'{"user": "u2", "item": 4, "time": "2020-01-02"}\n',
}
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6)


def outcome(path: Path) -> Interactions | str:
    try:
        return read(path)
    except DataError as error:
        return str(error)


def is_sound(seen: Interactions | str) -> bool:
    if isinstance(seen, str):
        return len(seen) > 10 and "\n" not in seen
    in_range = 0 <= seen.user.min() <= seen.user.max() < len(seen.users)
    return bool(
        len(seen) > 0 and in_range and 0 <= seen.item.min() <= seen.item.max() < len(seen.items)
    )


@st.composite
def mutated(draw: st.DrawFn, good: bytes) -> bytes:
    """Good bytes with some cut out, changed or put in."""
    content = good
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(content)))
        last = min(first + draw(st.integers(0, 5)), len(content))
        alphabet = st.sampled_from(
            [b",", b'"', b"\n", b"\r", b"\x00", b"\xff", b"nan", b"{", b"}", b"-", b"9" * 20, b""]
        )
        content = content[:first] + draw(alphabet | st.binary(max_size=3)) + content[last:]
    return content


@pytest.mark.parametrize("suffix", ["csv", "tsv", "csv.gz", "jsonl", "parquet"])
@relaxed
@given(content=st.binary(max_size=200))
def test_random_bytes_are_a_log_or_an_error_of_one_line(suffix, content, tmp_path):
    path = tmp_path / f"events.{suffix}"
    path.write_bytes(content)
    assert is_sound(outcome(path))


@pytest.mark.parametrize("suffix", list(GOOD))
@relaxed
@given(data=st.data())
def test_mutated_text_is_a_log_or_an_error_of_one_line(suffix, data, tmp_path):
    path = tmp_path / f"events.{suffix}"
    path.write_bytes(data.draw(mutated(GOOD[suffix])))
    assert is_sound(outcome(path))


@relaxed
@given(data=st.data())
def test_mutated_parquet_is_a_log_or_an_error_of_one_line(data, tmp_path):
    buffer = io.BytesIO()
    pl.DataFrame({"user": ["a", "b"] * 20, "item": range(40)}).write_parquet(buffer)
    path = tmp_path / "events.parquet"
    path.write_bytes(data.draw(mutated(buffer.getvalue())))
    assert is_sound(outcome(path))


@relaxed
@given(ids=st.lists(st.tuples(names, names), min_size=1, max_size=8, unique=True))
def test_text_ids_come_back_as_they_were_written(ids, tmp_path):
    path = tmp_path / "events.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("user", "item"), *ids])
    log = read(path)
    back = zip(
        map(str, log.users.decode(log.user)), map(str, log.items.decode(log.item)), strict=True
    )
    assert list(back) == ids


@relaxed
@given(
    ids=st.lists(
        st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 2), min_size=1, max_size=8, unique=True
    )
)
def test_integer_ids_come_back_as_they_were_written(ids, tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in ids))
    log = read(path)
    assert list(zip(log.users.decode(log.user), log.items.decode(log.item), strict=True)) == ids
