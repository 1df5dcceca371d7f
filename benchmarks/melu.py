"""Ratings of MovieLens 1M for new users, new items and both: the states of MeLU (KDD 2019).

    python benchmarks/melu.py --data DIR [--learners bias,ridge,in-context,factors] [--seed 0]
        [--json OUT]

A task is a user with 13 to 100 ratings in a state; ten random ratings are predicted from the rest.
Regimes: *strict* trains on the warm tasks alone, *all-warm* on all warm ratings. A tenth of the
warm tasks is left out of both, to choose settings and to calibrate the intervals. A row has the
mean absolute error of the predicted rating (MAE), that of the median of the predicted ratings, an
actual star (MAE*), nDCG@5 by the predicted rating, and the share of ratings within their 80 %
interval. All values are means over tasks and over three random draws.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import warmstart as ws
from _environment import write_result
from warmstart.data.features.table import Features
from warmstart.data.interactions import Interactions
from warmstart.evaluation import metrics
from warmstart.evaluation.bootstrap import interval, resampled_means
from warmstart.evaluation.conformal import ConformalIntervals
from warmstart.tasks.examples import Examples
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import TaskBatch, Tasks
from warmstart.training import registry as recipes
from warmstart.training.requests import FitRequest, Fitted

LEARNERS = "bias,ridge,in-context,factors"
STATES = ("user_cold", "item_cold", "user_and_item_cold")
REGIMES = ("strict", "all-warm")
MIN_RATINGS, MAX_RATINGS, QUERIES, DRAWS, AT = 13, 100, 10, 3, 5
TARGETS = {
    ("strict", "user_cold"): (0.71, 0.81),
    ("all-warm", "user_cold"): (0.685, 0.825),
    **{(regime, state): (0.85, 0.71) for regime in REGIMES for state in STATES[1:]},
}
MEASURES = ("mae", "mae*", "ndcg@5", "within")


@dataclass(frozen=True)
class States:
    """The ratings of MovieLens 1M, each of a new user, a new item, both or neither."""

    log: Interactions
    state: pl.DataFrame
    """user_id, item_id, rating, melu_state."""

    @classmethod
    def read(cls, folder: Path) -> "States":
        columns = ["user_id", "item_id", "rating", "melu_state"]
        return cls(
            ws.read(folder), pl.read_parquet(folder / "interactions.parquet", columns=columns)
        )

    def tasks(self, state: str, profiles: Features, *, whole: bool = False) -> Tasks:
        """The users with enough ratings in a state; with `whole` all users."""
        rows = self.state.filter(pl.col("melu_state") == state)
        user, item = (
            self.log.users.encode(rows["user_id"]),
            self.log.items.encode(rows["item_id"]),
        )
        order = np.argsort(user, kind="stable")
        users, counts = np.unique(user, return_counts=True)
        value = rows["rating"].to_numpy().astype(np.float32)[order]
        events = Examples(item[order], value, np.concatenate([[0], np.cumsum(counts)]))
        kept = np.flatnonzero(whole | ((counts >= MIN_RATINGS) & (counts <= MAX_RATINGS)))
        assert self.log.user_table is not None, "MovieLens 1M has a table of users"
        return Tasks(events.take(kept), False, profiles.transform(self.log.user_table)[users[kept]])

    def split(self, regime: str, seed: int) -> tuple[Split, dict[str, Tasks]]:
        """What to learn from, and the test tasks of each state."""
        assert self.log.item_table is not None and self.log.user_table is not None, (
            "MovieLens 1M has both tables"
        )
        content, profiles = Features.fit(self.log.item_table), Features.fit(self.log.user_table)
        warm = self.tasks("warm", profiles, whole=regime == "all-warm")
        shuffled = np.random.default_rng(seed).permutation(len(warm))
        counts = warm.events.counts[shuffled]
        able = shuffled[(counts >= MIN_RATINGS) & (counts <= MAX_RATINGS)]
        valid = able[: len(able) // 10]
        split = Split(
            train=warm.take(np.setdiff1d(shuffled, valid)),
            valid=warm.take(valid),
            test=warm.take(valid),  # not used: each state has test tasks
            n_items=len(self.log.items),
            least_events=MIN_RATINGS,
            item_features=content.transform(self.log.item_table),
            profile_columns=profiles,
        )
        return split, {state: self.tasks(state, profiles) for state in STATES}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--learners", default=LEARNERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    states, names = States.read(arguments.data / "ml-1m"), arguments.learners.split(",")
    rows: list[dict[str, Any]] = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=len(REGIMES) * len(names))
        for regime in REGIMES:
            split, tests = states.split(regime, arguments.seed)
            for name in names:
                progress.update(bar, description=f"{regime} {name}")
                fitted = recipes.fit(
                    name, FitRequest(split, objective="rating", seed=arguments.seed)
                )
                rows += evaluated(regime, name, fitted, split, tests)
                progress.advance(bar)
    found = {"benchmark": "melu", "seed": arguments.seed, "rows": rows, "targets": targets(rows)}
    show(found)
    write_result(arguments.json, found, [arguments.data / "ml-1m"])


def evaluated(
    regime: str, name: str, fitted: Fitted, split: Split, tests: dict[str, Tasks]
) -> list[dict[str, Any]]:
    """A learner's figures in each state, with 95 % intervals over tasks."""
    bars, rows = ConformalIntervals.fit(fitted.scorer, split.valid), []
    for state, tasks in tests.items():
        drawn = [measured(fitted, bars, cut(tasks, seed)) for seed in range(DRAWS)]
        values = np.stack(
            [np.mean([one[measure] for one in drawn], axis=0) for measure in MEASURES], axis=1
        )
        means = resampled_means(values)
        ends = {
            measure: interval(values[:, i], means[:, i])._asdict()
            for i, measure in enumerate(MEASURES)
        }
        cost = {"fit_seconds": fitted.fit_seconds, "tune_seconds": fitted.tune_seconds}
        about = {
            "regime": regime,
            "state": state,
            "learner": name,
            "tasks": len(tasks),
            "train": len(split.train),
        }
        rows.append({**about, **ends, **cost, "settings": dict(fitted.settings)})
    return rows


