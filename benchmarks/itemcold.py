"""New items of which k users are known: who else will like them, and which of them suit a user,
against tuned classics.

python benchmarks/itemcold.py --data DIR [--sets citeulike-a,ml-1m,jester5k] [--learners a,b]
[--json OUT]

A fifth of the items is tested, and nobody's event with one of them is learned from. Two questions,
after k = 0, 1, 3, 5 and 10 users: all users are ranked for each new item; and as users see it, all
new items are ranked for each user. For the second the scores of an item, which are made to rank
users, are read in one of three ways, whichever is better for a learner on validation items: as they
are; brought to like mean and spread over users; or by Bayes' rule, as the logarithm of a chance
among users plus that of how many will come, a ridge regression from the item's columns.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import log_softmax
from sklearn.linear_model import Ridge

import warmstart as ws
from warmstart.cli.progress import TrainingProgress
from warmstart.data.interactions import Interactions
from warmstart.ensemble.stacked import z_scores
from warmstart.evaluation import metrics
from warmstart.evaluation.bootstrap import interval, resampled_means
from warmstart.evaluation.evaluate import evaluate, tie_order
from warmstart.scorer import Scorer
from warmstart.tasks.scenarios import BENCHMARK, cut
from warmstart.tasks.tasks import Split, TaskBatch, Tasks, batches
from warmstart.training import registry as recipes
from warmstart.training.tuning import Fitted, Order

SETS = "citeulike-a,ml-1m,jester5k"
LEARNERS = "popularity,item-knn,als,profile-knn,profile-als,dropoutnet,in-context,blend"
SHOTS, AT, GAIN, AT_ONCE, ALL = (0, 1, 3, 5, 10), 10, 0.10, 200, 10**6
LIKED = {"jester5k": 0.0}  # ratings above it count as events
WAYS = ("plain", "levelled", "bayes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--learners", default=LEARNERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in arguments.sets.split(","):
        split = cut(events_of(arguments.data / name), "item", seed=arguments.seed, shares=BENCHMARK)
        for learner in arguments.learners.split(","):
            with TrainingProgress(Console(stderr=True)) as training:
                training.callbacks.started(learner)
                order = Order(split, seed=arguments.seed, progress=training.callbacks.on_step)
                fitted = recipes.fit(learner, order)
            rows += judged(name, fitted, split)
            show(rows[-2:])
    found = {
        "benchmark": "itemcold",
        "seed": arguments.seed,
        "rows": rows,
        "targets": targets(rows),
    }
    for one in found["targets"]:
        print(f"{one['name']}: {one['value']:+.1%}, target {one['target']:+.0%}, met: {one['met']}")
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )


def events_of(folder: Path) -> Interactions:
    """The log; of jokes, which nearly everybody rates, those that were liked."""
    log = ws.read(folder)
    if folder.name not in LIKED:
        return log
    kept = log.value > LIKED[folder.name]
    assert log.time is None and log.domain is None, "only user, item and value are cut here"
    return replace(log, user=log.user[kept], item=log.item[kept], value=log.value[kept])


def judged(name: str, fitted: Fitted, split: Split) -> list[dict[str, Any]]:
    """A learner's nDCG@10 in both directions, with 95 % intervals over items or users."""
    train, valid, test = split.train, split.valid, split.test
    outcome = evaluate(fitted.scorer, test, shots=SHOTS, queries=ALL)
    reach = {id(part): expected(train, valid, part) for part in (valid, test)}
    way = max(WAYS, key=lambda way: of_users(fitted.scorer, valid, 3, way, reach[id(valid)]).mean())
    asked = {
        "users for an item": {
            k: outcome.values["ndcg@10"][k] for k in SHOTS if k in outcome.values["ndcg@10"]
        },
        "items for a user": {
            k: of_users(fitted.scorer, test, k, way, reach[id(test)]) for k in SHOTS
        },
    }
    about = {
        "set": name,
        "learner": fitted.learner,
        "kind": fitted.kind,
        "fit_seconds": fitted.fit_seconds + fitted.tune_seconds,
        "read": way,
    }
    return [
        {
            **about,
            "question": question,
            "ndcg@10": {str(k): spread(values) for k, values in by_shots.items()},
        }
        for question, by_shots in asked.items()
    ]


def spread(values: np.ndarray) -> dict[str, float]:
    return interval(values, resampled_means(values[:, None])[:, 0])._asdict()


def expected(train: Tasks, valid: Tasks, tasks: Tasks) -> np.ndarray:
    """The logarithm of how many users each item will have, by its columns; validation items choose
    the penalty.
    """
    if train.profile is None:
        return np.zeros(len(tasks))
    known = train.events.counts > 0
    log_counts, wanted = np.log(train.events.counts[known]), np.log(valid.events.counts)
    lines = [
        Ridge(alpha=alpha).fit(train.profile[known], log_counts) for alpha in (1, 10, 100, 1000)
    ]
    best = min(lines, key=lambda line: np.square(line.predict(valid.profile) - wanted).mean())
    return best.predict(tasks.profile)


def of_users(scorer: Scorer, tasks: Tasks, shots: int, way: str, reach: np.ndarray) -> np.ndarray:
    """nDCG@10 of each user who met one of the items and is not among its known users, the new items
    alone ranked.
    """
    batch = tasks.cut(shots, queries=ALL)
    scores = np.concatenate(
        [_scores(scorer, part, way) for part in batches(batch, AT_ONCE)]
    )  # (items, users)
    if way == "bayes":
        scores += reach[tasks.events.counts > shots, None]
    scores[
        batch.support.task, batch.support.item
    ] = -np.inf  # who is known to have met it is not asked
    met = batch.query.matrix(scorer.items).toarray().T > 0  # (users, items)
    able = np.flatnonzero(met.any(axis=1))
    order, ranked = tie_order(len(scores)), np.ascontiguousarray(scores.T[able])
    ranks = metrics.ranks(ranked, np.tile(np.arange(len(scores)), (len(able), 1)), order)
    return metrics.ndcg(ranks, met[able], at=AT)


def _scores(scorer: Scorer, batch: TaskBatch, way: str) -> np.ndarray:
    scores = scorer.score(
        scorer.adapt(batch.support, batch.profile), np.arange(scorer.items)
    ).copy()
    if way == "plain":
        return scores
    if way == "bayes":
        return log_softmax(scores, axis=1)
    return z_scores(scores)


def targets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best learner beside the classics against the best classic, in each case."""
    found = []
    for name, question in dict.fromkeys((row["set"], row["question"]) for row in rows):
        here = [row for row in rows if (row["set"], row["question"]) == (name, question)]
        for k in here[0]["ndcg@10"]:
            means = {row["learner"]: row["ndcg@10"][k]["mean"] for row in here}
            classic = max(means[row["learner"]] for row in here if row["kind"] == "classic")
            others = [means[row["learner"]] for row in here if row["kind"] != "classic"]
            if others:
                value = max(others) / classic - 1
                found.append(
                    {
                        "name": f"{name}, {question}, k={k}",
                        "value": value,
                        "target": GAIN,
                        "met": value >= GAIN,
                    }
                )
    return found


def show(rows: list[dict[str, Any]]) -> None:
    table = Table("set", "learner", "question", *(f"k={k}" for k in SHOTS), "fit s", box=None)
    for row in rows:
        figures = [
            f"{row['ndcg@10'][str(k)]['mean']:.4f}" if str(k) in row["ndcg@10"] else ""
            for k in SHOTS
        ]
        table.add_row(
            row["set"], row["learner"], row["question"], *figures, f"{row['fit_seconds']:.0f}"
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
