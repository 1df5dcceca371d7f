"""Reading: files and data frames of events become one checked event log."""

import csv
import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

import numpy as np
import polars as pl
from polars.exceptions import PanicException, PolarsError

from warmstart.errors import DataError
from warmstart.interactions import Interactions, Vocabulary

Source = Any  # a path, or a frame of polars, pandas or whatever else speaks Arrow
Role = Literal["owner", "item"]
Level = Literal["note", "warning"]

MOST_ROWS = 2**31 - 1
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".jsonl", ".ndjson")
ROLES: dict[str, tuple[str, ...]] = {
    "owner": (
        *("userid", "user", "uid", "customerid", "customer", "ownerid", "owner", "visitorid", "visitor"),
        *("reviewerid", "memberid", "member", "accountid", "clientid", "sessionid", "session"),
    ),
    "item": (
        *("itemid", "item", "iid", "movieid", "movie", "productid", "product", "sku", "asin", "bookid", "book", "isbn"),
        *("trackid", "track", "songid", "artistid", "gameid", "articleid"),
    ),
    "value": ("rating", "value", "score", "stars", "weight", "playcount", "plays", "hours"),
    "time": ("timestamp", "time", "datetime", "date", "createdat", "ts"),
    "domain": ("domain", "categorydomain", "market"),
    "type": ("type", "event", "action", "eventtype"),
}
"""The names by which a column's role is guessed, best first, written without case, spaces and underscores."""
TIME_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y/%m/%d")
NOT_UTF8 = "not UTF-8 text; save the file with UTF-8 encoding"
EVERYTHING_POLARS_RAISES = (PolarsError, PanicException, OSError, ValueError, TypeError, OverflowError)


@dataclass(frozen=True)
class Finding:
    """Something that the owner of the data should know, and what to do about it."""

    level: Level
    message: str


@dataclass(frozen=True)
class Inspection:
    """A log and how it was read: the column taken for each role, what was found on the way, the rows read."""

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
    """The event log in a file, in a folder (`interactions.*`, perhaps `items.*` and `users.*`) or in a data frame.

    `columns` names the column of a role where the guess is wrong: {"user": "customer", "item": "sku"}.
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
    name = name or _name(source)
    if _is_path(source) and os.path.isdir(source):
        folder = Path(source)
        source = _member(folder, "interactions")
        if source is None:
            raise DataError(
                f"the folder {folder} holds no interactions file; "
                f"name the file of events interactions.csv (or {', '.join(SUFFIXES[1:])})"
            )
        items = _member(folder, "items") if items is None else items
        users = _member(folder, "users") if users is None else users
    table = _open(source)
    roles = _roles(table, columns or {})
    log, findings, rows = _events(table, roles, name)
    item_table, of_items = _side_table(items, log.items, "item", roles["item"])
    owner_table, of_owners = _side_table(users, log.owners, "owner", roles["owner"])
    log = replace(log, item_table=item_table, owner_table=owner_table)
    return Inspection(log, roles, (*findings, *of_items, *of_owners), rows)


# Where the rows come from.


@dataclass(frozen=True)
class _Frame:
    """A data frame in memory."""

    frame: pl.DataFrame
    label: str = "the data frame"

    @property
    def names(self) -> list[str]:
        return self.frame.columns

    @property
    def untyped(self) -> bool:
        """Whether numbers may stand as text, as in a CSV file."""
        return False

    def load(self, names: Sequence[str]) -> pl.DataFrame:
        return self.frame.select(names)

    def place(self, row: int) -> str:
        return f"{self.label}, row {row + 1}"


@dataclass(frozen=True)
class _File:
    """A file; its suffix says how to read it."""

    path: Path

    @property
    def label(self) -> str:
        return self.path.name

    @property
    def untyped(self) -> bool:
        return _suffix(self.path) in (".csv", ".tsv")

    @property
    def names(self) -> list[str]:
        with self._explained():
            if self.untyped:
                return self._header()
            if _suffix(self.path) == ".parquet":
                return list(pl.read_parquet_schema(self.path))
            return self._json().columns

    def load(self, names: Sequence[str]) -> pl.DataFrame:
        with self._explained():
            if self.untyped:
                return self._csv(columns=list(names)).select(names)
            if _suffix(self.path) == ".parquet":
                return pl.read_parquet(self.path, columns=list(names), glob=False).select(names)
            return self._json().select(names)

    def place(self, row: int) -> str:
        if _suffix(self.path) == ".parquet":
            return f"{self.label}, row {row + 1}"
        try:
            line = _line_of_record(self.path, row, self._separator) if self.untyped else _line_of_json(self.path, row)
        except (csv.Error, ValueError):
            return f"{self.label}, row {row + 1}"
        return f"{self.label}, line {line}"

    def _header(self) -> list[str]:
        names = self._csv(n_rows=0).columns
        if any("\0" in name or "\ufffd" in name for name in names):
            raise DataError(f"{self.label}, line 1: {NOT_UTF8}")
        return names

    def _csv(self, **options: Any) -> pl.DataFrame:
        return pl.read_csv(self.path, separator=self._separator, infer_schema=False, glob=False, **options)

    def _json(self) -> pl.DataFrame:
        if not self.path.read_bytes().strip():
            raise DataError(f"{self.label} is empty; bring a file with one event a line")
        return pl.read_ndjson(self.path, infer_schema_length=None)

    @property
    def _separator(self) -> str:
        with _text(self.path) as lines:
            first = next((line for line in lines if line.strip()), "")
        return max(",\t;|" if _suffix(self.path) == ".csv" else "\t,;|", key=first.count)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the readers raise, as one line with the place in the file."""
        try:
            yield
        except EVERYTHING_POLARS_RAISES as error:
            raise DataError(self._fault(error)) from error

    def _fault(self, error: BaseException) -> str:
        if self.path.stat().st_size == 0:
            return f"{self.label} is empty; bring a file with a header and one event a line"
        fault = None
        if self.untyped:
            fault = _csv_fault(self.path, self._separator)
        elif _suffix(self.path) != ".parquet":
            fault = _json_fault(self.path)
        if fault is not None:
            return f"{self.label}, {fault}"
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"{self.label} cannot be read as {_suffix(self.path)[1:]} ({reason}); write or download it anew"


