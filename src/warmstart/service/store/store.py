"""Store: events, items and users in SQLite or PostgreSQL; what was answered as stored is on
disk.
"""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Table,
    cast,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from warmstart.errors import NotFitted, UsageError
from warmstart.service.store.engines import WRITES, engine_of
from warmstart.service.store.queries import columns_of, contents, histories
from warmstart.service.store.records import Event, LoggedRecommendation, Page, Stamp
from warmstart.service.store.schema import (
    ANSWERED,
    INTERACTIONS,
    ITEMS,
    RECEIPTS,
    RECOMMENDATIONS,
    USERS,
    migrate,
)

AT_ONCE = 10_000  # items that one question names
MIGRATING = (
    7_203_371  # the number of the lock under which one of many workers brings PostgreSQL up to date
)


@dataclass(frozen=True)
class Store:
    """This keeps what happened; every method is one transaction, and has happened when it
    returns.
    """

    engine: Engine

    @classmethod
    def open(cls, url: str) -> "Store":
        """The store at a URL: sqlite:///FILE, or postgresql://USER@HOST/DATABASE; made or brought
        up to date.
        """
        store = cls(engine_of(url))
        try:
            with store._writing() as connection:
                if store.on_postgresql:
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATING})"))
                migrate(connection)
        except NotFitted:
            store.close()
            raise
        except SQLAlchemyError as error:
            store.close()
            raise NotFitted(
                f"the store {make_url(url)!r} cannot be opened: {_first_line(error)}"
            ) from error
        return store

    @property
    def on_postgresql(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def close(self) -> None:
        self.engine.dispose()

    def is_ready(self) -> bool:
        """Whether the store answers."""
        try:
            with self.engine.connect() as connection:
                connection.execute(select(1))
        except OperationalError:
            return False
        return True

    def add(self, events: Sequence[Event]) -> None:
        """Keep events."""
        with self._writing() as connection:
            _add(connection, events)

    def add_once(
        self, events: Sequence[Event], key: str, digest: str, answer: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Keep events and what is answered under a key, unless that was answered before: then that
        answer.

        A key that was used for something else is refused.
        """
        with self._writing() as connection:
            row = {"key": key, "digest": digest, "answer": json.dumps(answer), "time": time.time()}
            change = (
                self._insert(ANSWERED)
                .values(row)
                .on_conflict_do_nothing()
                .returning(ANSWERED.c.key)
            )
            if connection.execute(change).first() is not None:
                _add(connection, events)
                return dict(answer)
            known = connection.execute(
                select(ANSWERED.c.digest, ANSWERED.c.answer).where(ANSWERED.c.key == key)
            ).one()
        if known.digest != digest:
            raise UsageError(
                f'the idempotency key "{key}" was used for another request; take a new one for each'
            )
        return json.loads(known.answer)

    def history(self, user_id: str, most: int) -> list[Event]:
        """The latest events of a user, at most so many, the oldest first."""
        with self.engine.connect() as connection:
            return histories(connection, [user_id], most)[user_id]

    def histories_and_profiles(
        self, users: Sequence[str], most: int
    ) -> tuple[dict[str, list[Event]], dict[str, dict[str, Any]]]:
        """The latest events of many users, and the profiles of those of whom there is one."""
        with self.engine.connect() as connection:
            return histories(connection, users, most), contents(connection, USERS, users)

    def put(self, table: Table, key: str, values: Mapping[str, Any]) -> bool:
        """Write the properties of an item, or the profile of a user; whether it is new."""
        return self.put_many(table, {key: values}) == 1

    def put_many(self, table: Table, rows: Mapping[str, Mapping[str, Any]]) -> int:
        """The same for many; how many of them are new."""
        identifier, content = columns_of(table)
        now = time.time()
        values = [
            {identifier: key, content: json.dumps(row), "updated": now} for key, row in rows.items()
        ]
        with self._writing() as connection:
            known = (
                connection.scalar(select(func.count()).where(table.c[identifier].in_(rows))) or 0
            )
            change = self._insert(table)
            kept = {name: change.excluded[name] for name in (content, "updated")}
            connection.execute(
                change.on_conflict_do_update(index_elements=[identifier], set_=kept), values
            )
        return len(rows) - known

    def get(self, table: Table, key: str) -> dict[str, Any] | None:
        """The properties of an item, or the profile of a user; None of what is not there."""
        return self.get_many(table, [key]).get(key)

    def get_many(self, table: Table, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The same of many; only of what is there."""
        with self.engine.connect() as connection:
            return contents(connection, table, keys)

    def page(self, table: Table, cursor: str | None, count: int) -> Page:
        """Some of the items or users, in the order of their ids, from behind a cursor."""
        identifier, content = columns_of(table)
        asked = (
            select(table.c[identifier], table.c[content])
            .order_by(table.c[identifier])
            .limit(count + 1)
        )
        if cursor is not None:
            asked = asked.where(table.c[identifier] > cursor)
        with self.engine.connect() as connection:
            found = connection.execute(asked).all()
        rows = [{identifier: row[0], content: json.loads(row[1])} for row in found[:count]]
        return Page(rows, found[count - 1][0] if len(found) > count else None)

    def items_since(self, moment: float) -> dict[str, dict[str, Any]]:
        """The properties of items that changed at a moment or later, in the order of their ids."""
        asked = (
            select(ITEMS.c.item_id, ITEMS.c.properties)
            .where(ITEMS.c.updated >= moment)
            .order_by(ITEMS.c.item_id)
        )
        with self.engine.connect() as connection:
            return {item: json.loads(properties) for item, properties in connection.execute(asked)}

    def items_stamp(self) -> Stamp:
        """What changes whenever items do."""
        asked = select(func.count(), func.max(ITEMS.c.updated)).select_from(ITEMS)
        with self.engine.connect() as connection:
            count, changed = connection.execute(asked).one()
        return Stamp(count, changed or 0.0)

    def interaction_counts(self, items: Sequence[str]) -> dict[str, int]:
        """How often each of some items was met; those that never were are left out."""
        found = INTERACTIONS.c.item_id
        counts: dict[str, int] = {}
        with self.engine.connect() as connection:
            for first in range(0, len(items), AT_ONCE):
                asked = (
                    select(found, func.count())
                    .where(found.in_(items[first : first + AT_ONCE]))
                    .group_by(found)
                )
                counts |= dict(connection.execute(asked).all())
        return counts

    def histories_of_items(
        self, items: Sequence[str], users: int, most: int
    ) -> dict[Any, list[Any]]:
        """For each item the histories, without the item, of the latest who met it."""
        found: dict[Any, list[Any]] = {}
        with self.engine.connect() as connection:
            for item in items:
                met = (
                    select(INTERACTIONS.c.user_id)
                    .where(INTERACTIONS.c.item_id == item)
                    .distinct()
                    .limit(users)
                )
                theirs = histories(connection, list(connection.scalars(met)), most)
                found[item] = [
                    [one.item_id for one in events if one.item_id != item]
                    for events in theirs.values()
                ]
        return {item: own for item, own in found.items() if own}

    def remove_item(self, item_id: str) -> bool:
        """Forget the properties of an item; whether there were any. Its events stay."""
        with self._writing() as connection:
            return bool(
                connection.execute(delete(ITEMS).where(ITEMS.c.item_id == item_id)).rowcount
            )

    def forget(self, user_id: str) -> dict[str, Any]:
        """Forget all of a user; a receipt that says how much that was, and not whose."""
        receipt = uuid.uuid4().hex
        now = time.time()
        with self._writing() as connection:
            counts = {
                table.name: connection.execute(
                    delete(table).where(table.c.user_id == user_id)
                ).rowcount
                for table in (INTERACTIONS, RECOMMENDATIONS, USERS)
            }
            connection.execute(
                insert(RECEIPTS).values(id=receipt, time=now, counts=json.dumps(counts))
            )
        return {"receipt": receipt, "time": now, "forgotten": counts}

    def forget_recommendations(self, user_id: str) -> int:
        """Forget what a user was recommended; how many times."""
        with self._writing() as connection:
            return connection.execute(
                delete(RECOMMENDATIONS).where(RECOMMENDATIONS.c.user_id == user_id)
            ).rowcount

    def merge(self, user_id: str, into: str) -> int:
        """Make one user's events another's, as when a guest signs in; how many events moved.

        Of the profiles that of the user who stays prevails, column by column.
        """
        with self._writing() as connection:
            moved = connection.execute(
                update(INTERACTIONS).where(INTERACTIONS.c.user_id == user_id).values(user_id=into)
            ).rowcount
            profiles = dict(
                connection.execute(
                    select(USERS.c.user_id, USERS.c.profile).where(
                        USERS.c.user_id.in_([user_id, into])
                    )
                ).all()
            )
            if user_id in profiles:
                both = json.loads(profiles[user_id]) | json.loads(profiles.get(into, "{}"))
                row = {"user_id": into, "profile": json.dumps(both), "updated": time.time()}
                change = self._insert(USERS).values(row)
                connection.execute(
                    change.on_conflict_do_update(index_elements=["user_id"], set_=row)
                )
                connection.execute(delete(USERS).where(USERS.c.user_id == user_id))
        return moved

    def log(self, given: Sequence[LoggedRecommendation]) -> None:
        """Keep recommendations that were given, with the chance of each of their items."""
        rows = [{**one._asdict(), "items": to_json(list(one.items)).decode()} for one in given]
        with self._writing() as connection:
            connection.execute(insert(RECOMMENDATIONS), rows)

    def counted(self, since: float, width: int, bars: int) -> tuple[list[int], list[int]]:
        """How many events came, and how many recommendations were given, in each of many steps of
        `width` seconds.
        """
        found = []
        with self.engine.connect() as connection:
            for moment in (INTERACTIONS.c.received, RECOMMENDATIONS.c.time):
                step = cast(moment - since, BigInteger) // width
                asked = (
                    select(step.label("step"), func.count()).where(moment >= since).group_by(step)
                )
                counts: dict[int, int] = dict(connection.execute(asked).all())
                found.append([counts.get(place, 0) for place in range(bars)])
        return found[0], found[1]

    def latest_recommendations(self, most: int, since: float) -> list[LoggedRecommendation]:
        """The latest recommendations since a moment, the latest first."""
        given = RECOMMENDATIONS.c
        asked = select(*(given[name] for name in LoggedRecommendation._fields)).where(
            given.time >= since
        )
        with self.engine.connect() as connection:
            rows = connection.execute(asked.order_by(given.time.desc()).limit(most)).all()
        return [
            LoggedRecommendation._make(row)._replace(items=json.loads(row.items)) for row in rows
        ]

    def latest_events(self, most: int) -> list[Event]:
        """The events that came last, the latest first."""
        return self._events(INTERACTIONS.c.id > 0, INTERACTIONS.c.id, most)

    def events_of_item(self, item_id: str, most: int) -> list[Event]:
        """The latest events of an item, the latest first."""
        return self._events(INTERACTIONS.c.item_id == item_id, INTERACTIONS.c.time, most)

    def _events(
        self, where: ColumnElement[bool], order: ColumnElement[Any], most: int
    ) -> list[Event]:
        asked = select(*(INTERACTIONS.c[name] for name in Event._fields)).where(where)
        with self.engine.connect() as connection:
            return [
                Event._make(row)
                for row in connection.execute(asked.order_by(order.desc()).limit(most))
            ]

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        with self.engine.connect() as connection:
            return {
                table.name: connection.scalar(select(func.count()).select_from(table)) or 0
                for table in (INTERACTIONS, ITEMS, USERS, RECOMMENDATIONS)
            }

    def events(self, at_once: int = 50_000) -> Iterator[list[Event]]:
        """All events, in the order in which they came, some at a time."""
        after: int | None = 0
        while after is not None:
            part, after = self.events_page(after, at_once)
            if part:
                yield part

    def events_page(self, after: int, count: int) -> tuple[list[Event], int | None]:
        """Some events behind the number of one, in the order in which they came, and the number to
        go on from.
        """
        found = INTERACTIONS.c
        asked = select(found.id, *(found[name] for name in Event._fields)).where(found.id > after)
        with self.engine.connect() as connection:
            rows = connection.execute(asked.order_by(found.id).limit(count + 1)).all()
        return [Event._make(row[1:]) for row in rows[:count]], rows[count - 1][0] if len(
            rows
        ) > count else None

    def remove_events(self, user_id: str, item_id: str) -> int:
        """Forget what a user did with an item; how many events that was."""
        met = (INTERACTIONS.c.user_id == user_id) & (INTERACTIONS.c.item_id == item_id)
        with self._writing() as connection:
            return connection.execute(delete(INTERACTIONS).where(met)).rowcount

    def search(self, table: Table, text_: str, count: int) -> list[dict[str, Any]]:
        """Items or users whose id or content holds a text, whatever its case."""
        identifier, content = columns_of(table)
        held = [
            func.lower(column).contains(text_.lower(), autoescape=True)
            for column in (table.c[identifier], table.c[content])
        ]
        asked = (
            select(table.c[identifier], table.c[content])
            .where(held[0] | held[1])
            .order_by(table.c[identifier])
        )
        with self.engine.connect() as connection:
            rows = connection.execute(asked.limit(count)).all()
        return [{identifier: row[0], content: json.loads(row[1])} for row in rows]

    def _writing(self) -> AbstractContextManager[Connection]:
        """A transaction that writes; on SQLite it waits for its turn at its beginning, where
        waiting is no deadlock.
        """
        return self.engine.execution_options(**{WRITES: True}).begin()

    def _insert(self, table: Table) -> Any:
        """An insert that knows what to do about a row that is there, in the words of the
        database.
        """
        return postgresql.insert(table) if self.on_postgresql else sqlite.insert(table)


def _add(connection: Connection, events: Sequence[Event]) -> None:
    if events:
        now = time.time()
        connection.execute(
            insert(INTERACTIONS), [{**one._asdict(), "received": now} for one in events]
        )


@contextmanager
def opened_store(url: str) -> Iterator[Store]:
    """A store that is closed at the end."""
    store = Store.open(url)
    try:
        yield store
    finally:
        store.close()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
