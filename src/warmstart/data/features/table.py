"""Features: the columns of a table of items or users as one sparse matrix that a model can read."""

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
    as_texts,
    is_date,
    parts_of,
)

KINDS: dict[str, type[Column]] = {
    kind.kind: kind for kind in (Flag, Numeric, Date, Categorical, MultiValued, Text)
}
SMALL = 50
"""Tables with fewer rows are read with less demand for repetition, and their prose not at all."""
WORDS = 2.5
"""Names have no more words than that, on average; titles do."""
FEW = 30
"""Whole numbers with at most so many distinct values are taken for codes."""


@dataclass(frozen=True)
class Features:
    """How each useful column of a table becomes numbers, and why the others do not."""

    columns: dict[str, Column]
    ignored: dict[str, str]

    @classmethod
    def fit(cls, table: pl.DataFrame) -> "Features":
        """The kind and the vocabulary of each column, as seen in this table."""
        found = {column.name: recognised(column) for column in table}
        return cls(
            columns={name: kind for name, kind in found.items() if not isinstance(kind, str)},
            ignored={name: reason for name, reason in found.items() if isinstance(reason, str)},
        )

    @property
    def width(self) -> int:
        return sum(column.width for column in self.columns.values())

    @property
    def names(self) -> list[str]:
        """What each column of the matrix stands for, as `genres=Comedy`."""
        return [name for column, kind in self.columns.items() for name in kind.names(column)]

    @property
    def places(self) -> dict[str, Bool[np.ndarray, "F"]]:
        """Which columns of the matrix are due to each column of the table."""
        ends = np.cumsum([0, *(kind.width for kind in self.columns.values())])
        every = np.arange(self.width)
        return {
            name: (every >= ends[i]) & (every < ends[i + 1]) for i, name in enumerate(self.columns)
        }

    @property
    def described(self) -> dict[str, str]:
        """The kind that each column was taken for, or why it is ignored."""
        ignored = {name: f"ignored: {reason}" for name, reason in self.ignored.items()}
        return {name: kind.kind for name, kind in self.columns.items()} | ignored

    def transform(self, table: pl.DataFrame) -> sp.csr_array:
        """A row of features for each row of the table; columns that it lacks count as missing
        values.
        """
        absent = pl.repeat(None, len(table), dtype=pl.String, eager=True)
        parts = [
            kind.transform(table.get_column(name, default=absent))
            for name, kind in self.columns.items()
        ]
        empty = sp.csr_array((len(table), 0), dtype=np.float32)
        return sp.csr_array(sp.hstack([empty, *parts], dtype=np.float32))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays, fit for JSON."""
        columns = [{"name": name, **_settings(kind)} for name, kind in self.columns.items()]
        return {"columns": columns, "ignored": self.ignored}

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that `to_dict` leaves out."""
        return {
            f"{place}.{field}": value
            for place, kind in enumerate(self.columns.values())
            for field, value in vars(kind).items()
            if isinstance(value, np.ndarray)
        }

    @classmethod
    def restore(cls, described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Features":
        """The features that `to_dict` and `arrays` described."""
        columns = {
            settings["name"]: _restored(settings, arrays, f"{place}.")
            for place, settings in enumerate(described["columns"])
        }
        return cls(columns, dict(described["ignored"]))


def recognised(column: pl.Series) -> Column | str:
    """What kind of column this is, fitted; or the reason why it is of no use."""
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
        and len(known) >= SMALL
    ):
        return "nearly all values differ, as in an id"
    if whole and distinct <= min(FEW, len(known) / 20):
        return Categorical.fit(column)
    return Numeric.fit(column)


def _text(column: pl.Series, texts: pl.Series, distinct: int) -> Column | str:
    known = texts.drop_nulls()
    if _mean(known.str.contains(r"^(\w+://|www\.|/\w)")) > 0.8:
        return "web addresses"
    if _mean(known.str.contains("|", literal=True)) >= 0.1:
        return _if_wide(MultiValued.fit(column))
    large = len(column) >= SMALL
    if (
        large
        and _mean(known.str.contains(", ", literal=True)) >= 0.1
        and _names(parts_of(known, ", "))
    ):
        return _if_wide(MultiValued.fit(column, ", "))
    if distinct <= len(known) * (0.25 if large else 0.75) or (
        large and _names(parts_of(known, "\n"))
    ):
        return _if_wide(Categorical.fit(column))
    if _mean(known.str.count_matches(r"\w\w+")) > 1.5:
        return (
            Text.fit(column) if len(known) >= SMALL else None
        ) or "text with too little in common"
    if distinct > 0.5 * len(known):
        return "nearly all values differ, as in an id"
    return _if_wide(Categorical.fit(column))


def _names(parts: pl.DataFrame) -> bool:
    """Whether these are names, of people or places: short, and most of them in several rows."""
    again = parts["part"].is_duplicated().mean()
    return float(again or 0) >= 0.5 and _mean(parts["part"].str.count_matches(r"\S+")) <= WORDS  # pyright: ignore[reportArgumentType]  # numbers


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
