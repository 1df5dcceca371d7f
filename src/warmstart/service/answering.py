"""Answering: recommendations from the model in use, what is stored, and what comes with a request."""

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool

from warmstart.answer import Answer
from warmstart.exploration import Policy
from warmstart.filters import matching
from warmstart.history import History
from warmstart.interactions import Id
from warmstart.recommender import Recommender
from warmstart.service.models import Models, Serving
from warmstart.service.schemas import Asked, Met, Ranked
from warmstart.service.store import Logged, Store
from warmstart.service.tables import USERS

HISTORY = 200  # stored events of a user that are heard, the latest ones
FEW = 20  # events up to which somebody is new
PATIENCE = 1.0  # seconds until it is looked whether another worker wrote items
MET_BY = 50  # users who met a new item, by whose histories it is placed
SILENT = frozenset({"dislike", "skip", "hide", "return", "impression", "read"})
"""Types of events that are kept, and not shown again, but say nothing for an item."""
HIDDEN = "is_hidden"
"""The property of items that are not recommended to anybody."""


class Catalogue(NamedTuple):
    """The model with the items that were added since, and what is known of each."""

    serving: Serving
    stamp: tuple[object, ...]
    """What changes in the store when it has to be made anew."""
    model: Recommender
    new: Sequence[str]
    """The items that the model was not fitted on."""
    properties: Mapping[str, Mapping[str, Any]]
    """What the store says of items, by their ids."""
    hidden: Sequence[str]
    """The items that are not recommended."""


@dataclass(frozen=True)
class Person:
    """What is known of whom an answer is for."""

    history: Mapping[Id, float]
    profile: Mapping[str, Any]
    silent: frozenset[str]
    """Items that were met without a word for them."""

    @property
    def stage(self) -> str:
        """How much that is: nothing, a few events, or many."""
        if not self.history:
            return "prior"
        return "few-shot" if len(self.history) <= FEW else "known"


class Answering:
    """This answers every request anew; it keeps nothing but the model with the items added to it."""

    def __init__(self, models: Models, store: Store) -> None:
        self.models, self.store = models, store
        self._lock, self._looked = threading.Lock(), 0.0
        self._catalogue: Catalogue | None = None

    def recommend(self, asked: Asked) -> dict[str, Any]:
        """The best items for somebody, which are logged with their chances."""
        begun = time.perf_counter()
        catalogue, person = self.catalogue(), self._person(asked.user_id, asked.history, asked.profile)
        answer = catalogue.model.recommend(
            person.history,
            asked.count,
            profile=person.profile,
            exclude=[*asked.exclude_ids, *catalogue.hidden, *(person.silent if asked.exclude_seen else ())],
            explain=asked.explain,
            again=not asked.exclude_seen,
            where=_where(catalogue, asked.filter) if asked.filter else None,
            policy=None if asked.explore is None else Policy(**asked.explore.model_dump()),
        )
        found = {
            "recommendation_id": uuid.uuid4().hex,
            "model": catalogue.serving.version,
            "user": {"events_used": answer.used, "stage": person.stage if answer.used else "prior"},
            "items": [_item(item, catalogue, asked.language) for item in answer.items],
            "fidelity": _fidelity(answer),
            "warnings": list(answer.warnings),
        }
        took = 1000 * (time.perf_counter() - begun)
        chances = [{"item_id": item["item_id"], "propensity": item["propensity"]} for item in found["items"]]
        self.store.log(
            Logged(found["recommendation_id"], asked.user_id, found["model"], found["user"]["stage"], took, chances)
        )
        return {**found, "took_ms": took}

    def rank(self, asked: Ranked) -> dict[str, Any]:
        """Items in the order in which they suit somebody; those that the model does not know are named."""
        catalogue, person = self.catalogue(), self._person(asked.user_id, asked.history, asked.profile)
        model = catalogue.model
        known = [
            item for item, code in zip(asked.item_ids, model.items.encode(asked.item_ids), strict=True) if code >= 0
        ]
        where = np.zeros(len(model.items), dtype=bool)
        where[model.items.encode(known)] = True
        answer = model.recommend(person.history, max(len(known), 1), profile=person.profile, again=True, where=where)
        return {
            "model": catalogue.serving.version,
            "items": [{"item_id": str(item.item), "score": item.score} for item in answer.items],
            "unknown": [item for item in asked.item_ids if item not in known],
        }

    def similar(self, item_id: str, count: int) -> dict[str, Any]:
        """What those are recommended who met one item alone."""
        catalogue = self.catalogue()
        answer = catalogue.model.recommend([item_id], count, exclude=catalogue.hidden)
        return {"model": catalogue.serving.version, "items": [_item(item, catalogue, "en") for item in answer.items]}

    def explain(self, user_id: str, item_id: str, count: int, language: str) -> dict[str, Any]:
        """Why an item stands where it does for a user."""
        catalogue, person = self.catalogue(), self._person(user_id, (), {})
        found = catalogue.model.explain(person.history, item_id, profile=person.profile, n=count)
        return {"model": catalogue.serving.version, **found.to_dict(language)}

    def look_again(self) -> None:
        """Heed at the next request what was just written; what other workers write is heeded within a second."""
        self._looked = 0.0

    def catalogue(self) -> Catalogue:
        """The model in use with all items that the store has, made anew where one of the two has changed."""
        serving, found = self.models.serving, self._catalogue
        if found is not None and found.serving is serving and time.monotonic() - self._looked < PATIENCE:
            return found
        with self._lock:
            self._looked = time.monotonic()
            new = [] if self._catalogue is None else self._catalogue.new
            if self._catalogue is None or self._catalogue[:2] != (serving, self.store.items_stamp(new)):
                self._catalogue = self._grown(serving)
            return self._catalogue

    def _grown(self, serving: Serving) -> Catalogue:
        properties, model = self.store.all_items(), serving.model
        ids = list(properties)
        new = [item for item, code in zip(ids, model.items.encode(ids), strict=True) if code < 0]
        if new and model.item_table is not None:
            rows = [{"item_id": item, **_texts(properties[item])} for item in new]
            met_by: dict[Id, list[History]] = dict(self.store.histories_of_items(new, MET_BY, HISTORY))
            model = model.add_items(pl.DataFrame(rows, infer_schema_length=None), met_by=met_by)
        hidden = [item for item, known in properties.items() if known.get(HIDDEN) is True]
        return Catalogue(serving, self.store.items_stamp(new), model, new, properties, hidden)

    def _person(self, user_id: str | None, history: Sequence[str | Met], profile: Mapping[str, Any]) -> Person:
        """What is stored of a user and what the request says, of which the latter is later and counts."""
        model = self.models.serving.model
        met: dict[Id, float] = {}
        stored = [] if user_id is None else self.store.history(user_id, HISTORY)
        for item, value in [
            *((one.item_id, one.value) for one in stored if one.type not in SILENT),
            *((one, None) if isinstance(one, str) else (one.item_id, one.value) for one in history),
        ]:
            met.pop(item, None)  # what comes again is the latest
            met[item] = model.usual_value if value is None else value
        known = {} if user_id is None else self.store.get(USERS, user_id) or {}
        silent = frozenset(one.item_id for one in stored if one.type in SILENT)
        return Person(met, known | dict(profile), silent)


