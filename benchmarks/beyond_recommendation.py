"""Meta-learning beyond recommendation: sine waves and drawn characters, ours and learn2learn's.

    python benchmarks/beyond_recommendation.py --json OUT

Both libraries run MAML with the same network, starting weights, episodes, optimiser steps and
learning rates; what differs is the program. The prototypical network is ours alone. Without
learn2learn (the top of speed_meta.py says how to build it) its rows are left out.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from _environment import write_result
from warmstart.meta import LOSSES, Episode, GradientDescent, Prototypes

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
EXAMPLES = {name: import_module(name) for name in ("sinusoids", "characters")}
Draw = Callable[[np.random.Generator], Episode]
TEST_SEED, TEST_TASKS = 10_000, 400


def train(
    model: nn.Module, draw: Draw, loss: Callable[[Episode], torch.Tensor], steps: int
) -> float:
    """Adam steps on one batch of episodes each; returns the seconds that they took."""
    optimiser = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=1e-3)
    started = time.perf_counter()
    for step in range(steps):
        episode = draw(np.random.default_rng([0, step]))
        optimiser.zero_grad()
        loss(episode).backward()
        optimiser.step()
    return time.perf_counter() - started


def ours(network: nn.Module, objective: str, draw: Draw, steps: int, rate: float) -> Any:
    learner = GradientDescent(network, objective=objective, inner_steps=1, inner_rate=rate)
    rng = np.random.default_rng(0)
    seconds = train(learner, draw, lambda episode: learner(episode, rng), steps)

    def predict(episode: Episode) -> torch.Tensor:
        state = learner.adapt(episode.support_x, episode.support_y)
        return learner.score(state, episode.query_x).detach()

    return predict, seconds


def theirs(network: nn.Module, objective: str, draw: Draw, steps: int, rate: float) -> Any:
    l2l: Any = import_module("learn2learn")
    learner = l2l.algorithms.MAML(network, lr=rate)

    def predict(episode: Episode) -> torch.Tensor:
        found = []
        for x, y, query in zip(episode.support_x, episode.support_y, episode.query_x, strict=True):
            task = learner.clone()
            task.adapt(LOSSES[objective](shaped(task(x)), y[None]).squeeze(0))
            found.append(shaped(task(query)))
        return torch.cat(found)

    def shaped(predicted: torch.Tensor) -> torch.Tensor:
        return (predicted if objective == "classification" else predicted.squeeze(-1))[None]

    def loss(episode: Episode) -> torch.Tensor:
        return LOSSES[objective](predict(episode), episode.query_y).mean()

    seconds = train(learner, draw, loss, steps)
    return lambda episode: predict(episode).detach(), seconds


def prototypes(network: nn.Module, objective: str, draw: Draw, steps: int, rate: float) -> Any:
    learner = Prototypes(network)
    seconds = train(learner, draw, lambda e: learner(e, np.random.default_rng(0)), steps)

    @torch.no_grad()
    def predict(episode: Episode) -> torch.Tensor:
        state = learner.adapt(episode.support_x, episode.support_y)
        return learner.score(state, episode.query_x)

    return predict, seconds


def per_task(objective: str, predicted: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    """Squared error, or accuracy, of each test task."""
    if objective == "rating":
        return (predicted - y).square().mean(dim=1).numpy()
    return (predicted.argmax(dim=-1) == y).float().mean(dim=1).numpy()


def run(steps: int) -> list[dict[str, Any]]:
    sinusoids, characters = EXAMPLES["sinusoids"], EXAMPLES["characters"]
    ways = characters.WAYS
    train_draw, test_draw = (
        characters.episodes(part) for part in (characters.TRAIN, characters.TEST)
    )
    problems = {
        "sine waves, squared error": (
            "rating", sinusoids.network, sinusoids.sinusoids, sinusoids.sinusoids, 0.01,
        ),
        f"{ways}-way {characters.SHOTS}-shot characters, accuracy": (
            "classification", lambda: characters.encoder(ways), train_draw, test_draw, 0.4,
        ),
    }  # fmt: skip
    rows = []
    for problem, (objective, make, draw, test, rate) in problems.items():
        torch.manual_seed(0)
        network = make()
        programs = {"warmstart, MAML": ours}
        if find_spec("learn2learn") is not None:
            programs["learn2learn, MAML"] = theirs
        if objective == "classification":
            programs["warmstart, prototypes"] = prototypes
        for program, fit in programs.items():
            predict, seconds = fit(copy.deepcopy(network), objective, draw, steps, rate)
            rng = np.random.default_rng(TEST_SEED)
            batches = [test(rng) for _ in range(TEST_TASKS // 20)]
            values = np.concatenate([per_task(objective, predict(e), e.query_y) for e in batches])
            error = 1.96 * values.std() / np.sqrt(len(values))
            rows.append(
                {
                    "problem": problem,
                    "program": program,
                    "value": float(values.mean()),
                    "interval": float(error),
                    "test_tasks": len(values),
                    "seconds": round(seconds, 1),
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    arguments = parser.parse_args()
    rows = run(arguments.steps)
    table = Table("problem", "program", "value", "± 95 %", "training s")
    for row in rows:
        table.add_row(
            row["problem"], row["program"], f"{row['value']:.3f}", f"{row['interval']:.3f}",
            f"{row['seconds']}",
        )  # fmt: skip
    Console().print(table)
    write_result(
        arguments.json, {"benchmark": "beyond_recommendation", "results": rows, "targets": []}
    )


if __name__ == "__main__":
    main()
