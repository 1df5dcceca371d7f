"""Files and data frames as tables: names of columns, their values, and the location of a row."""

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PanicException, PolarsError

from warmstart.data.file_errors import (
    NOT_UTF8,
    csv_error,
    json_error,
    line_of_json,
    line_of_record,
    text_of,
)
from warmstart.errors import DataError

Source = Any  # a path, or a frame of polars, pandas or whatever else speaks Arrow

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".jsonl", ".ndjson")
EVERYTHING_POLARS_RAISES = (
    PolarsError,
    PanicException,
    OSError,
    ValueError,
    TypeError,
    OverflowError,
)


@dataclass(frozen=True)
class Frame:
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
        return columns_of(self.frame, names)

    def location_of(self, row: int) -> str:
        """The row in words, for messages."""
        return f"{self.label}, row {row + 1}"


@dataclass(frozen=True)
class File:
    """A file; its suffix says how to read it."""

    path: Path

    @property
    def label(self) -> str:
        return self.path.name

    @property
    def untyped(self) -> bool:
        return suffix_of(self.path) in (".csv", ".tsv")

    @cached_property
    def names(self) -> list[str]:
        with self._as_data_errors():
            if self.untyped:
                return self._header()
            if suffix_of(self.path) == ".parquet":
                return list(pl.read_parquet_schema(self.path))
            return self._json().columns

    def load(self, names: Sequence[str]) -> pl.DataFrame:
        with self._as_data_errors():
            if self.untyped:
                return columns_of(self._csv(columns=self._indices(names)), names)
            if suffix_of(self.path) == ".parquet":
                return columns_of(
                    pl.read_parquet(self.path, columns=self._indices(names), glob=False), names
                )
            return columns_of(self._json(), names)

    def location_of(self, row: int) -> str:
        """The row in words, for messages."""
        if suffix_of(self.path) == ".parquet":
            return f"{self.label}, row {row + 1}"
        try:
            line = (
                line_of_record(self.path, row, self._separator)
                if self.untyped
                else line_of_json(self.path, row)
            )
        except (csv.Error, ValueError):
            return f"{self.label}, row {row + 1}"
        return f"{self.label}, line {line}"

    def _header(self) -> list[str]:
        names = self._csv(n_rows=0).columns
        if any("\0" in name or "\ufffd" in name for name in names):
            raise DataError(f"{self.label}, line 1: {NOT_UTF8}")
        return names

    def _indices(self, names: Sequence[str]) -> list[int]:
        return [self.names.index(name) for name in names]

    def _csv(self, **options: Any) -> pl.DataFrame:
        return pl.read_csv(
            self.path, separator=self._separator, infer_schema=False, glob=False, **options
        )

    def _json(self) -> pl.DataFrame:
        if not self.path.read_bytes().strip():
            raise DataError(f"{self.label} is empty; bring a file with one event a line")
        return pl.read_ndjson(self.path, infer_schema_length=None)

    @property
    def _separator(self) -> str:
        with text_of(self.path) as lines:
            first = next((line for line in lines if line.strip()), "")
        return max(",\t;|" if suffix_of(self.path) == ".csv" else "\t,;|", key=first.count)

    @contextmanager
    def _as_data_errors(self) -> Iterator[None]:
        """Turn what the readers raise into a `DataError` of one line with the line of the file."""
        try:
            yield
        except EVERYTHING_POLARS_RAISES as error:
            raise DataError(self._message(error)) from error

    def _message(self, error: BaseException) -> str:
        if self.path.stat().st_size == 0:
            return f"{self.label} is empty; bring a file with a header and one event a line"
        found = None
        if self.untyped:
            found = csv_error(self.path, self._separator)
        elif suffix_of(self.path) != ".parquet":
            found = json_error(self.path)
        if found is not None:
            return f"{self.label}, {found}"
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return (
            f"{self.label} cannot be read as {suffix_of(self.path)[1:]} ({reason}); "
            "write or download it anew"
        )


Table = Frame | File


def columns_of(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The columns of these names, as they are written.

    `DataFrame.select` takes names such as * and ^.*$ for patterns of many columns.
    """
    return pl.DataFrame([frame.get_column(name) for name in names])


def is_path(source: Source) -> bool:
    return isinstance(source, str | os.PathLike)


def name_of(source: Source) -> str:
    """The name of the data: that of the file or folder without endings, or `data`."""
    return Path(source).resolve().name.split(".")[0] or "data" if is_path(source) else "data"


def member(folder: Path, stem: str) -> Path | None:
    """The one file of a folder that is called STEM.*; None where there is none."""
    found = sorted(path for path in folder.glob(f"{stem}.*") if path.is_file())
    known = [path for path in found if path.name[len(stem) :].lower() in SUFFIXES] or found
    if len(known) > 1:
        raise DataError(
            f"{folder} holds several: {', '.join(path.name for path in known)}; keep one of them"
        )
    return known[0] if known else None


def members(folder: Path, prefix: str) -> list[Path]:
    """The files of a folder with this prefix and a known suffix, sorted by name."""
    return sorted(
        path
        for path in folder.glob(f"{prefix}*")
        if path.is_file() and path.name.lower().endswith(tuple(SUFFIXES))
    )


def opened(source: Source) -> Table:
    """The table in a file or a data frame; a `DataError` where there is none to be read."""
    if not is_path(source):
        return Frame(_frame(source))
    path = Path(source)
    if not os.path.exists(path):
        raise DataError(
            f"{path} does not exist; give the path of a file ({', '.join(SUFFIXES)}) or of a folder"
        )
    if not path.is_file() or not path.name.lower().endswith(SUFFIXES):
        raise DataError(f"{path} is no file of a known kind; bring one of {', '.join(SUFFIXES)}")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} may not be read by this user; change its permissions")
    return File(path)


def suffix_of(path: Path) -> str:
    """The suffix in lower case, without that of compression: `.csv` of `Log.CSV.gz`."""
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
        raise DataError(
            f"the data frame cannot be read ({reason}); give every column a single type"
        ) from error
    raise DataError(
        "events come as a path or a data frame (polars, pandas, Arrow), "
        f"not as {type(source).__name__}"
    )
