"""The next click of a session, after every prefix of the test sessions of a data set's own split.

    python benchmarks/session.py --data DIR [--sets diginetica,nowplaying] [--learners a,b]
        [--json OUT]

All items are ranked. The latest hundredth of the training sessions is the validation part; a
learner that can add sessions without training adds these before the test, as it would in use.
Recall@20 and MRR@20 are means over all clicks after the first of each session, with intervals
bootstrapped over sessions. Each learner also takes the three tests of interest drift, and the time
of a click is measured for one session at a time.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

import warmstart as ws
from _environment import write_result
from warmstart.cli.progress import TrainingProgress
from warmstart.durations import Deadline
from warmstart.evaluation import metrics
from warmstart.evaluation.bootstrap import interval, resampled_means
from warmstart.evaluation.evaluate import MAX_SCORES, tie_order
from warmstart.evaluation.interest_drift import interest_drift
from warmstart.scorer import Scorer
from warmstart.tasks.scenarios import sessions_in
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import Tasks, batches
from warmstart.training import registry as recipes
from warmstart.training.recipes import CORE_SETTINGS
from warmstart.training.requests import FitRequest, Fitted

SETS = "diginetica,nowplaying,yoochoose-100k"
LEARNERS = "popularity,item-knn,session-knn,gru4rec,core,stacked-core"
TARGETS = {
    "diginetica": {"recall@20": 0.560, "mrr@20": 0.197},
    "nowplaying": {"recall@20": 0.230, "mrr@20": 0.088},
}
FIT_SECONDS, CLICK_MS = 1800.0, 5.0
SETTINGS = {
    "gru4rec": {
        setting: value
        for setting, value in CORE_SETTINGS.items()
        if setting not in ("unit", "coordinate_dropout")
    }
}
"""A baseline with defaults for few users is trained on as many sessions as the others."""
AT = 20
VALID_SHARE = 100  # one in so many training sessions is a validation session
TIMED_CLICKS, WARM_UP_CLICKS = 300, 20


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
        split = own_split(arguments.data / name)
        for learner in arguments.learners.split(","):
            with TrainingProgress(Console(stderr=True)) as training:
                training.callbacks.on_start(learner)
                request = FitRequest(
                    split,
                    seed=arguments.seed,
                    settings=SETTINGS.get(learner, {}),
                    deadline=Deadline(FIT_SECONDS),
                    progress=training.callbacks.on_step,
                )
                rows.append(
                    {
                        "set": name,
                        **evaluated(up_to_date(recipes.fit(learner, request), split), split),
                    }
                )
        show([row for row in rows if row["set"] == name])
    found = {"benchmark": "session", "seed": arguments.seed, "rows": rows, "targets": targets(rows)}
    for one in found["targets"]:
        print(f"{one['name']}: {one['value']:.4f}, target {one['target']}, met: {one['met']}")
    write_result(
        arguments.json, found, [arguments.data / name for name in arguments.sets.split(",")]
    )


def own_split(folder: Path) -> Split:
    """The sessions as the data set splits them, its training sessions in their order."""
    log = ws.read(folder)
    parts = pl.read_parquet(
        folder / "interactions.parquet", columns=["session_id", "split"]
    ).unique("session_id")
    train, test = (
        log.users.encode(parts.filter(pl.col("split") == part)["session_id"].sort())
        for part in ("train", "test")
    )
    kept = len(train) - len(train) // VALID_SHARE
    return sessions_in([train[:kept], train[kept:], test], log)


def up_to_date(fitted: Fitted, split: Split) -> Fitted:
    """The same with the validation sessions, for a scorer that adds sessions without training."""
    add = getattr(fitted.scorer, "with_sessions", None)
    return fitted if add is None else replace(fitted, scorer=add(split.valid.events))


def evaluated(fitted: Fitted, split: Split) -> dict[str, Any]:
    """A learner's figures, with 95 % intervals over sessions."""
    hits, reciprocal = by_session(fitted.scorer, split.test)
    clicks = np.maximum(split.test.events.counts - 1, 1)
    weights = clicks / clicks.mean()  # a mean over sessions of these is one over clicks
    values = np.stack([hits / clicks * weights, reciprocal / clicks * weights], axis=1)
    means = resampled_means(values)
    milliseconds = time_of_clicks(fitted.scorer, split.test)
    return {
        "learner": fitted.learner,
        "clicks": int(clicks.sum()),
        "recall@20": interval(values[:, 0], means[:, 0])._asdict(),
        "mrr@20": interval(values[:, 1], means[:, 1])._asdict(),
        "fit_seconds": fitted.fit_seconds,
        "tune_seconds": fitted.tune_seconds,
        "click_ms_median": float(np.median(milliseconds)),
        "click_ms_p99": float(np.quantile(milliseconds, 0.99)),
        "interest": interest_drift(fitted.scorer, split.test, split.train).to_dict(),
        "settings": dict(fitted.settings),
    }


