"""Users new to a domain of whom events in another one are known: the next event there, against the
tuned classics.

python benchmarks/crossdomain.py --data DIR [--learners a,b] [--overlaps 1,0.5,0.2,0.05] [--shots
0,1,3,5] [--json OUT]

Amazon sport and cloth, both ways. A fifth of the users with both is tested: known are all their
events in the source and the first k in the target, asked for is the next one. It is ranked among
all items of the target, and among 999 drawn ones that the user never met (published tables do
that). The audit names items of the two domains that the same people met, which may be one product
listed twice; figures are given with and without events on such twins of what is known. `auto` takes
no part in training: by the number of shots it falls back on whoever validation users speak for.
Worse: the share of users for whom the asked item ranks lower than by popularity.

Ciao: the mean absolute error of the next ratings in its largest category, given all ratings in the
other 27 and the first k in it. Beside the learners stand the mean of the item and that of the user
elsewhere. Worse: the share of users with a larger error than that of the item's mean.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from rich.console import Console
from rich.table import Table

import warmstart as ws
from warmstart.cli.progress import TrainingProgress
from warmstart.data.interactions import Interactions
from warmstart.evaluation import metrics
from warmstart.evaluation.bootstrap import interval, resampled_means
from warmstart.evaluation.evaluate import CELLS, evaluate, tie_order
from warmstart.scorer import Scorer
from warmstart.tasks.scenarios import BENCHMARK, ScenarioOptions, cut
from warmstart.tasks.tasks import Split, TaskBatch, batches
from warmstart.training import registry as recipes
from warmstart.training.search import select
from warmstart.training.tuning import Order

SET = "amazon-sport-cloth"
TARGETS = ("sports_and_outdoors", "clothing_shoes_jewelry")
RATED, RATED_TARGET = "ciao", "category_1"
RATING_LEARNERS = "bias,factors,ridge,ptupcdr"
LEARNERS = "popularity,item-knn,session-knn,bridge,ptupcdr,stacked-bridge,stacked-blend,auto"
DRAWN, AT, GAIN = 999, 10, 0.15
TWINS, TOGETHER = (
    0.8,
    3,
)  # share of the fewer people of two items that met both, and how many at least
MEASURES = ("mrr", "hr@10", "ndcg@10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=f"{SET},{RATED}")
    parser.add_argument("--learners", default=LEARNERS)
    parser.add_argument("--rating-learners", default=RATING_LEARNERS)
    parser.add_argument("--overlaps", default="1,0.5,0.2,0.05")
    parser.add_argument("--shots", default="0,1,3,5")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: dict[str, Any] = {"benchmark": "crossdomain", "seed": arguments.seed, "targets": []}
    if SET in arguments.sets.split(","):
        log, rows = ws.read(arguments.data / SET), []
        twins = twins_of(log)
        print(
            f"{twins.nnz} pairs of items of the two domains were met by the same people ({TWINS:.0%} of the fewer)"
        )
        for domain in arguments.targets.split(","):
            for overlap in map(float, arguments.overlaps.split(",")):
                split = across(log, domain, overlap, arguments.seed)
                rows += compared(arguments, split, twins, {"target": domain, "overlap": overlap})
        found |= {"twins": twins.nnz, "rows": rows, "targets": targets(rows)}
    if RATED in arguments.sets.split(","):
        found["ratings"] = rated(
            arguments, across(ws.read(arguments.data / RATED), RATED_TARGET, 1.0, arguments.seed)
        )
    for one in found["targets"]:
        print(f"{one['name']}: {one['value']:+.1%}, target {one['target']:+.0%}, met: {one['met']}")
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )


def across(log: Interactions, target: str, overlap: float, seed: int) -> Split:
    options = ScenarioOptions(target=target, overlap=overlap)
    return cut(log, "cross-domain", seed=seed, shares=BENCHMARK, options=options)


def rated(arguments: argparse.Namespace, split: Split) -> list[dict[str, Any]]:
    """The errors of ratings of all learners, and of two means."""
    shots = [int(k) for k in arguments.shots.split(",")]
    errors: dict[str, dict[int, np.ndarray]] = {
        "item mean": {k: means_off(split, k, of_item=True) for k in shots},
        "user mean elsewhere": {k: means_off(split, k, of_item=False) for k in shots},
    }
    for learner in arguments.rating_learners.split(","):
        with TrainingProgress(Console(stderr=True)) as training:
            training.callbacks.started(learner)
            order = Order(split, "rating", seed=arguments.seed, progress=training.callbacks.on_step)
            fitted = recipes.fit(learner, order)
        errors[learner] = evaluate(
            fitted.scorer, split.test, objective="rating", shots=shots
        ).values["mae"]
    rows = [
        {
            "learner": learner,
            "shots": k,
            "users": len(values),
            "mae": interval(values, resampled_means(values[:, None])[:, 0])._asdict(),
            "worse": float((values > errors["item mean"][k]).mean()),
        }
        for learner, by_shots in errors.items()
        for k, values in by_shots.items()
    ]
    table = Table(
        "learner",
        *(f"k={k}" for k in shots),
        "worse at 0",
        title=f"{RATED}: error of ratings",
        box=None,
    )
    for learner in errors:
        own = [row for row in rows if row["learner"] == learner]
        table.add_row(
            learner, *(f"{row['mae']['mean']:.4f}" for row in own), f"{own[0]['worse']:.0%}"
        )
    Console(width=130).print(table)
    return rows


def means_off(split: Split, shots: int, *, of_item: bool) -> np.ndarray:
    """The error of the mean rating of the item by training users, or of the user's own events
    elsewhere.
    """
    batch, met = split.test.cut(shots), split.train.met
    usual = float(met.value.mean())
    if of_item:
        counts = np.bincount(met.item, minlength=split.items)
        sums = np.bincount(met.item, weights=met.value, minlength=split.items)
        guess = np.where(counts > 0, sums / np.maximum(counts, 1), usual)[batch.query.item]
    else:
        known = batch.support
        sums = np.bincount(known.task, weights=known.value, minlength=len(known))
        guess = (sums / np.maximum(known.counts, 1))[batch.query.task]
    off = np.abs(guess - batch.query.value)
    return (
        np.bincount(batch.query.task, weights=off, minlength=len(batch.query)) / batch.query.counts
    )


def twins_of(log: Interactions) -> sp.csr_array:
    """Pairs of items of different domains that hardly anybody met alone: (I, I) of ones."""
    met = sp.csr_array(
        (np.ones(len(log), np.float32), (log.user, log.item)),
        shape=(len(log.users), len(log.items)),
    )
    met.data[:] = 1.0
    domain = np.zeros(len(log.items), dtype=np.int64)
    domain[log.item] = log.domain
    both = sp.coo_array(met.T @ met)
    people = np.asarray(met.sum(axis=0))
    fewer = np.minimum(people[both.row], people[both.col])
    kept = (domain[both.row] != domain[both.col]) & (
        both.data >= np.maximum(TOGETHER, TWINS * fewer)
    )
    return sp.csr_array((np.ones(kept.sum()), (both.row[kept], both.col[kept])), shape=both.shape)


def compared(
    arguments: argparse.Namespace, split: Split, twins: sp.csr_array, about: dict[str, Any]
) -> list[dict[str, Any]]:
    """All learners on one split, popularity first; `auto` chooses among those in front of it by
    validation users.
    """
    rows, plain, ready = [], {}, {}
    for learner in arguments.learners.split(","):
        with TrainingProgress(Console(stderr=True)) as training:
            training.callbacks.started(learner)
            order = Order(split, seed=arguments.seed, progress=training.callbacks.on_step)
            if learner == recipes.AUTO:
                race = select(replace(order, seconds=0.0), ready=ready)
                print(race.explained)
                fitted = race.fitted
            else:
                fitted = ready[learner] = recipes.fit(learner, order)
        for shots in map(int, arguments.shots.split(",")):
            batch = split.test.cut(shots, queries=1)
            rank, drawn = ranks(fitted.scorer, batch, arguments.seed)
            plain.setdefault(shots, rank)
            twin = (
                np.asarray(
                    (batch.support.matrix(split.items) @ twins)[
                        np.arange(len(rank)), batch.query.item
                    ]
                )
                > 0
            )
            rows.append(
                {
                    **about,
                    "learner": learner,
                    "kind": fitted.kind,
                    "shots": shots,
                    "users": len(rank),
                    **{f"{name} of all": value for name, value in figures(rank).items()},
                    **{f"{name} of {DRAWN + 1}": value for name, value in figures(drawn).items()},
                    **{
                        f"{name} of all, no twins": value
                        for name, value in figures(rank[~twin]).items()
                    },
                    "worse": float((rank > plain[shots]).mean()),
                    "fit_seconds": fitted.fit_seconds + fitted.tune_seconds,
                }
            )
        show(rows[-len(arguments.shots.split(",")) :])
    return rows


def ranks(scorer: Scorer, batch: TaskBatch, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rank of each asked item among all of the target, and among it and `DRAWN` others."""
    rng, order = np.random.default_rng(seed), tie_order(scorer.items)
    no_answer, everything = batch.question.others(scorer.items), np.arange(scorer.items)
    whole, some = [], []
    for part in batches(batch, max(1, CELLS // scorer.items)):
        scores = scorer.score(scorer.adapt(part.support, part.profile), everything).copy()
        scores[:, no_answer] = -np.inf
        scores[part.support.task, part.support.item] = -np.inf
        asked = part.query.padded().item
        whole.append(metrics.ranks(scores, asked, order)[:, 0])
        chance = np.where(np.isfinite(scores), rng.random(scores.shape), 2.0)
        chance[np.arange(len(asked)), asked[:, 0]] = -1.0
        kept = np.argpartition(chance, DRAWN, axis=1)[:, : DRAWN + 1]
        few = np.full_like(scores, -np.inf)
        np.put_along_axis(few, kept, np.take_along_axis(scores, kept, axis=1), axis=1)
        some.append(metrics.ranks(few, asked, order)[:, 0])
    return np.concatenate(whole), np.concatenate(some)


def figures(rank: np.ndarray) -> dict[str, dict[str, float]]:
    """Means over users with 95 % intervals."""
    hit = rank <= AT
    values = np.stack([1 / rank, hit, np.where(hit, 1 / np.log2(1 + rank), 0.0)], axis=1)
    means = resampled_means(values)
    return {name: interval(values[:, i], means[:, i])._asdict() for i, name in enumerate(MEASURES)}


def targets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best learner beside the classics against the best classic, in each case."""
    found = []
    cases = list(dict.fromkeys((row["target"], row["overlap"], row["shots"]) for row in rows))
    for case in cases:
        here = [row for row in rows if (row["target"], row["overlap"], row["shots"]) == case]
        for measure in (f"mrr of {DRAWN + 1}", f"hr@10 of {DRAWN + 1}"):
            classic = max(row[measure]["mean"] for row in here if row["kind"] == "classic")
            others = [row[measure]["mean"] for row in here if row["kind"] != "classic"]
            if others:
                value = max(others) / classic - 1
                name = f"{case[0]}, {case[1]:.0%} of the users with both, k={case[2]}, {measure}"
                found.append(
                    {"name": name, "value": value, "target": GAIN, "met": bool(value >= GAIN)}
                )
    return found


def show(rows: list[dict[str, Any]]) -> None:
    about = rows[0]
    title = (
        f"{about['learner']} to {about['target']}, {about['overlap']:.0%} of the users with both"
    )
    table = Table(
        "k",
        "users",
        f"MRR of {DRAWN + 1}",
        "HR@10",
        "MRR of all",
        "HR@10",
        "MRR without twins",
        "worse",
        title=title,
        box=None,
    )
    for row in rows:
        cells = [
            f"mrr of {DRAWN + 1}",
            f"hr@10 of {DRAWN + 1}",
            "mrr of all",
            "hr@10 of all",
            "mrr of all, no twins",
        ]
        table.add_row(
            str(row["shots"]),
            str(row["users"]),
            *(f"{row[cell]['mean']:.4f}" for cell in cells),
            f"{row['worse']:.0%}",
        )
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
