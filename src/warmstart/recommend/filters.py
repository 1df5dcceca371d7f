"""Filters: which items have the properties that somebody asks for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool

from warmstart.errors import UsageError, join_names

Value = str | int | float | bool | None
Wanted = Mapping[str, Value | Sequence[Value]]


def matching(table: pl.DataFrame | None, wanted: Wanted) -> Bool[np.ndarray, "I"]:
    """The items that have each wanted property, or one of its values; of lists such as a|b one part
    is enough.

    Values are compared as text, so that 1999 is the year 1999 however the table holds it; None is
    for what is missing.
    """
    if table is None:
        raise UsageError(
            "this model has no table of items, so nothing is known by which to filter them"
        )
    unknown = [name for name in wanted if name not in table.columns]
    if unknown:
        raise UsageError(
            f'items have no property "{unknown[0]}"; they have '
            f"{join_names(table.columns) or 'none'}"
        )
    kept = np.ones(len(table), dtype=bool)
    for name, value in wanted.items():
        values = (
            list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        )
        kept &= _has(table[name], values)
    return kept


def _has(column: pl.Series, values: Sequence[Any]) -> Bool[np.ndarray, "I"]:
    texts = (
        column.cast(pl.String)
        if column.dtype != pl.Boolean
        else column.cast(pl.Int8).cast(pl.String)
    )
    wanted = [_text(value, column.dtype) for value in values if value is not None]
    found = texts.is_in(wanted).fill_null(False)
    if column.dtype == pl.String:
        found |= (
            texts.str.split("|").list.eval(pl.element().is_in(wanted)).list.any().fill_null(False)
        )
    if None in values:
        found |= texts.is_null()
    return found.to_numpy()


def _text(value: Value, kind: Any) -> str:
    """A value as a column of this kind writes it."""
    if isinstance(value, bool):
        return str(int(value)) if kind == pl.Boolean else str(value).lower()
    if kind.is_float() and isinstance(value, int | float):
        return str(float(value))
    if kind.is_integer() and isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
