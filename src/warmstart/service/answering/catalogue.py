"""Catalogue: the model in use with the items that came since, and what the store says of each
item.
"""

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool

from warmstart.arrays import top_k
from warmstart.data.interactions import Id
from warmstart.explain.reasons import title_column
from warmstart.recommend.filters import matching
from warmstart.recommend.history import UserHistory
from warmstart.recommend.recommender import Recommender
from warmstart.service.answering.background import PeriodicTask
from warmstart.service.models.active import ActiveModel, ServedModel
from warmstart.service.store.records import Stamp
from warmstart.service.store.store import Store

PATIENCE = 1.0  # seconds until it is looked what other workers wrote
MASKS = 64  # filters whose items are kept
MET_BY, LATEST = 50, 200  # users who met a new item, by whose latest events it is placed
HIDDEN = "is_hidden"
"""The property of items that are not recommended to anybody."""


class Catalogue(NamedTuple):
    """The model with the items that were added since, and what is known of each."""

    serving: ServedModel
    stamp: Stamp
    """What changes in the store when items do."""
    met: Mapping[str, int]
    """How often each new item was met."""
    model: Recommender
    new: Sequence[str]
    """The items that the model was not fitted on."""
    properties: Mapping[str, dict[str, Any]]
    """What the store says of items, by their ids."""
    shown: Bool[np.ndarray, "I"] | None
    """The items that are recommended; None where all are."""
    masks: dict[str, Bool[np.ndarray, "I"]]
    """The items that filters have let through, by what was wanted: of a large catalogue that takes
    a while to find.
    """

    def titles(self, items: Iterable[str]) -> dict[str, str]:
        """What items are called, of which that is known."""
        column, found = title_column(self.model.item_table), {}
        for item in items:
            known = self.properties.get(item, {})
            if (
                "title" not in known
                and column is not None
                and self.model.items.encode([item])[0] >= 0
            ):
                known = {"title": self.model.properties(item).get(column)}
            if known.get("title") is not None:
                found[item] = str(known["title"])
        return found


class CatalogueRefresher:
    """This keeps the catalogue up to date, in a thread of its own, so that no request waits for it.

    What this worker is told holds at once, since it is asked to `refresh`; what others are told,
    within a second.
    """

    def __init__(self, models: ActiveModel, store: Store) -> None:
        self.models, self.store = models, store
        self.current = build_catalogue(models.serving, store)
        self._lock = threading.Lock()
        self._again = PeriodicTask(
            self.refresh, PATIENCE, "items and models cannot be looked up; those known are answered"
        )

    def refresh(self) -> None:
        """Take over what the store and the folder of models have to say."""
        with self._lock:
            serving, known = self.models.serving, self.current
            if known[:3] != (
                serving,
                self.store.items_stamp(),
                self.store.interaction_counts(known.new),
            ):
                self.current = build_catalogue(serving, self.store, known)

    def close(self) -> None:
        """Keep it no longer."""
        self._again.close()


def build_catalogue(
    serving: ServedModel, store: Store, before: Catalogue | None = None
) -> Catalogue:
    """The model with all items that the store has; what it was `before`, if it was, is not found
    anew.
    """
    if before is not None and before.serving is not serving:
        before = None
    stamp = store.items_stamp()
    properties = _properties(store, stamp, before)
    model = serving.model
    ids = list(properties)
    new = [item for item, code in zip(ids, model.items.encode(ids), strict=True) if code < 0]
    met = store.interaction_counts(new)
    if before is not None and set(before.new) <= set(new):
        model = before.model
        changed = [
            item
            for item in new
            if properties[item] is not before.properties.get(item)
            or met.get(item) != before.met.get(item)
        ]
    else:
        changed = new
    if changed and model.item_table is not None:
        rows = [{"item_id": item, **_texts(properties[item])} for item in changed]
        met_by: dict[Id, list[UserHistory]] = dict(
            store.histories_of_items(changed, MET_BY, LATEST)
        )
        model = model.add_items(pl.DataFrame(rows, infer_schema_length=None), met_by=met_by)
    hidden = model.items.encode(
        item for item, known in properties.items() if known.get(HIDDEN) is True
    )
    shown = np.ones(len(model.items), dtype=bool)
    shown[hidden[hidden >= 0]] = False
    return Catalogue(
        serving, stamp, met, model, new, properties, None if shown.all() else shown, {}
    )


