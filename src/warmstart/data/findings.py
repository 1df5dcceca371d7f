"""Findings about data: notes and warnings that are no errors."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from warmstart.data.interactions import Interactions
from warmstart.errors import shorten

Level = Literal["note", "warning"]


@dataclass(frozen=True)
class Finding:
    """A note or a warning about data, with advice."""

    level: Level
    message: str


def empty_rows(filled: pl.Series) -> list[Finding]:
    """A note on the rows that are not marked as filled."""
    empty = len(filled) - int(filled.sum())
    return [Finding("note", f"{empty} empty rows were left out")] if empty else []


def event_types(raw: pl.DataFrame, filled: pl.Series) -> list[Finding]:
    """A note on the ten most frequent types of events."""
    if "type" not in raw.columns:
        return []
    counts = raw["type"].filter(filled).cast(pl.String).fill_null("none").value_counts(sort=True)
    listed = ", ".join(f"{shorten(kind)} ({count})" for kind, count in counts.head(10).rows())
    message = (
        f"types of events: {listed}; all count alike, "
        "so leave out the rows of those that are no sign of liking"
    )
    return [Finding("note", message)]


def drop_duplicates(events: pl.DataFrame) -> tuple[pl.DataFrame, list[Finding]]:
    """Drop events that equal an earlier one in all but the domain."""
    kept = events.unique(
        subset=[name for name in events.columns if name != "domain"],
        keep="first",
        maintain_order=True,
    )
    surplus = len(events) - len(kept)
    if not surplus:
        return events, []
    what = "user, item, value and time" if "time" in events.columns else "user, item and value"
    message = (
        f"{surplus} rows repeat another one ({what}) and were left out; "
        "see whether the export wrote events twice"
    )
    return kept, [Finding("warning", message)]


def sort_by_time(
    events: pl.DataFrame, findings: list[Finding]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Sort events by time, ties in the order of rows; times that are all equal are dropped."""
    if "time" not in events.columns:
        return events, findings
    if events["time"].n_unique() > 1:
        return events.sort("time", maintain_order=True), findings
    message = (
        "all times are equal, so the events are taken to have no order; "
        "give another column with --columns time="
    )
    return events.drop("time"), [*findings, Finding("warning", message)]


def repeated_pairs(log: Interactions) -> list[Finding]:
    """A note on the events whose user has an earlier event with the same item."""
    repeated = len(log) - pl.Series(log.user * len(log.items) + log.item).n_unique()
    message = (
        f"{repeated} events are another one of the same user with the same item; "
        "tasks count the first alone"
    )
    return [Finding("note", message)] if repeated else []
