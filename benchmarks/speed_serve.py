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
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

import warmstart as ws
from _environment import write_result
from _load import measure_load, run_soak
from _service import serving, store_events

QUICK: dict[str, dict[str, Any]] = {
    "ridge": {"steps": 30},
    "core": {"dim": 64, "steps": 50, "passes": 1},
    "blend": {"steps": 30},
    "als": {"factors": 64},
}
"""Settings with which fitting takes a minute. Speed depends on the size of item vectors: 64, and 32
for `blend`, as by default.
"""
USERS, GROUPS = 20_000, 50
SERVED, P99, COLD = 1000.0, 10.0, 5.0


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
        with tempfile.TemporaryDirectory() as temporary:
            store = f"sqlite:///{temporary}/events.db"
            with serving(folder / learner, store, 1) as (_, cold[learner]):
                pass
            with serving(folder / learner, store, arguments.workers) as (service, _):
                base = service.base
                store_events(base, arguments.items)
                if arguments.soak:
                    soak = asyncio.run(run_soak(service, arguments))
                    continue
                for load in ("inline", "stored"):
                    for connections in map(int, arguments.connections.split(",")):
                        rows.append(
                            _row(
                                learner,
                                load,
                                connections,
                                measure_load(base, load, connections, arguments),
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
    if rows:
        Console().print(_table(arguments, rows))
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
        "settings": {
            "items": arguments.items,
            "workers": arguments.workers,
            "seconds": arguments.seconds,
        },
    }


def _table(arguments: argparse.Namespace, rows: Sequence[Row]) -> Table:
    title = f"{arguments.items:,} items, {arguments.workers} workers, {os.cpu_count()} cores"
    table = Table(title=title, box=None)
    for name in ("learner", "load", "connections", "a second", "p50 ms", "p99 ms", "errors"):
        table.add_column(name, justify="left" if name in ("learner", "load") else "right")
    for row in rows:
        speed = (f"{row.per_second:.0f}", f"{row.p50_ms:.1f}", f"{row.p99_ms:.1f}")
        table.add_row(row.learner, row.load, str(row.connections), *speed, str(row.errors))
    return table


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
