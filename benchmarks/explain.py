"""Reasons put to the test: are the events that are named those that carry a recommendation?

python benchmarks/explain.py --data DIR [--sets ml-100k,lastfm-hetrec2011] [--learners a,b] [--users
N] [--json OUT]

Test users with more than ten events, of whom the first ten are known; their first recommendation is
explained. Events are taken out, or left in, in the order of four explanations: the influences that
are shipped, the cosine of who met an event's item and the recommended one, attention where the
learner has any, and chance. `best` is the deletion that no order can beat: for each number of
events the set, of all there are, without which the item falls furthest (of every fourth user).
Fitting has a limit of time for each learner, since what is asked is whether reasons are true, not
how good the learner is.
"""

import argparse
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from _environment import write_result
from rich.console import Console
from rich.table import Table

import warmstart as ws
from warmstart.cli.progress import TrainingProgress
from warmstart.explain.attribution import Influences, Known, copies, influences, strongest
from warmstart.explain.counterfactual import removal
from warmstart.explain.fidelity import (
    deletion,
    discount,
    important_first,
    insertion,
    ranks,
    stability,
)
from warmstart.learners import Matching
from warmstart.scorer import Scorer
from warmstart.tasks.scenarios import BENCHMARK, cut
from warmstart.tasks.tasks import Split
from warmstart.training import registry as recipes
from warmstart.training.registry import RECIPES
from warmstart.training.tuning import Order

SETS = "ml-100k,lastfm-hetrec2011"
LEARNERS = [
    name
    for name, recipe in RECIPES.items()
    if "ranking" in recipe.objectives and name != "learn2learn"
]
FLAGSHIP = ("blend", "ridge", "ease")
SHOTS, MOST, KEPT, EVERY = 10, 5, (3, 5), 4
DELETION, SUFFICIENCY, EXACT, MILLISECONDS, LATENCY = 0.39, 0.96, 1e-5, 1.0, 15.0
CATALOGUE, HISTORY, TIMED, WARM = 10_000, 20, 300, 20
ORDERS = ("influence", "cosine", "attention", "random")


class Case(NamedTuple):
    """One user's first recommendation, and what explains it."""

    known: Known
    item: int
    rivals: np.ndarray
    barred: np.ndarray
    found: Influences
    milliseconds: float
    closed_milliseconds: float
    """Of the closed form alone; of a scorer that has none, not a number."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--learners", default=",".join(LEARNERS))
    parser.add_argument(
        "--users", type=int, default=200, help="at most so many test users of each set"
    )
    parser.add_argument(
        "--budget", type=float, default=60.0, help="seconds for fitting each learner"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in filter(None, arguments.sets.split(",")):
        split = cut(ws.read(arguments.data / name), "user", seed=arguments.seed, shares=BENCHMARK)
        for learner in arguments.learners.split(","):
            with TrainingProgress(Console(stderr=True)) as training:
                training.callbacks.on_start(learner)
                order = Order(
                    split,
                    seed=arguments.seed,
                    seconds=arguments.budget,
                    progress=training.callbacks.on_step,
                )
                scorer = recipes.fit(learner, order).scorer
            rows.append({"set": name, "learner": learner, **evaluated(scorer, split, arguments.users)})
            show(rows[-1:])
        show([row for row in rows if row["set"] == name])
    latency = milliseconds_explained()
    found = {
        "benchmark": "explain",
        "seed": arguments.seed,
        "budget_seconds": arguments.budget,
        "rows": rows,
        "explained_recommendation_ms": latency,
        "targets": targets(rows, latency),
    }
    for one in found["targets"]:
        print(f"{one['name']}: {one['value']:.4g}, target {one['target']:g}, met: {one['met']}")
    write_result(arguments.json, found, [arguments.data / name for name in arguments.sets.split(",") if name])


def evaluated(scorer: Scorer, split: Split, users: int) -> dict[str, Any]:
    """The figures of one learner, in the mean over users."""
    rng = np.random.default_rng(0)
    batch = split.test.cut(SHOTS, queries=1)
    met = split.train.met.matrix(scorer.items).tocsc()
    of_order: dict[str, list[np.ndarray]] = {}
    whole: list[dict[str, float]] = []
    for task in range(min(users, len(batch.support))):
        profile = None if batch.profile is None else batch.profile[[task]]
        case = explained(scorer, Known(batch.support.take(np.array([task])), profile))
        for order, first in orders(scorer, case, met, rng).items():
            of_order.setdefault(order, []).append(figures(scorer, case, first))
        whole.append(once(scorer, case, rng, with_best=task % EVERY == 0))
    columns = (
        "deletion",
        "insertion",
        *(f"sufficiency@{kept}" for kept in KEPT),
        "comprehensiveness@3",
    )
    means = {
        order: dict(zip(columns, np.mean(values, axis=0).tolist(), strict=True))
        for order, values in of_order.items()
    }
    keys = dict.fromkeys(key for one in whole for key in one)
    return {
        "users": len(whole),
        "closed_form": scorer.capabilities.attribution is not None,
        "orders": means,
        **{
            key: float(np.mean([one[key] for one in whole if key in one]))
            for key in keys
            if key != "exact"
        },
        "largest_difference": max(one["exact"] for one in whole),
    }


def explained(scorer: Scorer, known: Known) -> Case:
    """The first recommendation of one user and its influences, with the milliseconds that these
    took.
    """
    barred = np.zeros(scorer.items, dtype=bool)
    barred[known.support.item] = True
    scores = scorer.score(scorer.adapt(known.support, known.profile), np.arange(scorer.items))[0]
    item = np.array([int(np.where(barred, -np.inf, scores).argmax())])
    rivals = strongest(scores, barred, item)
    begun = time.perf_counter()
    found = influences(scorer, known, item, rivals)
    took = 1000 * (time.perf_counter() - begun)
    return Case(
        known,
        int(item[0]),
        rivals[0],
        barred,
        found,
        took,
        closed_form(scorer, known, item, rivals),
    )


def closed_form(scorer: Scorer, known: Known, item: np.ndarray, rivals: np.ndarray) -> float:
    """The milliseconds that the closed form takes for an item and its rivals."""
    if scorer.capabilities.attribution is None:
        return float("nan")
    codes = np.unique(np.concatenate([item, rivals[0]]))
    begun = time.perf_counter()
    scorer.capabilities.attribution(known.support, known.profile, codes)
    return 1000 * (time.perf_counter() - begun)


def orders(scorer: Scorer, case: Case, met: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The events in the order of each explanation, what is thought to matter most in front."""
    history = case.known.support.item
    root = np.sqrt(np.maximum(np.diff(met.indptr), 1))
    cosine = (
        (met[:, history].T @ met[:, [case.item]]).toarray()[:, 0] / root[history] / root[case.item]
    )
    found = {
        "influence": important_first(case.found.events)[0],
        "cosine": np.argsort(-cosine, kind="stable"),
        "random": rng.permutation(len(history)),
    }
    learner = getattr(getattr(scorer, "model", None), "learner", None)
    if isinstance(learner, Matching):
        found["attention"] = np.argsort(-attention(scorer, case), kind="stable")
    return found


