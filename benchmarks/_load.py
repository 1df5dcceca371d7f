"""Load on a service: requests without a pause, or at a constant rate, with their times."""

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from typing import Any

import httpx
import numpy as np

from _service import Service

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


def measure_load(
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


async def run_soak(service: Service, arguments: argparse.Namespace) -> dict[str, Any]:
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
