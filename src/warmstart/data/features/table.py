"""Features of items or users: the columns of a table as one sparse matrix."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from jaxtyping import Bool

from warmstart.data.features.column_types import (
    Categorical,
    Column,
    Date,
    Flag,
    MultiValued,
    Numeric,
    Text,
)
from warmstart.data.features.column_values import as_texts, is_date, parts_of

KINDS: dict[str, type[Column]] = {
    kind.kind: kind for kind in (Flag, Numeric, Date, Categorical, MultiValued, Text)
}
MIN_ROWS = 50
"""Tables with fewer rows may have values that occur once, and no features from prose."""
MAX_NAME_WORDS = 2.5
"""Names of people and places have at most so many words on average; titles have more."""
MAX_CODES = 30
"""Whole numbers with at most so many distinct values are taken for codes of categories."""


@dataclass(frozen=True)
class Features:
    """The fitted type of each useful column of a table, and why the others are ignored."""

    columns: dict[str, Column]
    ignored: dict[str, str]

    @classmethod
    def fit(cls, table: pl.DataFrame) -> "Features":
        """Detect the type of each column and fit its values, means and weights."""
        found = {column.name: detect_type(column) for column in table}
        return cls(
            columns={name: kind for name, kind in found.items() if not isinstance(kind, str)},
            ignored={name: reason for name, reason in found.items() if isinstance(reason, str)},
        )

    @property
    def width(self) -> int:
        return sum(column.width for column in self.columns.values())

    @property
    def names(self) -> list[str]:
        """The name of each column of the matrix, such as `genres=Comedy`."""
        return [name for column, kind in self.columns.items() for name in kind.names(column)]

    @property
    def places(self) -> dict[str, Bool[np.ndarray, "F"]]:
        """For each column of the table, a mask of the F matrix columns that come from it."""
        ends = np.cumsum([0, *(kind.width for kind in self.columns.values())])
        every = np.arange(self.width)
        return {
            name: (every >= ends[i]) & (every < ends[i + 1]) for i, name in enumerate(self.columns)
        }

    @property
    def described(self) -> dict[str, str]:
        """The type of each column, or why it is ignored."""
        ignored = {name: f"ignored: {reason}" for name, reason in self.ignored.items()}
        return {name: kind.kind for name, kind in self.columns.items()} | ignored

    def transform(self, table: pl.DataFrame) -> sp.csr_array:
        """The features of each row of the table: (rows, width), float32.

        Columns that the table lacks count as missing values.
        """
        absent = pl.repeat(None, len(table), dtype=pl.String, eager=True)
        parts = [
            kind.transform(table.get_column(name, default=absent))
            for name, kind in self.columns.items()
        ]
        empty = sp.csr_array((len(table), 0), dtype=np.float32)
        return sp.csr_array(sp.hstack([empty, *parts], dtype=np.float32))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays, in types that JSON has."""
        columns = [{"name": name, **_settings(kind)} for name, kind in self.columns.items()]
        return {"columns": columns, "ignored": self.ignored}

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that `to_dict` leaves out."""
        return {
            f"{index}.{field}": value
            for index, kind in enumerate(self.columns.values())
            for field, value in vars(kind).items()
            if isinstance(value, np.ndarray)
        }

    @classmethod
    def restore(cls, described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Features":
        """Rebuild the features from the results of `to_dict` and `arrays`."""
        columns = {
            settings["name"]: _restored(settings, arrays, f"{index}.")
            for index, settings in enumerate(described["columns"])
        }
        return cls(columns, dict(described["ignored"]))


def detect_type(column: pl.Series) -> Column | str:
    """Detect and fit the type of a column; or give the reason why it is ignored."""
    if column.dtype.is_nested() or column.dtype in (pl.Object, pl.Binary):
        return "nested"
    if column.dtype.is_float():
        column = column.set(~column.is_finite(), None)
    texts = as_texts(column)
    distinct = texts.drop_nulls().n_unique()
    if distinct < 2:
        return "empty" if distinct == 0 else "always the same"
    if re.search(r"(^|_|\b)(id|url|uri|zip|postcode|postal)(_?code)?$", column.name.casefold()):
        return "an id, address or code by its name"
    if is_date(column):
        return Date.fit(column)
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return _number(column, texts, distinct)
    return _text(column, texts, distinct)


def _number(column: pl.Series, texts: pl.Series, distinct: int) -> Column | str:
    known = column.drop_nulls().cast(pl.Float64)
    if known.is_in([0.0, 1.0]).all():
        return Flag()
    whole = not texts.str.contains(r"[.eE]|inf|nan").any()
    if (
        whole
        and distinct > 0.95 * len(known)
        and np.ptp(known.to_numpy()) < 3 * len(known)
        and len(known) >= MIN_ROWS
    ):
        return "nearly all values differ, as in an id"
    if whole and distinct <= min(MAX_CODES, len(known) / 20):
        return Categorical.fit(column)
    return Numeric.fit(column)


def _text(column: pl.Series, texts: pl.Series, distinct: int) -> Column | str:
    known = texts.drop_nulls()
    if _mean(known.str.contains(r"^(\w+://|www\.|/\w)")) > 0.8:
        return "web addresses"
    if _mean(known.str.contains("|", literal=True)) >= 0.1:
        return _if_wide(MultiValued.fit(column))
    large = len(column) >= MIN_ROWS
    if (
        large
        and _mean(known.str.contains(", ", literal=True)) >= 0.1
        and _are_names(parts_of(known, ", "))
    ):
        return _if_wide(MultiValued.fit(column, ", "))
    if distinct <= len(known) * (0.25 if large else 0.75) or (
        large and _are_names(parts_of(known, "\n"))
    ):
        return _if_wide(Categorical.fit(column))
    if _mean(known.str.count_matches(r"\w\w+")) > 1.5:
        return (
            Text.fit(column) if len(known) >= MIN_ROWS else None
        ) or "text with too little in common"
    if distinct > 0.5 * len(known):
        return "nearly all values differ, as in an id"
    return _if_wide(Categorical.fit(column))


def _are_names(parts: pl.DataFrame) -> bool:
    """Whether the parts are names of people or places: short, and mostly in several rows."""
    repeated = _mean(parts["part"].is_duplicated()) if len(parts) else 0.0
    return repeated >= 0.5 and _mean(parts["part"].str.count_matches(r"\S+")) <= MAX_NAME_WORDS


def _mean(marks: pl.Series) -> float:
    return float(np.mean(marks.to_numpy()))


def _if_wide(kind: Column) -> Column | str:
    return kind if kind.width else "no value occurs twice"


def _settings(kind: Column) -> dict[str, Any]:
    plain = {
        field: value for field, value in vars(kind).items() if not isinstance(value, np.ndarray)
    }
    return {"kind": kind.kind} | {field: _plain(value) for field, value in plain.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Numeric | Categorical):
        return _settings(value)
    return list(value) if isinstance(value, tuple) else value


def _restored(settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], prefix: str) -> Column:
    kind = KINDS[settings["kind"]]
    values: dict[str, Any] = {
        field.name: arrays[prefix + field.name]
        if prefix + field.name in arrays
        else _unplain(settings[field.name])
        for field in fields(kind)
    }
    return kind(**values)


def _unplain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _restored(value, {}, "")
    return tuple(value) if isinstance(value, list) else value
