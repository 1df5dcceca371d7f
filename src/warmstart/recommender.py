"""The recommender: a fitted model in the user's own ids, which adapts to a history and answers at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy.sparse as sp
from jaxtyping import Int64

from warmstart.error_bars import Bars, ErrorBars
from warmstart.errors import Misuse
from warmstart.evaluation import Objective
from warmstart.features import Features
from warmstart.folder import Parts, read, write
from warmstart.interactions import Id, Interactions, Vocabulary
from warmstart.recipes import restore
from warmstart.scorer import Scorer, State
from warmstart.tasks import Examples, Question

History = Mapping[Id, float] | Sequence[Id]
ID = "warmstart_id"  # the column of ids beside the columns of the item table
AMONG = "among"
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


@dataclass(frozen=True)
class Recommender:
    """This knows a catalogue by the user's ids and recommends from it; it keeps nothing about anybody."""

    scorer: Scorer = field(repr=False)
    learner: str
    objective: Objective
    settings: Mapping[str, Any]
    items: Vocabulary = field(repr=False)
    item_table: pl.DataFrame | None = field(repr=False)
    profile_columns: Features | None = field(repr=False)
    usual_value: float
    """What an event without a value counts as."""
    facts: Mapping[str, Any] = field(repr=False)
    """Where the model comes from: the data, the seed, the validation figures, the seconds it took."""
    among: Int64[np.ndarray, "C"] | None = field(default=None, repr=False)
    """The codes of the items that are recommended, rising; None where all are."""
    error_bars: ErrorBars | None = field(default=None, repr=False)
    """Of ratings; None where events are ranked."""

    def recommend(
        self,
        history: History = (),
        n: int = 10,
        *,
        profile: Mapping[str, Any] | None = None,
        exclude: Iterable[Id] = (),
    ) -> Answer:
        """The `n` best items for somebody who met those of `history` (oldest first, or item -> value).

        The history and `exclude` are never recommended. Unknown ids are reported and skipped.
        """
        if n < 1:
            raise Misuse(f"n is the number of recommendations and at least 1, not {n}")
        asked = self._asked(history, profile or {})
        scores = self.scorer.score(asked.state, np.arange(len(self.items)))[0]
        excluded = self.items.encode(exclude)
        barred = Question(among=self.among).others(len(self.items))
        barred[np.concatenate([asked.support.item, excluded[excluded >= 0]])] = True
        best = _best(scores, barred, n)
        return self._answer(best, scores[best], asked, asked.warnings)

    def predict(self, history: History, items: Iterable[Id], *, profile: Mapping[str, Any] | None = None) -> Answer:
        """The ratings, with error bars, that somebody with this history would give to `items`, in their order.

        Unknown items are reported and skipped. A model of events, which ranks, is refused.
        """
        if self.error_bars is None:
            raise Misuse("this model ranks events and predicts no ratings; fit one with the objective rating")
        asked, items = self._asked(history, profile or {}), list(items)
        codes = self.items.encode(items)
        missing = [str(item) for item, code in zip(items, codes, strict=True) if code < 0]
        warnings = asked.warnings
        if missing:
            warnings += (
                f"{len(missing)} of {len(items)} items to rate are unknown and were skipped: {_some(missing)}",
            )
        codes = codes[codes >= 0]
        return self._answer(codes, self.scorer.score(asked.state, codes)[0], asked, warnings)

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder of JSON, safetensors and Parquet, whole or not at all."""
        ids = pl.DataFrame({ID: self.items.ids})
        features = self.profile_columns
        arrays = {f"scorer.{name}": array for name, array in self.scorer.arrays().items()}
        if self.among is not None:
            arrays[AMONG] = self.among
        if features is not None:
            arrays |= {f"profile.{name}": array for name, array in features.arrays().items()}
        manifest = {
            "learner": self.learner,
            "objective": self.objective,
            "settings": dict(self.settings),
            "usual_value": self.usual_value,
            "profile_columns": None if features is None else features.to_dict(),
            "error_bars": None if self.error_bars is None else self.error_bars.to_dict(),
            "facts": dict(self.facts),
        }
        items = ids if self.item_table is None else ids.hstack(self.item_table)
        write(Path(folder), Parts(manifest, arrays, items))

    def _asked(self, history: History, profile: Mapping[str, Any]) -> "_Asked":
        """What the model makes of a history and a profile."""
        values = _values(history, self.usual_value)
        codes = self.items.encode(values)
        known = codes >= 0
        support = Examples(
            item=codes[known],
            value=np.fromiter(values.values(), dtype=np.float32, count=len(values))[known],
            start=np.array([0, known.sum()]),
        )
        row, warnings = self._profile(profile)
        unknown = tuple(identifier for identifier, found in zip(values, known, strict=True) if not found)
        if unknown:
            warnings += (
                f"{len(unknown)} of {len(values)} items of the history are unknown and were skipped: {_some(unknown)}",
            )
        return _Asked(support, self.scorer.adapt(support, row), unknown, warnings)

    def _answer(self, codes: np.ndarray, scores: np.ndarray, asked: "_Asked", warnings: tuple[str, ...]) -> Answer:
        bars = None if self.error_bars is None else self.error_bars.of(self.scorer, asked.state, codes)
        return Answer(self._described(codes, scores, bars), len(asked.support.item), asked.unknown, warnings)

    def _profile(self, profile: Mapping[str, Any]) -> tuple[sp.csr_array | None, tuple[str, ...]]:
        """The profile as the model reads it, and a warning for each part that the model cannot read."""
        known = {} if self.profile_columns is None else self.profile_columns.columns
        warnings = tuple(
            f'the model knows no profile column "{column}" and ignores it; it knows {", ".join(known) or "none"}'
            for column in profile
            if column not in known
        )
        if self.profile_columns is None or not set(profile) & set(known):
            return None, warnings
        row = pl.DataFrame({column: [value] for column, value in profile.items() if column in known})
        return self.profile_columns.transform(row), warnings

    def _described(self, codes: np.ndarray, scores: np.ndarray, bars: Bars | None) -> tuple[Recommendation, ...]:
        rows = [{} for _ in codes] if self.item_table is None else self.item_table[codes].to_dicts()
        title = title_column(self.item_table)
        return tuple(
            Recommendation(
                item=identifier,
                score=float(score),
                title=None if title is None else row[title],
                properties={name: value for name, value in row.items() if value is not None},
                low=None if bars is None else float(bars.low[0, place]),
                high=None if bars is None else float(bars.high[0, place]),
            )
            for place, (identifier, score, row) in enumerate(zip(self.items.decode(codes), scores, rows, strict=True))
        )


class _Asked(NamedTuple):
    """A history as the model sees it."""

    support: Examples
    state: State
    unknown: tuple[Id, ...]
    warnings: tuple[str, ...]


def _some(ids: Sequence[Id]) -> str:
    return ", ".join(map(str, ids[:5])) + (", ..." if len(ids) > 5 else "")


def load(folder: str | Path) -> Recommender:
    """The recommender that was saved to a folder; a damaged, altered, unknown or pickled one is refused."""
    manifest, arrays, items = read(Path(folder))
    profile = manifest["profile_columns"]
    table = items.drop(ID)
    return Recommender(
        scorer=restore(manifest["learner"], _under(arrays, "scorer."), manifest["settings"]),
        learner=manifest["learner"],
        objective=manifest["objective"],
        settings=manifest["settings"],
        items=Vocabulary(items[ID]),
        item_table=table if table.width else None,
        profile_columns=None if profile is None else Features.restore(profile, _under(arrays, "profile.")),
        usual_value=manifest["usual_value"],
        facts=manifest["facts"],
        among=arrays.get(AMONG),
        error_bars=None if manifest["error_bars"] is None else ErrorBars.restore(manifest["error_bars"]),
    )


def title_column(table: pl.DataFrame | None) -> str | None:
    """The column that names an item to people, if there is one."""
    if table is None:
        return None
    texts = {name.lower(): name for name, kind in table.schema.items() if kind == pl.String}
    return next((texts[name] for name in TITLES if name in texts), None)


def from_log(log: Interactions, **parts: Any) -> Recommender:
    """A recommender over the catalogue of a log."""
    usual = float(log.value.mean()) if len(log) else 1.0
    return Recommender(items=log.items, item_table=log.item_table, usual_value=usual, **parts)


def _values(history: History, usual: float) -> dict[Id, float]:
    """Item -> value; an item that comes twice keeps its last value."""
    if isinstance(history, str | bytes):
        raise Misuse("a history is a list of item ids or a mapping of item ids to values, not a string")
    if not isinstance(history, Mapping):
        return dict.fromkeys(history, usual)
    for identifier, value in history.items():
        if not np.isfinite(value):
            raise Misuse(f"history item {identifier!r} has the value {value}; expected a finite number")
    return {identifier: float(value) for identifier, value in history.items()}


def _under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _best(scores: np.ndarray, barred: np.ndarray, n: int) -> np.ndarray:
    """The `n` best codes that are not barred, best first; fewer where the catalogue is small."""
    order = np.argsort(-scores, kind="stable")
    return order[~barred[order]][:n]