def cut(tasks: Tasks, seed: int) -> TaskBatch:
    """Each task's ratings in random order: the last ten are predicted."""
    events = tasks.events.shuffled(np.random.default_rng(seed))
    known = events.counts - QUERIES
    return TaskBatch(
        events.window(np.zeros_like(known), known),
        events.window(known, events.counts),
        tasks.profile,
    )


def measured(fitted: Fitted, bars: ConformalIntervals, batch: TaskBatch) -> dict[str, np.ndarray]:
    """The measures of each task."""
    query, state = batch.query.padded(), fitted.scorer.adapt(batch.support, batch.profile)
    scores = fitted.scorer.score(state, query.item)
    low, high = bars.bounds(fitted.scorer, state, query.item)
    rating = np.clip(scores, bars.lowest, bars.highest)
    return {
        "mae": metrics.mean_absolute_error(rating, query.value, query.mask),
        "mae*": metrics.mean_absolute_error(bars.point_prediction(scores), query.value, query.mask),
        "ndcg@5": graded_ndcg(scores, query.value),
        "within": ((low <= query.value) & (query.value <= high)).mean(axis=1),
    }


def graded_ndcg(scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    """nDCG@5 of the order of the scores, with the gain 2^rating - 1; equal scores in random
    order.
    """
    discount, gain = 1 / np.log2(np.arange(2, 2 + AT)), 2.0**values - 1
    ties = np.random.default_rng(0).random(scores.shape)
    best = np.lexsort((ties, -scores), axis=1)[:, :AT]
    ideal = -np.sort(-gain, axis=1)[:, :AT]
    return (np.take_along_axis(gain, best, axis=1) * discount).sum(axis=1) / (ideal * discount).sum(
        axis=1
    )


def targets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best learner of each regime and state against its targets."""
    found = []
    for (regime, state), (mae, ndcg) in TARGETS.items():
        here = [
            row
            for row in rows
            if (row["regime"], row["state"]) == (regime, state) and row["learner"] != "bias"
        ]
        if not here:
            continue
        for measure in ("mae", "mae*"):
            value = min(row[measure]["mean"] for row in here)
            found.append(target(f"{regime} {state} {measure}", value, mae, met=value <= mae))
        value = max(row["ndcg@5"]["mean"] for row in here)
        found.append(target(f"{regime} {state} ndcg@5", value, ndcg, met=value >= ndcg))
    return found


def target(name: str, value: float, wanted: float, *, met: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "target": wanted, "met": bool(met)}


def show(found: dict[str, Any]) -> None:
    table = Table(
        "regime",
        "state",
        "learner",
        "tasks",
        "MAE",
        "MAE*",
        "nDCG@5",
        "in the interval",
        "fit",
        box=None,
    )
    for row in found["rows"]:
        figures = [
            f"{row[m]['mean']:.4f} ± {(row[m]['high'] - row[m]['low']) / 2:.4f}" for m in MEASURES
        ]
        seconds = f"{row['fit_seconds'] + row['tune_seconds']:.0f} s"
        table.add_row(
            row["regime"], row["state"], row["learner"], str(row["tasks"]), *figures, seconds
        )
    Console(width=140).print(table)
    for one in found["targets"]:
        print(f"{one['name']}: {one['value']:.4f}, target {one['target']}, met: {one['met']}")


if __name__ == "__main__":
    main()
