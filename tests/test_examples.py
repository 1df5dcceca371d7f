"""The examples: each runs on its own and prints what it promises."""

import contextlib
import importlib.util
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import httpx
import pytest
import torch
from torch.testing import assert_close

EXAMPLES = Path(__file__).parent.parent / "examples"
SMALL = {
    "siamese_from_the_article.py": ["--steps", "60"],
    "music_to_films.py": ["--steps", "60"],
    "outside_learner.py": ["40"],
    "sinusoids.py": ["200"],
    "characters.py": ["60"],
}
"""Arguments with which each example takes seconds."""


@cache
def run(name: str, *arguments: str) -> str:
    command = [
        sys.executable,
        "-W",
        "error",
        str(EXAMPLES / name),
        *SMALL.get(name, ()),
        *arguments,
    ]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_every_example_runs_without_a_warning(name):
    assert run(name)


def test_the_siamese_network_of_the_article_trains_recommends_and_is_evaluated():
    printed = run("siamese_from_the_article.py")
    losses = [float(loss) for loss in re.findall(r"step \d+: loss ([\d.]+)", printed)]
    assert len(losses) == 5 and losses[-1] < losses[0]
    history, nearest = re.search(
        r"new user:\n(.*)Nearest items:\n(.*?)\n\d", printed, flags=re.DOTALL
    ).groups()
    assert len(history.splitlines()) == 5 and len(nearest.splitlines()) == 10
    ndcg = {
        name: float(figure)
        for name, figure in re.findall(r"(\w+): hit rate [\d.]+, nDCG ([\d.]+)", printed)
    }
    assert ndcg["siamese"] > 1.5 * ndcg["random"] and "popularity" in ndcg


def test_the_siamese_network_of_the_article_has_titles_of_real_data(data_folder):
    printed = run("siamese_from_the_article.py", "--data", str(data_folder / "ml-100k"))
    assert len(re.findall(r"^  .*\(19\d\d\)$", printed, flags=re.MULTILINE)) >= 10


def test_the_siamese_network_of_the_article_has_one_distance_for_each_pair():
    spec = importlib.util.spec_from_file_location(
        "example", EXAMPLES / "siamese_from_the_article.py"
    )
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    network = example.SiameseNetwork()
    assert (network.embed.in_features, network.embed.out_features) == (10, 5)
    one, other = torch.randn(7, 10), torch.randn(7, 10)
    rows = [
        (network.embed(a) - network.embed(b)).square().sum().sqrt()
        for a, b in zip(one, other, strict=True)
    ]
    assert_close(network(one, other), torch.stack(rows))


def test_users_of_music_are_recommended_films_of_the_same_mood():
    printed = run("music_to_films.py")
    history = re.search(r"For a user with the history ([^\n]*):", printed).group(1)
    genres = [item.rpartition("-")[0] for item in history.split(", ")]
    mood = {
        "folk": "drama",
        "punk": "thriller",
        "soul": "romance",
        "ska": "comedy",
        "choral": "history",
    }
    wanted = mood[max(mood, key=genres.count)]
    titles = re.findall(r"^  (\w+) film no\. \d+$", printed, flags=re.MULTILINE)
    assert len(titles) == 5 and titles.count(wanted) >= 4
    first = re.findall(r"^(popularity|blend)\s+([.\d]+)", printed, flags=re.MULTILINE)
    rows = {
        name: float(figure)
        for name, figure in first[:1] + [one for one in first if one[0] == "blend"][:1]
    }
    assert rows["blend"] > 1.3 * rows["popularity"], "before any film the music already says which"


def test_a_learner_outside_the_package_is_served(tmp_path):
    """Fitted and saved by the example, then served over HTTP by a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES)}
    script = [sys.executable, str(EXAMPLES / "outside_learner.py"), "40"]
    subprocess.run(script, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = f"sqlite:///{tmp_path / 'store.db'}"
    command = [sys.executable, "-m", "warmstart", "serve", "models", "--store", store]
    service = subprocess.Popen(
        [*command, "--port", str(port)], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        answer = answered(port, service)
    finally:
        service.terminate()
        service.wait(timeout=30)
    assert len(answer["items"]) == 3 and answer["user"]["events_used"] == 2


def answered(port: int, service: subprocess.Popen) -> dict:
    """The list for a history of two items, once the service is ready."""
    for _ in range(600):
        assert service.poll() is None, "the service stopped"
        with contextlib.suppress(httpx.TransportError):
            body = {"history": [{"item_id": "i17"}, {"item_id": "i4"}], "count": 3}
            found = httpx.post(f"http://127.0.0.1:{port}/v1/recommend", json=body, timeout=30)
            assert found.status_code == 200, found.text
            return found.json()
        time.sleep(0.1)
    raise AssertionError("the service did not start within a minute")


def test_sine_waves_and_characters_are_learned():
    errors = re.search(r"\[(.*)\]", run("sinusoids.py")).group(1).split(", ")
    assert float(errors[-1]) < float(errors[0])
    before, after = map(int, re.findall(r"(\d+)%", run("characters.py")))
    assert after > before + 10
