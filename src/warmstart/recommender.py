"""The recommender: a fitted model in the user's own ids, which adapts to a history and answers at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy.sparse as sp
from jaxtyping import Bool, Float32, Int64
from scipy.special import logsumexp

from warmstart.additions import Stock, added
from warmstart.answer import Answer, Recommendation, described
from warmstart.arrays import under
from warmstart.error_bars import ErrorBars
from warmstart.errors import Misuse, UnknownItem, a_few
from warmstart.evaluation import Objective
from warmstart.explanation import Explanation, Person, explained, reasoned
from warmstart.exploration import DRAWS, Chosen, Policy, epsilon_greedy, thompson
from warmstart.features import Features
from warmstart.filters import Wanted, matching
from warmstart.folder import Parts, read, write
from warmstart.history import History, values_of
from warmstart.influence import Known, serving
from warmstart.insight import Insight, insight
from warmstart.interactions import Id, Interactions, Vocabulary
from warmstart.model import Trained
from warmstart.precision import sparse_arrays, sparse_of
from warmstart.reasons import Names
from warmstart.recipes import restore
from warmstart.scorer import Sampler, Scorer, State, best
from warmstart.sources import Source
from warmstart.tasks import Examples, Question
from warmstart.tastes import Tastes
from warmstart.widened import Widened, widened

ID = "warmstart_id"  # the column of ids beside the columns of the item table
AMONG, POPULAR, LIKENESS, TASTES = "among", "popular", "likeness", "tastes."


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
    popular: Float32[np.ndarray, "I"] = field(repr=False)
    """How many events each item had."""
    facts: Mapping[str, Any] = field(repr=False)
    """Where the model comes from: the data, the seed, the validation figures, the seconds it took."""
    among: Int64[np.ndarray, "C"] | None = field(default=None, repr=False)
    """The codes of the items that are recommended, rising; None where all are."""
    error_bars: ErrorBars | None = field(default=None, repr=False)
    """Of ratings; None where events are ranked."""
    tastes: Tastes | None = field(default=None, repr=False)
    """What groups of training tasks met; None where there were too few to show."""

    def recommend(
        self,
        history: History = (),
        n: int = 10,
        *,
        profile: Mapping[str, Any] | None = None,
        exclude: Iterable[Id] = (),
        explain: bool = False,
        again: bool = False,
        where: Wanted | Bool[np.ndarray, "I"] | None = None,
        policy: Policy | None = None,
    ) -> Answer:
        """The `n` best items for somebody who met those of `history` (oldest first, or item -> value).

        What is in `exclude` is never recommended, nor is the history, unless `again` says so, nor what lacks the
        properties of `where`, which may also say of each item whether it is allowed. Unknown ids are reported and
        skipped. With `explain` each item comes with its reasons, and the answer with how far these carry. A `policy`
        shows what is not known to be best, too.
        """
        if n < 1:
            raise Misuse(f"n is the number of recommendations and at least 1, not {n}")
        asked = self._asked(history, profile or {})
        scores = self.scorer.score(asked.state, np.arange(len(self.items)))[0]
        barred = self._barred(asked, exclude, again=again)
        if where is not None:
            barred |= ~(where if isinstance(where, np.ndarray) else matching(self.item_table, where))
        items, propensity = self._chosen(asked, scores, barred, n, policy)
        answer = self._answer(items, scores[items], asked, asked.warnings)
        answer = replace(
            answer, items=_with_chances(answer.items, propensity, self._chances(asked, scores, barred, items))
        )
        return self._with_reasons(answer, asked, scores, barred, items) if explain and len(items) else answer

    def explain(
        self, history: History, item: Id, *, profile: Mapping[str, Any] | None = None, n: int = 10
    ) -> Explanation:
        """Why `item` stands where it does for somebody with this history, and what would change it.

        What would take it out of a list of `n` is told where it is in it, else what would bring it there.
        """
        code = int(self.items.encode([item])[0])
        if code < 0:
            raise UnknownItem(f"there is no item {item!r} in the model's catalogue of {len(self.items):,}")
        asked = self._asked(history, profile or {})
        if code in asked.support.item:
            raise Misuse(f"item {item!r} is in the history, and what was met is not recommended; leave it out of one")
        person = self._person(asked, self._barred(asked, ()))
        ranks = self.objective == "ranking"
        return explained(self.scorer, person, code, n, self._names, ranks=ranks, value=self.usual_value)

    def insight(self, history: History = (), *, profile: Mapping[str, Any] | None = None, n: int = 10) -> Insight:
        """What the model has learned of people as a whole, and how each event of this history moves the list."""
        asked = self._asked(history, profile or {})
        person = self._person(asked, self._barred(asked, ()))
        return insight(self.scorer, person, n, self._names, tastes=self.tastes, features=self.profile_columns)

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
                f"{len(missing)} of {len(items)} items to rate are unknown and were skipped: {a_few(missing)}",
            )
        codes = codes[codes >= 0]
        return self._answer(codes, self.scorer.score(asked.state, codes)[0], asked, warnings)

    def add_items(self, table: Source, *, met_by: Mapping[Id, Sequence[History]] | None = None) -> "Recommender":
        """A recommender that recommends the items of `table` too, at once and without fitting.

        A new item stands where the known ones stand that are like it, by their columns and by the histories of those
        who met it, which `met_by` holds; the more there are, the more they count. An item that was added before may
        be added again, as more is known of it.
        """
        grown = added(Stock(self.scorer, self.items, self.item_table, self.popular), table, met_by or {})
        new = np.arange(len(self.items), len(grown.items))
        among = None if self.among is None else np.union1d(self.among, new)
        return replace(self, among=among, **grown._asdict())

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder of JSON, safetensors and Parquet, whole or not at all."""
        ids = pl.DataFrame({ID: self.items.ids})
        features = self.profile_columns
        arrays = {f"scorer.{name}": array for name, array in self.scorer.arrays().items()}
        arrays[POPULAR] = self.popular
        if isinstance(self.scorer, Widened):
            arrays |= sparse_arrays(LIKENESS, self.scorer.likeness)
        if self.among is not None:
            arrays[AMONG] = self.among
        if self.tastes is not None:
            arrays |= {f"{TASTES}{name}": array for name, array in self.tastes.arrays().items()}
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
        values = values_of(history, self.usual_value)
        codes = self.items.encode(values)
        known = codes >= 0
        support = Examples(
            item=codes[known],
            value=np.fromiter(values.values(), dtype=np.float32, count=len(values))[known],
            start=np.array([0, known.sum()]),
        )
        read, warnings = self._profile(profile)
        unknown = tuple(identifier for identifier, found in zip(values, known, strict=True) if not found)
        if unknown:
            warnings += (
                f"{len(unknown)} of {len(values)} items of the history are unknown and were skipped: {a_few(unknown)}",
            )
        row = None if read is None else read.rows[[0]]
        return _Asked(support, self.scorer.adapt(support, row), unknown, warnings, read)

    def _barred(self, asked: "_Asked", exclude: Iterable[Id], again: bool = False) -> Bool[np.ndarray, "I"]:
        """What cannot be recommended: what is no answer, what was met, and what is excluded."""
        excluded = self.items.encode(exclude)
        barred = Question(among=self.among).others(len(self.items))
        barred[excluded[excluded >= 0]] = True
        if not again:
            barred[asked.support.item] = True
        return barred

    def _chosen(
        self, asked: "_Asked", scores: np.ndarray, barred: Bool[np.ndarray, "I"], n: int, policy: Policy | None
    ) -> Chosen:
        """The items of a list, and the chance of each."""
        if policy is None:
            found = best(scores, barred, n)
            return Chosen(found, np.ones(len(found)))
        rng = np.random.default_rng(policy.seed)
        if policy.strategy == "epsilon-greedy":
            return epsilon_greedy(scores, barred, n, policy.epsilon, rng)
        speaks = serving(self.scorer, len(asked.support.item))
        if not isinstance(speaks, Sampler):
            raise Misuse(f"{self.learner} does not know how unsure it is, as thompson needs it; use epsilon-greedy")
        row = None if asked.read is None else asked.read.rows[[0]]
        state, everything = speaks.adapt(asked.support, row), np.arange(len(self.items))
        draws = [speaks.score(speaks.sample(state, rng), everything)[0] for _ in range(DRAWS)]
        return thompson(np.stack(draws), barred, n)

    def _chances(
        self, asked: "_Asked", scores: np.ndarray, barred: Bool[np.ndarray, "I"], items: np.ndarray
    ) -> list[float | None]:
        """The chance that each item is next, where the scores are those of a softmax; among what may be shown."""
        if self.objective != "ranking" or not isinstance(serving(self.scorer, len(asked.support.item)), Trained):
            return [None] * len(items)
        return np.exp(scores[items] - logsumexp(scores[~barred])).tolist()

    def _with_reasons(
        self, answer: Answer, asked: "_Asked", scores: np.ndarray, barred: Bool[np.ndarray, "I"], items: np.ndarray
    ) -> Answer:
        person = self._person(asked, barred)
        found = reasoned(self.scorer, person, scores, items, self._names, self.objective == "ranking")
        told = tuple(replace(item, reasons=why) for item, why in zip(answer.items, found.reasons, strict=True))
        sufficiency, comprehensiveness = (float(share[0]) for share in found.fidelity)
        return replace(answer, items=told, sufficiency=sufficiency, comprehensiveness=comprehensiveness)

    def _person(self, asked: "_Asked", barred: Bool[np.ndarray, "I"]) -> Person:
        if asked.read is None:
            return Person(Known(asked.support), {}, barred)
        return Person(Known(asked.support, asked.read.rows[[0]], asked.read.rows[1:]), asked.read.columns, barred)

    @property
    def _names(self) -> Names:
        return Names(self.items, self.item_table)

    def _answer(
        self,
        codes: np.ndarray,
        scores: np.ndarray,
        asked: "_Asked",
        warnings: tuple[str, ...],
    ) -> Answer:
        bars = None if self.error_bars is None else self.error_bars.of(self.scorer, asked.state, codes)
        found = described(codes, scores, bars, self.items, self.item_table)
        return Answer(found, len(asked.support.item), asked.unknown, warnings)

    def _profile(self, profile: Mapping[str, Any]) -> "tuple[_Read | None, tuple[str, ...]]":
        """The profile as the model reads it, and a warning for each part that the model cannot read."""
        known = {} if self.profile_columns is None else self.profile_columns.columns
        warnings = tuple(
            f'the model knows no profile column "{column}" and ignores it; it knows {", ".join(known) or "none"}'
            for column in profile
            if column not in known
        )
        if self.profile_columns is None or not set(profile) & set(known):
            return None, warnings
        told = {column: value for column, value in profile.items() if column in known}
        table = pl.DataFrame({column: [value] * (len(told) + 1) for column, value in told.items()})
        for place, column in enumerate(told):
            table[place + 1, column] = None
        return _Read(self.profile_columns.transform(table), told), warnings