_Table = _Frame | _File


def _is_path(source: Source) -> bool:
    return isinstance(source, str | os.PathLike)


def _name(source: Source) -> str:
    return Path(source).resolve().name.split(".")[0] or "data" if _is_path(source) else "data"


def _member(folder: Path, stem: str) -> Path | None:
    found = sorted(path for path in folder.glob(f"{stem}.*") if path.is_file())
    known = [path for path in found if path.name[len(stem) :].lower() in SUFFIXES] or found
    if len(known) > 1:
        raise DataError(f"{folder} holds several: {', '.join(path.name for path in known)}; keep one of them")
    return known[0] if known else None


def _open(source: Source) -> _Table:
    if not _is_path(source):
        return _Frame(_frame(source))
    path = Path(source)
    if not os.path.exists(path):
        raise DataError(f"{path} does not exist; give the path of a file ({', '.join(SUFFIXES)}) or of a folder")
    if not path.is_file() or not path.name.lower().endswith(SUFFIXES):
        raise DataError(f"{path} is no file of a known kind; bring one of {', '.join(SUFFIXES)}")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} may not be read by this user; change its permissions")
    return _File(path)


def _suffix(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _frame(source: Source) -> pl.DataFrame:
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    try:
        if hasattr(source, "__arrow_c_stream__"):
            return pl.DataFrame(source)
        if hasattr(source, "to_dict"):
            return pl.DataFrame(source.to_dict(orient="list"))
    except EVERYTHING_POLARS_RAISES as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"the data frame cannot be read ({reason}); give every column a single type") from error
    raise DataError(f"events come as a path or a data frame (polars, pandas, Arrow), not as {type(source).__name__}")


# Finding the line of a fault; slow, and only done when there is one.


@contextmanager
def _text(path: Path, errors: str = "replace") -> Iterator[TextIO]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    try:
        if zipped:
            with gzip.open(path, "rt", encoding="utf-8-sig", errors=errors, newline="") as lines:
                yield lines
        else:
            with path.open(encoding="utf-8-sig", errors=errors, newline="") as lines:
                yield lines
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path.name} is a damaged gzip file; compress or download it anew") from error


