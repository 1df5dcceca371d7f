"""Item-kNN: the items most similar to those of a user, by the cosine of their users (Sarwar et al.,
WWW 2001).

**Deviations.** `shrink` is added to the denominator of the cosine, so that two items with few users
are not taken for similar.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Int64

from warmstart.baselines.popularity import Attributions, Popular, break_ties, popularity
from warmstart.cooccurrence.similarity import keep_nearest
from warmstart.scorer import Candidates, Capabilities, Scores, candidates_of
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks

MAX_CELLS = 20_000_000  # similarities computed at once: 80 MB


class ItemKNN:
    """Sums the similarities to the items of the support set; the state is that sum, sparse (T, I).

    `neighbours` is the number of similar items that each item keeps.
    """

    GRID: tuple[dict[str, Any], ...] = tuple(
        {"neighbours": neighbours, "shrink": shrink}
        for neighbours, shrink in product((50, 200, 1000), (5.0, 50.0, 500.0))
    )

    def __init__(
        self, similarity: sp.csr_array, popular: Popular, *, neighbours: int, shrink: float
    ) -> None:
        self.similarity, self.popular = similarity, popular
        self.items = len(popular)
        self.settings = {"neighbours": neighbours, "shrink": shrink}

    @classmethod
    def fit(
        cls, train: Tasks, *, items: int, neighbours: int = 200, shrink: float = 50.0
    ) -> "ItemKNN":
        interactions = train.all_events.matrix(items).tocsc()
        norm = np.sqrt(interactions.sum(axis=0)).astype(np.float32)
        block = max(1, MAX_CELLS // items)
        rows = [
            keep_nearest(
                _cosines(interactions, norm, np.arange(first, min(first + block, items)), shrink),
                neighbours,
            )
            for first in range(0, items, block)
        ]
        return cls(
            sp.csr_array(sp.vstack(rows)),
            popularity(train, items),
            neighbours=neighbours,
            shrink=shrink,
        )

    def adapt(self, support: Examples, profile: Profile = None) -> sp.csr_array:
        return support.matrix(self.items) @ self.similarity

    def score(self, state: sp.csr_array, items: Candidates) -> Scores:
        return candidates_of(break_ties(state.toarray(), self.popular), items)

    @property
    def capabilities(self) -> Capabilities:
        """Attribution in closed form."""
        return Capabilities(attribution=self.attribution)

    def attribution(
        self, support: Examples, profile: Profile, items: Int64[np.ndarray, "Q"]
    ) -> Attributions:
        """The similarity of each event's item to the candidates, since scores are sums of these."""
        return self.similarity[support.item][:, items].toarray() * support.unrepeated[:, None]

    def arrays(self) -> dict[str, np.ndarray]:
        similarity = self.similarity
        return {
            "data": similarity.data,
            "indices": similarity.indices,
            "indptr": similarity.indptr,
            "popular": self.popular,
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "ItemKNN":
        items = len(arrays["popular"])
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        return cls(sp.csr_array(parts, shape=(items, items)), arrays["popular"], **settings)


def _cosines(
    interactions: sp.csc_array, norm: np.ndarray, block: np.ndarray, shrink: float
) -> sp.csr_array:
    """Shrunken cosines of a block of items to all others: (B, I)."""
    cosines = sp.csr_array(interactions[:, block].T @ interactions, dtype=np.float32)
    row = np.repeat(np.arange(len(block)), np.diff(cosines.indptr))
    cosines.data /= norm[block[row]] * norm[cosines.indices] + shrink + 1e-9
    cosines.data[cosines.indices == block[row]] = 0.0  # an item is no neighbour of its own
    return cosines
