"""Types of table columns, each with its way to become a sparse matrix of features."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl
import scipy.sparse as sp
from jaxtyping import Float32, Int64

from warmstart.data.features.column_values import (
    as_numbers,
    as_texts,
    as_years,
    codes_of,
    frequent_values,
    parts_of,
)

Matrix = sp.csr_array  # float32 of shape (rows, width)

MAX_DEVIATIONS = 8.0
"""Standardised numbers are clipped here, so that one typing error does not outweigh all else."""


@dataclass(frozen=True)
class Flag:
    """A column of 0 and 1, unchanged; missing values are 0."""

    kind: ClassVar[str] = "flag"
    width: ClassVar[int] = 1

    def transform(self, column: pl.Series) -> Matrix:
        return _dense(as_numbers(column).fill_null(0.0).clip(0.0, 1.0).to_numpy()[:, None])

    def names(self, column: str) -> list[str]:
        return [column]


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, standardised; missing values are the mean.

    Numbers with a heavy tail (skewness above 2) are standardised after log(1 + x).
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
        smallest = float(numbers.min())  # pyright: ignore[reportArgumentType]  # a number
        heavy = smallest >= 0 and skew is not None and skew > 2
        known = np.log1p(numbers.to_numpy()) if heavy else numbers.to_numpy()
        return cls(float(known.mean()), float(known.std()) or 1.0, heavy)

    def transform(self, column: pl.Series) -> Matrix:
        numbers = as_numbers(column).to_numpy()
        numbers = np.log1p(np.maximum(numbers, 0)) if self.logarithmic else numbers
        standard = np.clip((numbers - self.mean) / self.spread, -MAX_DEVIATIONS, MAX_DEVIATIONS)
        return _dense(np.nan_to_num(standard)[:, None])

    def names(self, column: str) -> list[str]:
        return [column]


@dataclass(frozen=True)
class Date:
    """A column of dates: the standardised year, and the decade one-hot."""

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
    """A column of few distinct values, one-hot; a value not seen in `fit` is a row of zeros."""

    values: tuple[str, ...]
    kind: ClassVar[str] = "categorical"

    @classmethod
    def fit(cls, column: pl.Series) -> "Categorical":
        return cls(frequent_values(as_texts(column), len(column)))

    @property
    def width(self) -> int:
        return len(self.values)

    def transform(self, column: pl.Series) -> Matrix:
        codes = codes_of(as_texts(column), self.values)
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
        return cls(frequent_values(parts_of(column, separator)["part"], len(column)), separator)

    @property
    def width(self) -> int:
        return len(self.values)

    def transform(self, column: pl.Series) -> Matrix:
        parts = parts_of(column, self.separator)
        codes = codes_of(parts["part"], self.values)
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
    """A column of titles or prose: latent semantic analysis of its words, rows of unit length.

    TF-IDF weights of the words are projected to `dimensions` axes of a truncated SVD (Deerwester
    et al., JASIS 1990).
    """

    terms: tuple[str, ...]
    weights: Float32[np.ndarray, "terms"]
    axes: Float32[np.ndarray, "terms D"]
    kind: ClassVar[str] = "text"
    max_terms: ClassVar[int] = 20_000
    dimensions: ClassVar[int] = 32

    @classmethod
    def fit(cls, column: pl.Series) -> "Text | None":
        """Fit the word weights and the axes; None where no two rows share a word."""
        # scikit-learn takes a second to import: whoever has no text does not wait for it
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        counter = TfidfVectorizer(min_df=2, max_features=cls.max_terms, sublinear_tf=True)
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
        vectors = counter.transform(as_texts(column).fill_null("").to_list()) @ self.axes
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return _dense(vectors / np.where(length > 1e-6, length, np.inf))

    def names(self, column: str) -> list[str]:
        return [f"{column}.{axis}" for axis in range(self.width)]


Column = Flag | Numeric | Date | Categorical | MultiValued | Text


def _ones(
    rows: Int64[np.ndarray, "N"], columns: Int64[np.ndarray, "N"], shape: tuple[int, int]
) -> Matrix:
    return sp.csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)


def _dense(numbers: np.ndarray) -> Matrix:
    return sp.csr_array(numbers.astype(np.float32))
