"""Profile-kNN: what those met who are most like somebody by their columns, and by what they met
once that is known.

Content-based neighbours (Lops et al., Recommender Systems Handbook, 2011) where a task is an item
and its profile its content. **Deviations.** Columns weigh by the root of how rare they are; the
cosine of the events is added to that of the columns, `events` times as loud.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32

from warmstart.arrays import sparse_from_arrays, sparse_to_arrays
from warmstart.baselines.popularity import Popular, break_ties, popularity
from warmstart.cooccurrence.similarity import idf_weights, nearest_neighbours, unit_rows
from warmstart.scorer import Candidates, Capabilities, Scores, candidates_of
from warmstart.tasks.tasks import Examples, Profile, Tasks

AT_ONCE = 20_000_000  # likenesses held at once: 80 MB


class ProfileKNN:
    """This sums the events of the nearest training tasks; its state is who they are and how near:
    sparse (T, U).
    """

    capabilities = Capabilities()
    GRID: tuple[dict[str, Any], ...] = tuple(
        {"neighbours": neighbours, "events": events}
        for neighbours, events in product((20, 100), (1.0, 4.0))
    )

    def __init__(
        self,
        met: sp.csr_array,
        profile: sp.csr_array,
        popular: Popular,
        *,
        neighbours: int,
        events: float,
    ) -> None:
        self.met, self.profile, self.popular, self.items = met, profile, popular, len(popular)
        self.settings = {"neighbours": neighbours, "events": events}
        self.rareness = idf_weights(profile)
        self.columns, self.rows = unit_rows(profile, self.rareness), unit_rows(met)

    @classmethod
    def fit(
        cls, train: Tasks, *, items: int, neighbours: int = 20, events: float = 1.0
    ) -> "ProfileKNN":
        profile = (
            sp.csr_array((len(train), 0), dtype=np.float32)
            if train.profile is None
            else train.profile
        )
        popular = popularity(train, items)
        return cls(train.met.matrix(items), profile, popular, neighbours=neighbours, events=events)

    def adapt(self, support: Examples, profile: Profile = None) -> sp.csr_array:
        width = max(1, AT_ONCE // len(self.met.indptr))
        parts = [
            np.arange(first, min(first + width, len(support)))
            for first in range(0, len(support), width)
        ]
        found = [
            self._nearest(support.take(part), None if profile is None else profile[part])
            for part in parts
        ]
        return sp.csr_array(sp.vstack(found))

    def score(self, state: sp.csr_array, items: Candidates) -> Scores:
        return candidates_of(
            break_ties(sp.csr_array(state @ self.met).toarray(), self.popular), items
        )

    def arrays(self) -> dict[str, np.ndarray]:
        flat = {**sparse_to_arrays("met", self.met), **sparse_to_arrays("profile", self.profile)}
        return {**flat, "popular": self.popular, "width": np.array([len(self.rareness)])}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "ProfileKNN":
        popular, width = arrays["popular"], int(arrays["width"].item())
        met, profile = (
            sparse_from_arrays("met", arrays, len(popular)),
            sparse_from_arrays("profile", arrays, width),
        )
        return cls(met, profile, popular, **settings)

    def _nearest(self, support: Examples, profile: Profile) -> sp.csr_array:
        return nearest_neighbours(self._alike(support, profile), self.settings["neighbours"])

    def _alike(self, support: Examples, profile: Profile) -> Float32[np.ndarray, "T U"]:
        """The cosine of the columns, and that of the events."""
        events = unit_rows(support.matrix(self.items)) @ self.rows.T
        alike = np.float32(self.settings["events"]) * events.toarray()
        if profile is None:
            return alike
        columns = unit_rows(profile, self.rareness) @ self.columns.T
        return alike + columns.toarray()
