"""The answer: recommended items as people see them, and what of the question could not be used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from warmstart.error_bars import Bars
from warmstart.interactions import Id, Vocabulary

TITLES = ("title", "name", "label", "description")


@dataclass(frozen=True)
class Recommendation:
    """One recommended item: its id as the user wrote it, its score, and what the item table says of it."""

    item: Id
    score: float
    title: str | None
    properties: Mapping[str, Any]
    low: float | None = None
    high: float | None = None
    """The ends of the error bar of a rating: four ratings in five lie within. None where events are ranked."""

    def to_dict(self) -> dict[str, Any]:
        """The item, fit for JSON; without an error bar where there is none."""
        found = {"item": self.item, "score": self.score, "title": self.title, "properties": dict(self.properties)}
        return found if self.low is None else {**found, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Answer:
    """The recommendations for one history, best first, and what of the question could not be used."""

    items: tuple[Recommendation, ...]
    used: int
    """Events of the history that the model knows; 0 means that the answer is the prior."""
    unknown: tuple[Id, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The answer, fit for JSON."""
        return {
            "items": [found.to_dict() for found in self.items],
            "used": self.used,
            "unknown": list(self.unknown),
            "warnings": list(self.warnings),
        }


def described(
    codes: np.ndarray, scores: np.ndarray, bars: Bars | None, items: Vocabulary, table: pl.DataFrame | None
) -> tuple[Recommendation, ...]:
    """The items of these codes, with what the table of items says of them."""
    rows = [{} for _ in codes] if table is None else table[codes].to_dicts()
    title = title_column(table)
    return tuple(
        Recommendation(
            item=identifier,
            score=float(score),
            title=None if title is None else row[title],
            properties={name: value for name, value in row.items() if value is not None},
            low=None if bars is None else float(bars.low[0, place]),
            high=None if bars is None else float(bars.high[0, place]),
        )
        for place, (identifier, score, row) in enumerate(zip(items.decode(codes), scores, rows, strict=True))
    )


def title_column(table: pl.DataFrame | None) -> str | None:
    """The column that names an item to people, if there is one."""
    if table is None:
        return None
    texts = {name.lower(): name for name, kind in table.schema.items() if kind == pl.String}
    return next((texts[name] for name in TITLES if name in texts), None)
