"""The answer: recommended items as people see them, and what of the question could not be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from warmstart.data.interactions import Id, Vocabulary
from warmstart.evaluation.conformal import Bounds
from warmstart.explain.reasons import Reason, title_column
from warmstart.explain.sentences import sentence

CACHED_ITEMS = 50_000  # items whose properties are kept at hand


@dataclass(frozen=True)
class Recommendation:
    """One recommended item: its id as the user wrote it, its score, and what the item table says of
    it.
    """

    item: Id
    score: float
    title: str | None
    properties: Mapping[str, Any]
    low: float | None = None
    high: float | None = None
    """The ends of the error bar of a rating: four ratings in five lie within. None where events are
    ranked.
    """
    probability: float | None = None
    """The chance that the model gives it of being next, among all that may be shown; None where it
    knows none.
    """
    propensity: float = 1.0
    """The chance that it is shown, below 1 where a policy explores."""
    reasons: tuple[Reason, ...] = ()
    """The parts of its lead over the items around it, the weightiest first; none where none were
    asked for.
    """

    def why(self, language: str = "en") -> str:
        """The reasons in a sentence, in English (en) or Chinese (zh)."""
        return sentence(self.reasons, language)

    def to_dict(self, language: str = "en") -> dict[str, Any]:
        """The item, fit for JSON; without error bars and reasons where there are none."""
        found = {
            "item": self.item,
            "score": self.score,
            "title": self.title,
            "properties": dict(self.properties),
        }
        chance = {"probability": self.probability, "propensity": self.propensity}
        bar = {} if self.low is None else {"low": self.low, "high": self.high}
        told = (
            {"why": self.why(language), "reasons": [reason.to_dict() for reason in self.reasons]}
            if self.reasons
            else {}
        )
        return {**found, **chance, **bar, **told}


@dataclass(frozen=True)
class Answer:
    """The recommendations for one history, best first, and what of the question could not be
    used.
    """

    items: tuple[Recommendation, ...]
    used: int
    """Events of the history that the model knows; 0 means that the answer is the prior."""
    unknown: tuple[Id, ...]
    warnings: tuple[str, ...]
    sufficiency: float | None = None
    """How far the reasons carry: what the first item keeps of its discount, 1 / log2(1 + rank),
    with the three most important events alone; None where no reasons were asked for.
    """
    comprehensiveness: float | None = None
    """What it loses of it without them."""

    def to_dict(self, language: str = "en") -> dict[str, Any]:
        """The answer, fit for JSON."""
        reasoned = self.sufficiency is not None
        fidelity = {"sufficiency": self.sufficiency, "comprehensiveness": self.comprehensiveness}
        return {
            "items": [found.to_dict(language) for found in self.items],
            "used": self.used,
            "unknown": list(self.unknown),
            "warnings": list(self.warnings),
            **({"fidelity": fidelity} if reasoned else {}),
        }


class Properties:
    """What the table of items says of each; that of items which are shown often is kept, since a
    look takes long.
    """

    def __init__(self, table: pl.DataFrame | None) -> None:
        self.table, self.title = table, title_column(table)
        self._kept: dict[int, dict[str, Any]] = {}

    def of(self, codes: np.ndarray) -> list[dict[str, Any]]:
        """The columns of each item that have a value."""
        if self.table is None:
            return [{} for _ in codes]
        if len(self._kept) > CACHED_ITEMS:
            self._kept = {}
        kept, missing = self._kept, [code for code in set(codes.tolist()) if code not in self._kept]
        for code, row in zip(
            missing, self.table[missing].to_dicts() if missing else (), strict=True
        ):
            kept[code] = {name: value for name, value in row.items() if value is not None}
        return [dict(kept[code]) for code in codes.tolist()]


def recommendations(
    codes: np.ndarray,
    scores: np.ndarray,
    bars: Bounds | None,
    items: Vocabulary,
    properties: Properties,
    probabilities: Sequence[tuple[float | None, float]] | None = None,
) -> tuple[Recommendation, ...]:
    """The items of these codes, with what the table of items says of them.

    `chances` are those of being next and of being shown.
    """
    rows, title = properties.of(codes), properties.title
    return tuple(
        Recommendation(
            item=identifier,
            score=float(score),
            title=None if title is None else row.get(title),
            properties=row,
            low=None if bars is None else float(bars.low[0, place]),
            high=None if bars is None else float(bars.high[0, place]),
            probability=None if probabilities is None else probabilities[place][0],
            propensity=1.0 if probabilities is None else probabilities[place][1],
        )
        for place, (identifier, score, row) in enumerate(
            zip(items.decode(codes), scores, rows, strict=True)
        )
    )
