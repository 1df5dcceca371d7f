"""Fidelity of explanations: do the events that are named as reasons cause a recommendation?

    python benchmarks/explain.py --data DIR [--sets ml-100k,lastfm-hetrec2011] [--learners a,b]
        [--users N] [--json OUT]

The first ten events of test users with more are known, and their first recommendation is explained.
Events are deleted, or inserted, in the order of four explanations: the attributions of the product,
the cosine of the users of an event's item and of the recommended item, attention if the learner has
any, and random order. `best` is the deletion score that no order can exceed: for each number of
events the set of events without which the item falls furthest (for every fourth user). The time to
fit each learner is limited, since the fidelity of reasons is measured, not the quality of learners.
"""

import argparse
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import warmstart as ws
from _environment import write_result
from warmstart.cli.progress import TrainingProgress
from warmstart.durations import Deadline
from warmstart.explain.attribution import (
    Influences,
    UserContext,
    copies,
    influences,
    top_competitors,
)
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
from warmstart.tasks.cutting import BENCHMARK
from warmstart.tasks.scenarios import cut
from warmstart.tasks.split import Split
from warmstart.training import registry as recipes
from warmstart.training.registry import RECIPES
from warmstart.training.requests import FitRequest

SETS = "ml-100k,lastfm-hetrec2011"
LEARNERS = [
    name
    for name, recipe in RECIPES.items()
    if "ranking" in recipe.objectives and name != "learn2learn"
]
FLAGSHIP = ("blend", "ridge", "ease")
SHOTS, MAX_DELETED, KEPT = 10, 5, (3, 5)
EVERY = 4  # the best deletion is searched for one user in so many
DELETION, SUFFICIENCY, EXACT, MILLISECONDS, LATENCY = 0.39, 0.96, 1e-5, 1.0, 15.0
CATALOGUE, HISTORY, TIMED, WARM = 10_000, 20, 300, 20
ORDERS = ("influence", "cosine", "attention", "random")


class Case(NamedTuple):
    """One user's first recommendation, and what explains it."""

    known: UserContext
    item: int
    comparison_items: np.ndarray
    excluded: np.ndarray
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
    sets = [name for name in arguments.sets.split(",") if name]
    rows = [row for name in sets for row in rows_of(name, arguments)]
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
    write_result(arguments.json, found, [arguments.data / name for name in sets])


