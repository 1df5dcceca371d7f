"""Reading: files and data frames of events become one checked event log."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl

from warmstart.data.column_roles import guess, roles_of
from warmstart.data.files import (
    SUFFIXES,
    Source,
    Table,
    columns_of,
    is_path,
    member,
    members,
    name_of,
    opened,
)
from warmstart.data.findings import Finding, Level
from warmstart.data.interactions import Interactions, Vocabulary
from warmstart.data.parsing import as_ids, events_of, round_trip
from warmstart.errors import DataError, join_names, shorten

Role = Literal["user", "item"]
WHAT: dict[Role, str] = {"item": "item", "user": "user"}


@dataclass(frozen=True)
class Inspection:
    """A log and how it was read: the column taken for each role, what was found on the way, the
    rows read.
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
    """The event log in a file, in a folder (`interactions.*`, perhaps `items.*` and `users.*`) or
    in a data frame.

    Of a folder, files such as `item_tags.*` and `user_groups.*` are read too, in which an id may
    have many rows, and tables such as `items_extra.*`, for the columns that the table of items
    lacks. `columns` names the column of a role where the guess is wrong: {"user": "customer",
    "item": "sku"}.
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
    """The log that `read` gives, with everything that was noticed while reading it."""
    name = name or name_of(source)
    lists: dict[Role, list[Path]] = {"item": [], "user": []}
    if is_path(source) and os.path.isdir(source):
        folder = Path(source)
        lists = {
            role: members(folder, f"{what}_") + members(folder, f"{what}s_")
            for role, what in WHAT.items()
        }
        source = member(folder, "interactions")
        if source is None:
            raise DataError(
                f"the folder {folder} holds no interactions file; "
                f"name the file of events interactions.csv (or {', '.join(SUFFIXES[1:])})"
            )
        items = member(folder, "items") if items is None else items
        users = member(folder, "users") if users is None else users
    table = opened(source)
    roles = roles_of(table, columns or {})
    log, findings, rows = events_of(table, roles, name)
    item_table, of_items = _side_table(items, log.items, "item", roles["item"])
    user_table, of_users = _side_table(users, log.users, "user", roles["user"])
    found = [*findings, *of_items, *of_users]
    for path in lists["item"]:
        item_table = _with_list(item_table, path, log.items, "item", roles["item"], found)
    for path in lists["user"]:
        user_table = _with_list(user_table, path, log.users, "user", roles["user"], found)
    log = replace(log, item_table=item_table, user_table=user_table)
    return Inspection(log, roles, tuple(found), rows)


def item_rows(source: Source) -> tuple[pl.Series, pl.DataFrame]:
    """The ids of a table of items and its other columns, a row for each id; the first row
    counts.
    """
    table = opened(source)
    key = guess("item", table.names) or _guess_id(table, "item")
    rows = _typed(table, key).drop_nulls(key).unique(subset=key, keep="first", maintain_order=True)
    return rows[key], rows.drop(key)


def _side_table(
    source: Source, known: Vocabulary, role: Role, name_in_log: str
) -> tuple[pl.DataFrame | None, list[Finding]]:
    """The table with one row for each code, without its id column."""
    if source is None:
        return None, []
    table = opened(source)
    key = (
        name_in_log
        if name_in_log in table.names
        else guess(role, table.names) or _guess_id(table, role)
    )
    rows, ids = _like(_typed(table, key), key, known)
    first = rows.drop_nulls(key).unique(subset=key, keep="first", maintain_order=True)
    findings = _of_side_table(table.label, rows[key], first[key], ids, role)
    if len(rows.columns) == 1:
        return None, [
            *findings,
            Finding("note", f"{table.label} has no column but {shorten(key)}, so it says nothing"),
        ]
    return ids.to_frame().join(first, on=key, how="left", maintain_order="left").drop(key), findings


def _with_list(
    table: pl.DataFrame | None,
    path: Path,
    known: Vocabulary,
    role: Role,
    name_in_log: str,
    findings: list[Finding],
) -> pl.DataFrame | None:
    """The side table with what a file such as item_tags.csv lists: many rows for an id become one
    list of values.

    A file such as items_extra.csv adds its columns under their own names, but for those that are
    there already.
    """
    taken = set() if table is None else set(table.columns)
    listed_in = opened(path)
    key = name_in_log if name_in_log in listed_in.names else guess(role, listed_in.names)
    if key is None or len(listed_in.names) < 2:
        what = "items" if role == "item" else "users"
        findings.append(
            Finding(
                "note",
                f"{listed_in.label} was not read, since it does not list something of {what}",
            )
        )
        return table
    rows, ids = _like(_typed(listed_in, key), key, known)
    rows = rows.drop_nulls(key)
    more = path.name.startswith(f"{WHAT[role]}s_")
    others = [column for column in rows.columns if column != key and not (more and column in taken)]
    rows, name = columns_of(rows, [key, *others]), path.name.split(".")[0].partition("_")[2]
    named = {
        column: column if more else name if len(others) == 1 else f"{name}_{column}"
        for column in others
    }
    if rows[key].is_duplicated().any():
        values = pl.nth(range(1, 1 + len(others))).cast(pl.String)
        rows = rows.group_by(key, maintain_order=True).agg(
            values.drop_nulls().unique().sort().str.join("|")
        )
    fresh = (
        ids.to_frame().join(rows.rename(named), on=key, how="left", maintain_order="left").drop(key)
    )
    fresh = fresh.rename(
        {column: f"{column}_listed" for column in fresh.columns if column in taken}
    )
    return fresh if table is None else table.hstack(fresh)


def _guess_id(table: Table, role: Role) -> str:
    found = next((name for name in table.names if name.casefold() == "id"), None)
    if found is None:
        what = "users" if role == "user" else "items"
        raise DataError(
            f"{table.label} has no column that looks like the ids of {what}; it has {join_names(table.names)}; "
            f"rename its id column to {'user_id' if role == 'user' else 'item_id'}"
        )
    return found


def _like(rows: pl.DataFrame, key: str, known: Vocabulary) -> tuple[pl.DataFrame, pl.Series]:
    """The rows and the known ids, all ids of one type: as text where they were read as two."""
    ids = pl.Series(key, known.ids)
    if rows[key].dtype == ids.dtype:
        return rows, ids
    return rows.with_columns(pl.col(key).cast(pl.String)), ids.cast(pl.String)


def _typed(table: Table, key: str) -> pl.DataFrame:
    rows = table.load(table.names)
    ids = as_ids(rows[key], table, key)
    plain = [column for column in map(_plain, rows.drop(key)) if column is not None]
    if table.untyped:
        ids, plain = round_trip(ids), [_as_numbers(column) for column in plain]
    return pl.DataFrame([ids.alias(key), *plain])


def _plain(column: pl.Series) -> pl.Series | None:
    """The column without nesting: lists as text with `|` between, None for what has no plain
    form.
    """
    if isinstance(column.dtype, pl.List) and not column.dtype.inner.is_nested():
        return column.cast(pl.List(pl.String)).list.join("|", ignore_nulls=True)
    if column.dtype.is_nested() or column.dtype in (pl.Object, pl.Binary):
        return None
    return column.cast(pl.String) if isinstance(column.dtype, pl.Categorical | pl.Enum) else column


def _as_numbers(texts: pl.Series) -> pl.Series:
    """Text as numbers if all of it is numbers, but for codes such as "0123"."""
    whole = round_trip(texts)
    if whole.dtype == pl.Int64 or texts.str.contains(r"^\s*[-+]?0\d").any():
        return whole
    numbers = texts.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == texts.null_count() else texts


def _of_side_table(
    label: str, rows: pl.Series, once: pl.Series, ids: pl.Series, role: Role
) -> list[Finding]:
    what = "users" if role == "user" else "items"
    missing, repeated = rows.null_count(), len(rows) - rows.null_count() - len(once)
    bare, unused = int((~ids.is_in(once.implode())).sum()), int((~once.is_in(ids.implode())).sum())
    found: list[tuple[int, Level, str]] = [
        (
            missing,
            "warning",
            f"{missing} rows of {label} have no id and were left out; fill the ids in",
        ),
        (
            repeated,
            "warning",
            f"{repeated} rows of {label} repeat an id; the first row of each was kept",
        ),
        (
            bare,
            "warning" if 5 * bare > len(ids) else "note",
            f"{bare} of {len(ids)} {what} have no row in {label}; add them",
        ),
        (unused, "note", f"{unused} {what} of {label} have no events and were left out"),
    ]
    if bare == len(ids):
        found[2] = (
            bare,
            "warning",
            f"no id of {label} stands in the events; see whether both write ids the same way",
        )
    return [Finding(level, message) for count, level, message in found if count]
