"""Parse the columns of a table of events, value by value, into one coded log."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from warmstart.data.files import Table
from warmstart.data.findings import (
    Finding,
    drop_duplicates,
    empty_rows,
    event_types,
    repeated_pairs,
    sort_by_time,
)
from warmstart.data.interactions import Interactions, Vocabulary
from warmstart.errors import DataError, shorten

MAX_ROWS = 2**31 - 1
MAX_SHARED = 0.5
"""More of a domain's item ids in other domains mean that ids begin anew in each domain."""
TIME_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d",
)


def events_of(
    table: Table, roles: Mapping[str, str], name: str
) -> tuple[Interactions, list[Finding], int]:
    """Parse a table of events, given the column of each role.

    The coded log called `name`, what was noticed, and the number of rows that are not empty. A
    `DataError` names the row of the first value that cannot be read.
    """
    raw, filled = _raw_events(table, roles)
    raw, notes = _qualify_items(raw, filled)
    users, user = coded(_ids(raw["user"], filled, table, roles["user"]).filter(filled))
    items, item = coded(_ids(raw["item"], filled, table, roles["item"]).filter(filled))
    columns = {
        "user": user,
        "item": item,
        "value": _values(raw, filled, table, roles).filter(filled),
    }
    if "time" in raw.columns:
        columns["time"] = _times(raw["time"], filled, table, roles["time"]).filter(filled)
    domains, domain = _labels(raw, "domain", filled)
    if domain is not None:
        columns["domain"] = domain
    findings = [*empty_rows(filled), *event_types(raw, filled), *notes]
    del raw  # large; not needed while events are sorted
    events = pl.DataFrame(columns)
    rows = len(events)
    events, found = sort_by_time(*drop_duplicates(events))
    log = _log_of(events, users, items, domains, name)
    return log, [*findings, *found, *repeated_pairs(log)], rows


def _raw_events(table: Table, roles: Mapping[str, str]) -> tuple[pl.DataFrame, pl.Series]:
    """The columns of the roles, called after the roles, and a mask of the rows not empty."""
    raw = table.load(list(dict.fromkeys(roles.values())))
    raw = pl.DataFrame([raw.get_column(column).alias(role) for role, column in roles.items()])
    if len(raw) > MAX_ROWS:
        raise DataError(
            f"{table.label} has {len(raw)} rows; the most is {MAX_ROWS}, so leave old events out"
        )
    filled = raw.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    if not filled.any():
        raise DataError(f"{table.label} has a header but no events; add one event a line")
    return raw, filled


def _log_of(
    events: pl.DataFrame, users: pl.Series, items: pl.Series, domains: tuple[str, ...], name: str
) -> Interactions:
    return Interactions(
        user=events["user"].to_numpy().astype(np.int64),
        item=events["item"].to_numpy().astype(np.int64),
        value=events["value"].to_numpy().copy(),
        time=events["time"].to_numpy().copy() if "time" in events.columns else None,
        domain=events["domain"].to_numpy().astype(np.int64) if "domain" in events.columns else None,
        users=Vocabulary(users),
        items=Vocabulary(items),
        domains=domains,
        name=name,
    )


def _qualify_items(raw: pl.DataFrame, filled: pl.Series) -> tuple[pl.DataFrame, list[Finding]]:
    """Call items DOMAIN:ID where the ids of items begin anew in each domain."""
    if "domain" not in raw.columns:
        return raw, []
    pairs = raw.filter(filled).select("item", "domain").drop_nulls().unique()
    shares = (
        pairs.with_columns(shared=pl.len().over("item") > 1)
        .group_by("domain")
        .agg(pl.col("shared").mean())
    )
    if len(shares) < 2 or float(shares["shared"].min()) <= MAX_SHARED:  # pyright: ignore[reportArgumentType]  # a number
        return raw, []
    ids = pl.concat_str(
        pl.col("domain").cast(pl.String), pl.lit(":"), pl.col("item").cast(pl.String)
    )
    message = "the ids of items begin anew in each domain, so an item is called DOMAIN:ID here"
    return raw.with_columns(item=ids), [Finding("note", message)]


def _ids(column: pl.Series, filled: pl.Series, table: Table, name: str) -> pl.Series:
    """Ids as integers where all are integers, else as text exactly as written; none missing."""
    ids = as_ids(column, table, name)
    missing = filled & (ids.is_null() | (ids == "" if ids.dtype == pl.String else False))
    if missing.any():
        raise DataError(
            f"{table.location_of(_first(missing))}: the {shorten(name)} is missing "
            f"(so in {missing.sum()} rows in all); fill it in or remove these rows"
        )
    return round_trip(ids) if table.untyped else ids


