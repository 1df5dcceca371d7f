"""Tastes: what groups of training tasks met, and which of them a recommendation leans on; never
what a single one met.

What a model has learned is shown in two ways: by prototypes, groups of training tasks that met
alike items (k-means on singular vectors of their events), and by the training tasks that a
memory-based model reads for somebody. Both are shown only as the tastes of ten tasks or more, and
of an item only if at least three of these met it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Int64

from warmstart.arrays import n_columns, sparse_from_arrays, sparse_to_arrays
from warmstart.scorer import Scorer
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks

GROUP, SEEN = 10, 3
"""Fewer tasks than the first are not shown, nor items that fewer of them met than the second."""
MOST, EACH = 24, 50  # prototypes, and tasks for each at least
FACTORS, SHOWN = 16, 50  # singular vectors, and items of each prototype that are kept


@dataclass(frozen=True)
class UserGroups:
    """K prototypes: how many training tasks are in each, and the share of them that met each
    item.
    """

    tasks: Int64[np.ndarray, "K"]
    shares: sp.csr_array
    """Of the items that set a prototype apart the most: (K, I)."""
    base_rate: Float32[np.ndarray, "I"]
    """The share of all training tasks that met each item."""

    @classmethod
    def fit(cls, train: Tasks, items: int) -> "UserGroups":
        """The prototypes of the training tasks; none where there are too few tasks."""
        met = train.all_events.matrix(items)
        met = met[np.flatnonzero(np.diff(met.indptr))]
        usual = np.asarray(met.sum(axis=0), dtype=np.float32) / max(len(met.indptr) - 1, 1)
        groups = _grouped(met)
        counts = np.bincount(groups)
        kept = np.flatnonzero(counts >= GROUP)
        rows = [
            _over_represented(
                np.asarray(met[groups == group].sum(axis=0)), int(counts[group]), usual
            )
            for group in kept
        ]
        shares = (
            sp.csr_array(np.stack(rows)) if rows else sp.csr_array((0, items), dtype=np.float32)
        )
        return cls(counts[kept].astype(np.int64), shares, usual)

    def similarity(self, items: Int64[np.ndarray, "N"]) -> Float32[np.ndarray, "K"]:
        """How much likelier the tasks of each prototype met these items than others did, in the
        mean.
        """
        shares = self.shares[:, items].toarray()
        apart = np.where(shares > 0, shares - self.base_rate[items], 0.0)
        return (
            apart.mean(axis=1).astype(np.float32)
            if len(items)
            else np.zeros(len(self.tasks), dtype=np.float32)
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs."""
        return {
            "tasks": self.tasks,
            "usual": self.base_rate,
            **sparse_to_arrays("shares", self.shares),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray]) -> "UserGroups":
        """The tastes of which these are the arrays."""
        return cls(
            arrays["tasks"],
            sparse_from_arrays("shares", arrays, len(arrays["usual"])),
            arrays["usual"],
        )


@dataclass(frozen=True)
class Neighbourhood:
    """The training tasks that a model read for one person, together."""

    tasks: int
    shares: Float32[np.ndarray, "I"]
    """The share of them, by weight, that met each item; 0 for items that too few of them met."""


def neighbourhood(
    scorer: Scorer, support: Examples, profile: Profile = None
) -> Neighbourhood | None:
    """What the training tasks met that the scorer reads for one person; None if it reads none, or
    too few to show.
    """
    neighbours = scorer.capabilities.neighbours
    if neighbours is None:
        return None
    weights = sp.csr_array(neighbours.weights(support, profile))
    weights.eliminate_zeros()
    if len(weights.indices) < GROUP:
        return None
    shares = sp.csr_array(weights @ neighbours.interactions).toarray()[0] / weights.sum()
    seen = np.bincount(neighbours.interactions[weights.indices].indices, minlength=len(shares))
    return Neighbourhood(
        len(weights.indices), np.where(seen >= SEEN, shares, 0.0).astype(np.float32)
    )


def _grouped(met: sp.csr_array) -> Int64[np.ndarray, "T"]:
    """The group of each task."""
    tasks, items = len(met.indptr) - 1, n_columns(met)
    groups = min(MOST, tasks // EACH)
    if groups < 2 or items <= FACTORS:
        return np.zeros(tasks, dtype=np.int64)
    from sklearn.cluster import KMeans  # half a second to import, and fitting alone needs them
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    rare = np.log1p(tasks / (1 + np.bincount(met.indices, minlength=items))).astype(np.float32)
    rows = normalize(met.multiply(rare).tocsr())
    places = normalize(TruncatedSVD(FACTORS, random_state=0).fit_transform(sp.csr_matrix(rows)))
    return KMeans(groups, n_init="auto", random_state=0).fit_predict(places).astype(np.int64)


def _over_represented(
    met: np.ndarray, tasks: int, usual: Float32[np.ndarray, "I"]
) -> Float32[np.ndarray, "I"]:
    """The shares of a group's tasks that met each item, of those that set it apart from all the
    most.
    """
    share = np.where(met >= SEEN, met / tasks, 0.0).astype(np.float32)
    apart = np.where(share > 0, share - usual, -np.inf)
    kept = np.argsort(-apart, kind="stable")[:SHOWN]
    found = np.zeros_like(share)
    found[kept] = np.where(apart[kept] > 0, share[kept], 0.0)
    return found
