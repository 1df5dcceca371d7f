"""Parse errors: the line of a file that is wrong, and what to do about it.

The file is read line by line in Python, which is slow, so it is done only after polars has failed.
"""

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from warmstart.errors import DataError

NOT_UTF8 = "not UTF-8 text; save the file with UTF-8 encoding"


@contextmanager
def text_of(path: Path, errors: str = "replace") -> Iterator[TextIO]:
    """Open a text file, gzipped or not, without its byte order mark."""
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
        raise DataError(
            f"{path.name} is a damaged gzip file; compress or download it anew"
        ) from error


class _Record(NamedTuple):
    line: int
    fields: list[str]


def _records(lines: TextIO, separator: str, *, strict: bool = False) -> Iterator[_Record]:
    """The records of a CSV file, header first, each with the line on which it starts."""
    reader = csv.reader(lines, delimiter=separator, strict=strict)
    line, has_header = 1, False
    for fields in reader:
        has_header = has_header or bool(fields)
        if has_header:
            yield _Record(line, fields)
        line = reader.line_num + 1


def line_of_record(path: Path, row: int, separator: str) -> int:
    """The line, from 1 on, on which a row of a CSV file starts; a field may span several lines."""
    with text_of(path) as lines:
        for number, record in enumerate(_records(lines, separator)):
            if number == row + 1:
                return record.line
    raise ValueError("no such row")


def line_of_json(path: Path, row: int) -> int:
    """The line, from 1 on, of a row of a file of JSON lines, some of which may be empty."""
    with text_of(path) as lines:
        filled = (line for line, text in enumerate(lines, start=1) if text.strip())
        return next(line for number, line in enumerate(filled) if number == row)


def csv_error(path: Path, separator: str) -> str | None:
    """The first error of a CSV file with its line; None where Python's parser finds none."""
    undecodable = _undecodable_line(path)
    if undecodable is not None:
        return f"line {undecodable}: {NOT_UTF8}"
    line, width = 0, None
    try:
        with text_of(path) as lines:
            for line, fields in _records(lines, separator, strict=True):
                width = width or len(fields)
                if len(fields) > width:
                    return (
                        f"line {line}: {len(fields)} fields where the header has {width}; "
                        "remove the surplus separator or put the field in double quotes"
                    )
    except csv.Error:
        return (
            f"line {line + 1} or soon after: a double quote is not closed "
            "or stands inside a field; correct it"
        )
    return None


def _undecodable_line(path: Path) -> int | None:
    with text_of(path, errors="surrogateescape") as lines:
        return next(
            # surrogateescape turns each byte that is not UTF-8 into one of these code points
            (
                line
                for line, text in enumerate(lines, start=1)
                if re.search("[\udc80-\udcff]", text)
            ),
            None,
        )


def json_error(path: Path) -> str | None:
    """The first line of a file that is no JSON object; None where all are."""
    with text_of(path) as lines:
        for line, text in enumerate(lines, start=1):
            try:
                row = json.loads(text) if text.strip() else {}
            except (ValueError, RecursionError):
                return f"line {line}: not valid JSON; write one object a line"
            if not isinstance(row, dict):
                return f"line {line}: no JSON object; write one object a line"
    return None