def _where(catalogue: Catalogue, wanted: Mapping[str, Any]) -> Bool[np.ndarray, "I"]:
    """The items that have the wanted properties, by what the store says of them and else by the model's table."""
    model = catalogue.model
    table = pl.DataFrame({}) if model.item_table is None else model.item_table
    codes = model.items.encode(list(catalogue.properties))
    columns = {name: table[name].cast(pl.String).to_list() if name in table.columns else None for name in wanted}
    filled: dict[str, list[str | None]] = {
        name: [None] * len(model.items) if values is None else values
        for name, values in columns.items()
        if values is not None or any(name in own for own in catalogue.properties.values())
    }
    for code, own in zip(codes, catalogue.properties.values(), strict=True):
        for name in filled:
            if code >= 0 and name in own:
                filled[name][code] = _texts(own)[name]
    return matching(pl.DataFrame(filled, schema=dict.fromkeys(filled, pl.String)), wanted)


def _item(found: Any, catalogue: Catalogue, language: str) -> dict[str, Any]:
    """A recommended item as it is answered."""
    identifier = str(found.item)
    own = catalogue.properties.get(identifier, {})
    told = {"why": found.why(language), "reasons": [one.to_dict() for one in found.reasons]} if found.reasons else {}
    return {
        "item_id": identifier,
        "title": own.get("title", found.title),
        "score": found.score,
        "probability": found.probability,
        "propensity": found.propensity,
        "properties": {**found.properties, **own},
        **told,
    }


def _fidelity(answer: Answer) -> dict[str, float] | None:
    if answer.sufficiency is None or answer.comprehensiveness is None:
        return None
    return {"sufficiency": answer.sufficiency, "comprehensiveness": answer.comprehensiveness}


def _texts(properties: Mapping[str, Any]) -> dict[str, str | None]:
    """Properties as the columns of a table: lists joined by bars, as tables have them."""
    return {name: "|".join(value) if isinstance(value, list) else _text(value) for name, value in properties.items()}


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)
