"""The start: what the training data say about a model before it is trained, its shapes and first parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32

from warmstart.evaluation import Objective
from warmstart.tasks import Split, Tasks

SHRINK = 5.0  # ratings that an item needs to be believed half


@dataclass(frozen=True)
class Start:
    """The appeal of each item, how often it was met, its content, and the units of the values."""

    appeal: Float32[np.ndarray, "I"]
    popularity: Float32[np.ndarray, "I"]
    content: sp.csr_array | None
    profile_width: int
    value_mean: float = 0.0
    value_std: float = 1.0

    @classmethod
    def of_split(cls, split: Split, objective: Objective) -> "Start":
        """Where training starts: at the popularity ranking, or at the items' mean ratings."""
        train = split.train
        counts = np.bincount(train.events.item, minlength=split.items).astype(np.float32)
        mean, std = float(train.events.value.mean()), float(train.events.value.std()) or 1.0
        log_counts = np.log1p(counts)
        return cls(
            appeal=log_counts - log_counts.mean() if objective == "ranking" else _liking(train, counts, mean, std),
            popularity=counts,
            content=split.item_features,
            profile_width=0 if train.profile is None else train.profile.shape[1],
            value_mean=mean,
            value_std=std,
        )

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Start":
        """The shapes of a trained model, whose parameters are about to be put in."""
        appeal = arrays["encoder.appeal"]
        profile = arrays.get("encoder.profile.weight")
        return cls(appeal, np.zeros_like(appeal), _content(arrays), 0 if profile is None else len(profile))


def _liking(train: Tasks, counts: Float32[np.ndarray, "I"], mean: float, std: float) -> Float32[np.ndarray, "I"]:
    """The shrunken mean rating of each item, in standard units."""
    surplus = np.bincount(train.events.item, weights=(train.events.value - mean) / std, minlength=len(counts))
    return (surplus / (counts + SHRINK)).astype(np.float32)


def _content(arrays: Mapping[str, np.ndarray]) -> sp.csr_array | None:
    weight = arrays.get("encoder.content.weight")
    if weight is None:
        return None
    parts = (arrays["encoder.rows.weight"], arrays["encoder.rows.column"], arrays["encoder.rows.start"])
    return sp.csr_array(parts, shape=(len(arrays["encoder.rows.start"]) - 1, len(weight)))
