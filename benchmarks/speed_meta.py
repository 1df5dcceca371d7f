"""Speed of meta-training and of adaptation: tasks a second against learn2learn, with equal
gradients.

python benchmarks/speed_meta.py [--threads 1] [--seconds 20] [--seed 0] [--json OUT]

One outer gradient of MAML and of FOMAML is taken on 128 tasks of 5 to 100 ratings and 10 to
predict, with item vectors of 8 fields of 32 numbers and a head of 256-64-64-1 that is adapted as a
whole. First the gradients are compared; then both take turns, and the figure is the median over the
turns of the ratio of their speeds. It is for the gradient of the head; further rows ask for that of
the item vectors as well, as training has it. Then comes adaptation in use: of one user alone, and
of 1,000 in a batch.

learn2learn 0.2.0 does not build on Python 3.11 or later as it comes, since its C files were made by
an old Cython. To make an environment for it, where this project lies:

    python -m venv rival && . rival/bin/activate
    pip install -c constraints.txt . cython "setuptools<81" wheel requests tqdm
    pip download --no-deps --no-binary learn2learn learn2learn==0.2.0
    tar xf learn2learn-0.2.0.tar.gz && cd learn2learn-0.2.0
    rm learn2learn/data/*.c
    sed -i '/import \\(gym\\|text\\|vision\\)$/d' learn2learn/__init__.py
    python setup.py build_ext bdist_wheel && pip install --no-deps dist/*.whl && cd ..
    python benchmarks/speed_meta.py

The line with `sed` leaves out its games, texts and images, for which it would need gym and a
torchvision made for the very torch that is installed; its algorithms have no use for them. Where
learn2learn cannot be imported, the rival is a plain loop over the tasks with torch.autograd.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import mse_loss, normalize

from warmstart.data.synthetic import shop
from warmstart.learners import MAML
from warmstart.learners.base import Query, Support
from warmstart.learners.objectives import CandidateSet
from warmstart.tasks.scenarios import user_cold_start
from warmstart.tasks.tasks import Examples
from warmstart.training import registry as recipes
from warmstart.training.tuning import Order

TASKS, SHORTEST, LONGEST, QUERIES = 128, 5, 100, 10
FIELDS, WIDTH, HIDDEN, RATE = 8, 32, 64, 0.1
DIM = FIELDS * WIDTH
CASES = ((1, False), (5, False), (1, True), (5, True))  # steps, and whether first order
TURN, FEWEST = (
    0.25,
    5,
)  # a turn is long enough that it matters little what the other has left in the cache
FASTER, EQUAL = 4.0, 1e-5
USERS, EVENTS = 1000, 20
LEARNERS, MILLISECONDS = ("ridge", "in-context"), {"alone": 1.0, "in a batch": 0.1}

Outer = Callable[[], list[Tensor]]
"""Takes one outer gradient: of the layers in the order of `LAYERS`, then of the vectors where that
is asked for.
"""
LAYERS = ("represent", "bend", "hidden", "offset", "output", "shift")


class Task(NamedTuple):
    """A task as a loop over tasks takes it, without padding."""

    x: Tensor
    y: Tensor
    prior: Tensor
    items: Tensor
    values: Tensor


@dataclass(frozen=True)
class Case:
    """What is raced: how many steps of descent, of which order, and whether the vectors get a
    gradient as well.
    """

    steps: int
    first_order: bool
    vectors: bool

    def __str__(self) -> str:
        order, plural = (
            ("first" if self.first_order else "second"),
            ("" if self.steps == 1 else "s"),
        )
        return f"{order} order, {self.steps} step{plural}{', with vectors' if self.vectors else ''}"


@dataclass(frozen=True)
class Race:
    """What came of a case: tasks a second, their ratio with its quartiles, and how far apart the
    gradients are.
    """

    case: str
    ours: float
    rival: float
    ratio: float
    quartiles: tuple[float, float]
    difference: float


class Head(nn.Module):
    """Our head as a module for one task; its prior is that of the task and a shift, which is
    adapted.
    """

    def __init__(self, head: nn.ParameterDict) -> None:
        super().__init__()
        self.represent, self.bend, self.hidden, self.offset, self.output = (
            nn.Parameter(head[name].detach().clone()) for name in LAYERS[:-1]
        )
        self.shift = nn.Parameter(torch.zeros(DIM))

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        z = torch.tanh(torch.addmm(self.bend, x, self.represent))
        z = torch.tanh(torch.addmm(self.offset, z, self.hidden))
        return z @ self.output + x @ (prior + self.shift)


Opponent = Callable[[Head, Sequence[Task], Case], Tensor]
"""What makes the sum of the losses of tasks after descent from a head."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rival, made = opponent()
    cases = [Case(*case, vectors) for vectors in (False, True) for case in CASES]
    races = [race(case, made, arguments.seed, arguments.seconds) for case in cases]
    milliseconds = {name: adaptation(name, arguments.seed) for name in LEARNERS}
    show(rival, races, milliseconds)
    found = {
        "benchmark": "speed_meta",
        "rival": rival,
        "threads": arguments.threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "races": [asdict(one) for one in races],
        "adaptation_ms": milliseconds,
        "targets": targets(rival, races, milliseconds),
    }
    for target in found["targets"]:
        print(
            f"{target['name']}: {target['value']:.3g}, target {target['target']:.3g}, met: {target['met']}"
        )
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )


