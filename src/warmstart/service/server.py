"""Server: the service as one or several processes, and a refitting process beside them."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from warmstart.errors import UsageError
from warmstart.recommend import model_folder as folder
from warmstart.service.api.keys import LOOPBACK, Keys
from warmstart.service.connections import BackOffProtocol
from warmstart.service.models.versions import Versions
from warmstart.service.settings import Settings
from warmstart.service.store.store import opened_store

LOG = logging.getLogger(__name__)
GRACE = 10  # seconds that a stop waits for requests that are under way
CHECK_EVERY, RESTART_AFTER = 0.5, 30.0  # seconds between looks at the refitting process


def checked_settings(**options: Any) -> Settings:
    """What to serve; an option that is None is looked up in the environment and in warmstart.toml.

    What is wrong is said before the first worker starts. Without keys nobody but this machine is
    answered.
    """
    settings = Settings(**{name: value for name, value in options.items() if value is not None})
    if settings.host not in LOOPBACK and not Keys.read(settings.keys):
        raise UsageError(
            f"on {settings.host} anybody could read and write; give keys, as in "
            "WARMSTART_KEYS=read:...,write:...,admin:..., or serve on 127.0.0.1"
        )
    versions = Versions(settings.models)
    folder.verify(versions.path(versions.current))
    with opened_store(settings.store):
        pass
    if settings.refit is not None:
        versions.require_folder_of_versions()
    return settings


def serve(settings: Settings) -> None:
    """Serve until told to stop."""
    given = settings.model_dump(exclude_none=True)
    os.environ |= {f"WARMSTART_{name.upper()}": str(value) for name, value in given.items()}
    with _refitting(settings):
        _run(settings)


def _run(settings: Settings) -> None:
    uvicorn.run(
        "warmstart.service.worker:app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http=BackOffProtocol if settings.workers > 1 else "auto",
        log_level="info",
        timeout_graceful_shutdown=GRACE,
    )


@contextmanager
def _refitting(settings: Settings) -> Iterator[None]:
    """A process beside the service that refits on schedule, if one is set.

    It is started again where it ends, which is logged. The store's URL, which may hold a password,
    reaches it by the environment and never by its command line, which all users of a machine see.
    """
    if settings.refit is None:
        yield
        return
    stop = threading.Event()
    supervisor = threading.Thread(target=_supervise, args=(settings, stop), daemon=True)
    supervisor.start()
    try:
        yield
    finally:
        stop.set()
        supervisor.join(timeout=GRACE)


def _supervise(settings: Settings, stop: threading.Event) -> None:
    """Keep a refitting process running until `stop` is set."""
    every = ["--every", str(settings.refit), "--budget", settings.refit_budget]
    command = [sys.executable, "-m", "warmstart", "refit", str(settings.models), *every]
    while not stop.is_set():
        environment = {**os.environ, "WARMSTART_REFIT_PARENT": str(os.getpid())}
        with subprocess.Popen(command, env=environment) as process:
            while process.poll() is None and not stop.wait(CHECK_EVERY):
                pass
            if process.poll() is None:
                process.terminate()
                return
        LOG.error("refitting ended with exit code %d and starts again", process.returncode)
        stop.wait(RESTART_AFTER)
