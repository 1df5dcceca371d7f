"""Serve: the service as one or several processes."""

import os
from typing import Any

import uvicorn

from warmstart.errors import Misuse
from warmstart.service.keys import LOOPBACK, Keys
from warmstart.service.settings import Settings
from warmstart.service.store import opened
from warmstart.service.versions import Versions

GRACE = 10  # seconds that a stop waits for requests that are under way


def serve(**options: Any) -> None:
    """Serve until told to stop; an option that is None is looked up in the environment and in warmstart.toml.

    What is wrong is said before the first worker starts. Without keys nobody but this machine is answered.
    """
    settings = Settings(**{name: value for name, value in options.items() if value is not None})
    if settings.host not in LOOPBACK and not Keys.read(settings.keys):
        raise Misuse(
            f"on {settings.host} anybody could read and write; give keys, as in "
            "WARMSTART_KEYS=read:...,write:...,admin:..., or serve on 127.0.0.1"
        )
    versions = Versions(settings.models)
    versions.manifest(versions.current)
    with opened(settings.store):
        pass
    os.environ |= {f"WARMSTART_{name.upper()}": str(value) for name, value in settings.model_dump().items()}
    uvicorn.run(
        "warmstart.service.worker:app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        log_level="info",
        timeout_graceful_shutdown=GRACE,
    )
