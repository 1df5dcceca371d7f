"""Exchange: a store as files that anything can read, a log of events as a store, and a store as
something to fit.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from warmstart.data.interactions import Interactions
from warmstart.data.reading import read
from warmstart.errors import DataError, UsageError
from warmstart.service.answering.users import NEUTRAL_TYPES
from warmstart.service.store.records import Event
from warmstart.service.store.schema import ITEMS, USERS
from warmstart.service.store.store import Store

AT_ONCE = 20_000  # events that are written in one transaction
SCHEMA = {
    "user_id": pl.String,
    "item_id": pl.String,
    "type": pl.String,
    "value": pl.Float64,
    "time": pl.Float64,
    "recommendation_id": pl.String,
}


def export_store(store: Store, folder: Path) -> dict[str, int]:
    """Write interactions.parquet, items.parquet and users.parquet, which `read` takes; how many
    rows each has.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    frames = {
        "interactions": events_of(store),
        "items": _table(store, ITEMS),
        "users": _table(store, USERS),
    }
    for name, frame in frames.items():
        if len(frame) or name == "interactions":
            frame.write_parquet(folder / f"{name}.parquet")
    return {name: len(frame) for name, frame in frames.items()}


def import_log(store: Store, log: Interactions, kind: str = "event") -> dict[str, int]:
    """Keep all events of a log, and what its tables say of items and users; how many that were."""
    users, items = (
        vocabulary.ids.cast(pl.String).to_list() for vocabulary in (log.users, log.items)
    )
    times = range(len(log)) if log.time is None else log.time.tolist()
    rows = zip(log.user.tolist(), log.item.tolist(), log.value.tolist(), times, strict=True)
    batch: list[Event] = []
    for user, item, value, time in rows:
        batch.append(Event(users[user], items[item], kind, value, float(time)))
        if len(batch) == AT_ONCE:
            store.add(batch)
            batch = []
    store.add(batch)
    for table, ids, frame in ((ITEMS, items, log.item_table), (USERS, users, log.user_table)):
        if frame is not None:
            store.put_many(table, dict(zip(ids, map(_known, frame.to_dicts()), strict=True)))
    return {"interactions": len(log), "items": len(items), "users": len(users)}


def stored_log(store: Store, columns: dict[str, str] | None = None) -> Interactions:
    """All that is stored as a log to learn from; what was disliked is no event to foresee."""
    events = events_of(store).filter(~pl.col("type").is_in(list(NEUTRAL_TYPES)))
    if events.is_empty():
        raise DataError(
            "the store holds no events yet; import some with warmstart import, or let them come"
        )
    rated = events["value"].null_count() < len(events)
    wanted = ["user_id", "item_id", "time", *(["value"] if rated else [])]
    events = (
        events.with_columns(pl.col("value").fill_null(pl.col("value").mean())) if rated else events
    )
    items, users = _table(store, ITEMS), _table(store, USERS)
    return read(
        events.select(wanted),
        items=None if items.width < 2 else items,
        users=None if users.width < 2 else users,
        columns=columns or {},
        name="store",
    )


def events_of(store: Store) -> pl.DataFrame:
    """All events, in the order in which they came."""
    parts = [pl.DataFrame(part, schema=SCHEMA, orient="row") for part in store.events()]
    return pl.concat(parts) if parts else pl.DataFrame(schema=SCHEMA)


def _table(store: Store, table: Any) -> pl.DataFrame:
    """Items or users with a column for each property; lists are joined by bars, as tables have
    them.
    """
    identifier = "item_id" if table is ITEMS else "user_id"
    rows: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = store.page(table, cursor, 10_000)
        rows += [{identifier: row[identifier], **_flat(row)} for row in page.rows]
        cursor = page.cursor
        if cursor is None:
            break
    return (
        pl.DataFrame(_alike(rows), infer_schema_length=None)
        if rows
        else pl.DataFrame(schema={identifier: pl.String})
    )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    content = row.get("properties", row.get("profile", {}))
    return {
        name: "|".join(value) if isinstance(value, list) else value
        for name, value in content.items()
    }


def _alike(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows with text in each column that holds values of several kinds."""
    kinds: dict[str, set[type]] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                kinds.setdefault(name, set()).add(
                    float if isinstance(value, int | float) else type(value)
                )
    mixed = {name for name, found in kinds.items() if len(found) > 1}
    return [
        {
            name: str(value) if name in mixed and value is not None else value
            for name, value in row.items()
        }
        for row in rows
    ]


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """What is known of one row, fit for JSON."""
    plain = {
        name: value if isinstance(value, str | int | float | bool) else str(value)
        for name, value in row.items()
    }
    return {name: value for name, value in plain.items() if row[name] is not None}
