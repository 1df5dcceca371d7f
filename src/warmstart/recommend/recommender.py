"""The recommender: a fitted model in the user's own ids, which adapts to a history and answers at
once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Int64

from warmstart.arrays import sparse_from_arrays, sparse_to_arrays, strip_prefix
from warmstart.data.features.table import Features
from warmstart.data.files import Source
from warmstart.data.interactions import Id, Interactions, Vocabulary
from warmstart.errors import UnknownItem, UsageError, sample_of
from warmstart.evaluation.conformal import Bounds, ConformalIntervals
from warmstart.explain.attribution import UserContext
from warmstart.explain.explanation import ExplainedUser, Explanation, explain_item, explain_list
from warmstart.explain.insight import Insight, insight
from warmstart.explain.reasons import ItemNames
from warmstart.explain.user_groups import UserGroups
from warmstart.recommend.exploration import Policy
from warmstart.recommend.extended_scorer import ExtendedScorer
from warmstart.recommend.filters import Wanted
from warmstart.recommend.history import UserHistory
from warmstart.recommend.model_folder import ModelFiles, read, write
from warmstart.recommend.new_items import Catalogue, extend_catalogue
from warmstart.recommend.ranking import RankedList, Ranker
from warmstart.recommend.request import ParsedRequest, Request, RequestParser, as_batch
from warmstart.recommend.response import Answer, Properties, recommendations
from warmstart.scorer import Scorer, State
from warmstart.tasks.tasks import Objective
from warmstart.training.registry import restore

ID = "warmstart_id"  # the column of ids beside the columns of the item table
AMONG, POPULAR, LIKENESS, TASTES = "among", "popular", "likeness", "tastes."


@dataclass(frozen=True)
class Recommender:
    """This knows a catalogue by the user's ids and recommends from it; it keeps nothing about
    anybody.
    """

    scorer: Scorer = field(repr=False)
    learner: str
    objective: Objective
    settings: Mapping[str, Any]
    items: Vocabulary = field(repr=False)
    item_table: pl.DataFrame | None = field(repr=False)
    profile_columns: Features | None = field(repr=False)
    default_value: float
    """What an event without a value counts as."""
    popularity: Float32[np.ndarray, "I"] = field(repr=False)
    """How many events each item had."""
    facts: Mapping[str, Any] = field(repr=False)
    """Where the model comes from: the data, the seed, the validation figures, the seconds it
    took.
    """
    candidates: Int64[np.ndarray, "C"] | None = field(default=None, repr=False)
    """The codes of the items that are recommended, rising; None where all are."""
    error_bars: ConformalIntervals | None = field(default=None, repr=False)
    """Of ratings; None where events are ranked."""
    user_groups: UserGroups | None = field(default=None, repr=False)
    """What groups of training tasks met; None where there were too few to show."""

    def recommend(
        self,
        history: UserHistory = (),
        n: int = 10,
        *,
        profile: Mapping[str, Any] | None = None,
        exclude: Iterable[Id] = (),
        explain: bool = False,
        again: bool = False,
        where: Wanted | Bool[np.ndarray, "I"] | None = None,
        policy: Policy | None = None,
    ) -> Answer:
        """The `n` best items for somebody who met those of `history` (oldest first, or item ->
        value).

        What is in `exclude` is never recommended, nor is the history, unless `again` says so, nor
        what lacks the properties of `where`, which may also say of each item whether it is allowed.
        Unknown ids are reported and skipped. With `explain` each item comes with its reasons, and
        the answer with how far these carry. A `policy` shows what is not known to be best, too.
        """
        return self.recommend_all(
            [Request(history, n, profile or {}, exclude, explain, again, where, policy)]
        )[0]

    def recommend_all(self, requests: Sequence[Request]) -> list[Answer]:
        """The answer to each request, as `recommend` gives it; many at once take less time than one
        after another.
        """
        people = [self._parser.parse(one.history, one.profile) for one in requests]
        found: dict[int, Answer] = {}
        for told in (False, True):
            places = [
                place for place, person in enumerate(people) if (person.profile is not None) is told
            ]
            if places:
                answers = self._answered([requests[i] for i in places], [people[i] for i in places])
                found |= dict(zip(places, answers, strict=True))
        return [found[place] for place in range(len(requests))]

    def explain(
        self,
        history: UserHistory,
        item: Id,
        *,
        profile: Mapping[str, Any] | None = None,
        n: int = 10,
    ) -> Explanation:
        """Why `item` stands where it does for somebody with this history, and what would change it.

        What would take it out of a list of `n` is told where it is in it, else what would bring it
        there.
        """
        code, person = self._code(item), self._explained_user(Request(history, n, profile or {}))
        if code in person.context.support.item:
            raise UsageError(
                f"item {item!r} is in the history, and what was met is not recommended; leave "
                "it out of one"
            )
        ranks = self.objective == "ranking"
        return explain_item(
            self.scorer, person, code, n, self._names, ranks=ranks, value=self.default_value
        )

    def insight(
        self, history: UserHistory = (), *, profile: Mapping[str, Any] | None = None, n: int = 10
    ) -> Insight:
        """What the model has learned of people as a whole, and how each event of this history moves
        the list.
        """
        person = self._explained_user(Request(history, n, profile or {}))
        return insight(
            self.scorer,
            person,
            n,
            self._names,
            user_groups=self.user_groups,
            features=self.profile_columns,
        )

    def predict(
        self, history: UserHistory, items: Iterable[Id], *, profile: Mapping[str, Any] | None = None
    ) -> Answer:
        """The ratings, with error bars, that somebody with this history would give to `items`, in
        their order.

        Unknown items are reported and skipped. A model of events, which ranks, is refused.
        """
        if self.error_bars is None:
            raise UsageError(
                "this model ranks events and predicts no ratings; fit one with the objective rating"
            )
        heard, items = self._parser.parse(history, profile or {}), list(items)
        codes = self.items.encode(items)
        missing = [str(item) for item, code in zip(items, codes, strict=True) if code < 0]
        warnings = heard.warnings
        if missing:
            warnings += (
                f"{len(missing)} of {len(items)} items to rate are unknown and were skipped: "
                f"{sample_of(missing)}",
            )
        codes = codes[codes >= 0]
        state = self.scorer.adapt(*as_batch([heard]))
        bars = self.error_bars.bounds(self.scorer, state, codes)
        found = recommendations(
            codes, self.scorer.score(state, codes)[0], bars, self.items, self._properties
        )
        return Answer(found, len(heard.support.item), heard.unknown, warnings)

    def add_items(
        self, table: Source, *, met_by: Mapping[Id, Sequence[UserHistory]] | None = None
    ) -> "Recommender":
        """A recommender that recommends the items of `table` too, at once and without fitting.

        A new item stands where the known ones stand that are like it, by their columns and by the
        histories of those who met it, which `met_by` holds; the more there are, the more they
        count. An item that was added before may be added again, as more is known of it.
        """
        grown = extend_catalogue(
            Catalogue(self.scorer, self.items, self.item_table, self.popularity),
            table,
            met_by or {},
        )
        new = np.arange(len(self.items), len(grown.items))
        candidates = None if self.candidates is None else np.union1d(self.candidates, new)
        return replace(self, candidates=candidates, **grown._asdict())

    def properties(self, item: Id) -> dict[str, Any]:
        """What the table of items says of one."""
        return self._properties.of(np.array([self._code(item)]))[0]

    def with_report(self, report: Mapping[str, Any]) -> "Recommender":
        """The same, which also says how its learner fared against the classics:
        `Report.to_dict`.
        """
        return replace(self, facts={**self.facts, "report": dict(report)})

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder of JSON, safetensors and Parquet, whole or not at all."""
        ids = pl.DataFrame({ID: self.items.ids})
        features = self.profile_columns
        arrays = {f"scorer.{name}": array for name, array in self.scorer.arrays().items()}
        arrays[POPULAR] = self.popularity
        if isinstance(self.scorer, ExtendedScorer):
            arrays |= sparse_to_arrays(LIKENESS, self.scorer.similarity)
        if self.candidates is not None:
            arrays[AMONG] = self.candidates
        if self.user_groups is not None:
            arrays |= {
                f"{TASTES}{name}": array for name, array in self.user_groups.arrays().items()
            }
        if features is not None:
            arrays |= {f"profile.{name}": array for name, array in features.arrays().items()}
        manifest = {
            "learner": self.learner,
            "objective": self.objective,
            "settings": dict(self.settings),
            "usual_value": self.default_value,
            "profile_columns": None if features is None else features.to_dict(),
            "error_bars": None if self.error_bars is None else self.error_bars.to_dict(),
            "facts": dict(self.facts),
        }
        items = ids if self.item_table is None else ids.hstack(self.item_table)
        write(Path(folder), ModelFiles(manifest, arrays, items))

    @cached_property
    def _parser(self) -> RequestParser:
        return RequestParser(self.items, self.profile_columns, self.default_value)

    @cached_property
    def _ranker(self) -> Ranker:
        return Ranker(
            self.scorer, self.items, self.item_table, self.candidates, self.objective == "ranking"
        )

    @cached_property
    def _properties(self) -> Properties:
        return Properties(self.item_table)

    @property
    def _names(self) -> ItemNames:
        return ItemNames(self.items, self.item_table)

    def _code(self, item: Id) -> int:
        code = int(self.items.encode([item])[0])
        if code < 0:
            raise UnknownItem(
                f"there is no item {item!r} in the model's catalogue of {len(self.items):,}"
            )
        return code

    def _explained_user(
        self, request: Request, heard: ParsedRequest | None = None
    ) -> ExplainedUser:
        """Whom a request is for, as explanations see them; read anew where that was not `heard`
        before.
        """
        heard = self._parser.parse(request.history, request.profile) if heard is None else heard
        excluded = self._ranker.excluded(request, heard)
        if heard.profile is None:
            return ExplainedUser(UserContext(heard.support), {}, excluded)
        rows, columns = heard.profile
        return ExplainedUser(UserContext(heard.support, rows[[0]], rows[1:]), columns, excluded)

    def _answered(
        self, requests: Sequence[Request], heard: Sequence[ParsedRequest]
    ) -> list[Answer]:
        """The answers to requests of which all come with a profile or none does."""
        state, lists = self._ranker.rank(requests, heard)
        codes = np.concatenate([one.items for one in lists])
        scores = np.concatenate([one.scores[one.items] for one in lists])
        chances = [
            chance for one in lists for chance in zip(one.probability, one.propensity, strict=True)
        ]
        found = recommendations(
            codes, scores, self._bars(state, lists), self.items, self._properties, chances
        )
        ends = np.cumsum([len(one.items) for one in lists]).tolist()
        answers = [
            Answer(found[first:last], len(known.support.item), known.unknown, known.warnings)
            for known, first, last in zip(heard, [0, *ends], ends, strict=False)
        ]
        return [
            self._with_reasons(answer, self._explained_user(request, known), own)
            if request.explain and answer.items
            else answer
            for answer, request, known, own in zip(answers, requests, heard, lists, strict=True)
        ]

    def _bars(self, state: State, lists: Sequence[RankedList]) -> Bounds | None:
        """The error bars of all items of T lists, one list after the other."""
        if self.error_bars is None:
            return None
        codes = np.zeros((len(lists), max(1, *(len(one.items) for one in lists))), dtype=np.int64)
        listed = np.zeros(codes.shape, dtype=bool)
        for place, one in enumerate(lists):
            codes[place, : len(one.items)], listed[place, : len(one.items)] = one.items, True
        bars = self.error_bars.bounds(self.scorer, state, codes)
        return Bounds(bars.low[listed][None], bars.high[listed][None])

    def _with_reasons(self, answer: Answer, person: ExplainedUser, own: RankedList) -> Answer:
        found = explain_list(
            self.scorer, person, own.scores, own.items, self._names, self.objective == "ranking"
        )
        told = tuple(
            replace(item, reasons=why)
            for item, why in zip(answer.items, found.reasons, strict=True)
        )
        sufficiency, comprehensiveness = (float(share[0]) for share in found.fidelity)
        return replace(
            answer, items=told, sufficiency=sufficiency, comprehensiveness=comprehensiveness
        )