def _with_chances(
    items: tuple[Recommendation, ...], propensity: np.ndarray, probability: list[float | None]
) -> tuple[Recommendation, ...]:
    chances = zip(items, propensity.tolist(), probability, strict=True)
    return tuple(replace(item, propensity=shown, probability=wanted) for item, shown, wanted in chances)


class _Read(NamedTuple):
    """A profile as the model reads it: the first row; and in each other row without one of the columns."""

    rows: sp.csr_array
    columns: Mapping[str, Any]


class _Asked(NamedTuple):
    """A history as the model sees it."""

    support: Examples
    state: State
    unknown: tuple[Id, ...]
    warnings: tuple[str, ...]
    read: _Read | None


def load(folder: str | Path) -> Recommender:
    """The recommender that was saved to a folder; a damaged, altered, unknown or pickled one is refused."""
    manifest, arrays, items = read(Path(folder))
    profile = manifest["profile_columns"]
    table = items.drop(ID)
    scorer = restore(manifest["learner"], under(arrays, "scorer."), manifest["settings"])
    tastes = Tastes.restore(under(arrays, TASTES)) if f"{TASTES}tasks" in arrays else None
    if f"{LIKENESS}.start" in arrays:
        scorer = widened(scorer, sparse_of(LIKENESS, arrays, scorer.items))
    return Recommender(
        scorer=scorer,
        learner=manifest["learner"],
        objective=manifest["objective"],
        settings=manifest["settings"],
        items=Vocabulary(items[ID]),
        item_table=table if table.width else None,
        profile_columns=None if profile is None else Features.restore(profile, under(arrays, "profile.")),
        usual_value=manifest["usual_value"],
        facts=manifest["facts"],
        popular=arrays[POPULAR],
        among=arrays.get(AMONG),
        tastes=tastes,
        error_bars=None if manifest["error_bars"] is None else ErrorBars.restore(manifest["error_bars"]),
    )


def from_log(log: Interactions, **parts: Any) -> Recommender:
    """A recommender over the catalogue of a log."""
    usual = float(log.value.mean()) if len(log) else 1.0
    popular = np.bincount(log.item, minlength=len(log.items)).astype(np.float32)
    return Recommender(items=log.items, item_table=log.item_table, usual_value=usual, popular=popular, **parts)
