"""Users known in another domain: their next event in a new domain, against tuned baselines.

    python benchmarks/crossdomain.py --data DIR [--learners a,b] [--overlaps 1,0.5,0.2,0.05]
        [--shots 0,1,3,5] [--json OUT]

Amazon sport and cloth, in both directions. A fifth of the users with events in both domains is
tested: all their events in the source domain and the first k in the target domain are known, and
the next one is predicted. It is ranked among all items of the target domain, and among 999 random
items without an event of the user (as published tables do). Two items of the two domains with
nearly the same users may be one product listed twice ("twins"); results are given with all events,
and without those whose twin is known. `auto` trains nothing: it chooses among the other learners by
number of shots on validation users. Worse: the share of users whose next item ranks lower than by
popularity.

Ciao: the mean absolute error of the next ratings in its largest category, given all ratings in the
other 27 categories and the first k in it. The mean rating of the item, and that of the user in the
other categories, stand beside the learners. Worse: the share of users with a larger error than that
of the item's mean.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from rich.console import Console
from rich.table import Table

import warmstart as ws
from _environment import write_result
from warmstart.cli.progress import TrainingProgress
from warmstart.data.interactions import Interactions
from warmstart.durations import Deadline
from warmstart.evaluation import metrics
from warmstart.evaluation.bootstrap import interval, resampled_means
from warmstart.evaluation.evaluate import MAX_SCORES, evaluate, tie_order
from warmstart.scorer import Scorer
from warmstart.tasks.cutting import BENCHMARK
from warmstart.tasks.scenarios import ScenarioOptions, cut
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import TaskBatch, batches
from warmstart.training import registry as recipes
from warmstart.training.requests import FitRequest, Fitted
from warmstart.training.search import search

SET = "amazon-sport-cloth"
TARGETS = ("sports_and_outdoors", "clothing_shoes_jewelry")
RATED, RATED_TARGET = "ciao", "category_1"
RATING_LEARNERS = "bias,factors,ridge,ptupcdr"
LEARNERS = "popularity,item-knn,session-knn,bridge,ptupcdr,stacked-bridge,stacked-blend,auto"
DRAWN, AT, GAIN = 999, 10, 0.15
TWIN_SHARE = 0.8  # of the users of the rarer item that also have the other one
TWIN_USERS = 3  # users that have both items, at least
MEASURES = ("mrr", "hr@10", "ndcg@10")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
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
        print(f"{twins.nnz} pairs of items of the two domains have nearly the same users")
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
    write_result(
        arguments.json, found, [arguments.data / name for name in arguments.sets.split(",")]
    )


def across(log: Interactions, target: str, overlap: float, seed: int) -> Split:
    options = ScenarioOptions(target=target, overlap=overlap)
    return cut(log, "cross-domain", seed=seed, shares=BENCHMARK, options=options)


def rated(arguments: argparse.Namespace, split: Split) -> list[dict[str, Any]]:
    """The absolute errors of all learners, and of two means."""
    shots = [int(k) for k in arguments.shots.split(",")]
    errors: dict[str, dict[int, np.ndarray]] = {
        "item mean": {k: mean_errors(split, k, of_item=True) for k in shots},
        "user mean elsewhere": {k: mean_errors(split, k, of_item=False) for k in shots},
    }
    for learner in arguments.rating_learners.split(","):
        with TrainingProgress(Console(stderr=True)) as training:
            training.callbacks.on_start(learner)
            request = FitRequest(
                split, "rating", seed=arguments.seed, progress=training.callbacks.on_step
            )
            fitted = recipes.fit(learner, request)
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


def mean_errors(split: Split, shots: int, *, of_item: bool) -> np.ndarray:
    """The absolute error of the item's mean rating, or of the mean of the user's known ratings."""
    batch, train = split.test.cut(shots), split.train.all_events
    mean = float(train.value.mean())
    if of_item:
        counts = np.bincount(train.item, minlength=split.n_items)
        sums = np.bincount(train.item, weights=train.value, minlength=split.n_items)
        guess = np.where(counts > 0, sums / np.maximum(counts, 1), mean)[batch.query.item]
    else:
        known = batch.support
        sums = np.bincount(known.task, weights=known.value, minlength=len(known))
        guess = (sums / np.maximum(known.counts, 1))[batch.query.task]
    errors = np.abs(guess - batch.query.value)
    return (
        np.bincount(batch.query.task, weights=errors, minlength=len(batch.query))
        / batch.query.counts
    )


def twins_of(log: Interactions) -> sp.csr_array:
    """Pairs of items of different domains with nearly the same users: (I, I) of ones."""
    assert log.domain is not None, "the data set has a column of domains"
    matrix = sp.csr_array(
        (np.ones(len(log), np.float32), (log.user, log.item)),
        shape=(len(log.users), len(log.items)),
    )
    matrix.data[:] = 1.0  # an event that was repeated counts once
    domain = np.zeros(len(log.items), dtype=np.int64)
    domain[log.item] = log.domain
    both = sp.coo_array(matrix.T @ matrix)
    users = np.asarray(matrix.sum(axis=0))
    rarer = np.minimum(users[both.row], users[both.col])
    kept = (domain[both.row] != domain[both.col]) & (
        both.data >= np.maximum(TWIN_USERS, TWIN_SHARE * rarer)
    )
    return sp.csr_array((np.ones(kept.sum()), (both.row[kept], both.col[kept])), shape=both.shape)


def compared(
    arguments: argparse.Namespace, split: Split, twins: sp.csr_array, about: dict[str, Any]
) -> list[dict[str, Any]]:
    """All learners on one split, popularity first; `auto` chooses among those before it."""
    rows: list[dict[str, Any]] = []
    by_popularity: dict[int, np.ndarray] = {}
    prefitted: dict[str, Fitted] = {}
    for learner in arguments.learners.split(","):
        with TrainingProgress(Console(stderr=True)) as training:
            training.callbacks.on_start(learner)
            request = FitRequest(split, seed=arguments.seed, progress=training.callbacks.on_step)
            if learner == recipes.AUTO:
                hurried = replace(request, deadline=Deadline(0.0))
                choice = search(hurried, fit=recipes.fit, prefitted=prefitted)
                print(choice.summary)
                fitted = choice.fitted
            else:
                fitted = prefitted[learner] = recipes.fit(learner, request)
        for shots in map(int, arguments.shots.split(",")):
            batch = split.test.cut(shots, queries=1)
            rank, drawn = ranks(fitted.scorer, batch, arguments.seed)
            by_popularity.setdefault(shots, rank)
            known_twins = batch.support.matrix(split.n_items) @ twins  # (users, items)
            has_twin = np.asarray(known_twins[np.arange(len(rank)), batch.query.item]) > 0
            rows.append(
                {
                    **about,
                    "learner": learner,
                    "kind": fitted.kind,
                    "shots": shots,
                    "users": len(rank),
                    **measures(rank, "of all"),
                    **measures(drawn, f"of {DRAWN + 1}"),
                    **measures(rank[~has_twin], "of all, no twins"),
                    "worse": float((rank > by_popularity[shots]).mean()),
                    "fit_seconds": fitted.fit_seconds + fitted.tune_seconds,
                }
            )
        show(rows[-len(arguments.shots.split(",")) :])
    return rows


def ranks(scorer: Scorer, batch: TaskBatch, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rank of each next item among all items of the target, and among `DRAWN` others."""
    rng, order = np.random.default_rng(seed), tie_order(scorer.items)
    not_ranked, all_items = batch.query_spec.non_candidates(scorer.items), np.arange(scorer.items)
    among_all, among_some = [], []
    for part in batches(batch, max(1, MAX_SCORES // scorer.items)):
        scores = scorer.score(scorer.adapt(part.support, part.profile), all_items).copy()
        scores[:, not_ranked] = -np.inf
        scores[part.support.task, part.support.item] = -np.inf
        item = part.query.padded().item
        among_all.append(metrics.ranks(scores, item, order)[:, 0])
        draw = np.where(np.isfinite(scores), rng.random(scores.shape), 2.0)
        draw[np.arange(len(item)), item[:, 0]] = -1.0
        kept = np.argpartition(draw, DRAWN, axis=1)[:, : DRAWN + 1]
        few = np.full_like(scores, -np.inf)
        np.put_along_axis(few, kept, np.take_along_axis(scores, kept, axis=1), axis=1)
        among_some.append(metrics.ranks(few, item, order)[:, 0])
    return np.concatenate(among_all), np.concatenate(among_some)


def measures(rank: np.ndarray, of_what: str) -> dict[str, dict[str, float]]:
    """Means over users with 95 % intervals, by name."""
    hit = rank <= AT
    values = np.stack([1 / rank, hit, np.where(hit, 1 / np.log2(1 + rank), 0.0)], axis=1)
    means = resampled_means(values)
    return {
        f"{name} {of_what}": interval(values[:, i], means[:, i])._asdict()
        for i, name in enumerate(MEASURES)
    }


def targets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best learner against the best baseline, in each case."""
    found = []
    cases = list(dict.fromkeys((row["target"], row["overlap"], row["shots"]) for row in rows))
    for case in cases:
        here = [row for row in rows if (row["target"], row["overlap"], row["shots"]) == case]
        for measure in (f"mrr of {DRAWN + 1}", f"hr@10 of {DRAWN + 1}"):
            baseline = max(row[measure]["mean"] for row in here if row["kind"] == "baseline")
            others = [row[measure]["mean"] for row in here if row["kind"] != "baseline"]
            if others:
                value = max(others) / baseline - 1
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
