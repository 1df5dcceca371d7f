"""An ablation of MANN's memory: how much of its quality after k events comes from the memory?

    python benchmarks/mann_memory.py --data DIR [--set ml-1m] [--steps N] [--seed 0] [--json OUT]

The learner is trained and adapted as usual; then only the content of its memory is changed:

- zeroed: every slot is zero, so that the prior is left;
- of another user: whole memories are exchanged among the test users;
- scrambled: the numbers inside each slot are permuted, so that their scale stays the same.

A permutation of whole slots changes nothing, because slots are addressed by content; that is
checked too. The test users have enough events for every k, and differences are paired.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from rich.console import Console
from rich.table import Table
from torch import Tensor

import warmstart as ws
from _environment import write_result
from warmstart.cli.progress import TrainingProgress
from warmstart.evaluation.bootstrap import HIGH, LOW, difference, holm, resampled_means
from warmstart.evaluation.evaluate import SHOTS, evaluate
from warmstart.model.fitted import FittedModel
from warmstart.scorer import Candidates, Capabilities, Scorer, Scores, State
from warmstart.tasks.cutting import BENCHMARK
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.scenarios import cut
from warmstart.tasks.tasks import Tasks
from warmstart.training import registry as recipes
from warmstart.training.requests import FitRequest

NDCG = "ndcg@10"
AFTER = tuple(k for k in SHOTS if k > 0)  # before any event the memory is empty
Damage = Callable[[Tensor], Tensor]  # of the content of T memories, (T, M, W)


def of_another_user(content: Tensor) -> Tensor:
    """Each task gets the memory of the task before it; test users are in random order."""
    return content.roll(1, dims=0)


def scrambled(content: Tensor) -> Tensor:
    """The features of each slot of each task in a random order."""
    order = torch.rand(content.shape, generator=torch.Generator().manual_seed(0)).argsort(dim=-1)
    return content.gather(-1, order)


def reordered(content: Tensor) -> Tensor:
    """The slots of each task in a random order."""
    order = torch.rand(content.shape[:2], generator=torch.Generator().manual_seed(0)).argsort(
        dim=-1
    )
    return content.gather(1, order.unsqueeze(-1).expand_as(content))


DAMAGES: dict[str, Damage] = {
    "zeroed": torch.zeros_like,
    "of another user": of_another_user,
    "scrambled": scrambled,
}


class Damaged:
    """A trained MANN whose memory is changed between adaptation and scoring."""

    capabilities = Capabilities()

    def __init__(self, scorer: FittedModel, damage: Damage) -> None:
        self.scorer, self.damage, self.items = scorer, damage, scorer.items

    def adapt(self, support: Examples, profile: Profile = None) -> State:
        memory = self.scorer.adapt(support, profile)
        return memory._replace(content=self.damage(memory.content))

    def score(self, state: State, items: Candidates) -> Scores:
        return self.scorer.score(state, items)

    def arrays(self) -> dict[str, np.ndarray]:
        return self.scorer.arrays()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="ml-1m")
    parser.add_argument("--steps", type=int, help="of training; those of the recipe if not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    split = cut(
        ws.read(arguments.data / arguments.set), "user", seed=arguments.seed, shares=BENCHMARK
    )
    settings = {} if arguments.steps is None else {"steps": arguments.steps}
    with TrainingProgress(Console(stderr=True)) as training:
        training.callbacks.on_start("mann")
        fitted = recipes.fit(
            "mann",
            FitRequest(
                split, seed=arguments.seed, settings=settings, progress=training.callbacks.on_step
            ),
        )
    assert isinstance(fitted.scorer, FittedModel), "a meta-learner is a trained model"
    found = compared(fitted.scorer, _with_enough(split.test), arguments.seed)
    show(arguments.set, found)
    write_result(arguments.json, found, [arguments.data / arguments.set])


def compared(scorer: FittedModel, tasks: Tasks, seed: int) -> dict[str, Any]:
    """nDCG@10 with the intact memory and with each change, by number of shots."""
    whole = curve(scorer, tasks)
    damaged = {name: curve(Damaged(scorer, damage), tasks) for name, damage in DAMAGES.items()}
    rows = [
        _row(name, k, whole[:, i], one[:, i], seed)
        for name, one in damaged.items()
        for i, k in enumerate(AFTER)
    ]
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p"] = p
    return {
        "benchmark": "mann_memory",
        "test_users": len(tasks),
        "as_it_is": {
            str(k): float(value) for k, value in zip(AFTER, whole.mean(axis=0), strict=True)
        },
        "results": rows,
        "largest_change_by_reordered_slots": float(
            np.abs(curve(Damaged(scorer, reordered), tasks) - whole).max()
        ),
        "targets": [target(name, whole, one, seed) for name, one in damaged.items()],
    }


def curve(scorer: Scorer, tasks: Tasks) -> Float64[np.ndarray, "T K"]:
    """nDCG@10 of every task after each number of shots."""
    values = evaluate(scorer, tasks, shots=AFTER).values[NDCG]
    return np.stack([values[k] for k in AFTER], axis=1)


def target(name: str, whole: np.ndarray, damaged: np.ndarray, seed: int) -> dict[str, Any]:
    """The relative loss of the mean over k >= 1; met if its interval is above 0."""
    means = np.stack([whole.mean(axis=1), damaged.mean(axis=1)], axis=1)
    low, high = np.percentile(_fall(resampled_means(means, seed=seed)), [LOW, HIGH])
    return {
        "name": f"memory {name}: the curve falls, mean over k >= 1",
        "value": float(_fall(means.mean(axis=0))),
        "low": float(low),
        "high": float(high),
        "target": 0.0,
        "met": bool(low > 0),
    }


def _fall(means: np.ndarray) -> np.ndarray:
    return 1 - means[..., 1] / means[..., 0]


def _with_enough(tasks: Tasks) -> Tasks:
    """The tasks with an event to predict after every number of shots."""
    able = np.flatnonzero(tasks.events.counts > max(AFTER))
    return Tasks(
        tasks.events.take(able),
        tasks.ordered,
        None if tasks.profile is None else tasks.profile[able],
    )


def _row(
    name: str, shots: int, whole: np.ndarray, damaged: np.ndarray, seed: int
) -> dict[str, Any]:
    change = (damaged - whole)[:, None]
    found = difference(change[:, 0], resampled_means(change, seed=seed)[:, 0])
    return {"memory": name, "shots": shots, NDCG: float(damaged.mean()), **found._asdict()}


def show(name: str, found: dict[str, Any]) -> None:
    users = f"{found['test_users']} test users"
    table = Table(title=f"{name}: nDCG@10 of {users}, with intervals of the difference")
    for column in ("k", "intact", *DAMAGES):
        table.add_column(column, justify="right")
    for k in AFTER:
        cells = [
            f"{row[NDCG]:.4f}\n{row['low']:+.3f} to {row['high']:+.3f}"
            for row in found["results"]
            if row["shots"] == k
        ]
        table.add_row(str(k), f"{found['as_it_is'][str(k)]:.4f}", *cells)
    Console().print(table)
    print(
        "slots reordered: no figure changes by more than "
        f"{found['largest_change_by_reordered_slots']:.1g}"
    )
    for one in found["targets"]:
        interval = f"{one['low']:.1%} to {one['high']:.1%}"
        print(f"{one['name']}: {one['value']:.1%} ({interval}), target above 0, met: {one['met']}")


if __name__ == "__main__":
    main()
