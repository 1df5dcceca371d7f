"""Hit rate at 10: the share of events that scores rank among the first ten."""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float32, Integer

ItemScores = Float32[np.ndarray, "T J"]
CUTOFF = 10  # rank down to which an event counts as a hit; in small catalogues the first half


def is_hit(
    scores: ItemScores, task: Integer[np.ndarray, "N"], item: Integer[np.ndarray, "N"]
) -> Bool[np.ndarray, "N"]:
    """Whether each of N events is among the highest scores of its task, ties included."""
    k = _cutoff(scores)
    least = -np.partition(-scores, k - 1, axis=1)[:, k - 1]  # (T,)
    return scores[task, item] >= least[task]


def hit_rate(scores: ItemScores, events: sp.csr_array) -> float:
    """Mean over T tasks of their hits, over as many as were possible; each task has an event."""
    counts = np.diff(events.indptr)
    task = np.repeat(np.arange(len(scores)), counts)
    hits = np.bincount(task, is_hit(scores, task, events.indices), minlength=len(scores))
    return float((hits / np.minimum(counts, _cutoff(scores))).mean())


def _cutoff(scores: ItemScores) -> int:
    return max(1, min(CUTOFF, scores.shape[1] // 2))