def opponent() -> tuple[str, Opponent]:
    """The rival that can be had here, and its name."""
    try:
        l2l: Any = import_module("learn2learn")
    except (ImportError, OSError, RuntimeError) as error:
        print(
            f"learn2learn cannot be imported ({error}); see the top of this file. The rival is a loop over the tasks."
        )
        return "a loop over the tasks", looped

    def wrapped(head: Head, tasks: Sequence[Task], case: Case) -> Tensor:
        learner = l2l.algorithms.MAML(head, lr=RATE, first_order=case.first_order)
        total = torch.zeros(())
        for task in tasks:
            copy = learner.clone()
            for _ in range(case.steps):
                copy.adapt(mse_loss(copy(task.x, task.prior), task.y))
            total = total + mse_loss(copy(task.items, task.prior), task.values)
        return total

    return f"learn2learn {l2l.__version__}", wrapped


def looped(head: Head, tasks: Sequence[Task], case: Case) -> Tensor:
    """A loop as one would write it without a library."""
    total = torch.zeros(())
    for task in tasks:
        weights: dict[str, Tensor] = dict(head.named_parameters())
        for _ in range(case.steps):
            loss = mse_loss(functional_call(head, weights, (task.x, task.prior)), task.y)
            slopes = torch.autograd.grad(
                loss, list(weights.values()), create_graph=not case.first_order
            )
            weights = {
                n: w - RATE * slope for (n, w), slope in zip(weights.items(), slopes, strict=True)
            }
        total = total + mse_loss(
            functional_call(head, weights, (task.items, task.prior)), task.values
        )
    return total


def race(case: Case, opponent: Opponent, seed: int, seconds: float) -> Race:
    """Both in turn until the time is up, after a look at whether they take the same gradient."""
    torch.manual_seed(seed)
    learner = MAML(
        DIM, objective="rating", hidden=HIDDEN, inner_steps=case.steps, first_order=case.first_order
    )
    support, query = world(seed, vectors=case.vectors)
    mine, yours = (
        ours(learner, support, query),
        theirs(opponent, Head(learner.head), case, support, query),
    )
    apart = difference(mine(), yours(), support.mask)
    begun, turns = time.perf_counter(), []
    while len(turns) < FEWEST or time.perf_counter() - begun < seconds:
        turns.append((speed(mine), speed(yours)))
    ratios = [a / b for a, b in turns]
    low, _, high = statistics.quantiles(ratios, n=4)
    speeds = [statistics.median(turn) for turn in zip(*turns, strict=True)]
    return Race(str(case), speeds[0], speeds[1], statistics.median(ratios), (low, high), apart)


def speed(outer: Outer) -> float:
    """Tasks a second over one turn."""
    begun, times = time.perf_counter(), 0
    while time.perf_counter() - begun < TURN:
        outer()
        times += 1
    return times * TASKS / (time.perf_counter() - begun)


def world(seed: int, *, vectors: bool) -> tuple[Support, Query]:
    """Ratings of items each field of which has a vector of length 1; `vectors` says whether they
    want a gradient.
    """
    rng = torch.Generator().manual_seed(seed)
    counts = torch.randint(SHORTEST, LONGEST + 1, (TASKS,), generator=rng)
    x, items = (
        normalize(torch.randn(TASKS, n, FIELDS, WIDTH, generator=rng), dim=-1)
        .flatten(2)
        .requires_grad_(vectors)
        for n in (LONGEST, QUERIES)
    )
    y, values = (torch.randn(TASKS, n, generator=rng) for n in (LONGEST, QUERIES))
    prior = 0.1 * torch.randn(TASKS, DIM, generator=rng)
    mask = torch.arange(LONGEST) < counts.unsqueeze(1)
    return Support(x, y, mask, prior), Query(
        items, values, torch.ones(TASKS, QUERIES, dtype=torch.bool)
    )


