"""New items: users for an item and items for a user, by number of known users (k), and baselines.

    python benchmarks/itemcold.py --data DIR [--sets citeulike-a,ml-1m,jester5k]
        [--learners a,b] [--json OUT]

A fifth of the items is tested; no event with them is in the training data. Two questions after
k = 0, 1, 3, 5 and 10 known users: all users are ranked for each new item; and all new items are
ranked for each user. For the second question the scores of an item, which are made to rank users,
are compared across items in one of three ways, whichever is best for a learner on validation items:
as they are; as z-scores over users; or by Bayes' rule, as log P(user | item) plus the logarithm of
the expected number of users, by a ridge regression from the item's columns.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import log_softmax
from sklearn.linear_model import Ridge

import warmstart as ws
from _environment import write_result
from warmstart.cli.progress import TrainingProgress
from warmstart.data.interactions import Interactions
from warmstart.ensemble.stacked import z_scores
from warmstart.evaluation import metrics
from warmstart.evaluation.bootstrap import interval, resampled_means
from warmstart.evaluation.evaluate import evaluate, tie_order
from warmstart.scorer import Scorer
from warmstart.tasks.cutting import BENCHMARK
from warmstart.tasks.scenarios import cut
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import TaskBatch, Tasks, batches
from warmstart.training import registry as recipes
from warmstart.training.requests import FitRequest, Fitted

SETS = "citeulike-a,ml-1m,jester5k"
LEARNERS = "popularity,item-knn,als,profile-knn,profile-als,dropoutnet,in-context,blend"
SHOTS, AT, GAIN = (0, 1, 3, 5, 10), 10, 0.10
CHUNK_TASKS = 200
ALL_QUERIES = 10**6
LIKED = {"jester5k": 0.0}  # ratings above it count as events
SCALES = ("plain", "z-score", "bayes")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
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
                training.callbacks.on_start(learner)
                request = FitRequest(
                    split, seed=arguments.seed, progress=training.callbacks.on_step
                )
                fitted = recipes.fit(learner, request)
            rows += evaluated(name, fitted, split)
            show(rows[-2:])
    found = {
        "benchmark": "itemcold",
        "seed": arguments.seed,
        "rows": rows,
        "targets": targets(rows),
    }
    for one in found["targets"]:
        print(f"{one['name']}: {one['value']:+.1%}, target {one['target']:+.0%}, met: {one['met']}")
    write_result(
        arguments.json, found, [arguments.data / name for name in arguments.sets.split(",")]
    )


def events_of(folder: Path) -> Interactions:
    """The interactions; of jokes, which nearly all users rate, those that were liked."""
    log = ws.read(folder)
    if folder.name not in LIKED:
        return log
    kept = log.value > LIKED[folder.name]
    assert log.time is None and log.domain is None, "only users, items and values are filtered here"
    return replace(log, user=log.user[kept], item=log.item[kept], value=log.value[kept])


def evaluated(name: str, fitted: Fitted, split: Split) -> list[dict[str, Any]]:
    """A learner's nDCG@10 in both directions, with 95 % intervals over items or users."""
    train, valid, test = split.train, split.valid, split.test
    outcome = evaluate(fitted.scorer, test, shots=SHOTS, queries=ALL_QUERIES)
    valid_size, test_size = (log_expected_users(train, valid, part) for part in (valid, test))
    scale = max(
        SCALES, key=lambda one: ndcg_of_users(fitted.scorer, valid, 3, one, valid_size).mean()
    )
    values = {
        "users for an item": {
            k: outcome.values["ndcg@10"][k] for k in SHOTS if k in outcome.values["ndcg@10"]
        },
        "items for a user": {
            k: ndcg_of_users(fitted.scorer, test, k, scale, test_size) for k in SHOTS
        },
    }
    about = {
        "set": name,
        "learner": fitted.learner,
        "kind": fitted.kind,
        "fit_seconds": fitted.fit_seconds + fitted.tune_seconds,
        "read": scale,
    }
    return [
        {
            **about,
            "question": question,
            "ndcg@10": {str(k): mean_interval(ndcg) for k, ndcg in by_shots.items()},
        }
        for question, by_shots in values.items()
    ]


def mean_interval(values: np.ndarray) -> dict[str, float]:
    """Mean and 95 % bootstrap interval."""
    return interval(values, resampled_means(values[:, None])[:, 0])._asdict()


def log_expected_users(train: Tasks, valid: Tasks, tasks: Tasks) -> np.ndarray:
    """Logarithm of the expected number of users of each item: (T,), a ridge on its columns.

    The penalty is chosen on validation items.
    """
    if train.profile is None:
        return np.zeros(len(tasks))
    known = train.events.counts > 0
    log_counts, wanted = np.log(train.events.counts[known]), np.log(valid.events.counts)
    ridges = [
        Ridge(alpha=alpha).fit(train.profile[known], log_counts) for alpha in (1, 10, 100, 1000)
    ]
    best = min(ridges, key=lambda ridge: np.square(ridge.predict(valid.profile) - wanted).mean())
    return best.predict(tasks.profile)


def ndcg_of_users(
    scorer: Scorer, tasks: Tasks, shots: int, scale: str, log_size: np.ndarray
) -> np.ndarray:
    """nDCG@10 of each user with a later event on one of the new items, which alone are ranked."""
    batch = tasks.cut(shots, queries=ALL_QUERIES)
    chunks = batches(batch, CHUNK_TASKS)
    scores = np.concatenate([_scores(scorer, part, scale) for part in chunks])  # (items, users)
    if scale == "bayes":
        scores += log_size[tasks.events.counts > shots, None]
    scores[batch.support.task, batch.support.item] = -np.inf  # known users are not predicted
    relevant = batch.query.matrix(scorer.items).toarray().T > 0  # (users, items)
    users = np.flatnonzero(relevant.any(axis=1))
    order, ranked = tie_order(len(scores)), np.ascontiguousarray(scores.T[users])
    ranks = metrics.ranks(ranked, np.tile(np.arange(len(scores)), (len(users), 1)), order)
    return metrics.ndcg(ranks, relevant[users], at=AT)


def _scores(scorer: Scorer, batch: TaskBatch, scale: str) -> np.ndarray:
    scores = scorer.score(
        scorer.adapt(batch.support, batch.profile), np.arange(scorer.items)
    ).copy()
    if scale == "plain":
        return scores
    if scale == "bayes":
        return log_softmax(scores, axis=1)
    return z_scores(scores)


def targets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best learner against the best baseline, in each case."""
    found = []
    for name, question in dict.fromkeys((row["set"], row["question"]) for row in rows):
        here = [row for row in rows if (row["set"], row["question"]) == (name, question)]
        for k in here[0]["ndcg@10"]:
            means = {row["learner"]: row["ndcg@10"][k]["mean"] for row in here}
            baseline = max(means[row["learner"]] for row in here if row["kind"] == "baseline")
            others = [means[row["learner"]] for row in here if row["kind"] != "baseline"]
            if others:
                value = max(others) / baseline - 1
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
