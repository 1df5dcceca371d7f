"""Column roles: guessed from names, or given; an error says which columns there are."""

import pytest

from warmstart.data.reading import inspect, read
from warmstart.errors import DataError

HEADER = "user,item,rating,timestamp\n"


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
