"""Columns: each kind of table column, as numbers that a model can read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl
import scipy.sparse as sp
from jaxtyping import Float32, Int64

Matrix = sp.csr_array  # float32 of shape (rows, width)

DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d-%b-%Y", "%d %b %Y", "%Y-%m-%d %H:%M:%S%.f")
FURTHEST = 8.0
"""Standardised numbers end here, in standard deviations: one typing error must not drown everything
else.
"""


@dataclass(frozen=True)
class Flag:
    """A column of 0 and 1, as it is."""

    kind: ClassVar[str] = "flag"
    width: ClassVar[int] = 1

    def transform(self, column: pl.Series) -> Matrix:
        return _dense(as_numbers(column).fill_null(0.0).clip(0.0, 1.0).to_numpy()[:, None])

    def names(self, column: str) -> list[str]:
        return [column]


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, standardised (after log(1 + x) if it has a heavy tail); missing is
    average.
    """

    mean: float
    spread: float
    logarithmic: bool
    kind: ClassVar[str] = "numeric"
    width: ClassVar[int] = 1

    @classmethod
    def fit(cls, column: pl.Series) -> "Numeric":
        numbers = as_numbers(column).drop_nulls()
        skew = numbers.skew()
        heavy = float(numbers.min()) >= 0 and skew is not None and skew > 2  # pyright: ignore[reportArgumentType]  # numbers
        known = np.log1p(numbers.to_numpy()) if heavy else numbers.to_numpy()
        return cls(float(known.mean()), float(known.std()) or 1.0, heavy)

    def transform(self, column: pl.Series) -> Matrix:
        numbers = as_numbers(column).to_numpy()
        numbers = np.log1p(np.maximum(numbers, 0)) if self.logarithmic else numbers
        standard = np.clip((numbers - self.mean) / self.spread, -FURTHEST, FURTHEST)
        return _dense(np.nan_to_num(standard)[:, None])

    def names(self, column: str) -> list[str]:
        return [column]


