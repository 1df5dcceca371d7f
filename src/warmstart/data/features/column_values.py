"""The values of a table's column as text, numbers, years, parts of lists, or codes."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Int64

DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d-%b-%Y", "%d %b %Y", "%Y-%m-%d %H:%M:%S%.f")


def as_texts(column: pl.Series) -> pl.Series:
    """The values as text, without outer spaces; null for empty text.

    Floats that are all whole numbers lose their fraction, so that 2.0 and 2 are one category.
    """
    if column.dtype.is_float() and bool((column.drop_nulls().drop_nans() % 1 == 0).all()):
        column = column.fill_nan(None).cast(pl.Int64, strict=False)
    texts = column.cast(pl.String, strict=False).str.strip_chars()
    return texts.set(texts == "", None)


def as_numbers(column: pl.Series) -> pl.Series:
    """The values as float64; null for what is no finite number.

    Text is parsed, too, so that a profile may come from a command line.
    """
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        column = as_texts(column).str.to_lowercase().replace({"true": "1", "false": "0"})
    numbers = column.cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite(), None)


def as_years(column: pl.Series) -> pl.Series:
    """The year of each date; null for what is no date. Integers are years already."""
    if column.dtype in (pl.Date, pl.Datetime):
        return column.dt.year()
    if column.dtype.is_integer():
        return column.cast(pl.Int32, strict=False)
    texts = (
        as_texts(column)
        .str.replace(r"^(\d{4}-\d\d-\d\d)T", "$1 ")
        .str.replace(r"Z$", "")
        .alias("date")
    )
    dates = [
        pl.col("date").str.to_datetime(form, strict=False, time_unit="us") for form in DATE_FORMATS
    ]
    return texts.to_frame().select(pl.coalesce(dates).dt.year()).to_series()


def is_date(column: pl.Series) -> bool:
    """Whether at least 80 % of the values are dates."""
    if column.dtype in (pl.Date, pl.Datetime):
        return True
    if column.dtype != pl.String or column.str.contains(r"\d{4}").sum() < 0.8 * column.count():
        return False
    return as_years(column).count() >= 0.8 * column.count()


def frequent_values(texts: pl.Series, rows: int) -> tuple[str, ...]:
    """The distinct values that occur often enough to learn from, sorted.

    At least twice; in a table of fewer than 50 rows, once.
    """
    counts = texts.drop_nulls().alias("text").value_counts(name="rows")
    return tuple(counts.filter(pl.col("rows") >= (2 if rows >= 50 else 1))["text"].sort().to_list())


def codes_of(texts: pl.Series, values: Sequence[str]) -> Int64[np.ndarray, "N"]:
    """The index of each text among `values`; -1 where it is none of them."""
    codes = texts.cast(pl.Enum(values), strict=False).to_physical().cast(pl.Int64)
    return codes.fill_null(-1).to_numpy()


def parts_of(column: pl.Series, separator: str) -> pl.DataFrame:
    """The distinct parts of each row, as the columns `row` and `part`.

    Remarks in brackets after a part are left out: "Ann Oak (voice)" is "Ann Oak".
    """
    frame = pl.DataFrame({"part": as_texts(column).str.split(separator)}).with_row_index("row")
    stripped = pl.col("part").str.replace(r"\s+\([^)]*\)$", "").str.strip_chars().replace("", None)
    parts = frame.explode("part").with_columns(stripped)
    return parts.drop_nulls().unique(maintain_order=True)
