"""A service in a process of its own, for measurements."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

EVENTS = 20  # of each returning user


@dataclass(frozen=True)
class Service:
    """A running service."""

    base: str
    pid: int

    @property
    def memory_mb(self) -> float:
        """Memory of all its processes; pages that they share are counted for each of them."""
        parent = psutil.Process(self.pid)
        return (
            sum(one.memory_info().rss for one in (parent, *parent.children(recursive=True))) / 2**20
        )


@contextmanager
def serving(models: Path, store: str, workers: int) -> Iterator[tuple[Service, float]]:
    """A running service, and the seconds until it was ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "warmstart",
        "serve",
        str(models),
        "--store",
        store,
        "--port",
        str(port),
    ]
    begun = time.perf_counter()
    with subprocess.Popen(
        [*command, "--workers", str(workers)], stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            while not _ready(port):
                assert process.poll() is None, (
                    "the service ended; run `warmstart serve` by hand to see why"
                )
                time.sleep(0.01)
            yield Service(f"http://127.0.0.1:{port}", process.pid), time.perf_counter() - begun
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def store_events(base: str, items: int) -> None:
    """Store 20 events of each returning user."""
    rng = random.Random(0)
    with httpx.Client(base_url=base, timeout=60) as client:
        for first in range(0, 2000, 400):
            rows = [
                {"user_id": f"u{user}", "item_id": f"i{rng.randrange(items)}"}
                for user in range(first, first + 400)
                for _ in range(EVENTS)
            ]
            assert client.post("/v1/interactions", json={"interactions": rows}).json()[
                "accepted"
            ] == len(rows)