@dataclass(frozen=True)
class Date:
    """A column of dates: the year, standardised, and which decade it is in."""

    year: Numeric
    decade: "Categorical"
    kind: ClassVar[str] = "date"

    @classmethod
    def fit(cls, column: pl.Series) -> "Date":
        years = as_years(column)
        return cls(Numeric.fit(years), Categorical.fit(years // 10 * 10))

    @property
    def width(self) -> int:
        return 1 + self.decade.width

    def transform(self, column: pl.Series) -> Matrix:
        years = as_years(column)
        return sp.csr_array(
            sp.hstack([self.year.transform(years), self.decade.transform(years // 10 * 10)])
        )

    def names(self, column: str) -> list[str]:
        return [f"{column}.year", *self.decade.names(f"{column}.decade")]


@dataclass(frozen=True)
class Categorical:
    """A column of few distinct values, each a column of ones; a value not seen before has no
    entry.
    """

    values: tuple[str, ...]
    kind: ClassVar[str] = "categorical"

    @classmethod
    def fit(cls, column: pl.Series) -> "Categorical":
        return cls(_vocabulary(as_texts(column), len(column)))

    @property
    def width(self) -> int:
        return len(self.values)

    def transform(self, column: pl.Series) -> Matrix:
        codes = _codes(as_texts(column), self.values)
        return _ones(np.flatnonzero(codes >= 0), codes[codes >= 0], (len(column), self.width))

    def names(self, column: str) -> list[str]:
        return [f"{column}={value}" for value in self.values]


@dataclass(frozen=True)
class MultiValued:
    """A column of lists such as `Comedy|Drama`; a row of k values holds 1 / sqrt(k) for each."""

    values: tuple[str, ...]
    separator: str = "|"
    kind: ClassVar[str] = "multi-valued"

    @classmethod
    def fit(cls, column: pl.Series, separator: str = "|") -> "MultiValued":
        return cls(_vocabulary(parts_of(column, separator)["part"], len(column)), separator)

    @property
    def width(self) -> int:
        return len(self.values)

    def transform(self, column: pl.Series) -> Matrix:
        parts = parts_of(column, self.separator)
        codes = _codes(parts["part"], self.values)
        rows = parts["row"].to_numpy().astype(np.int64)[codes >= 0]
        matrix = _ones(rows, codes[codes >= 0], (len(column), self.width))
        matrix.data = (
            1 / np.sqrt(np.repeat(np.diff(matrix.indptr), np.diff(matrix.indptr)))
        ).astype(np.float32)
        return matrix

    def names(self, column: str) -> list[str]:
        return [f"{column}={value}" for value in self.values]


@dataclass(frozen=True)
class Text:
    """A column of titles or prose: weighted words (TF-IDF), projected to few dimensions (SVD), rows
    of unit length.
    """

    terms: tuple[str, ...]
    weights: Float32[np.ndarray, "terms"]
    axes: Float32[np.ndarray, "terms D"]
    kind: ClassVar[str] = "text"
    most_terms: ClassVar[int] = 20_000
    dimensions: ClassVar[int] = 32

    @classmethod
    def fit(cls, column: pl.Series) -> "Text | None":
        """None where no two rows share a word."""
        # scikit-learn takes a second to import: whoever has no text does not wait for it
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        counter = TfidfVectorizer(min_df=2, max_features=cls.most_terms, sublinear_tf=True)
        try:
            words = counter.fit_transform(as_texts(column).fill_null("").to_list())
        except ValueError:  # all words are rare or no words
            return None
        width = min(cls.dimensions, min(words.shape) - 1)
        if width < 1:
            return None
        axes = np.asarray(TruncatedSVD(width, random_state=0).fit(words).components_).T
        terms = tuple(counter.get_feature_names_out().tolist())
        return cls(
            terms, counter.idf_.astype(np.float32), np.ascontiguousarray(axes, dtype=np.float32)
        )

    @property
    def width(self) -> int:
        return self.axes.shape[1]

    def transform(self, column: pl.Series) -> Matrix:
        from sklearn.feature_extraction.text import TfidfVectorizer

        counter = TfidfVectorizer(vocabulary=list(self.terms), sublinear_tf=True)
        counter.idf_ = self.weights.astype(np.float64)
        places = counter.transform(as_texts(column).fill_null("").to_list()) @ self.axes
        length = np.linalg.norm(places, axis=1, keepdims=True)
        return _dense(places / np.where(length > 1e-6, length, np.inf))

    def names(self, column: str) -> list[str]:
        return [f"{column}.{axis}" for axis in range(self.width)]


Column = Flag | Numeric | Date | Categorical | MultiValued | Text


def as_texts(column: pl.Series) -> pl.Series:
    """The values as text without outer spaces, whole numbers without a fraction, nothing for empty
    text.
    """
    if column.dtype.is_float() and bool((column.drop_nulls().drop_nans() % 1 == 0).all()):
        column = column.fill_nan(None).cast(pl.Int64, strict=False)
    texts = column.cast(pl.String, strict=False).str.strip_chars()
    return texts.set(texts == "", None)


def as_numbers(column: pl.Series) -> pl.Series:
    """The values as numbers, nothing for what is none; text is read, so that a profile may come
    from a command line.
    """
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        column = as_texts(column).str.to_lowercase().replace({"true": "1", "false": "0"})
    numbers = column.cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite(), None)


def as_years(column: pl.Series) -> pl.Series:
    """The year of each date, nothing for what is no date."""
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
    """Whether most of the values are dates."""
    if column.dtype in (pl.Date, pl.Datetime):
        return True
    if column.dtype != pl.String or column.str.contains(r"\d{4}").sum() < 0.8 * column.count():
        return False
    return as_years(column).count() >= 0.8 * column.count()


def _vocabulary(texts: pl.Series, rows: int) -> tuple[str, ...]:
    """The values that occur often enough to learn from: twice, or once in a small table."""
    counts = texts.drop_nulls().alias("text").value_counts(name="rows")
    return tuple(counts.filter(pl.col("rows") >= (2 if rows >= 50 else 1))["text"].sort().to_list())


def _codes(texts: pl.Series, values: Sequence[str]) -> Int64[np.ndarray, "N"]:
    codes = texts.cast(pl.Enum(values), strict=False).to_physical().cast(pl.Int64)
    return codes.fill_null(-1).to_numpy()


def parts_of(column: pl.Series, separator: str) -> pl.DataFrame:
    """The distinct parts of each row, as the columns `row` and `part`; remarks in brackets after a
    part left out.
    """
    frame = pl.DataFrame({"part": as_texts(column).str.split(separator)}).with_row_index("row")
    bare = pl.col("part").str.replace(r"\s+\([^)]*\)$", "").str.strip_chars().replace("", None)
    parts = frame.explode("part").with_columns(bare)
    return parts.drop_nulls().unique(maintain_order=True)


def _ones(
    rows: Int64[np.ndarray, "N"], columns: Int64[np.ndarray, "N"], shape: tuple[int, int]
) -> Matrix:
    return sp.csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)


def _dense(numbers: np.ndarray) -> Matrix:
    return sp.csr_array(numbers.astype(np.float32))