class _Record(NamedTuple):
    line: int
    fields: list[str]


def _records(lines: TextIO, separator: str, *, strict: bool = False) -> Iterator[_Record]:
    """The records of a CSV file, header first, each with the line on which it starts."""
    reader = csv.reader(lines, delimiter=separator, strict=strict)
    line, begun = 1, False
    for fields in reader:
        begun = begun or bool(fields)
        if begun:
            yield _Record(line, fields)
        line = reader.line_num + 1


def _line_of_record(path: Path, row: int, separator: str) -> int:
    with _text(path) as lines:
        for number, record in enumerate(_records(lines, separator)):
            if number == row + 1:
                return record.line
    raise ValueError("no such row")


def _line_of_json(path: Path, row: int) -> int:
    with _text(path) as lines:
        filled = (line for line, text in enumerate(lines, start=1) if text.strip())
        return next(line for number, line in enumerate(filled) if number == row)


def _csv_fault(path: Path, separator: str) -> str | None:
    broken = _undecodable_line(path)
    if broken is not None:
        return f"line {broken}: {NOT_UTF8}"
    line, width = 0, None
    try:
        with _text(path) as lines:
            for line, fields in _records(lines, separator, strict=True):
                width = width or len(fields)
                if len(fields) > width:
                    return (
                        f"line {line}: {len(fields)} fields where the header has {width}; "
                        "remove the surplus separator or put the field in double quotes"
                    )
    except csv.Error:
        return f"line {line + 1} or soon after: a double quote is not closed or stands inside a field; correct it"
    return None


def _undecodable_line(path: Path) -> int | None:
    with _text(path, errors="surrogateescape") as lines:
        return next((line for line, text in enumerate(lines, start=1) if re.search("[\udc80-\udcff]", text)), None)


def _json_fault(path: Path) -> str | None:
    with _text(path) as lines:
        for line, text in enumerate(lines, start=1):
            try:
                row = json.loads(text) if text.strip() else {}
            except (ValueError, RecursionError):
                return f"line {line}: not valid JSON; write one object a line"
            if not isinstance(row, dict):
                return f"line {line}: no JSON object; write one object a line"
    return None


# Which column has which role.


def _roles(table: _Table, given: Mapping[str, str]) -> dict[str, str]:
    names = table.names
    roles = {_known_role(role): column for role, column in given.items()}
    for column in roles.values():
        if column not in names:
            raise DataError(f"{table.label} has no column {_shown(column)!r}; it has {_listed(names)}")
    for role in ROLES:
        free = [name for name in names if name not in roles.values()]
        guess = None if role in roles else _guess(role, free)
        if guess is not None:
            roles[role] = guess
    if "owner" not in roles or "item" not in roles:
        raise DataError(_unguessable(table.label, names, roles))
    return {role: roles[role] for role in ROLES if role in roles}


def _known_role(role: str) -> str:
    known = "owner" if role == "user" else role
    if known not in ROLES:
        raise DataError(f"there is no role {role!r} for a column; the roles are user, {', '.join([*ROLES][1:])}")
    return known


def _guess(role: str, names: Sequence[str]) -> str | None:
    plain = {re.sub(r"[^a-z0-9]", "", name.casefold()): name for name in reversed(names)}
    return next((plain[candidate] for candidate in ROLES[role] if candidate in plain), None)


def _unguessable(label: str, names: Sequence[str], roles: Mapping[str, str]) -> str:
    values = [name.split("_duplicated_")[0] for name in names]
    if any(re.fullmatch(r"-?\d+(\.\d+)?", value.strip()) for value in values):
        return (
            f"{label} has no header: its first line is {','.join(map(_shown, values[:6]))}; "
            "put a line such as user,item,rating,timestamp on top"
        )
    missing = " nor ".join(name for role, name in (("owner", "users"), ("item", "items")) if role not in roles)
    return (
        f"{label} has no column that looks like {missing}; it has {_listed(names)}; "
        "say which is which with --columns user=...,item=..."
    )


