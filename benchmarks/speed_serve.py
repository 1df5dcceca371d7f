"""Speed of the service with 100,000 items: recommendations a second, and the time of each.

    python benchmarks/speed_serve.py [--learners ridge,core,blend] [--items 100000] [--workers 2]
        [--connections 2,4,8,16] [--seconds 10] [--models DIR] [--json OUT]

A model of a generated catalogue is fitted in a few steps, since speed does not depend on what is
learned, and served by `warmstart serve` with a store in SQLite. First the start of a cold process
is timed. Then clients on the same machine send requests without a pause, each on a connection of
its own: for new users with 1 to 10 events in the request (`inline`), and for users with 20 stored
events (`stored`). Every answer has ten items with title, probability and propensity. `wrk` is the
client if it is installed (Debian: apt-get install wrk), else one in Python, which uses as much
processor time as the service. Models are kept in --models and fitted if they are missing.

With --soak SECONDS, requests are sent at a constant rate instead (--rate, 200 a second), events
among them, and failures and growth of memory are reported.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import psutil
from rich.console import Console
from rich.table import Table

import warmstart as ws
from _environment import write_result

QUICK: dict[str, dict[str, Any]] = {
    "ridge": {"steps": 30},
    "core": {"dim": 64, "steps": 50, "passes": 1},
    "blend": {"steps": 30},
    "als": {"factors": 64},
}
"""Settings with which fitting takes a minute. Speed depends on the size of item vectors: 64, and 32
for `blend`, as by default.
"""
USERS, EVENTS, GROUPS = 20_000, 20, 50
SERVED, P99, COLD = 1000.0, 10.0, 5.0
LUA = """
math.randomseed(os.time())
local inline = os.getenv("LOAD") == "inline"
request = function()
  local user = "u" .. math.random(0, %d)
  if not inline then return wrk.format("GET", "/v1/recommend/" .. user .. "?count=10") end
  local history = {}
  for i = 1, math.random(1, 10) do history[i] = '"i' .. math.random(0, %d) .. '"' end
  local body = '{"count": 10, "history": [' .. table.concat(history, ",") .. ']}'
  return wrk.format("POST", "/v1/recommend", {["Content-Type"] = "application/json"}, body)
end
done = function(summary, latency)
  local e = summary.errors
  local facts = 'RESULT {"requests": %%d, "seconds": %%f, "errors": %%d, "p50": %%f, "p99": %%f}'
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  local p50, p99 = latency:percentile(50) / 1000, latency:percentile(99) / 1000
  print(string.format(facts, summary.requests, summary.duration / 1e6, failed, p50, p99))