def _properties(store: Store, stamp: Stamp, before: Catalogue | None) -> dict[str, dict[str, Any]]:
    """What the store says of items; of those that did not change the same objects as before."""
    if before is None:
        return store.items_since(0.0)
    changed = store.items_since(before.stamp.changed)
    found = {
        **before.properties,
        **{item: known for item, known in changed.items() if known != before.properties.get(item)},
    }
    return found if len(found) == stamp.items else store.items_since(0.0)  # some were removed


def items_matching(catalogue: Catalogue, wanted: Mapping[str, Any]) -> Bool[np.ndarray, "I"]:
    """The items that have the wanted properties, by what the store says of them and else by the
    model's table.
    """
    key = json.dumps(wanted, sort_keys=True)
    mask = catalogue.masks.get(key)
    if mask is None:
        mask = matching(_columns(catalogue, wanted), wanted)
        if len(catalogue.masks) >= MASKS:
            catalogue.masks.clear()
        catalogue.masks[key] = mask
    return mask  # the local value: another thread may clear the dictionary at any moment


def search_titles(catalogue: Catalogue, text: str, count: int) -> list[dict[str, Any]]:
    """Items whose id or title holds a text, whatever its case, the most popular first."""
    model, wanted = catalogue.model, text.strip().lower()
    ids = model.items.ids.cast(pl.String)
    titles = _titles(catalogue, ids)
    held = pl.Series([True]) if not wanted else _holds(ids, wanted) | _holds(titles, wanted)
    allowed = np.broadcast_to(held.to_numpy(), len(ids)) & (
        True if catalogue.shown is None else catalogue.shown
    )
    best = top_k(
        np.where(allowed, model.popularity, -1).astype(np.float32), min(count, int(allowed.sum()))
    )
    return [
        {
            "item_id": ids[int(code)],
            "title": titles[int(code)],
            "events": int(model.popularity[code]),
        }
        for code in best
    ]


def _titles(catalogue: Catalogue, ids: pl.Series) -> pl.Series:
    column = title_column(catalogue.model.item_table)
    absent = pl.repeat(None, len(ids), dtype=pl.String, eager=True)
    known = _columns(catalogue, [column or "title"])
    return known.get_column(column or "title", default=absent)


def _holds(texts: pl.Series, wanted: str) -> pl.Series:
    return texts.str.to_lowercase().str.contains(wanted, literal=True).fill_null(False)


def _columns(catalogue: Catalogue, names: Iterable[str]) -> pl.DataFrame:
    """Properties of all items; those that no item has are left out."""
    table = pl.DataFrame({}) if catalogue.model.item_table is None else catalogue.model.item_table
    codes = catalogue.model.items.encode(list(catalogue.properties))
    columns = {}
    for name in names:
        own = {
            int(code): _texts({name: properties[name]})[name]
            for code, properties in zip(codes, catalogue.properties.values(), strict=True)
            if code >= 0 and name in properties
        }
        if name in table.columns or own:
            absent = pl.repeat(None, len(catalogue.model.items), dtype=pl.String, eager=True)
            values = table.get_column(name, default=absent).cast(pl.String)
            columns[name] = values.scatter(list(own), list(own.values())) if own else values
    return pl.DataFrame(columns)


def _texts(properties: Mapping[str, Any]) -> dict[str, str | None]:
    """Properties as the columns of a table: lists joined by bars, as tables have them."""
    return {
        name: "|".join(value) if isinstance(value, list) else _text(value)
        for name, value in properties.items()
    }


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)
