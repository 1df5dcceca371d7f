"""Ranking and rating metrics, one value for each task.

Ranks are among the whole catalogue: with sampled candidates, scorers may be ordered differently
(Krichene & Rendle, KDD 2020).
"""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

Ranks = Int64[np.ndarray, "T Q"]
Mask = Bool[np.ndarray, "T Q"]
PerTask = Float64[np.ndarray, "T"]
MAX_COUNTED = (
    40  # items of a task up to which it is faster to count who stands before each than to sort all
)


def ranks(scores: Float32[np.ndarray, "T I"], items: Ranks, order: Int64[np.ndarray, "I"]) -> Ranks:
    """The rank (1 = best) of each of Q items among the I candidates of its task.

    Equal scores rank by `order`, a permutation of the catalogue: a constant scorer gains nothing
    from how items are numbered. Candidates that are ruled out carry minus infinity.
    """
    return (
        _by_counting(scores, items, order)
        if items.shape[1] <= MAX_COUNTED
        else _by_sorting(scores, items, order)
    )


def _by_counting(
    scores: Float32[np.ndarray, "T I"], items: Ranks, order: Int64[np.ndarray, "I"]
) -> Ranks:
    found = np.empty_like(items)
    rows = np.arange(len(scores))
    for column, item in enumerate(items.T):  # one item of each task
        score = scores[rows, item][:, None]
        better = (scores > score).sum(axis=1)
        tied = ((scores == score) & (order < order[item][:, None])).sum(axis=1)
        found[:, column] = 1 + better + tied
    return found


def _by_sorting(
    scores: Float32[np.ndarray, "T I"], items: Ranks, order: Int64[np.ndarray, "I"]
) -> Ranks:
    in_order = np.argsort(order)  # a stable sort of these breaks ties by `order`
    found = np.empty_like(items)
    for row, (task_scores, task_items) in enumerate(zip(scores, items, strict=True)):
        ranked = in_order[np.argsort(-task_scores[in_order], kind="stable")]
        rank = np.empty_like(ranked)
        rank[ranked] = np.arange(1, len(ranked) + 1)
        found[row] = rank[task_items]
    return found


def ndcg(ranks: Ranks, mask: Mask, *, at: int = 10) -> PerTask:
    """Normalised discounted cumulative gain of the first `at` ranks; all items of the mask are
    equally relevant.
    """
    discount = 1.0 / np.log2(1.0 + np.arange(1, at + 1))
    gain = np.where(mask & (ranks <= at), 1.0 / np.log2(1.0 + ranks), 0.0).sum(axis=1)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(mask.sum(axis=1), at)]
    return gain / ideal


def recall(ranks: Ranks, mask: Mask, *, at: int = 20) -> PerTask:
    """The share of the relevant items among the first `at` ranks."""
    return (mask & (ranks <= at)).sum(axis=1) / mask.sum(axis=1)


def reciprocal_rank(ranks: Ranks, mask: Mask) -> PerTask:
    """One over the rank of the first relevant item."""
    return 1.0 / np.where(mask, ranks, np.iinfo(np.int64).max).min(axis=1)


def mean_absolute_error(
    scores: Float32[np.ndarray, "T Q"], values: Float32[np.ndarray, "T Q"], mask: Mask
) -> PerTask:
    """Mean absolute error, in the user's units."""
    return _masked_mean(np.abs(scores - values), mask)


def root_mean_squared_error(
    scores: Float32[np.ndarray, "T Q"], values: Float32[np.ndarray, "T Q"], mask: Mask
) -> PerTask:
    """Root mean squared error, in the user's units."""
    return np.sqrt(_masked_mean((scores - values) ** 2, mask))


def _masked_mean(values: Float32[np.ndarray, "T Q"], mask: Mask) -> PerTask:
    return np.where(mask, values, 0.0).sum(axis=1, dtype=np.float64) / mask.sum(axis=1)