def as_ids(column: pl.Series, table: Table, name: str) -> pl.Series:
    """Ids as int64 where the type of the column allows, else as text; nulls stay null."""
    if column.dtype.is_integer() and column.dtype not in (pl.UInt64, pl.Int128):
        return column.cast(pl.Int64)
    if column.dtype.is_float():
        whole = column.fill_nan(None)
        # above 2**53, float64 cannot tell neighbouring integers apart
        integral = bool((whole.drop_nulls() % 1 == 0).all()) and bool(
            (whole.drop_nulls().abs() < 2**53).all()
        )
        return whole.cast(pl.Int64 if integral else pl.String)
    if column.dtype.is_nested() or column.dtype in (pl.Object, pl.Binary):
        raise DataError(
            f"{table.label}: the column {shorten(name)} holds {column.dtype}, not ids; "
            "bring integers or text"
        )
    return column.cast(pl.String)


def round_trip(ids: pl.Series) -> pl.Series:
    """Text as integers if nothing is lost by it: "7" becomes 7, "007" stays text."""
    whole = ids.cast(pl.Int64, strict=False)
    lost = whole.null_count() != ids.null_count() or not (whole.cast(pl.String) == ids).all()
    return ids if lost else whole


def coded(ids: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The sorted distinct ids, and the index of each id among them as int32."""
    if ids.dtype == pl.Int64:
        distinct, codes = np.unique(ids.to_numpy(), return_inverse=True)
        return pl.Series(distinct), pl.Series(codes.astype(np.int32))
    distinct = ids.unique().sort()
    return distinct, ids.cast(pl.Enum(distinct)).to_physical().cast(pl.Int32)


def _values(
    raw: pl.DataFrame, filled: pl.Series, table: Table, roles: Mapping[str, str]
) -> pl.Series:
    if "value" not in raw.columns:
        return pl.repeat(1.0, len(raw), dtype=pl.Float32, eager=True)
    column = raw["value"]
    now = shorten(roles["value"])
    advice = f"correct it, or name another column with --columns value=NAME (now {now})"
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Boolean, pl.Null)):
        raise DataError(f"{table.label}: the values are {column.dtype}, not numbers; {advice}")
    numbers = (column.str.strip_chars() if column.dtype == pl.String else column).cast(
        pl.Float64, strict=False
    )
    numbers = numbers.cast(pl.Float32, strict=False)
    wrong = filled & ~numbers.is_finite().fill_null(False)
    if wrong.any():
        found = column[_first(wrong)]
        what = (
            "the value is missing"
            if found in (None, "")
            else f'value "{shorten(found)}" is not a number'
        )
        raise DataError(f"{table.location_of(_first(wrong))}: {what}; {advice}")
    return numbers


def _times(column: pl.Series, filled: pl.Series, table: Table, name: str) -> pl.Series:
    """Integers that grow with time; microseconds since 1970 where the column holds dates."""
    times = _as_times(column.str.strip_chars() if column.dtype == pl.String else column)
    wrong = filled & times.is_null()
    if wrong.any():
        found = column[_first(wrong)]
        what = (
            "the time is missing"
            if found in (None, "")
            else f'time "{shorten(found)}" is neither a number nor an ISO date'
        )
        raise DataError(
            f"{table.location_of(_first(wrong))}: {what}; "
            f"correct it, or name another column with --columns time=NAME (now {shorten(name)})"
        )
    return times


def _as_times(column: pl.Series) -> pl.Series:
    if column.dtype.is_integer():
        return column.cast(pl.Int64, strict=False)
    if column.dtype.is_float():
        whole = bool((column.drop_nulls().drop_nans() % 1 == 0).all())
        return (column if whole else (column * 1e6).round()).cast(pl.Int64, strict=False)
    if column.dtype in (pl.Date, pl.Datetime):
        return column.cast(pl.Datetime("us")).cast(pl.Int64)
    if column.dtype != pl.String:
        return pl.repeat(None, len(column), dtype=pl.Int64, eager=True)
    readings = (
        column.cast(pl.Int64, strict=False),
        _as_times(column.cast(pl.Float64, strict=False)),
        _microseconds(column),
    )
    # whichever reading of the text leaves the fewest times unread
    return min(readings, key=pl.Series.null_count)


def _microseconds(texts: pl.Series) -> pl.Series:
    texts = texts.str.replace(r"^(\d{4}-\d\d-\d\d)T", "$1 ").str.replace(r"\s*(Z|UTC)$", "")
    text = pl.col(texts.name)
    parsed = (
        text.str.to_datetime(form, time_unit="us", strict=False).dt.epoch("us")
        for form in TIME_FORMATS
    )
    return texts.to_frame().select(pl.coalesce(parsed)).to_series()


def _labels(
    raw: pl.DataFrame, role: str, filled: pl.Series
) -> tuple[tuple[str, ...], pl.Series | None]:
    if role not in raw.columns:
        return (), None
    labels = raw[role].filter(filled).cast(pl.String).fill_null("unknown")
    distinct, codes = coded(labels)
    return tuple(distinct.to_list()), codes


def _first(marked: pl.Series) -> int:
    return int(marked.arg_true()[0])