def load(folder: str | Path) -> Recommender:
    """The recommender that was saved to a folder; a damaged, altered, unknown or pickled one is
    refused.
    """
    manifest, arrays, items = read(Path(folder))
    profile = manifest["profile_columns"]
    table = items.drop(ID)
    scorer = restore(manifest["learner"], strip_prefix(arrays, "scorer."), manifest["settings"])
    tastes = (
        UserGroups.restore(strip_prefix(arrays, TASTES)) if f"{TASTES}tasks" in arrays else None
    )
    if f"{LIKENESS}.start" in arrays:
        scorer = ExtendedScorer(scorer, sparse_from_arrays(LIKENESS, arrays, scorer.items))
    return Recommender(
        scorer=scorer,
        learner=manifest["learner"],
        objective=manifest["objective"],
        settings=manifest["settings"],
        items=Vocabulary(items[ID]),
        item_table=table if table.width else None,
        profile_columns=None
        if profile is None
        else Features.restore(profile, strip_prefix(arrays, "profile.")),
        default_value=manifest["usual_value"],
        facts=manifest["facts"],
        popularity=arrays[POPULAR],
        candidates=arrays.get(AMONG),
        user_groups=tastes,
        error_bars=None
        if manifest["error_bars"] is None
        else ConformalIntervals.restore(manifest["error_bars"]),
    )


def from_log(log: Interactions, **parts: Any) -> Recommender:
    """A recommender over the catalogue of a log."""
    usual = float(log.value.mean()) if len(log) else 1.0
    popular = np.bincount(log.item, minlength=len(log.items)).astype(np.float32)
    return Recommender(
        items=log.items, item_table=log.item_table, default_value=usual, popularity=popular, **parts
    )
