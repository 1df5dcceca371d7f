"""Evaluation: what a scorer reaches after k shots, for every task, and what its adaptation
costs.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from warmstart.evaluation import metrics
from warmstart.scorer import Scorer
from warmstart.tasks.tasks import TaskBatch, Tasks, batches

Objective = Literal["ranking", "rating"]
SHOTS = (0, 1, 2, 3, 5, 10, 20)
HEADLINE: dict[str, str] = {"ranking": "ndcg@10", "rating": "mae"}
NAMES = {"ndcg@10": "nDCG@10", "recall@20": "Recall@20", "mrr": "MRR", "mae": "MAE", "rmse": "RMSE"}
CELLS = 16_000_000  # scores held at once: 64 MB
TIMED = 30  # tasks adapted one by one to time a single adaptation

Values = dict[str, Float64[np.ndarray, "T"]]


@dataclass(frozen=True)
class Outcome:
    """The figures of one scorer: metric -> shots -> one value for each task that has a query after
    so many shots.
    """

    values: dict[str, dict[int, Float64[np.ndarray, "_"]]]
    coverage: dict[int, float]
    """Share of the catalogue that stands in anybody's top 10, by shots; empty where ratings are
    predicted.
    """
    batch_adapt_ms: float
    """Milliseconds a task where many are adapted at once."""


def evaluate(
    scorer: Scorer,
    tasks: Tasks,
    *,
    objective: Objective = "ranking",
    shots: Sequence[int] = SHOTS,
    queries: int | None = None,
) -> Outcome:
    """Judge a scorer on tasks that it has never seen, once for each number of shots.

    Ranking: candidates are the items that the question allows, the whole catalogue but for the
    support where it says nothing else. Rating: the query's values are predicted.
    """
    judge = _rank if objective == "ranking" else _rate
    values: dict[str, dict[int, np.ndarray]] = {}
    coverage: dict[int, float] = {}
    spent, adapted = 0.0, 0
    for k in shots:
        batch = tasks.cut(k, queries=queries)
        parts: list[Values] = []
        shown = np.zeros(scorer.items, dtype=bool)
        for part in batches(batch, max(1, CELLS // scorer.items)):
            begun = time.perf_counter()
            state = scorer.adapt(part.support, part.profile)
            spent, adapted = spent + time.perf_counter() - begun, adapted + len(part.support)
            parts.append(judge(scorer, state, part, shown))
        for metric in parts[0] if parts else ():
            values.setdefault(metric, {})[k] = np.concatenate([part[metric] for part in parts])
        if parts and objective == "ranking":
            coverage[k] = float(shown.mean())
    return Outcome(values, coverage, 1000 * spent / max(adapted, 1))


def time_alone(scorer: Scorer, batch: TaskBatch) -> float:
    """Milliseconds to adapt to one task alone: the median of some."""
    took = []
    for part in islice(batches(batch, 1), TIMED):
        begun = time.perf_counter()
        scorer.adapt(part.support, part.profile)
        took.append(1000 * (time.perf_counter() - begun))
    return median(took) if took else 0.0


def tie_order(items: int) -> Int64[np.ndarray, "I"]:
    """The same random order of the catalogue in every evaluation, by which equal scores rank."""
    return np.random.default_rng(0).permutation(items)


def _rank(scorer: Scorer, state: object, batch: TaskBatch, shown: np.ndarray) -> Values:
    scores = scorer.score(state, np.arange(scorer.items)).copy()
    assert not np.isnan(scores).any(), f"{type(scorer).__name__} gave scores that are not numbers"
    scores[:, batch.question.others(scorer.items)] = -np.inf
    if not batch.question.again:
        scores[batch.support.task, batch.support.item] = -np.inf
    top = min(10, scorer.items)
    shown[np.argpartition(-scores, top - 1, axis=1)[:, :top].ravel()] = True
    query = batch.query.padded()
    found = metrics.ranks(scores, query.item, tie_order(scorer.items))
    return {
        "ndcg@10": metrics.ndcg(found, query.mask),
        "recall@20": metrics.recall(found, query.mask),
        "mrr": metrics.reciprocal_rank(found, query.mask),
    }


def _rate(scorer: Scorer, state: object, batch: TaskBatch, shown: np.ndarray) -> Values:
    query = batch.query.padded()
    scores = scorer.score(state, query.item)
    assert not np.isnan(scores).any(), f"{type(scorer).__name__} gave scores that are not numbers"
    return {
        "mae": metrics.absolute_error(scores, query.value, query.mask),
        "rmse": metrics.squared_error(scores, query.value, query.mask),
    }
