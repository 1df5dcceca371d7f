"""Column roles: which column of a table holds the users, items, values, times and domains."""

import re
from collections.abc import Mapping, Sequence

from warmstart.data.files import Table
from warmstart.errors import DataError, join_names, shorten

ROLES: dict[str, tuple[str, ...]] = {
    "user": (
        *(
            "userid",
            "user",
            "uid",
            "customerid",
            "customer",
            "ownerid",
            "owner",
            "visitorid",
            "visitor",
        ),
        *("reviewerid", "memberid", "member", "accountid", "clientid", "sessionid", "session"),
    ),
    "item": (
        *(
            "itemid",
            "item",
            "iid",
            "movieid",
            "movie",
            "productid",
            "product",
            "sku",
            "asin",
            "bookid",
            "book",
            "isbn",
        ),
        *("trackid", "track", "songid", "artistid", "gameid", "articleid"),
    ),
    "value": ("rating", "value", "score", "stars", "weight", "playcount", "plays", "hours"),
    "time": ("timestamp", "time", "datetime", "date", "createdat", "ts", "position"),
    "domain": ("domain", "categorydomain", "market"),
    "type": ("type", "event", "action", "eventtype"),
}
"""The column names of each role, best first: in lower case, without spaces and underscores."""


def roles_of(table: Table, given: Mapping[str, str]) -> dict[str, str]:
    """The column of each role: as given, else guessed from the names of columns.

    A `DataError` where a given role or column does not exist, or users or items are not found.
    """
    names = table.names
    for role in given:
        if role not in ROLES:
            raise DataError(
                f"there is no role {role!r} for a column; the roles are {', '.join(ROLES)}"
            )
    roles = dict(given)
    for column in roles.values():
        if column not in names:
            raise DataError(
                f"{table.label} has no column {shorten(column)!r}; it has {join_names(names)}"
            )
        # polars takes * and ^...$ for patterns of many columns
        if column == "*" or re.fullmatch(r"\^.*\$", column, re.DOTALL):
            raise DataError(
                f"{table.label}: a column called {shorten(column)!r} cannot be used by name; "
                "rename it"
            )
    for role in ROLES:
        free = [name for name in names if name not in roles.values()]
        found = None if role in roles else guess(role, free)
        if found is not None:
            roles[role] = found
    if "user" not in roles or "item" not in roles:
        raise DataError(_not_found(table.label, names, roles))
    return {role: roles[role] for role in ROLES if role in roles}


def guess(role: str, names: Sequence[str]) -> str | None:
    """The name that is most likely the column of `role`; None where no name looks like it."""
    plain = {re.sub(r"[^a-z0-9]", "", name.casefold()): name for name in reversed(names)}
    return next((plain[candidate] for candidate in ROLES[role] if candidate in plain), None)


def _not_found(label: str, names: Sequence[str], roles: Mapping[str, str]) -> str:
    values = [name.split("_duplicated_")[0] for name in names]
    if any(re.fullmatch(r"-?\d+(\.\d+)?", value.strip()) for value in values):
        return (
            f"{label} has no header: its first line is {','.join(map(shorten, values[:6]))}; "
            "put a line such as user,item,rating,timestamp on top"
        )
    missing = " nor ".join(
        name for role, name in (("user", "users"), ("item", "items")) if role not in roles
    )
    return (
        f"{label} has no column that looks like {missing}; it has {join_names(names)}; "
        "say which is which with --columns user=...,item=..."
    )