def _shown(text: object) -> str:
    """Any text on a single line, cut short."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return line if len(line) <= 60 else f"{line[:57]}..."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(_shown, names[:20])) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


# From columns to the log.


def _events(table: _Table, roles: Mapping[str, str], name: str) -> tuple[Interactions, list[Finding], int]:
    raw = table.load(list(dict.fromkeys(roles.values())))
    raw = raw.select(pl.col(column).alias(role) for role, column in roles.items())
    if len(raw) > MOST_ROWS:
        raise DataError(f"{table.label} has {len(raw)} rows; the most is {MOST_ROWS}, so leave old events out")
    filled = raw.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    if not filled.any():
        raise DataError(f"{table.label} has a header but no events; add one event a line")
    owners, owner = _coded(_ids(raw["owner"], filled, table, roles["owner"]).filter(filled))
    items, item = _coded(_ids(raw["item"], filled, table, roles["item"]).filter(filled))
    columns = {"owner": owner, "item": item, "value": _values(raw, filled, table, roles).filter(filled)}
    if "time" in raw.columns:
        columns["time"] = _times(raw["time"], filled, table, roles["time"]).filter(filled)
    domains, domain = _labels(raw, "domain", filled)
    if domain is not None:
        columns["domain"] = domain
    findings = [*_empty_rows(filled), *_event_types(raw, filled)]
    del raw
    events = pl.DataFrame(columns)
    rows = len(events)
    events, found = _ordered(*_once(events))
    log = Interactions(
        owner=events["owner"].to_numpy().astype(np.int64),
        item=events["item"].to_numpy().astype(np.int64),
        value=events["value"].to_numpy().copy(),
        time=events["time"].to_numpy().copy() if "time" in events.columns else None,
        domain=events["domain"].to_numpy().astype(np.int64) if "domain" in events.columns else None,
        owners=Vocabulary(owners),
        items=Vocabulary(items),
        domains=domains,
        name=name,
    )
    return log, [*findings, *found, *_repeated_pairs(log)], rows


def _ids(column: pl.Series, filled: pl.Series, table: _Table, name: str) -> pl.Series:
    """Ids as integers where the user has integers, else as text exactly as written; never missing."""
    ids = _as_ids(column, table, name)
    missing = filled & (ids.is_null() | (ids == "" if ids.dtype == pl.String else False))
    if missing.any():
        raise DataError(
            f"{table.place(_first(missing))}: the {_shown(name)} is missing (so in {missing.sum()} rows in all); "
            "fill it in or remove these rows"
        )
    return _round_trip(ids) if table.untyped else ids


def _as_ids(column: pl.Series, table: _Table, name: str) -> pl.Series:
    if column.dtype.is_integer() and column.dtype not in (pl.UInt64, pl.Int128):
        return column.cast(pl.Int64)
    if column.dtype.is_float():
        whole = column.fill_nan(None)
        integral = bool((whole.drop_nulls() % 1 == 0).all()) and bool((whole.drop_nulls().abs() < 2**53).all())
        return whole.cast(pl.Int64 if integral else pl.String)
    if column.dtype.is_nested() or column.dtype in (pl.Object, pl.Binary):
        raise DataError(
            f"{table.label}: the column {_shown(name)} holds {column.dtype}, not ids; bring integers or text"
        )
    return column.cast(pl.String)


def _round_trip(ids: pl.Series) -> pl.Series:
    """Text as integers if nothing is lost by it: "7" may become 7, "007" may not."""
    whole = ids.cast(pl.Int64, strict=False)
    lost = whole.null_count() != ids.null_count() or not (whole.cast(pl.String) == ids).all()
    return ids if lost else whole


def _coded(ids: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The sorted distinct ids, and the place of each id among them."""
    if ids.dtype == pl.Int64:
        distinct, codes = np.unique(ids.to_numpy(), return_inverse=True)
        return pl.Series(distinct), pl.Series(codes.astype(np.int32))
    distinct = ids.unique().sort()
    return distinct, ids.cast(pl.Enum(distinct)).to_physical().cast(pl.Int32)


