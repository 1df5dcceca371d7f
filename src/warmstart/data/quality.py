"""Data quality: a report on a log of events before training, with what to mend first."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int64
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from warmstart.data.features.table import Features
from warmstart.data.files import Source
from warmstart.data.findings import Finding
from warmstart.data.interactions import Interactions
from warmstart.data.reading import inspect

PerCode = Int64[np.ndarray, "_"]
Averages = Float[np.ndarray, "_"]

LEAK_CORRELATION = 0.98
"""From this correlation with an aggregate of the events on, a column counts as a leak."""
EPOCHS = ((1e8, 4e9, 1), (1e11, 4e12, 1e3), (1e14, 4e15, 1e6))
"""Integers in these ranges are taken for seconds, milliseconds and microseconds since 1970."""


@dataclass(frozen=True)
class DataReport:
    """The size and shape of a log, how its columns were understood, and what was found."""

    name: str
    rows: int
    events: int
    users: int
    items: int
    density: float
    events_per_user: tuple[int, float, int]
    """Fewest, median and most."""
    values: tuple[float, float]
    """Smallest and largest."""
    distinct_values: int
    times: tuple[str, str] | None
    columns: dict[str, str]
    item_columns: dict[str, str]
    user_columns: dict[str, str]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report in types that JSON has."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = [_figures(self)]
        if self.item_columns:
            parts.append(_kinds("items", self.item_columns))
        if self.user_columns:
            parts.append(_kinds("users", self.user_columns))
        styles = {"warning": "yellow", "note": "dim"}
        parts += [
            Text(f"{found.level}: {found.message}", styles[found.level]) for found in self.findings
        ]
        return Group(*parts)


def check(
    source: Source,
    *,
    items: Source = None,
    users: Source = None,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
) -> DataReport:
    """Report on the data that `read` would give with the same arguments."""
    inspection = inspect(source, items=items, users=users, columns=columns, name=name)
    log = inspection.log
    counts = np.bincount(log.user, minlength=len(log.users))
    return DataReport(
        name=log.name,
        rows=inspection.rows,
        events=len(log),
        users=len(log.users),
        items=len(log.items),
        density=len(log) / (len(log.users) * len(log.items)),
        events_per_user=(int(counts.min()), float(np.median(counts)), int(counts.max())),
        values=(float(log.value.min()), float(log.value.max())),
        distinct_values=len(np.unique(log.value)),
        times=None
        if log.time is None
        else (_time_text(int(log.time[0])), _time_text(int(log.time[-1]))),
        columns=inspection.columns,
        item_columns={} if log.item_table is None else Features.fit(log.item_table).described,
        user_columns={} if log.user_table is None else Features.fit(log.user_table).described,
        findings=(*inspection.findings, *_findings(log, inspection.columns)),
    )


def _time_text(time: int) -> str:
    for least, most, unit in EPOCHS:
        if least <= time <= most:
            moment = datetime.fromtimestamp(time / unit, UTC)
            return moment.isoformat(sep=" ", timespec="seconds")[:19]
    return str(time)


def _findings(log: Interactions, columns: Mapping[str, str]) -> list[Finding]:
    of_users = np.bincount(log.user, minlength=len(log.users))
    of_items = np.bincount(log.item, minlength=len(log.items))
    return [
        *_single_events(of_users, of_items, has_content=log.item_table is not None),
        *_values(log, columns),
        *_outlier_users(log, of_users),
        *_leaks(log, log.item_table, log.item, of_items, "item"),
        *_leaks(log, log.user_table, log.user, of_users, "user"),
    ]


def _single_events(of_users: PerCode, of_items: PerCode, *, has_content: bool) -> Iterable[Finding]:
    users, items = int((of_users == 1).sum()), int((of_items == 1).sum())
    if users:
        yield Finding(
            "warning" if 2 * users > len(of_users) else "note",
            f"{users} of {len(of_users)} users have a single event, "
            "after which nothing can be predicted; "
            "they teach little, so bring a longer period if you can",
        )
    if items:
        advice = (
            "the table of items helps there"
            if has_content
            else "bring a table of items, which tells what they are"
        )
        yield Finding(
            "warning" if 2 * items > len(of_items) and not has_content else "note",
            f"{items} of {len(of_items)} items have a single event, "
            f"too few to learn whom they suit; {advice}",
        )


def _values(log: Interactions, columns: Mapping[str, str]) -> Iterable[Finding]:
    if "value" not in columns:
        return
    column, distinct = columns["value"], len(np.unique(log.value))
    if distinct == 1:
        yield Finding(
            "note",
            f"all values in {column} are {log.value[0]:g}; "
            "the events are taken as signs of liking alone",
        )
    whole = bool((log.value % 1 == 0).all())
    if whole and len(log) >= 100 and 2 * distinct > len(log):
        yield Finding(
            "warning",
            f"{column} holds {distinct} distinct whole numbers in {len(log)} events "
            "and looks like ids or times; name the column of values with --columns value=NAME",
        )


def _outlier_users(log: Interactions, of_users: PerCode) -> Iterable[Finding]:
    """A warning of a robot or a test account: one user with far more events than the others."""
    busiest = int(of_users.argmax())
    share = of_users[busiest] / len(log)
    if len(of_users) >= 20 and share > 0.05 and of_users[busiest] > 20 * np.median(of_users):
        yield Finding(
            "warning",
            f"user {log.users.decode(np.array([busiest]))[0]} alone has {share:.0%} of the events; "
            "if that is a robot or a test account, remove its rows",
        )


def _leaks(
    log: Interactions, table: pl.DataFrame | None, codes: PerCode, counts: PerCode, what: str
) -> Iterable[Finding]:
    """Warn of columns that were likely computed from the events (target leakage).

    A model that reads them knows part of the held-out events, so its metrics are too good.
    """
    if table is None:
        return
    means = np.bincount(codes, weights=log.value, minlength=len(counts)) / np.maximum(counts, 1)
    aggregates = {"number of events": counts.astype(np.float64), "mean value": means}
    for column in table.select(pl.selectors.numeric()):
        for name, aggregate in aggregates.items():
            if _correlates(column.cast(pl.Float64).to_numpy(), aggregate):
                yield Finding(
                    "warning",
                    f"the {what} column {column.name} agrees with the {name} of each {what}, "
                    "as if computed from the events; "
                    "leave it out, or the figures will be better than what you get in use",
                )


def _correlates(column: Averages, aggregate: Averages) -> bool:
    """Whether the correlation of Pearson or of Spearman is near 1 or -1."""
    known = np.isfinite(column)
    column, aggregate = column[known], aggregate[known]
    if len(column) < 10 or np.ptp(column) == 0 or np.ptp(aggregate) == 0:
        return False
    return any(
        abs(np.corrcoef(first, second)[0, 1]) > LEAK_CORRELATION
        for first, second in ((column, aggregate), (_ranks(column), _ranks(aggregate)))
    )


def _ranks(numbers: Averages) -> Averages:
    return pl.Series(numbers).rank().to_numpy()


def _figures(report: DataReport) -> Table:
    least, median, most = report.events_per_user
    smallest, largest = report.values
    table = Table(title=report.name, show_header=False, title_justify="left")
    rows = {
        "rows read": f"{report.rows:,}",
        "events": f"{report.events:,}",
        "users": f"{report.users:,}",
        "items": f"{report.items:,}",
        "density": f"{report.density:.3%}",
        "events per user": f"{least:,} to {most:,}, median {median:g}",
        "values": f"{smallest:g} to {largest:g}, {report.distinct_values:,} distinct",
        "times": "none" if report.times is None else " to ".join(report.times),
        "columns": ", ".join(f"{role}={name}" for role, name in report.columns.items()),
    }
    for label, figure in rows.items():
        table.add_row(label, Text(figure))
    return table


def _kinds(what: str, columns: Mapping[str, str]) -> Table:
    table = Table(f"column of {what}", "taken as", title_justify="left")
    for name, kind in columns.items():
        table.add_row(Text(name), Text(kind))
    return table
