"""Doctor: whether all that a service needs is there and quick enough, and what to do where it is
not.
"""

import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from warmstart.errors import WarmstartError
from warmstart.recommend.recommender import Recommender
from warmstart.service.models.active import ActiveModel
from warmstart.service.store.records import Event
from warmstart.service.store.store import opened_store

PACKAGES = ("warmstart", "torch", "numpy", "polars", "fastapi", "sqlalchemy")
GIGABYTE, LEAST_FREE = 1024**3, 1.0
ASKED, WARM, SLOW_MS = 60, 10, 50.0
PROBE = "warmstart-doctor"


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def checks(models: Path, store: str) -> list[Check]:
    """Versions, disk, store and model, each looked at whatever the others say."""
    return [_versions(), _disk(models), _store(store), *_model(models)]


def _versions() -> Check:
    python = ".".join(map(str, sys.version_info[:3]))
    return Check(
        "versions",
        True,
        ", ".join([f"Python {python}", *(f"{name} {version(name)}" for name in PACKAGES)]),
    )


def _disk(models: Path) -> Check:
    place = next(path for path in (models.absolute(), *models.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free / GIGABYTE
    told = f"{free:.1f} GB free at {place}"
    enough = free >= LEAST_FREE
    return Check(
        "disk",
        enough,
        told if enough else f"{told}; a store that cannot grow refuses events: make room",
    )


def _store(url: str) -> Check:
    """Whether an event that is written can be read, and how long a write that is on disk takes."""
    try:
        with opened_store(url) as store:
            begun = time.perf_counter()
            store.add([Event(PROBE, PROBE, "impression", None, time.time())])
            took = 1000 * (time.perf_counter() - begun)
            found = len(store.history(PROBE, 1))
            store.forget(PROBE)
            return Check(
                "store",
                found == 1,
                f"{store.engine.dialect.name}, a write on disk in {took:.1f} ms",
            )
    except WarmstartError as error:
        return Check("store", False, str(error))


def _model(folder: Path) -> list[Check]:
    try:
        serving = ActiveModel(folder).serving
    except WarmstartError as error:
        return [Check("model", False, str(error))]
    model = serving.model
    told = f"version {serving.version}, {model.learner}, {len(model.items):,} items"
    return [Check("model", True, told), _latency(model)]


def _latency(model: Recommender) -> Check:
    """How long it takes to recommend by ten events drawn at random."""
    rng, ids = np.random.default_rng(0), model.items.ids.to_list()
    took = []
    for _ in range(ASKED):
        history = [ids[code] for code in rng.choice(len(ids), min(10, len(ids) - 1), replace=False)]
        begun = time.perf_counter()
        model.recommend(history, 1)
        took.append(1000 * (time.perf_counter() - begun))
    median, worst = np.quantile(took[WARM:], [0.5, 0.99])
    told = f"a recommendation in {median:.1f} ms, 99 of 100 below {worst:.1f} ms"
    return Check(
        "latency",
        median < SLOW_MS,
        told if median < SLOW_MS else f"{told}; set OMP_NUM_THREADS=1 for each worker",
    )