def _values(raw: pl.DataFrame, filled: pl.Series, table: _Table, roles: Mapping[str, str]) -> pl.Series:
    if "value" not in raw.columns:
        return pl.repeat(1.0, len(raw), dtype=pl.Float32, eager=True)
    column = raw["value"]
    advice = f"correct it, or name another column with --columns value=NAME (now {_shown(roles['value'])})"
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Boolean, pl.Null)):
        raise DataError(f"{table.label}: the values are {column.dtype}, not numbers; {advice}")
    numbers = (column.str.strip_chars() if column.dtype == pl.String else column).cast(pl.Float64, strict=False)
    numbers = numbers.cast(pl.Float32, strict=False)
    wrong = filled & ~numbers.is_finite().fill_null(False)
    if wrong.any():
        found = column[_first(wrong)]
        what = "the value is missing" if found in (None, "") else f'value "{_shown(found)}" is not a number'
        raise DataError(f"{table.place(_first(wrong))}: {what}; {advice}")
    return numbers


def _times(column: pl.Series, filled: pl.Series, table: _Table, name: str) -> pl.Series:
    """Integers that grow with time; microseconds where the user has dates."""
    times = _as_times(column.str.strip_chars() if column.dtype == pl.String else column)
    wrong = filled & times.is_null()
    if wrong.any():
        found = column[_first(wrong)]
        what = (
            "the time is missing"
            if found in (None, "")
            else f'time "{_shown(found)}" is neither a number nor an ISO date'
        )
        raise DataError(
            f"{table.place(_first(wrong))}: {what}; "
            f"correct it, or name another column with --columns time=NAME (now {_shown(name)})"
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
    ways = (column.cast(pl.Int64, strict=False), _as_times(column.cast(pl.Float64, strict=False)), _moments(column))
    return min(ways, key=pl.Series.null_count)


def _moments(texts: pl.Series) -> pl.Series:
    texts = texts.str.replace(r"^(\d{4}-\d\d-\d\d)T", "$1 ").str.replace(r"\s*(Z|UTC)$", "")
    text = pl.col(texts.name)
    parsed = (text.str.to_datetime(form, time_unit="us", strict=False).dt.epoch("us") for form in TIME_FORMATS)
    return texts.to_frame().select(pl.coalesce(parsed)).to_series()


def _labels(raw: pl.DataFrame, role: str, filled: pl.Series) -> tuple[tuple[str, ...], pl.Series | None]:
    if role not in raw.columns:
        return (), None
    labels = raw[role].filter(filled).cast(pl.String).fill_null("unknown")
    distinct, codes = _coded(labels)
    return tuple(distinct.to_list()), codes


def _first(marked: pl.Series) -> int:
    return int(marked.arg_true()[0])


# What is noticed on the way.


def _empty_rows(filled: pl.Series) -> list[Finding]:
    empty = len(filled) - int(filled.sum())
    return [Finding("note", f"{empty} empty rows were left out")] if empty else []


def _event_types(raw: pl.DataFrame, filled: pl.Series) -> list[Finding]:
    if "type" not in raw.columns:
        return []
    counts = raw["type"].filter(filled).cast(pl.String).fill_null("none").value_counts(sort=True)
    listed = ", ".join(f"{_shown(kind)} ({count})" for kind, count in counts.head(10).rows())
    message = f"types of events: {listed}; all count alike, so leave out the rows of those that are no sign of liking"
    return [Finding("note", message)]


def _once(events: pl.DataFrame) -> tuple[pl.DataFrame, list[Finding]]:
    kept = events.unique(
        subset=[name for name in events.columns if name != "domain"], keep="first", maintain_order=True
    )
    surplus = len(events) - len(kept)
    if not surplus:
        return events, []
    what = "user, item, value and time" if "time" in events.columns else "user, item and value"
    message = f"{surplus} rows repeat another one ({what}) and were left out; see whether the export wrote events twice"
    return kept, [Finding("warning", message)]


def _ordered(events: pl.DataFrame, findings: list[Finding]) -> tuple[pl.DataFrame, list[Finding]]:
    if "time" not in events.columns:
        return events, findings
    if events["time"].n_unique() > 1:
        return events.sort("time", maintain_order=True), findings
    message = "all times are equal, so the events are taken to have no order; give another column with --columns time="
    return events.drop("time"), [*findings, Finding("warning", message)]


def _repeated_pairs(log: Interactions) -> list[Finding]:
    repeated = len(log) - pl.Series(log.owner * len(log.items) + log.item).n_unique()
    message = f"{repeated} events are another one of the same user with the same item; tasks count the first alone"
    return [Finding("note", message)] if repeated else []


# The tables of items and of users.


def _side_table(
    source: Source, known: Vocabulary, role: Role, name_in_log: str
) -> tuple[pl.DataFrame | None, list[Finding]]:
    """The table with one row for each code, without its id column."""
    if source is None:
        return None, []
    table = _open(source)
    key = name_in_log if name_in_log in table.names else _guess(role, table.names) or _guess_id(table, role)
    rows = _typed(table, key)
    ids = pl.Series(key, known.ids)
    if rows[key].dtype != ids.dtype:
        rows, ids = rows.with_columns(pl.col(key).cast(pl.String)), ids.cast(pl.String)
    once = rows.drop_nulls(key).unique(subset=key, keep="first", maintain_order=True)
    findings = _of_side_table(table.label, rows[key], once[key], ids, role)
    if len(rows.columns) == 1:
        return None, [*findings, Finding("note", f"{table.label} has no column but {_shown(key)}, so it says nothing")]
    return ids.to_frame().join(once, on=key, how="left", maintain_order="left").drop(key), findings


def _guess_id(table: _Table, role: Role) -> str:
    found = next((name for name in table.names if name.casefold() == "id"), None)
    if found is None:
        what = "users" if role == "owner" else "items"
        raise DataError(
            f"{table.label} has no column that looks like the ids of {what}; it has {_listed(table.names)}; "
            f"rename its id column to {'user_id' if role == 'owner' else 'item_id'}"
        )
    return found


def _typed(table: _Table, key: str) -> pl.DataFrame:
    rows = table.load(table.names)
    ids = _as_ids(rows[key], table, key)
    plain = [column for column in map(_plain, rows.drop(key)) if column is not None]
    if table.untyped:
        ids, plain = _round_trip(ids), [_as_numbers(column) for column in plain]
    return pl.DataFrame([ids.alias(key), *plain])


def _plain(column: pl.Series) -> pl.Series | None:
    """The column without nesting: lists as text with `|` between, None for what has no plain form."""
    if isinstance(column.dtype, pl.List) and not column.dtype.inner.is_nested():
        return column.cast(pl.List(pl.String)).list.join("|", ignore_nulls=True)
    if column.dtype.is_nested() or column.dtype in (pl.Object, pl.Binary):
        return None
    return column.cast(pl.String) if isinstance(column.dtype, pl.Categorical | pl.Enum) else column


def _as_numbers(texts: pl.Series) -> pl.Series:
    """Text as numbers if all of it is numbers, but for codes such as "0123"."""
    whole = _round_trip(texts)
    if whole.dtype == pl.Int64 or texts.str.contains(r"^\s*[-+]?0\d").any():
        return whole
    numbers = texts.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == texts.null_count() else texts


def _of_side_table(label: str, rows: pl.Series, once: pl.Series, ids: pl.Series, role: Role) -> list[Finding]:
    what = "users" if role == "owner" else "items"
    missing, repeated = rows.null_count(), len(rows) - rows.null_count() - len(once)
    bare, unused = int((~ids.is_in(once.implode())).sum()), int((~once.is_in(ids.implode())).sum())
    found: list[tuple[int, Level, str]] = [
        (missing, "warning", f"{missing} rows of {label} have no id and were left out; fill the ids in"),
        (repeated, "warning", f"{repeated} rows of {label} repeat an id; the first row of each was kept"),
        (
            bare,
            "warning" if 5 * bare > len(ids) else "note",
            f"{bare} of {len(ids)} {what} have no row in {label}; add them",
        ),
        (unused, "note", f"{unused} {what} of {label} have no events and were left out"),
    ]
    if bare == len(ids):
        found[2] = (bare, "warning", f"no id of {label} stands in the events; see whether both write ids the same way")
    return [Finding(level, message) for count, level, message in found if count]