def by_session(scorer: Scorer, tasks: Tasks) -> tuple[np.ndarray, np.ndarray]:
    """For each session the sums, over its clicks, of hits and of reciprocal ranks among the first
    `AT`.
    """
    hits, reciprocal = np.zeros(len(tasks)), np.zeros(len(tasks))
    all_items, order = np.arange(scorer.items), tie_order(scorer.items)
    for shots in range(1, int(tasks.events.counts.max())):
        going_on = np.flatnonzero(tasks.events.counts > shots)
        done = 0
        for part in batches(tasks.cut(shots), max(1, MAX_SCORES // scorer.items)):
            scores = scorer.score(scorer.adapt(part.support), all_items)
            rank = metrics.ranks(scores, part.query.padded().item, order)[:, 0]
            these = going_on[done : done + len(rank)]
            hits[these] += rank <= AT
            reciprocal[these] += np.where(rank <= AT, 1 / rank, 0.0)
            done += len(rank)
    return hits, reciprocal


def time_of_clicks(scorer: Scorer, tasks: Tasks) -> np.ndarray:
    """Milliseconds from a click to the scores of all items, after a warm-up."""
    all_items, took = np.arange(scorer.items), []
    for part in batches(
        tasks.take(np.arange(min(WARM_UP_CLICKS + TIMED_CLICKS, len(tasks)))).cut(1), 1
    ):
        begun = time.perf_counter()
        scorer.score(scorer.adapt(part.support), all_items)
        took.append(1000 * (time.perf_counter() - begun))
    return np.array(took[WARM_UP_CLICKS:])


def targets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best learner of each set against its targets, of quality, fitting and answering time."""
    found = []
    for name, wanted in TARGETS.items():
        here = [row for row in rows if row["set"] == name]
        if not here:
            continue
        best = max(here, key=lambda row: row["recall@20"]["mean"])
        for measure, level in wanted.items():
            value = best[measure]["mean"]
            found.append(target(f"{name} {measure}", value, level, met=value >= level))
        seconds, click = best["fit_seconds"] + best["tune_seconds"], best["click_ms_p99"]
        found.append(
            target(f"{name} fit seconds", seconds, FIT_SECONDS, met=seconds <= FIT_SECONDS)
        )
        found.append(target(f"{name} p99 ms a click", click, CLICK_MS, met=click < CLICK_MS))
    return found


def target(name: str, value: float, wanted: float, *, met: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "target": wanted, "met": bool(met)}


def show(rows: list[dict[str, Any]]) -> None:
    heads = (
        "learner",
        "Recall@20",
        "MRR@20",
        "fit s",
        "ms",
        "p99",
        "frozen",
        "1 click after a change",
        "recovered after",
    )
    table = Table(*heads, title=f"{rows[0]['set']}: {rows[0]['clicks']:,} clicks", box=None)
    for row in rows:
        figures = [
            f"{row[measure]['mean']:.4f} ± {(row[measure]['high'] - row[measure]['low']) / 2:.4f}"
            for measure in ("recall@20", "mrr@20")
        ]
        seconds, changed = f"{row['fit_seconds'] + row['tune_seconds']:.0f}", row["interest"]
        times = [f"{row['click_ms_median']:.1f}", f"{row['click_ms_p99']:.1f}"]
        whole = changed["cohort"]
        after = [
            f"{changed['frozen'][-1]:.3f} of {whole[-1]:.3f}",
            f"{changed['spliced'][0]:.3f} of {whole[0]:.3f}",
        ]
        table.add_row(
            row["learner"], *figures, seconds, *times, *after, str(changed["recovery"] or "-")
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
