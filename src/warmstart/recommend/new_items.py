"""Additions: a catalogue grows by items that came after the model was fitted."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
import scipy.sparse as sp
from jaxtyping import Float32

from warmstart.data.features.table import Features
from warmstart.data.files import Source
from warmstart.data.interactions import Id, Vocabulary
from warmstart.data.reading import item_rows
from warmstart.errors import UsageError, sample_of
from warmstart.recommend.extended_scorer import Columns, ExtendedScorer, similarity_weights
from warmstart.recommend.history import UserHistory, values_of
from warmstart.scorer import Scorer
from warmstart.tasks.examples import Examples


class Catalogue(NamedTuple):
    """A scorer and the items that it scores."""

    scorer: Scorer
    items: Vocabulary
    item_table: pl.DataFrame | None
    popularity: Float32[np.ndarray, "I"]


def extend_catalogue(
    model: Catalogue, source: Source, met_by: Mapping[Id, Sequence[UserHistory]]
) -> Catalogue:
    """The catalogue with the items of a table; see `Recommender.add_items`."""
    if model.item_table is None:
        raise UsageError(
            "this model was fitted without a table of items, so nothing says which items a new "
            "one is like"
        )
    known = model.scorer.base if isinstance(model.scorer, ExtendedScorer) else model.scorer
    ids, rows = _new_items(model, source, known.items)
    unknown = [str(item) for item in met_by if item not in set(ids.to_list())]
    if unknown:
        raise UsageError(f"met_by names items that are not in the table: {sample_of(unknown)}")
    places = model.items.encode(ids.to_list())
    kept = np.setdiff1d(np.arange(known.items, len(model.items)), places)
    columns = _columns(model.scorer, model.item_table[: known.items])
    histories, met = _histories_of_users(model, ids, met_by, known.items)
    fresh = similarity_weights(
        columns.rows, columns.features.transform(rows), met, histories,
        model.popularity[: known.items],
    )  # fmt: skip
    before = (
        [model.scorer.similarity[kept - known.items]]
        if isinstance(model.scorer, ExtendedScorer)
        else []
    )
    stay = np.concatenate([np.arange(known.items), kept])
    return Catalogue(
        scorer=ExtendedScorer(known, sp.csr_array(sp.vstack([*before, fresh])), columns),
        items=Vocabulary(pl.concat([model.items.ids.gather(stay), ids])),
        item_table=pl.concat([model.item_table[stay], rows]),
        popularity=np.concatenate([model.popularity[stay], met.counts.astype(np.float32)]),
    )


def _columns(scorer: Scorer, table: pl.DataFrame) -> Columns:
    if isinstance(scorer, ExtendedScorer) and scorer.columns is not None:
        return scorer.columns
    features = Features.fit(table)
    return Columns(features, features.transform(table))


def _new_items(model: Catalogue, source: Source, known: int) -> tuple[pl.Series, pl.DataFrame]:
    """The ids of a table of new items, and their rows in the columns of the model's table."""
    assert model.item_table is not None, "who adds items has a table"
    ids, rows = item_rows(source)
    if ids.dtype != model.items.ids.dtype:
        if model.items.ids.dtype != pl.String:
            raise UsageError(
                "the model's items have whole numbers as ids, and those of the table are "
                f"text: {ids[0]!r}"
            )
        ids = ids.cast(pl.String)
    again = ids.filter(ids.is_in(model.items.ids[:known].implode()))
    if len(again):
        raise UsageError(
            f"{len(again)} items of the table are known already: {sample_of(again.to_list())}; "
            "leave them out"
        )
    absent = pl.repeat(None, len(rows), dtype=pl.String, eager=True)
    columns = [
        rows.get_column(name, default=absent).alias(name).cast(kind, strict=False)
        for name, kind in model.item_table.schema.items()
    ]
    return ids.alias(model.items.ids.name), pl.DataFrame(columns)


def _histories_of_users(
    model: Catalogue, ids: pl.Series, met_by: Mapping[Id, Sequence[UserHistory]], known: int
) -> tuple[Examples, Examples]:
    """The histories of all who met new items, in codes of known ones, and for each new item the
    places of its own.
    """
    own = [
        [list(values_of(history, 1.0)) for history in met_by.get(item, ())]
        for item in ids.to_list()
    ]
    flat = [history for histories in own for history in histories]
    codes = [model.items.encode(history) for history in flat]
    return (
        _ragged([row[(row >= 0) & (row < known)] for row in codes]),
        _ragged(
            np.split(np.arange(len(flat)), np.cumsum([len(histories) for histories in own])[:-1])
        ),
    )


def _ragged(rows: Sequence[np.ndarray]) -> Examples:
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    item = np.concatenate([np.zeros(0, dtype=np.int64), *rows])
    return Examples.unweighted(item, start)
