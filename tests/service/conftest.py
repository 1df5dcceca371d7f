"""A service that runs: uvicorn on a free port, a store in a file or in PostgreSQL, a small
model.
"""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from sqlalchemy import create_engine, text

import warmstart as ws
from warmstart.service.app import create_app

SMALL = {"dim": 8, "steps": 60, "tasks": 16, "validate_every": 30, "rate": 0.02}


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """A folder of two versions of a model of the shop, of which the second is newer."""
    folder = tmp_path_factory.mktemp("models")
    shop = ws.synthetic_shop(users=240, items=80)
    for version, steps in (("a", 30), ("b", 60)):
        ws.fit(shop, learner="blend", settings={**SMALL, "steps": steps}).save(folder / version)
    return folder


@contextmanager
def running(models: Path, store: str, **settings: str) -> Iterator[httpx.Client]:
    """A client of a service in a thread of its own."""
    server = uvicorn.Server(
        uvicorn.Config(create_app(models, store, **settings), port=0, log_level="warning")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    server.should_exit = True
    thread.join(timeout=10)
    assert not thread.is_alive(), "the service did not stop"


@pytest.fixture(scope="module")
def client(models, tmp_path_factory) -> Iterator[httpx.Client]:
    """One service for all tests of a file; each takes users of its own."""
    with running(models, f"sqlite:///{tmp_path_factory.mktemp('store')}/events.db") as found:
        yield found


@pytest.fixture
def start(models, tmp_path) -> Callable[..., object]:
    """Starts a service with settings of its own."""

    def of(store: str = "events.db", folder: Path = models, **settings: str) -> object:
        return running(folder, f"sqlite:///{tmp_path / store}", **settings)

    return of


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of an empty PostgreSQL that runs for these tests; it refuses to be run by
    root.
    """
    places = (
        sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if Path("/usr/lib/postgresql").exists()
        else []
    )
    initdb = shutil.which(
        "initdb", path=os.pathsep.join([*map(str, reversed(places)), os.environ["PATH"]])
    )
    if initdb is None:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()
    as_user = ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []
    folder = Path(
        tempfile.mkdtemp(prefix="warmstart-")
    )  # pytest's own folders are for root's eyes alone
    shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, bin_ = folder / "data", Path(initdb).parent

    def run(*command: object) -> None:
        done = subprocess.run(
            [*as_user, *map(str, command)], capture_output=True, text=True, cwd="/"
        )
        assert done.returncode == 0, done.stdout + done.stderr

    run(initdb, "-D", data, "-U", "warmstart", "--auth=trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    run(bin_ / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    yield f"postgresql://warmstart@127.0.0.1:{port}/postgres"
    run(bin_ / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path) -> str:
    """An empty store of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'events.db'}"
    found = request.getfixturevalue("postgresql")
    engine = create_engine(found.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return found


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def within() -> Callable[[float, Callable[[], bool]], None]:
    """Waits so many seconds at most until something holds."""
    return _within


def _within(seconds: float, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it did not hold within {seconds} s"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def run() -> Callable[..., object]:
    """Runs a service of a folder of models and a store."""
    return running
