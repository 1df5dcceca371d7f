"""Read files and data frames of events into one checked event log."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from warmstart.data.column_roles import roles_of
from warmstart.data.files import SUFFIXES, Source, is_path, member, members, name_of, opened
from warmstart.data.findings import Finding
from warmstart.data.interactions import Interactions
from warmstart.data.parsing import events_of
from warmstart.data.side_tables import LogIds, id_column, join_extra, join_table, typed_rows
from warmstart.errors import DataError


@dataclass(frozen=True)
class Inspection:
    """A log and how it was read.

    `columns` is the column taken for each role, `findings` what was noticed on the way, and `rows`
    the number of rows that were read.
    """

    log: Interactions
    columns: dict[str, str]
    findings: tuple[Finding, ...]
    rows: int


def read(
    source: Source,
    *,
    items: Source = None,
    users: Source = None,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Interactions:
    """Read the event log in a file, a data frame, or a folder.

    A folder holds `interactions.*`, perhaps `items.*` and `users.*`; further files such as
    `item_tags.*` and `user_groups.*`, in which an id may have many rows; and tables such as
    `items_extra.*`, for the columns that the table of items lacks. `columns` names the column of a
    role where the guess is wrong: {"user": "customer", "item": "sku"}. Whatever cannot be read
    raises a `DataError` of one line.
    """
    return inspect(source, items=items, users=users, columns=columns, name=name).log


def inspect(
    source: Source,
    *,
    items: Source = None,
    users: Source = None,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Inspection:
    """Read the log that `read` gives, with everything that was noticed while reading it."""
    name = name or name_of(source)
    sources = _sources_of(source, items, users)
    table = opened(sources.events)
    roles = roles_of(table, columns or {})
    log, findings, rows = events_of(table, roles, name)
    item_ids = LogIds("item", log.items, roles["item"])
    user_ids = LogIds("user", log.users, roles["user"])
    item_table, of_items = join_table(sources.items, item_ids)
    user_table, of_users = join_table(sources.users, user_ids)
    found = [*findings, *of_items, *of_users]
    for path in sources.item_extras:
        item_table = join_extra(item_table, path, item_ids, found)
    for path in sources.user_extras:
        user_table = join_extra(user_table, path, user_ids, found)
    log = replace(log, item_table=item_table, user_table=user_table)
    return Inspection(log, roles, tuple(found), rows)


def item_rows(source: Source) -> tuple[pl.Series, pl.DataFrame]:
    """Read the ids of a table of items and its other columns, one row for each id.

    Of rows with the same id the first is kept; rows without an id are left out.
    """
    table = opened(source)
    key = id_column(table, "item")
    rows = typed_rows(table, key).drop_nulls(key)
    rows = rows.unique(subset=key, keep="first", maintain_order=True)
    return rows[key], rows.drop(key)


@dataclass(frozen=True)
class _Sources:
    """Where the events, the side tables and the further columns of side tables are."""

    events: Source
    items: Source
    users: Source
    item_extras: list[Path] = field(default_factory=list)
    user_extras: list[Path] = field(default_factory=list)


def _sources_of(source: Source, items: Source, users: Source) -> _Sources:
    if not (is_path(source) and os.path.isdir(source)):
        return _Sources(source, items, users)
    folder = Path(source)
    events = member(folder, "interactions")
    if events is None:
        raise DataError(
            f"the folder {folder} holds no interactions file; "
            f"name the file of events interactions.csv (or {', '.join(SUFFIXES[1:])})"
        )
    return _Sources(
        events,
        member(folder, "items") if items is None else items,
        member(folder, "users") if users is None else users,
        members(folder, "item_") + members(folder, "items_"),
        members(folder, "user_") + members(folder, "users_"),
    )
