"""The start: what the training data say about a model before it is trained, its shapes and first
parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32

from warmstart.arrays import strip_prefix
from warmstart.ensemble.experts import Experts
from warmstart.evaluation.evaluate import Objective
from warmstart.learners.base import FIXED_COORDINATES
from warmstart.model.fitted import EXPERTS_PREFIX
from warmstart.tasks.tasks import Split, Tasks

SHRINKAGE = 5.0  # ratings that an item needs to be believed half
PSEUDO_COUNT = (
    10.0  # users added to those of an item, so that the rarest items do not make axes of their own
)


@dataclass(frozen=True)
class InitialStatistics:
    """The appeal of each item, how often it was met, its content, and the units of the values."""

    item_bias: Float32[np.ndarray, "I"]
    popularity: Float32[np.ndarray, "I"]
    content: sp.csr_array | None
    profile_width: int
    value_mean: float = 0.0
    value_std: float = 1.0
    ordered: bool = False
    """Whether the events stand in time order."""
    initial_embeddings: Float32[np.ndarray, "I K"] | None = None
    evidence: Experts | None = None

    @classmethod
    def of_split(
        cls, split: Split, objective: Objective, *, dim: int = 64, spectral: bool = False
    ) -> "InitialStatistics":
        """Where training starts: at the popularity ranking, or at the items' mean ratings.

        `spectral` starts the vectors of `dim` coordinates at who met the items, else they are
        drawn.
        """
        train = split.train
        counts = np.bincount(train.met.item, minlength=split.items).astype(np.float32)
        mean, std = float(train.met.value.mean()), float(train.met.value.std()) or 1.0
        log_counts = np.log1p(counts)
        return cls(
            item_bias=log_counts - log_counts.mean()
            if objective == "ranking"
            else _liking(train, counts, mean, std),
            popularity=counts,
            content=split.item_features,
            profile_width=0 if train.profile is None else train.profile.shape[1],
            value_mean=mean,
            value_std=std,
            ordered=train.ordered,
            initial_embeddings=svd_embeddings(train, split.items, dim - FIXED_COORDINATES)
            if spectral
            else None,
        )

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "InitialStatistics":
        """The shapes of a trained model, whose parameters are about to be put in."""
        appeal = arrays["encoder.appeal"]
        profile = arrays.get("encoder.profile.weight")
        evidence = strip_prefix(arrays, EXPERTS_PREFIX)
        return cls(
            item_bias=appeal,
            popularity=np.zeros_like(appeal),
            content=_content(arrays),
            profile_width=0 if profile is None else len(profile),
            ordered="learner.recurrence.start" in arrays,
            evidence=Experts.restore(evidence) if evidence else None,
        )


def svd_embeddings(train: Tasks, items: int, width: int) -> Float32[np.ndarray, "I K"]:
    """Unit vectors of the items by who met them: their places along the main axes of the normalised
    matrix of events.

    The first axis is popularity, which an item's appeal already holds. An item that nobody met, and
    coordinates beyond the rank of the matrix, are zero.
    """
    from sklearn.utils.extmath import randomized_svd  # half a second to import

    met = train.met.matrix(items)
    by_user, by_item = np.asarray(met.sum(axis=1)), np.asarray(met.sum(axis=0))
    met = (
        sp.diags_array(1 / np.sqrt(np.maximum(by_user, 1)))
        @ met
        @ sp.diags_array(1 / np.sqrt(by_item + PSEUDO_COUNT))
    )
    axes = min(width + 1, min(met.shape))
    _, size, axis = randomized_svd(sp.csr_matrix(met, dtype=np.float32), axes, random_state=0)
    place = axis[1:].T * np.sqrt(size[1:])
    place /= np.maximum(np.linalg.norm(place, axis=1, keepdims=True), 1e-6)
    return np.pad(place, ((0, 0), (0, width - place.shape[1]))).astype(np.float32)


def _liking(
    train: Tasks, counts: Float32[np.ndarray, "I"], mean: float, std: float
) -> Float32[np.ndarray, "I"]:
    """The shrunken mean rating of each item, in standard units."""
    surplus = np.bincount(
        train.met.item, weights=(train.met.value - mean) / std, minlength=len(counts)
    )
    return (surplus / (counts + SHRINKAGE)).astype(np.float32)


def _content(arrays: Mapping[str, np.ndarray]) -> sp.csr_array | None:
    weight = arrays.get("encoder.content.weight")
    if weight is None:
        return None
    parts = (
        arrays["encoder.rows.weight"],
        arrays["encoder.rows.column"],
        arrays["encoder.rows.start"],
    )
    return sp.csr_array(parts, shape=(len(arrays["encoder.rows.start"]) - 1, len(weight)))