end
"""


@dataclass(frozen=True)
class Row:
    """The measurements of one learner, load and number of connections."""

    learner: str
    load: str
    connections: int
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


def main() -> None:
    arguments = _arguments()
    folder = arguments.models or Path(tempfile.mkdtemp(prefix="warmstart-speed-"))
    rows: list[Row] = []
    cold: dict[str, float] = {}
    soak = None
    log = None
    for learner in arguments.learners.split(","):
        if not (folder / learner / "1").exists():
            log = log or generated(arguments.items)
            print(
                f"fitting {learner} to {len(log):,} events of {len(log.items):,} items",
                file=sys.stderr,
            )
            ws.fit(log, learner=learner, settings=QUICK[learner]).save(folder / learner / "1")
        with tempfile.TemporaryDirectory() as place:
            store = f"sqlite:///{place}/events.db"
            with serving(folder / learner, store, 1) as (_, cold[learner]):
                pass
            with serving(folder / learner, store, arguments.workers) as (service, _):
                base = service.base
                _fill(base, arguments.items)
                if arguments.soak:
                    soak = asyncio.run(_soak(service, arguments))
                    continue
                for load in ("inline", "stored"):
                    for connections in map(int, arguments.connections.split(",")):
                        rows.append(
                            _row(
                                learner,
                                load,
                                connections,
                                _loaded(base, load, connections, arguments),
                            )
                        )
    found = _summary(arguments, rows, cold, soak)
    write_result(arguments.json, found, indent=2)


def generated(items: int) -> ws.Interactions:
    """Events on a Zipf-distributed catalogue with groups of users; every item has an event."""
    rng = np.random.default_rng(0)
    chance = 1 / np.arange(1, items + 1) ** 0.7
    user = np.repeat(np.arange(USERS), 50)
    item = rng.choice(items, size=len(user), p=chance / chance.sum())
    group = rng.integers(GROUPS, size=USERS)[user]
    item = np.minimum(
        item // GROUPS * GROUPS + np.where(rng.random(len(item)) < 0.6, group, item % GROUPS),
        items - 1,
    )
    each = pl.DataFrame({"user": np.arange(items) % USERS, "item": np.arange(items)})
    events = pl.concat([pl.DataFrame({"user": user, "item": item}), each]).unique(
        maintain_order=True
    )
    named = events.select(
        pl.format("u{}", "user").alias("user"), pl.format("i{}", "item").alias("item")
    )
    codes = pl.DataFrame({"code": np.arange(items)})
    table = codes.select(
        pl.format("i{}", "code").alias("item_id"),
        pl.format("Thing {}", "code").alias("title"),
        pl.format("kind {}", pl.col("code") % GROUPS).alias("category"),
    )
    return ws.read(named.with_row_index("time"), items=table, name="generated")


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


def _fill(base: str, items: int) -> None:
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


def _loaded(
    base: str, load: str, connections: int, arguments: argparse.Namespace
) -> dict[str, float]:
    if shutil.which("wrk") is None:
        return asyncio.run(_requested(base, load, connections, arguments))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA % (1999, arguments.items - 1))
        script.flush()
        found = {}
        for seconds in (2, arguments.seconds):  # the first to get warm
            command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, base]
            done = subprocess.run(
                command,
                env={**os.environ, "LOAD": load},
                capture_output=True,
                text=True,
                check=True,
            )
            found = json.loads(done.stdout.split("RESULT ")[1].splitlines()[0])
        return found


async def _requested(
    base: str, load: str, connections: int, arguments: argparse.Namespace
) -> dict[str, float]:
    """The same load from a client in Python."""
    took: list[float] = []
    errors = 0
    rng = random.Random(1)

    async def one(client: httpx.AsyncClient, end: float) -> None:
        nonlocal errors
        while time.perf_counter() < end:
            begun = time.perf_counter()
            errors += (await _request(client, load, rng, arguments.items)).status_code != 200
            took.append(1000 * (time.perf_counter() - begun))

    async with httpx.AsyncClient(base_url=base, timeout=30) as client:
        for seconds in (2, arguments.seconds):
            took.clear()
            end = time.perf_counter() + seconds
            await asyncio.gather(*(one(client, end) for _ in range(connections)))
    p50, p99 = np.percentile(took, [50, 99])
    return {
        "requests": len(took),
        "seconds": arguments.seconds,
        "errors": errors,
        "p50": p50,
        "p99": p99,
    }


async def _request(
    client: httpx.AsyncClient, load: str, rng: random.Random, items: int
) -> httpx.Response:
    if load == "stored":
        return await client.get(f"/v1/recommend/u{rng.randrange(2000)}?count=10")
    history = [f"i{rng.randrange(items)}" for _ in range(rng.randint(1, 10))]
    return await client.post("/v1/recommend", json={"history": history, "count": 10})


async def _soak(service: Service, arguments: argparse.Namespace) -> dict[str, Any]:
    """Failures and memory while requests, a tenth of them events, are sent at a constant rate.

    Each of a few connections sends the next request when it is due, without an HTTP library, which
    would use more processor time than the service.
    """
    rng, took, failures = random.Random(2), [], Counter()
    memory: list[int] = []
    total = int(arguments.soak * arguments.rate)
    numbers = iter(range(total))
    host, port = service.base.removeprefix("http://").split(":")
    begun = time.perf_counter()

    async def line() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for number in numbers:
            due = begun + number / arguments.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(_raw_request(number, rng, arguments.items))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            took.append(1000 * (time.perf_counter() - due))
            if (status := head.split()[1].decode()) != "200":
                failures[status] += 1
            if number % max(1, total // 10) == 0:
                memory.append(round(service.memory_mb))
        writer.close()

    await asyncio.gather(*(line() for _ in range(16)))
    p50, p99 = (float(value) for value in np.percentile(took, [50, 99]))
    return {
        "requests": len(took),
        "failed": dict(failures),
        "p50_ms": p50,
        "p99_ms": p99,
        "memory_mb": memory,
    }


def _raw_request(number: int, rng: random.Random, items: int) -> bytes:
    """The bytes of a request."""
    user, history = (
        f"u{rng.randrange(2000)}",
        [f"i{rng.randrange(items)}" for _ in range(rng.randint(1, 10))],
    )
    if number % 2 and number % 10:
        return f"GET /v1/recommend/{user}?count=10 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    path, body = "/v1/recommend", json.dumps({"history": history, "count": 10})
    if not number % 10:
        path, body = (
            "/v1/interactions",
            json.dumps({"interactions": [{"user_id": user, "item_id": history[0]}]}),
        )
    length = f"Content-Length: {len(body)}"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}"
    return f"{head}\r\n\r\n{body}".encode()


def _row(learner: str, load: str, connections: int, found: dict[str, float]) -> Row:
    per_second = found["requests"] / found["seconds"]
    row = Row(
        learner, load, connections, per_second, found["p50"], found["p99"], int(found["errors"])
    )
    print(
        f"{learner} {load} x{connections}: {per_second:.0f}/s, p99 {row.p99_ms:.1f} ms",
        file=sys.stderr,
    )
    return row


def _summary(
    arguments: argparse.Namespace,
    rows: Sequence[Row],
    cold: dict[str, float],
    soak: dict[str, Any] | None,
) -> dict[str, Any]:
    table = Table(
        title=f"{arguments.items:,} items, {arguments.workers} workers, {os.cpu_count()} cores",
        box=None,
    )
    for name in ("learner", "load", "connections", "a second", "p50 ms", "p99 ms", "errors"):
        table.add_column(name, justify="left" if name in ("learner", "load") else "right")
    for row in rows:
        figures = (
            f"{row.per_second:.0f}",
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            str(row.errors),
        )
        table.add_row(row.learner, row.load, str(row.connections), *figures)
    if rows:
        Console().print(table)
    slowest = max(cold.values())
    targets = {
        "a cold process ready within 5 s": {"reached": round(slowest, 2), "met": slowest <= COLD}
    }
    if rows:
        quick = max(
            (row.per_second for row in rows if row.p99_ms <= P99 and not row.errors), default=0.0
        )
        served = {"reached": round(quick), "met": quick >= SERVED}
        targets["1,000 recommendations a second at a p99 of 10 ms"] = served
    for name, target in targets.items():
        print(f"{name}: {target['reached']}, {'met' if target['met'] else 'not met'}")
    if soak is not None:
        print(f"soak: {soak}")
    return {
        "rows": [asdict(row) for row in rows],
        "cold_seconds": cold,
        "soak": soak,
        "targets": targets,
        "client": "wrk" if shutil.which("wrk") else "httpx",
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.processor() or platform.machine(),
        },
        "settings": {
            "items": arguments.items,
            "workers": arguments.workers,
            "seconds": arguments.seconds,
        },
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--learners", default="ridge,core,blend")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", default="2,4,8,16")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
