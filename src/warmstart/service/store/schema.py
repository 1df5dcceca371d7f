"""Tables: what the store keeps, and how an older store becomes a newer one."""

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
    update,
)

from warmstart.errors import NotFitted

METADATA = MetaData()
KEY = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts rows by plain integers alone

VERSION = Table("warmstart_version", METADATA, Column("version", Integer, nullable=False))

INTERACTIONS = Table(
    "interactions",
    METADATA,
    Column("id", KEY, primary_key=True, autoincrement=True),
    Column("user_id", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("value", Float),
    Column("time", Float, nullable=False),  # seconds since 1970, when it happened
    Column("received", Float, nullable=False),
    Column("recommendation_id", Text),
    Index("interactions_of_user", "user_id", "time", "id"),
    Index("interactions_of_item", "item_id"),
)
RECEIVED = Index("interactions_by_arrival", INTERACTIONS.c.received)
ITEMS = Table(
    "items",
    METADATA,
    Column("item_id", Text, primary_key=True),
    Column("properties", Text, nullable=False),  # a JSON object
    Column("updated", Float, nullable=False),
    Index("items_by_change", "updated"),
)
USERS = Table(
    "users",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("profile", Text, nullable=False),  # a JSON object
    Column("updated", Float, nullable=False),
)
ANSWERED = Table(
    "answered",
    METADATA,
    Column("key", Text, primary_key=True),  # an Idempotency-Key
    Column("digest", Text, nullable=False),  # of what was asked
    Column("answer", Text, nullable=False),
    Column("time", Float, nullable=False),
)
RECOMMENDATIONS = Table(
    "recommendations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("user_id", Text),
    Column("time", Float, nullable=False),
    Column("model", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("took_ms", Float, nullable=False),
    Column("items", Text, nullable=False),  # a JSON list of item, propensity
    Index("recommendations_of_user", "user_id"),
    Index("recommendations_by_time", "time"),
)
RECEIPTS = Table(
    "receipts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("time", Float, nullable=False),
    Column(
        "counts", Text, nullable=False
    ),  # a JSON object: how many rows were forgotten; nothing says whose
)

Migration = Callable[[Connection], None]
MIGRATIONS: Sequence[Migration] = (METADATA.create_all, partial(RECEIVED.create, checkfirst=True))
"""What makes version n + 1 of version n; a store without tables has version 0."""


def migrate(connection: Connection) -> None:
    """Bring a store to the newest version; one that a newer warmstart has written is left alone."""
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise NotFitted(
            f"the store has version {version}, and this warmstart knows versions up to "
            f"{len(MIGRATIONS)}; "
            "install a newer warmstart, or name another store"
        )
    for migration in MIGRATIONS[version:]:
        migration(connection)
    if version < len(MIGRATIONS):
        change = insert(VERSION) if version == 0 else update(VERSION)
        connection.execute(change.values(version=len(MIGRATIONS)))


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(VERSION.name):
        return 0
    return connection.execute(select(VERSION.c.version)).scalar_one_or_none() or 0
