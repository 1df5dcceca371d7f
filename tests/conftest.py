"""Data for the tests: a small world in which two kinds of people like two kinds of things, and the
real data sets.
"""

import os
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from warmstart.data.interactions import Interactions, Vocabulary
from warmstart.tasks.examples import Examples
from warmstart.tasks.scenarios import user_cold_start
from warmstart.tasks.split import Split

# No deadlines, since the machines are shared; the same examples every time, so that a failure can
# be had again.
settings.register_profile("warmstart", deadline=None, derandomize=True)
settings.load_profile("warmstart")


class Together(LoadScopeScheduling):
    """Tests of one learner stay in one process, so that it is fitted once; and those that share a
    service.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        if "/service/" in file:
            return file
        if "/conformance/" in file and "[" in test:
            return file + re.split(r"-ranking|-rating|\]", test.split("[")[1])[0]
        return nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """Groups by name: pytest-xdist 3.8 does not see those of its own marks under pytest 9.2."""
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, and leave a learner out that runs a package which is not
    here.
    """
    items.sort(key=lambda item: item.path.name not in ("test_readme.py", "test_examples.py"))
    if find_spec("learn2learn") is None:
        for item in items:
            if "learn2learn" in re.split(r"[\[\]-]", item.name):
                item.add_marker(
                    pytest.mark.skip(
                        reason="learn2learn is not installed; see benchmarks/speed_meta.py"
                    )
                )


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of the real data sets."""
    folder = os.environ.get("WARMSTART_DATA")
    if folder is None:
        pytest.skip("WARMSTART_DATA is not set, so the real data sets cannot be found")
    return Path(folder).resolve()


def two_tastes(*, users: int = 240, items: int = 30, seed: int = 0) -> Interactions:
    """Users of even number mostly meet items of even number, the others odd ones; ids are neither
    0..n nor sorted.

    Ratings follow the same taste. Items carry their kind, users a hint of theirs.
    """
    rng = np.random.default_rng(seed)
    appeal = rng.permutation(np.linspace(1.0, 3.0, items))
    user, item, value = [], [], []
    for person in range(users):
        liked = np.arange(items) % 2 == person % 2
        chance = appeal * np.where(liked, 12.0, 1.0)
        met = rng.choice(
            items, size=int(rng.integers(8, 15)), replace=False, p=chance / chance.sum()
        )
        user += [person] * len(met)
        item += met.tolist()
        value += np.clip(
            np.round(np.where(liked[met], 4.4, 2.2) + 0.5 * rng.normal(size=len(met))), 1, 5
        ).tolist()
    return Interactions(
        user=np.array(user),
        item=np.array(item),
        value=np.array(value, dtype=np.float32),
        time=None,
        domain=None,
        users=Vocabulary(pl.Series([f"u{7 * person + 3}" for person in range(users)])),
        items=Vocabulary(pl.Series([100 + 3 * thing for thing in range(items)])),
        item_table=pl.DataFrame(
            {
                "title": [
                    f"{'even' if thing % 2 == 0 else 'odd'} thing number {thing}"
                    for thing in range(items)
                ],
                "kind": ["even" if thing % 2 == 0 else "odd" for thing in range(items)],
            }
        ),
        user_table=pl.DataFrame(
            {
                "hint": [
                    ["even", "odd"][person % 2 if rng.random() < 0.9 else 1 - person % 2]
                    for person in range(users)
                ]
            }
        ),
        name="two tastes",
    )


@pytest.fixture(scope="session")
def log() -> Interactions:
    return two_tastes()


@pytest.fixture(scope="session")
def split(log: Interactions) -> Split:
    return user_cold_start(log)


def checkerboard(*, users: int = 200, items: int = 20, seed: int = 0) -> Interactions:
    """Users met items of their own parity alone, each all but two of them."""
    rng = np.random.default_rng(seed)
    met = [rng.permutation(np.arange(person % 2, items, 2))[:-2] for person in range(users)]
    return Interactions(
        user=np.repeat(np.arange(users), [len(row) for row in met]),
        item=np.concatenate(met),
        value=np.ones(sum(map(len, met)), dtype=np.float32),
        time=None,
        domain=None,
        users=Vocabulary(pl.Series(range(users))),
        items=Vocabulary(pl.Series([f"i{thing}" for thing in range(items)])),
    )


@pytest.fixture(scope="session")
def board() -> Split:
    return user_cold_start(checkerboard())


@pytest.fixture(scope="session")
def examples() -> Callable[..., Examples]:
    """Makes examples of as many tasks as there are rows of item codes."""
    return _examples


def _examples(rows: list[list[int]], values: list[list[float]] | None = None) -> Examples:
    counts = [len(row) for row in rows]
    flat = [item for row in rows for item in row]
    amounts = [1.0] * len(flat) if values is None else [value for row in values for value in row]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Examples(np.array(flat, dtype=np.int64), np.array(amounts, dtype=np.float32), start)


@pytest.fixture(scope="session")
def clicks() -> Callable[..., Interactions]:
    """Makes logs of events at random times in two domains."""
    return _clicks


def _clicks(seed: int = 0, *, users: int = 60, events: int = 600, items: int = 12) -> Interactions:
    """Half of the items are books, the others films; an event's value is its row."""
    rng = np.random.default_rng(seed)
    item = rng.integers(0, items, events)
    return Interactions(
        user=rng.integers(0, users, events),
        item=item,
        value=np.arange(events, dtype=np.float32),
        time=np.sort(rng.integers(0, 20_000, events)),
        domain=(item >= items // 2).astype(np.int64),
        users=Vocabulary(pl.Series([f"o{i}" for i in range(users)])),
        items=Vocabulary(pl.Series([f"i{i}" for i in range(items)])),
        domains=("books", "films"),
        item_table=pl.DataFrame(
            {"colour": ["red", "blue", "green"] * (items // 3) + ["red"] * (items % 3)}
        ),
    )