@torch.no_grad()
def attention(scorer: Any, case: Case) -> np.ndarray:
    """How much a matching network looks at each event for the recommended item."""
    seen, catalogue = scorer.model.seen(
        scorer.vectors, case.known.support.padded(), case.known.profile
    )
    state = scorer.model.learner.adapt(seen, catalogue)
    return scorer.model.learner.attention(state, scorer.vectors[[case.item]])[0, 0].numpy()


def figures(scorer: Scorer, case: Case, order: np.ndarray) -> np.ndarray:
    """Deletion, insertion, sufficiencies and comprehensiveness of an order of events."""
    known, item, barred = case.known, case.item, case.barred
    place = np.argsort(order)
    kept = np.stack(
        [np.ones(len(order), dtype=bool), *(place < kept for kept in KEPT), place >= KEPT[0]]
    )
    gains = discount(ranks(scorer, known, kept, np.full(len(kept), item), barred))
    shares = [*(gains[1:-1] / gains[0]), 1 - gains[-1] / gains[0]]
    along = [measure(scorer, known, item, order, barred, MOST) for measure in (deletion, insertion)]
    return np.array([*along, *shares])


def once(
    scorer: Scorer, case: Case, rng: np.random.Generator, *, with_best: bool
) -> dict[str, float]:
    """What does not hang on an order, but for stability, which is that of the influences."""
    found = {
        "stability": stability(scorer, case.known, case.item, case.found, case.rivals, rng),
        "milliseconds": case.milliseconds,
        **(
            {"closed_form_milliseconds": case.closed_milliseconds}
            if scorer.capabilities.attribution is not None
            else {}
        ),
        "exact": difference(scorer, case),
    }
    if with_best:
        found["best"] = best(scorer, case)
        found["deletion_of_these"] = deletion(
            scorer, case.known, case.item, important_first(case.found.events)[0], case.barred, MOST
        )
        gone = removal(scorer, case.known, case.item, SHOTS, case.barred)
        if gone is not None:
            found["smallest_removal"] = float(len(gone.events))
        found["stays_whatever_is_removed"] = float(gone is None)
    return found