def rows_of(name: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of all learners on one data set, which are printed."""
    split = cut(ws.read(arguments.data / name), "user", seed=arguments.seed, shares=BENCHMARK)
    rows: list[dict[str, Any]] = []
    for learner in arguments.learners.split(","):
        with TrainingProgress(Console(stderr=True)) as training:
            training.callbacks.on_start(learner)
            request = FitRequest(
                split,
                seed=arguments.seed,
                deadline=Deadline(arguments.budget),
                progress=training.callbacks.on_step,
            )
            scorer = recipes.fit(learner, request).scorer
        measured = evaluated(scorer, split, arguments.users)
        rows.append({"set": name, "learner": learner, **measured})
        show(rows[-1:])
    show(rows)
    return rows


def evaluated(scorer: Scorer, split: Split, users: int) -> dict[str, Any]:
    """The fidelity of one learner's explanations, as means over users."""
    rng = np.random.default_rng(0)
    batch = split.test.cut(SHOTS, queries=1)
    user_items = split.train.all_events.matrix(scorer.items).tocsc()
    of_order: dict[str, list[np.ndarray]] = {}
    whole: list[dict[str, float]] = []
    for task in range(min(users, len(batch.support))):
        profile = None if batch.profile is None else batch.profile[[task]]
        case = explained(scorer, UserContext(batch.support.take(np.array([task])), profile))
        for order, first in orders(scorer, case, user_items, rng).items():
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


def explained(scorer: Scorer, known: UserContext) -> Case:
    """The first recommendation of one user, its attributions, and their time in milliseconds."""
    excluded = np.zeros(scorer.items, dtype=bool)
    excluded[known.support.item] = True
    scores = scorer.score(scorer.adapt(known.support, known.profile), np.arange(scorer.items))[0]
    item = np.array([int(np.where(excluded, -np.inf, scores).argmax())])
    comparison_items = top_competitors(scores, excluded, item)
    begun = time.perf_counter()
    found = influences(scorer, known, item, comparison_items)
    took = 1000 * (time.perf_counter() - begun)
    return Case(
        known,
        int(item[0]),
        comparison_items[0],
        excluded,
        found,
        took,
        closed_form(scorer, known, item, comparison_items),
    )


def closed_form(
    scorer: Scorer, known: UserContext, item: np.ndarray, comparison_items: np.ndarray
) -> float:
    """Milliseconds of the closed form for an item and its comparison items."""
    if scorer.capabilities.attribution is None:
        return float("nan")
    codes = np.unique(np.concatenate([item, comparison_items[0]]))
    begun = time.perf_counter()
    scorer.capabilities.attribution(known.support, known.profile, codes)
    return 1000 * (time.perf_counter() - begun)


def orders(
    scorer: Scorer, case: Case, user_items: Any, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The events in the order of each explanation, the most important one first."""
    history = case.known.support.item
    root = np.sqrt(np.maximum(np.diff(user_items.indptr), 1))
    cosine = (
        (user_items[:, history].T @ user_items[:, [case.item]]).toarray()[:, 0]
        / root[history]
        / root[case.item]
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
    """Attention of a matching network to each event for the recommended item."""
    seen, catalogue = scorer.model.seen(
        scorer.vectors, case.known.support.padded(), case.known.profile
    )
    state = scorer.model.learner.adapt(seen, catalogue)
    return scorer.model.learner.attention(state, scorer.vectors[[case.item]])[0, 0].numpy()


def figures(scorer: Scorer, case: Case, order: np.ndarray) -> np.ndarray:
    """Deletion, insertion, sufficiencies and comprehensiveness of an order of events."""
    known, item, excluded = case.known, case.item, case.excluded
    position = np.argsort(order)
    kept = np.stack(
        [np.ones(len(order), dtype=bool), *(position < kept for kept in KEPT), position >= KEPT[0]]
    )
    gains = discount(ranks(scorer, known, kept, np.full(len(kept), item), excluded))
    shares = [*(gains[1:-1] / gains[0]), 1 - gains[-1] / gains[0]]
    along = [
        measure(scorer, known, item, order, excluded, MAX_DELETED)
        for measure in (deletion, insertion)
    ]
    return np.array([*along, *shares])


def once(
    scorer: Scorer, case: Case, rng: np.random.Generator, *, with_best: bool
) -> dict[str, float]:
    """Measures of one case that need no order of events, and the stability of attributions."""
    found = {
        "stability": stability(
            scorer, case.known, case.item, case.found, case.comparison_items, rng
        ),
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
            scorer,
            case.known,
            case.item,
            important_first(case.found.events)[0],
            case.excluded,
            MAX_DELETED,
        )
        gone = removal(scorer, case.known, case.item, SHOTS, case.excluded)
        if gone is not None:
            found["smallest_removal"] = float(len(gone.events))
        found["stays_whatever_is_removed"] = float(gone is None)
    return found


def difference(scorer: Scorer, case: Case) -> float:
    """The largest difference of an attribution to adaptation without the event."""
    codes = np.concatenate([[case.item], case.comparison_items])

    def margin(known: UserContext) -> float:
        scores = scorer.score(scorer.adapt(known.support, known.profile), codes)[0].astype(
            np.float64
        )
        return float(scores[0] - scores[1:].mean())

    margin_of_all, events = margin(case.known), np.arange(SHOTS)
    lost = [
        margin_of_all
        - margin(case.known._replace(support=copies(case.known.support, (events != p)[None])))
        for p in events
    ]
    return float(np.abs(case.found.events[0] - lost).max())


def best(scorer: Scorer, case: Case) -> float:
    """The mean discount without the worst set of 1, 2, ... events, of all possible sets."""
    worst = []
    for size in range(1, MAX_DELETED + 1):
        sets = np.array(list(combinations(range(SHOTS), size)))
        kept = np.ones((len(sets), SHOTS), dtype=bool)
        kept[np.arange(len(sets))[:, None], sets] = False
        worst.append(
            ranks(scorer, case.known, kept, np.full(len(kept), case.item), case.excluded).max()
        )
    return float(discount(np.array(worst)).mean())


def milliseconds_explained() -> dict[str, float]:
    """How long a list of ten with its reasons takes of 10,000 items, for histories of 20 events;
    its weights do not matter, so they are hardly trained.
    """
    shop = ws.synthetic_shop(users=8000, items=CATALOGUE)
    model = ws.fit(shop, learner="blend", settings={"steps": 20, "validate_every": 20})
    rng = np.random.default_rng(0)
    ids = np.array(shop.items.ids.to_list())
    histories = [rng.choice(ids, HISTORY, replace=False).tolist() for _ in range(WARM + TIMED)]
    plain_ms = timed(lambda history: model.recommend(history, 10), histories)
    explained_ms = timed(lambda history: model.recommend(history, 10, explain=True), histories)
    return {
        "items": float(len(ids)),
        **percentiles(plain_ms, "plain"),
        **percentiles(explained_ms, "explained"),
    }


def timed(call: Callable[[list[str]], object], histories: list[list[str]]) -> np.ndarray:
    took = []
    for history in histories:
        begun = time.perf_counter()
        call(history)
        took.append(1000 * (time.perf_counter() - begun))
    return np.array(took[WARM:])


def percentiles(took: np.ndarray, name: str) -> dict[str, float]:
    return {f"{name}_median": float(np.median(took)), f"{name}_p99": float(np.quantile(took, 0.99))}


def targets(rows: list[dict[str, Any]], latency: dict[str, float]) -> list[dict[str, Any]]:
    """The targets of `FLAGSHIP` on each data set."""
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
        found.append(target(f"{name} difference to leave-one-out", exact, EXACT, exact <= EXACT))
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
    heads = "learner,deletion,cosine,attention,random,of these,best,insertion,suff. 3,5,compr."
    table = Table(*heads.split(","), "stability", "smallest", "ms", box=None)
    table.title = f"{rows[0]['set']}, {rows[0]['users']} users"
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
