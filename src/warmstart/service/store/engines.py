"""Engines: how SQLite and PostgreSQL are opened, so that what was answered is on disk."""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from warmstart.errors import UsageError

BUSY = 10.0  # seconds that a writer waits for another one on SQLite
WRITES = "warmstart_writes"  # the option of a connection that will write


def engine_of(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UsageError(
            f'"{url}" is no store; write sqlite:///FILE or postgresql://USER@HOST/DATABASE'
        ) from None
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": BUSY})
        event.listen(engine, "connect", _durable)
        event.listen(engine, "begin", _begin)
        return engine
    if parsed.get_backend_name() == "postgresql":
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"), pool_size=10, pool_pre_ping=True
        )
    raise UsageError(
        f'"{url}" is no store that is known; write sqlite:///FILE or postgresql://USER@HOST/DATABASE'
    )


def _durable(connection: Any, record: object) -> None:
    """A log written ahead, so that readers do not wait; on disk when a transaction ends, even if
    the power fails.
    """
    connection.isolation_level = (
        None  # transactions begin where `_begin` says, and not by a guess of the driver
    )
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
