"""Explanation: why an item stands where it does for one person, and what would change it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Int64

from warmstart.data.features.table import Features
from warmstart.data.interactions import Id
from warmstart.explain.attribution import Influences, UserContext, influences, top_competitors
from warmstart.explain.counterfactual import Addition, Removal, addition, removal
from warmstart.explain.fidelity import Fidelity, fidelity
from warmstart.explain.reasons import ItemNames, Reason, reasons_of
from warmstart.explain.sentences import sentence
from warmstart.scorer import Scorer, delegate

PLAIN_FIELDS = ("item", "title", "score", "rank", "lead", "sufficiency", "comprehensiveness")


class ExplainedUser(NamedTuple):
    """What is known of one person, and what cannot be recommended to them."""

    context: UserContext
    profile: Mapping[str, Any]
    """The columns of which `known` has a row each in `without`, in their order."""
    excluded: Bool[np.ndarray, "I"]


@dataclass(frozen=True)
class Without:
    """Events without which an item is not recommended."""

    items: tuple[Id, ...]
    titles: tuple[str | None, ...]
    rank: int
    """Where the item stands without them."""
    smallest: bool
    """Whether all smaller sets were tried."""


@dataclass(frozen=True)
class With:
    """Further events that would bring an item into the list, or as near as was found."""

    items: tuple[Id, ...]
    titles: tuple[str | None, ...]
    rank: int
    """Where the item stands with them."""


@dataclass(frozen=True)
class Explanation:
    """Why an item stands where it does."""

    item: Id
    title: str | None
    score: float
    rank: int
    """Its place among what can be recommended, 1 the best."""
    lead: float
    """Its score less the mean of the ten best others; of ratings, the rating."""
    reasons: tuple[Reason, ...]
    """The parts of the lead, the weightiest first."""
    content: Mapping[str, float]
    """What each column of the item adds to its score, where the model reads them: another view of
    the same score.
    """
    sufficiency: float
    """What the three most important events alone keep of the item's discount, 1 / log2(1 +
    rank).
    """
    comprehensiveness: float
    """What is lost of it without them."""
    without: Without | None
    """What would take it out of the list; None where it is not in it, or where nothing does."""
    with_: With | None
    """What would bring it into the list; None where it is in it, or where nothing helps."""

    def why(self, language: str = "en") -> str:
        """The reasons in a sentence, in English (en) or Chinese (zh)."""
        return sentence(self.reasons, language)

    def to_dict(self, language: str = "en") -> dict[str, Any]:
        """The explanation, fit for JSON."""
        return {
            **{name: getattr(self, name) for name in PLAIN_FIELDS},
            "why": self.why(language),
            "reasons": [reason.to_dict() for reason in self.reasons],
            "content": dict(self.content),
            "without": None if self.without is None else asdict(self.without),
            "with": None if self.with_ is None else asdict(self.with_),
        }


class ListReasons(NamedTuple):
    """Why each of N recommended items is recommended, and how far the reasons carry."""

    reasons: tuple[tuple[Reason, ...], ...]
    fidelity: Fidelity
    """Of the first item."""


def explain_list(
    scorer: Scorer,
    person: ExplainedUser,
    scores: Float32[np.ndarray, "I"],
    items: Int64[np.ndarray, "N"],
    names: ItemNames,
    ranks: bool,
) -> ListReasons:
    """The reasons for all items of a list at once, by the scores of the catalogue. `ranks`: events,
    not ratings.
    """
    found = _influences(scorer, person, scores, items, ranks)
    met = names.of(person.context.support.item)
    told = tuple(reasons_of(found, place, met, person.profile) for place in range(len(items)))
    return ListReasons(
        told, fidelity(scorer, person.context, items[:1], found.events[:1], person.excluded)
    )


def explain_item(
    scorer: Scorer,
    person: ExplainedUser,
    item: int,
    n: int,
    names: ItemNames,
    *,
    ranks: bool,
    value: float,
) -> Explanation:
    """Why an item stands where it does, with all that can be said of it; `value` is that of a
    further event.
    """
    known, excluded, one = person.context, person.excluded.copy(), np.array([item])
    excluded[item] = False
    scores = scorer.score(scorer.adapt(known.support, known.profile), np.arange(scorer.items))[0]
    found = _influences(scorer, person._replace(excluded=excluded), scores, one, ranks)
    faithful = fidelity(scorer, known, one, found.events, excluded)
    rank = 1 + int(((scores > scores[item]) & ~excluded).sum())
    listed = rank <= n
    identifier, title = names.of(one)[0]
    return Explanation(
        item=identifier,
        title=title,
        score=float(scores[item]),
        rank=rank,
        lead=float(found.margin[0]),
        reasons=reasons_of(found, 0, names.of(known.support.item), person.profile),
        content=_content(scorer, known, item, names.table),
        sufficiency=float(faithful.sufficiency[0]),
        comprehensiveness=float(faithful.comprehensiveness[0]),
        without=_without(removal(scorer, known, item, n, excluded), known, names)
        if listed
        else None,
        with_=None if listed else _with(addition(scorer, known, item, n, excluded, value), names),
    )


def _influences(
    scorer: Scorer, person: ExplainedUser, scores: np.ndarray, items: np.ndarray, ranks: bool
) -> Influences:
    nobody = np.zeros((len(items), 0), dtype=np.int64)
    rivals = top_competitors(scores, person.excluded, items) if ranks else nobody
    return influences(scorer, person.context, items, rivals)


def _content(
    scorer: Scorer, known: UserContext, item: int, table: pl.DataFrame | None
) -> dict[str, float]:
    """What each column of the item table adds to an item's score; nothing where the model has no
    such columns.
    """
    content = delegate(scorer, known.shots).capabilities.content
    if table is None or content is None:
        return {}
    places = Features.fit(table[: content.items]).places
    if not places or len(next(iter(places.values()))) != content.width:
        return {}
    added = content.contributions(known.support, known.profile, item, list(places.values()))
    return {name: float(part) for name, part in zip(places, added, strict=True)}


def _without(found: Removal | None, known: UserContext, names: ItemNames) -> Without | None:
    if found is None:
        return None
    ids, titles = zip(*names.of(known.support.item[list(found.events)]), strict=True)
    return Without(ids, titles, found.rank, found.smallest)


def _with(found: Addition | None, names: ItemNames) -> With | None:
    if found is None:
        return None
    ids, titles = zip(*names.of(np.array(found.items)), strict=True)
    return With(ids, titles, found.rank)
