"""Sampled softmax: candidates drawn by popularity, with a correction for the sampling.

Bengio & Senecal, Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic
Language Model, IEEE TNN 2008. **Deviations.** Items are drawn by the root of their popularity and
not by a language model. A small catalogue is taken whole.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn.functional import embedding

from warmstart.learners.objectives import MASKED_LOGIT, CandidateSet
from warmstart.tasks.examples import Padded


class CandidateSample(NamedTuple):
    """C item codes, and the logarithm of how many items of the catalogue each stands for."""

    item: Int64[np.ndarray, " C"]
    log_weight: Float32[np.ndarray, " C"]


def sample_candidates(
    popularity: Float32[np.ndarray, " I"], size: int, rng: np.random.Generator
) -> CandidateSample:
    """The whole catalogue if it has at most `size` items, else `size` draws with replacement."""
    if len(popularity) <= size:
        return CandidateSample(
            np.arange(len(popularity)), np.zeros(len(popularity), dtype=np.float32)
        )
    chance = np.sqrt(popularity + 1.0, dtype=np.float64)
    chance /= chance.sum()
    item = rng.choice(len(popularity), size=size, p=chance)
    return CandidateSample(item, -np.log(size * chance[item]).astype(np.float32))


def candidate_set(vectors: Tensor, sample: CandidateSample) -> CandidateSet:
    """The sampled items as vectors: (I, D) -> (C, D)."""
    item, log_weight = (torch.from_numpy(column).to(vectors.device) for column in sample)
    # Unlike that of indexing, the gradient of `embedding` is the same for any number of threads.
    return CandidateSet(embedding(item, vectors), log_weight)


def exclude(
    candidates: CandidateSet, sample: CandidateSample, excluded: Bool[np.ndarray, "*T I"]
) -> CandidateSet:
    """The candidates without the excluded items, which keep their place with a weight of zero."""
    masked = torch.from_numpy(excluded[..., sample.item]).to(candidates.x.device)
    return CandidateSet(candidates.x, candidates.log_weight.masked_fill(masked, MASKED_LOGIT))


def mark_events(
    excluded: Bool[np.ndarray, " I"], events: Sequence[Padded]
) -> Bool[np.ndarray, "*T I"]:
    """The excluded items, and for each task those of its own events; (I,) without events."""
    if events:
        excluded = np.tile(excluded, (len(events[0].mask), 1))  # (T, I)
    for padded in events:
        excluded[np.nonzero(padded.mask)[0], padded.item[padded.mask]] = True
    return excluded
