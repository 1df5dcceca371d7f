"""Side tables: the columns of items and users, with one row for each code of the log."""

from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from warmstart.data.column_roles import guess
from warmstart.data.files import Source, Table, columns_of, opened
from warmstart.data.findings import Finding, Level
from warmstart.data.interactions import Vocabulary
from warmstart.data.parsing import as_ids, round_trip
from warmstart.errors import DataError, join_names, shorten

Role = Literal["user", "item"]


class LogIds(NamedTuple):
    """The ids in the log that the rows of a side table are joined to."""

    role: Role
    known: Vocabulary
    column: str
    """The name of the log's column of ids, which a side table may share."""


def join_table(source: Source, ids: LogIds) -> tuple[pl.DataFrame | None, list[Finding]]:
    """Join a table of items or users to the codes of the log: one row for each code.

    The id column is left out; the row of an id that the table lacks is null. None where there is
    no table, or no column besides the ids.
    """
    if source is None:
        return None, []
    table = opened(source)
    key = ids.column if ids.column in table.names else id_column(table, ids.role)
    rows, known = _to_common_type(typed_rows(table, key), key, ids.known)
    first = rows.drop_nulls(key).unique(subset=key, keep="first", maintain_order=True)
    findings = _findings_of(table.label, rows[key], first[key], known, ids.role)
    if len(rows.columns) == 1:
        message = f"{table.label} has no column but {shorten(key)}, so it says nothing"
        return None, [*findings, Finding("note", message)]
    return _left_join(known, first, key), findings


def join_extra(
    table: pl.DataFrame | None, path: Path, ids: LogIds, findings: list[Finding]
) -> pl.DataFrame | None:
    """Add the columns of a further file to a side table.

    A file such as item_tags.csv may have many rows for an id: they become one list of values, and
    its columns are called after the file. A file such as items_extra.csv adds columns under their
    own names, but for those that are there already. What is noticed is appended to `findings`.
    """
    existing = set() if table is None else set(table.columns)
    extra = opened(path)
    key = ids.column if ids.column in extra.names else guess(ids.role, extra.names)
    if key is None or len(extra.names) < 2:
        message = f"{extra.label} was not read, since it does not list something of {ids.role}s"
        findings.append(Finding("note", message))
        return table
    rows, known = _to_common_type(typed_rows(extra, key), key, ids.known)
    keeps_names = path.name.startswith(f"{ids.role}s_")
    columns = [name for name in rows.columns if name != key]
    if keeps_names:
        columns = [name for name in columns if name not in existing]
    rows = _one_row_per_id(columns_of(rows.drop_nulls(key), [key, *columns]), key)
    if not keeps_names:
        rows = rows.rename(_names_after_file(path, columns))
    joined = _left_join(known, rows, key)
    # a clash can only come from a name made after the file: the column of the table wins
    joined = joined.rename({name: f"{name}_listed" for name in joined.columns if name in existing})
    return joined if table is None else table.hstack(joined)


def id_column(table: Table, role: Role) -> str:
    """The name of the column that holds the ids of `role`, guessed from the names of columns."""
    found = guess(role, table.names)
    found = found or next((name for name in table.names if name.casefold() == "id"), None)
    if found is None:
        raise DataError(
            f"{table.label} has no column that looks like the ids of {role}s; "
            f"it has {join_names(table.names)}; rename its id column to {role}_id"
        )
    return found


def typed_rows(table: Table, key: str) -> pl.DataFrame:
    """Load a table with its column of ids first; numbers written as text become numbers.

    Nested columns are left out, but for lists of plain values.
    """
    rows = table.load(table.names)
    ids = as_ids(rows[key], table, key)
    plain = [column for column in map(_plain, rows.drop(key)) if column is not None]
    if table.untyped:
        ids, plain = round_trip(ids), [_as_numbers(column) for column in plain]
    return pl.DataFrame([ids.alias(key), *plain])


def _left_join(known: pl.Series, rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """The row of each known id, in the order of codes, without the column of ids."""
    return known.to_frame().join(rows, on=key, how="left", maintain_order="left").drop(key)


def _to_common_type(
    rows: pl.DataFrame, key: str, known: Vocabulary
) -> tuple[pl.DataFrame, pl.Series]:
    """The rows and the known ids, with ids of one type: text where the two types differ."""
    ids = pl.Series(key, known.ids)
    if rows[key].dtype == ids.dtype:
        return rows, ids
    return rows.with_columns(pl.col(key).cast(pl.String)), ids.cast(pl.String)


def _one_row_per_id(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """The distinct values of each id as text with `|` between, where any id has several rows."""
    if not rows[key].is_duplicated().any():
        return rows
    # by position, as a column may be called * and stand for all
    values = pl.nth(range(1, len(rows.columns))).cast(pl.String)
    lists = values.drop_nulls().unique().sort().str.join("|")
    return rows.group_by(key, maintain_order=True).agg(lists)


def _names_after_file(path: Path, columns: list[str]) -> dict[str, str]:
    """New names of columns: `tags` for the only column of item_tags.csv, else `tags_COLUMN`."""
    name = path.name.split(".")[0].partition("_")[2]
    return {column: name if len(columns) == 1 else f"{name}_{column}" for column in columns}


def _plain(column: pl.Series) -> pl.Series | None:
    """The column without nesting: lists as text with `|` between, None for other nested types."""
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


def _findings_of(
    label: str, rows: pl.Series, unique: pl.Series, known: pl.Series, role: Role
) -> list[Finding]:
    """Missing, repeated and unmatched ids; `rows` are all ids of the table, `unique` each once."""
    missing = rows.null_count()
    repeated = len(rows) - missing - len(unique)
    without_row = int((~known.is_in(unique.implode())).sum())
    unused = int((~unique.is_in(known.implode())).sum())
    level: Level = "warning" if 5 * without_row > len(known) else "note"
    message = f"{without_row} of {len(known)} {role}s have no row in {label}; add them"
    if without_row == len(known):
        level = "warning"
        message = f"no id of {label} stands in the events; see whether both write ids the same way"
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
        (without_row, level, message),
        (unused, "note", f"{unused} {role}s of {label} have no events and were left out"),
    ]
    return [Finding(level, message) for count, level, message in found if count]
