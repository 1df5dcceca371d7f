"""Speed of meta-training and of adaptation, in tasks a second, against learn2learn.

    python benchmarks/speed_meta.py [--threads 1] [--seconds 20] [--seed 0] [--json OUT]

One outer gradient of MAML and of FOMAML is computed for 128 tasks of 5 to 100 ratings and 10
queries, with item vectors of 8 fields of 32 numbers and a head of 256-64-64-1, all layers of which
are adapted. First the gradients are compared; then both libraries take turns, and the result is the
median over turns of the ratio of their speeds. The first rows are for the gradient of the head,
further rows for that of the item vectors as well, as in training. Then the adaptation of a fitted
model is timed: of one user alone, and of 1,000 in a batch.

learn2learn 0.2.0 does not build on Python 3.11 or later as it comes, since its C files were made by
an old Cython. An environment for it is made in the folder of this project:

    python -m venv rival && . rival/bin/activate
    pip install -c constraints.txt . cython "setuptools<81" wheel requests tqdm
    pip download --no-deps --no-binary learn2learn learn2learn==0.2.0
    tar xf learn2learn-0.2.0.tar.gz && cd learn2learn-0.2.0
    rm learn2learn/data/*.c
    sed -i '/import \\(gym\\|text\\|vision\\)$/d' learn2learn/__init__.py
    python setup.py build_ext bdist_wheel && pip install --no-deps dist/*.whl && cd ..
    python benchmarks/speed_meta.py

The line with `sed` leaves out its games, texts and images, for which it would need gym and a
torchvision built for the installed torch; its algorithms do not need them. If learn2learn cannot be
imported, the reference is a plain loop over the tasks with torch.autograd.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import normalize

from _environment import write_result
from _reference_maml import (
    DIM,
    FIELDS,
    LAYERS,
    WIDTH,
    Case,
    Head,
    Outer,
    Reference,
    gradient,
    outer_of_reference,
    reference,
)
from warmstart.data.synthetic import synthetic_shop
from warmstart.learners import MAML
from warmstart.learners.base import Query, Support
from warmstart.learners.objectives import CandidateSet
from warmstart.tasks.examples import Examples
from warmstart.tasks.scenarios import user_cold_start
from warmstart.training import registry as recipes
from warmstart.training.requests import FitRequest

TASKS, SHORTEST, LONGEST, QUERIES = 128, 5, 100, 10
HIDDEN = 64
CASES = ((1, False), (5, False), (1, True), (5, True))  # steps, and whether first order
TURN_SECONDS = 0.25  # long, so that the state of the cache at its beginning matters little
MIN_TURNS = 5
FASTER, EQUAL = 4.0, 1e-5
USERS, EVENTS = 1000, 20
LEARNERS, MILLISECONDS = ("ridge", "in-context"), {"alone": 1.0, "in a batch": 0.1}


@dataclass(frozen=True)
class Speed:
    """Tasks a second of both, their ratio with quartiles, and the difference of the gradients."""

    case: str
    ours: float
    rival: float
    ratio: float
    quartiles: tuple[float, float]
    difference: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rival, descent = reference()
    cases = [Case(*case, vectors) for vectors in (False, True) for case in CASES]
    speeds = [measure(case, descent, arguments.seed, arguments.seconds) for case in cases]
    milliseconds = {name: adaptation(name, arguments.seed) for name in LEARNERS}
    show(rival, speeds, milliseconds)
    found = {
        "benchmark": "speed_meta",
        "rival": rival,
        "threads": arguments.threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "races": [asdict(one) for one in speeds],
        "adaptation_ms": milliseconds,
        "targets": targets(rival, speeds, milliseconds),
    }
    for target in found["targets"]:
        value, wanted = f"{target['value']:.3g}", f"{target['target']:.3g}"
        print(f"{target['name']}: {value}, target {wanted}, met: {target['met']}")
    write_result(arguments.json, found)


def measure(case: Case, reference: Reference, seed: int, seconds: float) -> Speed:
    """Speeds of both in turn until the time is over, and the difference of their gradients."""
    torch.manual_seed(seed)
    learner = MAML(
        DIM, objective="rating", hidden=HIDDEN, inner_steps=case.steps, first_order=case.first_order
    )
    support, query = random_tasks(seed, vectors=case.vectors)
    package, other = (
        outer_of_package(learner, support, query),
        outer_of_reference(reference, Head(learner.head), case, support, query),
    )
    apart = difference(package(), other(), support.mask)
    begun, turns = time.perf_counter(), []
    while len(turns) < MIN_TURNS or time.perf_counter() - begun < seconds:
        turns.append((speed(package), speed(other)))
    ratios = [a / b for a, b in turns]
    low, _, high = statistics.quantiles(ratios, n=4)
    speeds = [statistics.median(turn) for turn in zip(*turns, strict=True)]
    return Speed(str(case), speeds[0], speeds[1], statistics.median(ratios), (low, high), apart)


def speed(outer: Outer) -> float:
    """Tasks a second over one turn."""
    begun, times = time.perf_counter(), 0
    while time.perf_counter() - begun < TURN_SECONDS:
        outer()
        times += 1
    return times * TASKS / (time.perf_counter() - begun)


def random_tasks(seed: int, *, vectors: bool) -> tuple[Support, Query]:
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


def outer_of_package(learner: MAML, support: Support, query: Query) -> Outer:
    """MAML of the package, with constant rates, since the rate of the reference is constant."""
    learner.log_rate.requires_grad_(False)
    shift = torch.zeros(DIM, requires_grad=True)
    nothing = CandidateSet(torch.zeros(1, DIM), torch.zeros(1))
    vectors = [support.x, query.x] if query.x.requires_grad else []

    def outer() -> list[Tensor]:
        asking = replace(support, prior=support.prior + shift)
        loss = learner.loss(asking, query, nothing, nothing).sum()
        return gradient(loss, [*(learner.head[name] for name in LAYERS[:-1]), shift, *vectors])

    return outer


def difference(package: list[Tensor], other: list[Tensor], mask: Tensor) -> float:
    """The largest difference between the gradients, in units of the largest entry of each."""
    count = len(LAYERS)
    pairs = list(zip(package[:count], other[:count], strict=True))
    if len(package) > count:
        pairs.append((package[count][mask], torch.cat(other[count : count + TASKS])))
        pairs.append((package[count + 1].flatten(0, 1), torch.cat(other[count + TASKS :])))
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-30)) for a, b in pairs)


def adaptation(name: str, seed: int) -> dict[str, float]:
    """Milliseconds a user of 20 events, alone and in a batch of 1,000; trained for a single step,
    which is all one.
    """
    split = user_cold_start(synthetic_shop(items=2000, seed=seed))
    scorer = recipes.fit(
        name, FitRequest(split, seed=seed, settings={"steps": 1, "validate_every": 1})
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


def show(rival: str, speeds: Sequence[Speed], milliseconds: dict[str, dict[str, float]]) -> None:
    console = Console(width=120)
    table = Table("case", "ours, tasks/s", rival, "ratio", "quartiles", "largest difference")
    for one in speeds:
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
    rival: str, speeds: Sequence[Speed], milliseconds: dict[str, dict[str, float]]
) -> list[dict[str, Any]]:
    """The ratios of the head's gradients, how equal all gradients are, and the time to adapt."""
    found = [
        {
            "name": f"{one.case}, times as fast as {rival}",
            "value": one.ratio,
            "target": FASTER,
            "met": one.ratio >= FASTER,
        }
        for one in speeds[: len(CASES)]
    ]
    below = {"largest difference of a gradient": (max(one.difference for one in speeds), EQUAL)}
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
