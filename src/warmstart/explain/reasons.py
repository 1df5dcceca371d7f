"""Reasons: why an item is recommended, in the user's own ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from warmstart.data.interactions import Id, Vocabulary
from warmstart.explain.attribution import Influences

TITLES = ("title", "name", "label", "description")
Named = tuple[Id, str | None]
Kind = Literal["event", "profile", "prior", "together"]


@dataclass(frozen=True)
class Reason:
    """One part of an item's lead: an event, a column of the profile, the prior, or what only they
    do together.
    """

    kind: Kind
    adds: float
    """What it adds to the lead of the item over its rivals (of ratings: to the rating); with it,
    less without it.
    """
    share: float
    """The same as a share of all parts, of which those against the item are negative: their sizes
    are 1 in all.
    """
    item: Id | None = None
    """Of an event: what was met."""
    title: str | None = None
    column: str | None = None
    """Of a profile: the column, and its value."""
    value: Any = None

    def to_dict(self) -> dict[str, Any]:
        """The reason, fit for JSON; without what it has not."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class ItemNames:
    """How items are called."""

    items: Vocabulary
    table: pl.DataFrame | None = field(repr=False)

    def of(self, codes: np.ndarray) -> list[Named]:
        """The id of each item, and its title where it has one."""
        column = title_column(self.table)
        titles = (
            [None] * len(codes)
            if column is None or self.table is None
            else self.table[column].gather(codes).to_list()
        )
        return list(zip(self.items.decode(codes), titles, strict=True))


def reasons_of(
    found: Influences, place: int, met: Sequence[Named], profile: Mapping[str, Any]
) -> tuple[Reason, ...]:
    """The reasons for one of the items of `found`, the weightiest first; they are its lead in all.

    `met` names the events, and `profile` has the columns, in the order of `found`.
    """
    parts = [
        *found.events[place],
        *found.columns[place],
        found.prior[place],
        found.interaction[place],
    ]
    whole = float(np.abs(parts).sum()) or 1.0
    sizes = [(float(part), float(part) / whole) for part in parts]
    shots = len(met)
    events = [Reason("event", *size, *name) for size, name in zip(sizes[:shots], met, strict=True)]
    told = [
        Reason("profile", *size, column=column, value=value)
        for size, (column, value) in zip(sizes[shots:-2], profile.items(), strict=True)
    ]
    rest = [Reason("prior", *sizes[-2]), Reason("together", *sizes[-1])]
    return tuple(sorted([*events, *told, *rest], key=lambda reason: -abs(reason.share)))


def title_column(table: pl.DataFrame | None) -> str | None:
    """The column that names an item to people, if there is one."""
    if table is None:
        return None
    texts = {name.lower(): name for name, kind in table.schema.items() if kind == pl.String}
    return next((texts[name] for name in TITLES if name in texts), None)
