"""Refits: a new version is learned from the store, and answers only if it is no worse."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

import warmstart as ws
from warmstart.errors import UsageError
from warmstart.service.models.refit import KEPT, RecodedScorer, refit
from warmstart.service.models.refit_log import reports
from warmstart.service.models.versions import Versions
from warmstart.service.store.exchange import import_log
from warmstart.service.store.store import opened_store
from warmstart.tasks.examples import Examples


@pytest.fixture(scope="module")
def shop() -> ws.Interactions:
    return ws.synthetic_shop(users=200, items=60)


@pytest.fixture
def store(shop, tmp_path) -> str:
    url = f"sqlite:///{tmp_path}/events.db"
    with opened_store(url) as found:
        import_log(found, shop)
    return url


@pytest.fixture
def models(shop, tmp_path) -> Path:
    ws.fit(shop, learner="popularity").save(tmp_path / "models" / "1")
    return tmp_path / "models"


def test_a_better_version_is_promoted_and_reported(models, store):
    found = refit(models, store, learner="ease")
    assert found.promoted and found.new > found.current and found.events > 1000
    assert Versions(models).current == found.version and Versions(models).previous == "1"
    assert ws.load(models / found.version).learner == "ease"
    assert [one["version"] for one in reports(models)] == [found.version]


def test_a_worse_version_is_kept_and_not_promoted(models, store, shop):
    ws.fit(shop, learner="ease").save(models / "2")
    Versions(models).promote("2", instead_of="1")
    found = refit(models, store, learner="popularity")
    assert not found.promoted and found.new < found.current
    assert Versions(models).current == "2" and (models / found.version).is_dir()


def test_the_same_learner_on_the_same_events_is_no_worse(models, store, shop):
    ws.fit(shop, learner="item-knn").save(models / "2")
    Versions(models).promote("2", instead_of="1")
    found = refit(models, store)
    assert found.promoted and found.new == pytest.approx(found.current, abs=1e-6)


def test_old_versions_go_but_not_the_one_in_use(models, store, shop):
    for number in range(KEPT + 3):
        ws.fit(shop, learner="ease").save(models / f"old-{number}")
        os.utime(models / f"old-{number}" / "model.json", (number, number))
    Versions(models).promote("old-0", instead_of="1")
    found = refit(models, store, learner="popularity")
    left = {path.name for path in Versions(models).paths()}
    assert {"old-0", "1", found.version} <= left and len(left) == KEPT + 2


def test_a_folder_that_is_a_model_is_refused(models, store):
    with pytest.raises(UsageError, match="name a folder of versions"):
        refit(models / "1", store)


def test_what_a_model_does_not_know_it_ranks_last(shop):
    scorer = ws.fit(shop, learner="popularity").scorer
    recoded = RecodedScorer(scorer, np.array([3, -1, 0]))
    support = Examples.unweighted(np.array([1, 2]), np.array([0, 2]))
    scores = recoded.score(recoded.adapt(support), np.arange(3))
    known = scorer.score(
        scorer.adapt(Examples.unweighted(np.array([0]), np.array([0, 1]))), np.array([3, 0])
    )
    assert np.allclose(scores[0, [0, 2]], known[0]) and scores[0].argmin() == 1


def refitting_children(parent: int) -> list[psutil.Process]:
    """The processes of a service that refit."""
    found = []
    for one in psutil.Process(parent).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended between the two looks
            found += [one] if "refit" in one.cmdline() else []
    return found


def test_a_refitting_process_is_started_again_and_ends_with_its_service(
    models, store, free_port, within
):
    code = (
        "from warmstart.service import server; server.RESTART_AFTER = 0.2; "
        "server.serve(server.checked_settings("
        f"models={str(models)!r}, store={store!r}, port={free_port}, refit='1h'))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as service:
        try:
            within(30, lambda: len(refitting_children(service.pid)) == 1)
            [first] = refitting_children(service.pid)
            first.kill()
            within(
                30,
                lambda: (
                    [one.pid for one in refitting_children(service.pid)] not in ([], [first.pid])
                ),
            )
            last = refitting_children(service.pid)  # which is still importing
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(30)
    within(40, lambda: not any(one.is_running() for one in last))


def test_a_service_refits_on_schedule_in_a_process_of_its_own(models, store, free_port, within):
    command = [
        sys.executable,
        "-m",
        "warmstart",
        "serve",
        models,
        "--store",
        store,
        "--port",
        str(free_port),
    ]
    env = {**os.environ, "WARMSTART_REFIT_BUDGET": "5s"}
    with subprocess.Popen(
        [*command, "--refit", "1s"], env=env, stderr=subprocess.PIPE, text=True
    ) as service:
        try:
            within(60, lambda: len(reports(models)) > 0)
            [refitting] = refitting_children(service.pid)
            assert store not in refitting.cmdline(), "a URL may hold a password, which ps shows"
            refitting.kill()
            with httpx.Client(base_url=f"http://127.0.0.1:{free_port}") as client:
                version = reports(models)[0]["version"]
                within(30, lambda: client.post("/v1/recommend", json={}).json()["model"] >= version)
        finally:
            service.send_signal(signal.SIGTERM)
            assert service.wait(30) in (0, -signal.SIGTERM)
    assert json.dumps(reports(models)[0])