def difference(scorer: Scorer, case: Case) -> float:
    """The largest difference of an influence to what adapting without the event says, one event at
    a time.
    """
    codes = np.concatenate([[case.item], case.rivals])

    def lead(known: Known) -> float:
        scores = scorer.score(scorer.adapt(known.support, known.profile), codes)[0].astype(
            np.float64
        )
        return float(scores[0] - scores[1:].mean())

    whole, places = lead(case.known), np.arange(SHOTS)
    lost = [
        whole - lead(case.known._replace(support=copies(case.known.support, (places != p)[None])))
        for p in places
    ]
    return float(np.abs(case.found.events[0] - lost).max())


def best(scorer: Scorer, case: Case) -> float:
    """The mean discount after the worst set of 1, 2, ... events is gone, of all sets there are."""
    worst = []
    for size in range(1, MOST + 1):
        sets = np.array(list(combinations(range(SHOTS), size)))
        kept = np.ones((len(sets), SHOTS), dtype=bool)
        kept[np.arange(len(sets))[:, None], sets] = False
        worst.append(
            ranks(scorer, case.known, kept, np.full(len(kept), case.item), case.barred).max()
        )
    return float(discount(np.array(worst)).mean())


def milliseconds_explained() -> dict[str, float]:
    """How long a list of ten with its reasons takes of 10,000 items, for histories of 20 events;
    its weights do not matter, so they are hardly trained.
    """
    shop = ws.shop(users=8000, items=CATALOGUE)
    model = ws.fit(shop, learner="blend", settings={"steps": 20, "validate_every": 20})
    rng = np.random.default_rng(0)
    ids = np.array(shop.items.ids.to_list())
    histories = [rng.choice(ids, HISTORY, replace=False).tolist() for _ in range(WARM + TIMED)]
    plain = timed(lambda history: model.recommend(history, 10), histories)
    told = timed(lambda history: model.recommend(history, 10, explain=True), histories)
    return {"items": float(len(ids)), **plain_and(plain, "plain"), **plain_and(told, "explained")}


def timed(call: Callable[[list[str]], object], histories: list[list[str]]) -> np.ndarray:
    took = []
    for history in histories:
        begun = time.perf_counter()
        call(history)
        took.append(1000 * (time.perf_counter() - begun))
    return np.array(took[WARM:])


def plain_and(took: np.ndarray, name: str) -> dict[str, float]:
    return {f"{name}_median": float(np.median(took)), f"{name}_p99": float(np.quantile(took, 0.99))}


def targets(rows: list[dict[str, Any]], latency: dict[str, float]) -> list[dict[str, Any]]:
    """What the flagship, the ridge head and EASE are to reach on each set."""
    found = []
    for row in (row for row in rows if row["learner"] in FLAGSHIP):
        name, shipped = f"{row['set']} {row['learner']}", row["orders"]["influence"]
        found.append(
            target(
                f"{name} deletion", shipped["deletion"], DELETION, shipped["deletion"] <= DELETION
            )
        )
        kept = shipped["sufficiency@5"]
        found.append(target(f"{name} sufficiency of five", kept, SUFFICIENCY, kept >= SUFFICIENCY))
        exact = row["largest_difference"]
        found.append(target(f"{name} difference to leaving out", exact, EXACT, exact <= EXACT))
        if row["closed_form"]:
            took = row["closed_form_milliseconds"]
            found.append(
                target(f"{name} ms in closed form", took, MILLISECONDS, took <= MILLISECONDS)
            )
    p99 = latency["explained_p99"]
    return [*found, target("p99 ms of an explained recommendation", p99, LATENCY, p99 <= LATENCY)]


def target(name: str, value: float, wanted: float, met: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "target": wanted, "met": bool(met)}


def show(rows: list[dict[str, Any]]) -> None:
    table = Table(
        "learner", "deletion", "cosine", "attention", "random", "of these", "best", "insertion", "suff. 3", "5",
        "compr.", "stable", "smallest", "ms", title=f"{rows[0]['set']}, {rows[0]['users']} users", box=None,
    )  # fmt: skip
    for row in rows:
        by, shipped = row["orders"], row["orders"]["influence"]
        kept = (
            shipped[name]
            for name in ("insertion", "sufficiency@3", "sufficiency@5", "comprehensiveness@3")
        )
        table.add_row(
            row["learner"] + ("*" if row["closed_form"] else ""),
            *(f"{by[order]['deletion']:.3f}" if order in by else "" for order in ORDERS),
            *(f"{row[name]:.3f}" for name in ("deletion_of_these", "best")),
            *(f"{value:.3f}" for value in kept),
            *(f"{row['stability']:.2f}", f"{row.get('smallest_removal', float('nan')):.1f}"),
            f"{row['milliseconds']:.2f}",
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