def ours(learner: MAML, support: Support, query: Query) -> Outer:
    """MAML as it is trained here, but for the rates: they stay as they are, for the rival's rate is
    no parameter.
    """
    learner.log_rate.requires_grad_(False)
    shift = torch.zeros(DIM, requires_grad=True)
    nothing = CandidateSet(torch.zeros(1, DIM), torch.zeros(1))
    vectors = [support.x, query.x] if query.x.requires_grad else []

    def outer() -> list[Tensor]:
        asking = replace(support, prior=support.prior + shift)
        loss = learner.loss(asking, query, nothing, nothing).sum()
        return _gradient(loss, [*(learner.head[name] for name in LAYERS[:-1]), shift, *vectors])

    return outer


def theirs(opponent: Opponent, head: Head, case: Case, support: Support, query: Query) -> Outer:
    """The rival on the same tasks, which are taken apart before the clock starts."""
    columns = zip(support.x, support.y, support.mask, support.prior, query.x, query.y, strict=True)
    tasks = [
        Task(*(part.detach().clone() for part in (x[known], y[known], prior, items, values)))
        for x, y, known, prior, items, values in columns
    ]
    vectors = [*(task.x for task in tasks), *(task.items for task in tasks)] if case.vectors else []
    for vector in vectors:
        vector.requires_grad_()

    def outer() -> list[Tensor]:
        return _gradient(
            opponent(head, tasks, case), [*(getattr(head, name) for name in LAYERS), *vectors]
        )

    return outer


def _gradient(loss: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(loss, wanted, materialize_grads=True))


def difference(mine: list[Tensor], yours: list[Tensor], mask: Tensor) -> float:
    """The largest difference between the gradients, in units of the largest entry of each."""
    count = len(LAYERS)
    pairs = list(zip(mine[:count], yours[:count], strict=True))
    if len(mine) > count:
        pairs.append((mine[count][mask], torch.cat(yours[count : count + TASKS])))
        pairs.append((mine[count + 1].flatten(0, 1), torch.cat(yours[count + TASKS :])))
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-30)) for a, b in pairs)


def adaptation(name: str, seed: int) -> dict[str, float]:
    """Milliseconds a user of 20 events, alone and in a batch of 1,000; trained for a single step,
    which is all one.
    """
    split = user_cold_start(shop(items=2000, seed=seed))
    scorer = recipes.fit(
        name, Order(split, seed=seed, settings={"steps": 1, "validate_every": 1})
    ).scorer
    item = np.random.default_rng(seed).integers(scorer.items, size=USERS * EVENTS)
    users = Examples(item, np.ones(len(item), dtype=np.float32), np.arange(USERS + 1) * EVENTS)
    one = users.take(np.array([0]))
    return {
        "alone": _milliseconds(lambda: scorer.adapt(one), 200),
        "in a batch": _milliseconds(lambda: scorer.adapt(users), 20) / USERS,
    }


def _milliseconds(action: Callable[[], Any], times: int) -> float:
    """The median time of an action, once it is warm."""
    action()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begun)
    return 1000 * statistics.median(taken)


def show(rival: str, races: Sequence[Race], milliseconds: dict[str, dict[str, float]]) -> None:
    console = Console(width=120)
    table = Table("case", "ours, tasks/s", rival, "ratio", "quartiles", "largest difference")
    for one in races:
        low, high = one.quartiles
        figures = (
            f"{one.ours:,.0f}",
            f"{one.rival:,.0f}",
            f"{one.ratio:.2f}",
            f"{low:.2f} to {high:.2f}",
        )
        table.add_row(one.case, *figures, f"{one.difference:.1e}")
    console.print(table)
    table = Table("adaptation, ms a user", *MILLISECONDS)
    for name, found in milliseconds.items():
        table.add_row(name, *(f"{found[way]:.3f}" for way in MILLISECONDS))
    console.print(table)


def targets(
    rival: str, races: Sequence[Race], milliseconds: dict[str, dict[str, float]]
) -> list[dict[str, Any]]:
    """The ratios of the head's gradients, how equal all gradients are, and the time to adapt."""
    found = [
        {
            "name": f"{one.case}, times as fast as {rival}",
            "value": one.ratio,
            "target": FASTER,
            "met": one.ratio >= FASTER,
        }
        for one in races[: len(CASES)]
    ]
    below = {"largest difference of a gradient": (max(one.difference for one in races), EQUAL)}
    for name, taken in milliseconds.items():
        below |= {
            f"{name} adapts {way}, ms": (taken[way], most) for way, most in MILLISECONDS.items()
        }
    found += [
        {"name": n, "value": v, "target": most, "met": v <= most} for n, (v, most) in below.items()
    ]
    return found


if __name__ == "__main__":
    main()
