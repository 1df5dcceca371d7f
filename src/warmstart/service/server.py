"""Serve: the service as one or several processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from warmstart.errors import UsageError
from warmstart.recommend import model_folder as folder
from warmstart.service.api.keys import LOOPBACK, Keys
from warmstart.service.connections import Shared
from warmstart.service.models.versions import Versions
from warmstart.service.settings import Settings
from warmstart.service.store.store import opened

GRACE = 10  # seconds that a stop waits for requests that are under way


def checked(**options: Any) -> Settings:
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
    with opened(settings.store):
        pass
    if settings.refit is not None:
        versions.must_take_more()
    return settings


def serve(settings: Settings) -> None:
    """Serve until told to stop."""
    told = settings.model_dump(exclude_none=True)
    os.environ |= {f"WARMSTART_{name.upper()}": str(value) for name, value in told.items()}
    with _refitting(settings):
        _run(settings)


def _run(settings: Settings) -> None:
    uvicorn.run(
        "warmstart.service.worker:app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http=Shared if settings.workers > 1 else "auto",
        log_level="info",
        timeout_graceful_shutdown=GRACE,
    )


@contextmanager
def _refitting(settings: Settings) -> Iterator[None]:
    """A process beside the service that refits on schedule, if one is set."""
    if settings.refit is None:
        yield
        return
    every = ["--every", settings.refit, "--budget", settings.refit_budget]
    command = [
        sys.executable,
        "-m",
        "warmstart",
        "refit",
        str(settings.models),
        "--store",
        settings.store,
        *every,
    ]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.terminate()
