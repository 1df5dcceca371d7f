"""Lookups: what every request asks of the store, as statements that are made once: making takes
longer than asking.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, func, select

from warmstart.service.store.records import Event
from warmstart.service.store.schema import INTERACTIONS, ITEMS, USERS


def columns_of(table: Table) -> tuple[str, str]:
    """The id and the content of items or users."""
    return ("item_id", "properties") if table is ITEMS else ("user_id", "profile")


def _latest() -> Select[*tuple[Any, ...]]:
    """The latest `most` events of each of `users`, the oldest first."""
    found = INTERACTIONS.c
    place = func.row_number().over(
        partition_by=found.user_id, order_by=(found.time.desc(), found.id.desc())
    )
    theirs = found.user_id.in_(bindparam("users", expanding=True))
    rows = (
        select(*(found[name] for name in Event._fields), place.label("place"))
        .where(theirs)
        .subquery()
        .c
    )
    asked = select(*(rows[name] for name in Event._fields)).where(rows.place <= bindparam("most"))
    return asked.order_by(rows.place.desc())


LATEST = _latest()
CONTENTS = {
    table: select(table.c[key], table.c[content]).where(
        table.c[key].in_(bindparam("keys", expanding=True))
    )
    for table, (key, content) in ((one, columns_of(one)) for one in (ITEMS, USERS))
}


def histories(connection: Connection, users: Sequence[str], most: int) -> dict[str, list[Event]]:
    histories: dict[str, list[Event]] = {user: [] for user in users}
    for row in connection.execute(LATEST, {"users": users, "most": most}):
        histories[row[0]].append(Event._make(row))
    return histories


def contents(
    connection: Connection, table: Table, keys: Sequence[str]
) -> dict[str, dict[str, Any]]:
    return {
        key: json.loads(found) for key, found in connection.execute(CONTENTS[table], {"keys": keys})
    }
