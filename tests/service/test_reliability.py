"""What must hold in production: kills, stops, promotions under load, many processes, and whatever
anybody may send.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import product
from pathlib import Path

import httpx
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode

from warmstart.service.store.store import opened_store


@contextmanager
def serving(models: Path, store: str, port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A service as people start it, in a process of its own."""
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
    with subprocess.Popen(
        [*command, *options], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        silent = threading.Thread(
            target=lambda: process.stderr and process.stderr.read(), daemon=True
        )
        silent.start()
        try:
            _until_ready(port, process)
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _until_ready(port: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, "the service ended"
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the service did not get ready")


@contextmanager
def load(threads: int, work: Callable[[int], None]) -> Iterator[None]:
    """The same work again and again in many threads, each with its number; ends when the block
    does.
    """
    over, failed = threading.Event(), []

    def run(number: int) -> None:
        try:
            while not over.is_set():
                work(number)
        except httpx.TransportError:
            pass  # the service is gone
        except BaseException as error:
            failed.append(error)

    crowd = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for one in crowd:
        one.start()
    yield
    over.set()
    for one in crowd:
        one.join(30)
    assert failed == []


def test_what_was_acknowledged_survives_a_kill_during_writes(models, address, free_port):
    acknowledged: list[str] = []
    counter, lock = iter(range(10**9)), threading.Lock()

    def write(number: int) -> None:
        with lock:
            items = [f"item-{next(counter)}" for _ in range(5)]
        rows = [{"user_id": f"writer-{number}", "item_id": item} for item in items]
        answer = httpx.post(
            f"http://127.0.0.1:{free_port}/v1/interactions", json={"interactions": rows}, timeout=10
        )
        if answer.status_code == 200 and answer.json()["accepted"] == 5:
            acknowledged.extend(items)

    with serving(models, address, free_port) as process, load(4, write):
        time.sleep(2.0)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    with opened_store(address) as store:
        kept = {event.item_id for part in store.events() for event in part}
    assert len(acknowledged) > 50
    assert set(acknowledged) <= kept
    with serving(models, address, free_port):
        answer = httpx.get(f"http://127.0.0.1:{free_port}/v1/users/writer-0").json()
    assert answer["events"]


def test_two_processes_see_each_others_events_at_the_next_request(models, postgresql, tmp_path):
    ports = [_free(), _free()]
    with ExitStack() as stack:
        for port in ports:
            stack.enter_context(serving(models, postgresql, port))
        one, other = (
            stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}")) for port in ports
        )
        for place, item in enumerate(("i17", "i4", "i9"), start=1):
            writer, reader = (one, other) if place % 2 else (other, one)
            assert writer.post(
                "/v1/interactions", json={"interactions": [{"user_id": "both", "item_id": item}]}
            ).is_success
            assert reader.get("/v1/recommend/both").json()["user"]["events_used"] == place
        one.put(
            "/v1/items/fresh", json={"properties": {"title": "Felt hammock", "category": "Garden"}}
        )
        time.sleep(1.5)
        assert other.get("/v1/items/fresh").json()["recommendable"]


def test_workers_of_one_service_share_a_port_a_store_and_connections(models, tmp_path, free_port):
    with serving(models, f"sqlite:///{tmp_path}/events.db", free_port, "--workers", "2") as process:
        base = f"http://127.0.0.1:{free_port}"
        for place in range(1, 7):
            rows = {"interactions": [{"user_id": "u", "item_id": f"i{place}"}]}
            assert httpx.post(f"{base}/v1/interactions", json=rows).is_success
            assert httpx.get(f"{base}/v1/recommend/u").json()["user"]["events_used"] == place
        workers = _workers_at_work(process.pid)
        assert len(workers) == 2
        smaller = 0
        for _ in range(8):
            with (
                ExitStack() as stack
            ):  # by chance the smaller part of 8 is 2 on average, and often none
                for _ in range(8):
                    stack.enter_context(socket.create_connection(("127.0.0.1", free_port)))
                time.sleep(0.3)
                smaller += min(_connections(worker, free_port) for worker in workers)
    assert smaller >= 24, "of 8 connections that come together each of two workers has 4"


def test_promotions_drop_no_request(start, models, tmp_path):
    folder = shutil.copytree(models, tmp_path / "models")
    seen: list[str] = []
    with start(folder=folder) as client:
        base = str(client.base_url)

        def ask(number: int) -> None:
            answer = httpx.post(
                f"{base}/v1/recommend", json={"history": [f"i{number + 1}"]}, timeout=30
            )
            assert answer.status_code == 200, answer.text
            seen.append(answer.json()["model"])

        with load(4, ask):
            for version in ("a", "b", "a", "b", "a"):
                time.sleep(0.2)
                assert client.post(f"/v1/models/{version}:promote").json() == {"current": version}
                assert client.post("/v1/recommend", json={}).json()["model"] == version
            assert client.post("/v1/models:rollback").json() == {"current": "b"}
    assert len(seen) > 20 and {"a", "b"} <= set(seen)


def test_a_stop_waits_for_what_is_under_way_and_loses_nothing(models, tmp_path, free_port):
    store = f"sqlite:///{tmp_path}/events.db"
    found: list[httpx.Response] = []

    def body() -> Iterator[bytes]:
        yield b'{"interactions": [{"user_id": "slow", '
        time.sleep(1.0)
        yield b'"item_id": "i1"}]}'

    def post() -> None:
        headers = {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{free_port}/v1/interactions"
        found.append(httpx.post(url, content=body(), headers=headers, timeout=20))

    with serving(models, store, free_port) as process:
        httpx.get(f"http://127.0.0.1:{free_port}/v1/recommend/somebody")
        client = threading.Thread(target=post)
        client.start()
        time.sleep(0.4)
        process.terminate()
        client.join(20)
        assert process.wait(20) in (0, -signal.SIGTERM)
    assert found[0].json()["accepted"] == 1
    with opened_store(store) as kept:
        assert len(kept.history("slow", 5)) == 1
        assert kept.counts()["recommendations"] == 1  # written down at the latest when it stops


def test_a_body_of_unknown_length_is_limited_too(client):
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 200_000

    answer = client.post(
        "/v1/recommend", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413 and "at most" in answer.json()["detail"]


def test_pages_of_other_hosts_get_nothing(client):
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    answer = client.options("/v1/recommend", headers=asked)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # which schemathesis does
def test_nothing_that_is_sent_makes_it_fail(models, address, run):
    with run(models, address) as client:
        _send_anything(client, 6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
def test_nothing_in_a_long_while_makes_it_fail(models, address, run):
    with run(models, address) as client:
        _send_anything(client, 150)


def _send_anything(client: httpx.Client, examples: int) -> None:
    """To each operation, what fits its documentation and what does not."""
    schema = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    chosen = settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    for operation, mode in product(operations, GenerationMode):

        @chosen
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case) -> None:
            case.call_and_validate(checks=[not_a_server_error], timeout=30)

        with suppress(Unsatisfiable):  # where nothing can be wrong
            send()
    assert len(operations) > 40


def _workers_at_work(pid: int) -> list[psutil.Process]:
    """The processes of a service that have opened its store, once there are two."""
    end, found = time.monotonic() + 30, []
    while len(found) < 2 and time.monotonic() < end:
        time.sleep(1)
        found = [
            child
            for child in psutil.Process(pid).children()
            if any(file.path.endswith("events.db") for file in child.open_files())
        ]
    return found


def _connections(worker: psutil.Process, port: int) -> int:
    return sum(
        one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED
        for one in worker.net_connections()
    )


def _free() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
