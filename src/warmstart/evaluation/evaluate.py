"""Evaluation of a scorer: its metrics after k shots, for each task, and the time it adapts in."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

import numpy as np
from jaxtyping import Float64, Int64

from warmstart.arrays import top_k_per_row
from warmstart.evaluation import metrics
from warmstart.scorer import Scorer
from warmstart.tasks.tasks import Objective, TaskBatch, Tasks, batches

SHOTS = (0, 1, 2, 3, 5, 10, 20)
HEADLINE: dict[str, str] = {"ranking": "ndcg@10", "rating": "mae"}
NAMES = {"ndcg@10": "nDCG@10", "recall@20": "Recall@20", "mrr": "MRR", "mae": "MAE", "rmse": "RMSE"}
MAX_SCORES = 16_000_000  # scores held at once: 64 MB
MAX_TIMED_TASKS = 30  # adapted to one by one, to time a single adaptation

Values = dict[str, Float64[np.ndarray, "T"]]


@dataclass(frozen=True)
class Outcome:
    """The metrics of one scorer: metric -> shots -> a value for each task that has a query."""

    values: dict[str, dict[int, Float64[np.ndarray, "_"]]]
    coverage: dict[int, float]
    """Share of the catalogue in the top 10 of any task, by shots; empty for ratings."""
    batch_adapt_ms: float
    """Milliseconds for each task where many are adapted at once."""


def evaluate(
    scorer: Scorer,
    tasks: Tasks,
    *,
    objective: Objective = "ranking",
    shots: Sequence[int] = SHOTS,
    queries: int | None = None,
) -> Outcome:
    """The metrics of a scorer on tasks that it has never seen, for each number of shots.

    Ranking: the candidates are those of the query specification, by default the whole catalogue
    without the support. Rating: the values of the query are predicted.
    """
    measure = _rank if objective == "ranking" else _rate
    values: dict[str, dict[int, np.ndarray]] = {}
    coverage: dict[int, float] = {}
    seconds, adapted = 0.0, 0
    for k in shots:
        batch = tasks.cut(k, queries=queries)
        parts: list[Values] = []
        shown = np.zeros(scorer.items, dtype=bool)
        for part in batches(batch, max(1, MAX_SCORES // scorer.items)):
            started = time.perf_counter()
            state = scorer.adapt(part.support, part.profile)
            seconds, adapted = seconds + time.perf_counter() - started, adapted + len(part.support)
            parts.append(measure(scorer, state, part, shown))
        for metric in parts[0] if parts else ():
            values.setdefault(metric, {})[k] = np.concatenate([part[metric] for part in parts])
        if parts and objective == "ranking":
            coverage[k] = float(shown.mean())
    return Outcome(values, coverage, 1000 * seconds / max(adapted, 1))


def time_single_adaptation(scorer: Scorer, batch: TaskBatch) -> float:
    """Milliseconds to adapt to one task alone, the median over some."""
    milliseconds = []
    for part in islice(batches(batch, 1), MAX_TIMED_TASKS):
        started = time.perf_counter()
        scorer.adapt(part.support, part.profile)
        milliseconds.append(1000 * (time.perf_counter() - started))
    return median(milliseconds) if milliseconds else 0.0


def tie_order(items: int) -> Int64[np.ndarray, "I"]:
    """The random order of the catalogue that breaks ties, the same in every evaluation."""
    return np.random.default_rng(0).permutation(items)


def _rank(scorer: Scorer, state: object, batch: TaskBatch, shown: np.ndarray) -> Values:
    scores = scorer.score(state, np.arange(scorer.items)).copy()
    assert not np.isnan(scores).any(), f"{type(scorer).__name__} gave scores that are not numbers"
    scores[:, batch.query_spec.non_candidates(scorer.items)] = -np.inf
    if not batch.query_spec.allow_repeats:
        scores[batch.support.task, batch.support.item] = -np.inf
    shown[top_k_per_row(scores, 10).ravel()] = True
    query = batch.query.padded()
    ranks = metrics.ranks(scores, query.item, tie_order(scorer.items))
    return {
        "ndcg@10": metrics.ndcg(ranks, query.mask),
        "recall@20": metrics.recall(ranks, query.mask),
        "mrr": metrics.reciprocal_rank(ranks, query.mask),
    }


def _rate(scorer: Scorer, state: object, batch: TaskBatch, shown: np.ndarray) -> Values:
    query = batch.query.padded()
    scores = scorer.score(state, query.item)
    assert not np.isnan(scores).any(), f"{type(scorer).__name__} gave scores that are not numbers"
    return {
        "mae": metrics.mean_absolute_error(scores, query.value, query.mask),
        "rmse": metrics.root_mean_squared_error(scores, query.value, query.mask),
    }
