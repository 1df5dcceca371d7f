"""Initial statistics: what the training data give a model before training, and its shapes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32

from warmstart.arrays import n_columns, strip_prefix
from warmstart.ensemble.experts import Experts
from warmstart.learners.base import FIXED_COORDINATES
from warmstart.model.fitted import EXPERTS_PREFIX
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import Objective, Tasks

SHRINKAGE = 5.0
"""Ratings that weigh as much as the overall mean in the mean rating of an item."""
PSEUDO_COUNT = 10.0
"""Users added to those of each item, so that rare items do not get axes of their own."""


@dataclass(frozen=True)
class InitialStatistics:
    """Item biases, popularities and content, the units of the values, and the experts."""

    item_bias: Float32[np.ndarray, " I"]
    popularity: Float32[np.ndarray, " I"]
    """The number of interactions with each item."""
    content: sp.csr_array | None
    """The content features of the items, a row for each."""
    profile_width: int
    value_mean: float = 0.0
    value_std: float = 1.0
    ordered: bool = False
    """Whether the events stand in time order."""
    initial_embeddings: Float32[np.ndarray, "I K"] | None = None
    experts: Experts | None = None

    @classmethod
    def of_split(
        cls, split: Split, objective: Objective, *, dim: int = 64, spectral: bool = False
    ) -> "InitialStatistics":
        """The statistics of the training tasks.

        Item biases are the logarithms of popularity (ranking) or shrunken mean ratings (rating),
        so that training starts at a popularity ranking or at mean ratings. With `spectral` the
        embeddings of `dim` coordinates start at the singular vectors of the events, else they are
        random.
        """
        train = split.train
        counts = np.bincount(train.all_events.item, minlength=split.n_items).astype(np.float32)
        mean, std = float(train.all_events.value.mean()), float(train.all_events.value.std()) or 1.0
        if objective == "ranking":
            log_counts = np.log1p(counts)
            item_bias = log_counts - log_counts.mean()
        else:
            item_bias = _mean_ratings(train, counts, mean, std)
        width = dim - FIXED_COORDINATES
        return cls(
            item_bias=item_bias,
            popularity=counts,
            content=split.item_features,
            profile_width=0 if train.profile is None else n_columns(train.profile),
            value_mean=mean,
            value_std=std,
            ordered=train.ordered,
            initial_embeddings=svd_embeddings(train, split.n_items, width) if spectral else None,
        )

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "InitialStatistics":
        """The shapes of a saved model, whose parameters are loaded afterwards."""
        item_bias = arrays["encoder.appeal"]
        profile = arrays.get("encoder.profile.weight")
        experts = strip_prefix(arrays, EXPERTS_PREFIX)
        return cls(
            item_bias=item_bias,
            popularity=np.zeros_like(item_bias),  # only training samples by it
            content=_content(arrays),
            profile_width=0 if profile is None else len(profile),
            ordered="learner.recurrence.start" in arrays,
            experts=Experts.restore(experts) if experts else None,
        )


def svd_embeddings(train: Tasks, n_items: int, width: int) -> Float32[np.ndarray, "I K"]:
    """Unit vectors of the items from a truncated SVD of the normalised user-item matrix.

    The first axis is popularity, which is left to the item bias. An item without events, and
    coordinates beyond the rank of the matrix, are zero.
    """
    from sklearn.utils.extmath import randomized_svd  # half a second to import

    matrix = train.all_events.matrix(n_items)  # (U, I)
    by_user, by_item = np.asarray(matrix.sum(axis=1)), np.asarray(matrix.sum(axis=0))
    user_scale = sp.diags_array(1 / np.sqrt(np.maximum(by_user, 1)))
    matrix = user_scale @ matrix @ sp.diags_array(1 / np.sqrt(by_item + PSEUDO_COUNT))
    axes = min(width + 1, min(matrix.shape))
    _, size, axis = randomized_svd(sp.csr_matrix(matrix, dtype=np.float32), axes, random_state=0)
    embeddings = axis[1:].T * np.sqrt(size[1:])  # (I, axes - 1)
    embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-6)
    missing = width - embeddings.shape[1]
    return np.pad(embeddings, ((0, 0), (0, missing))).astype(np.float32)


def _mean_ratings(
    train: Tasks, counts: Float32[np.ndarray, " I"], mean: float, std: float
) -> Float32[np.ndarray, " I"]:
    """The mean rating of each item in standard units, shrunken to zero."""
    residual = (train.all_events.value - mean) / std
    total = np.bincount(train.all_events.item, weights=residual, minlength=len(counts))
    return (total / (counts + SHRINKAGE)).astype(np.float32)


def _content(arrays: Mapping[str, np.ndarray]) -> sp.csr_array | None:
    """The content features of the items of a saved model, where it has any."""
    weight = arrays.get("encoder.content.weight")
    if weight is None:
        return None
    names = ("weight", "column", "start")
    parts = tuple(arrays[f"encoder.rows.{name}"] for name in names)
    return sp.csr_array(parts, shape=(len(arrays["encoder.rows.start"]) - 1, len(weight)))
