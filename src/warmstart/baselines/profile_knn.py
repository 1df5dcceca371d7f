"""Profile-kNN: the items of the training users with the most similar profiles and events.

Content-based neighbours (Lops et al., Recommender Systems Handbook, 2011) where a task is an item
and its profile its content. **Deviations.** Columns have inverse-frequency weights; the cosine of
the events is added to that of the columns, with the weight `events`.
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
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks

MAX_CELLS = 20_000_000  # similarities held at once: 80 MB


class ProfileKNN:
    """Sums the events of the nearest training tasks; the state is their similarities, (T, U).

    `neighbours` is their number, `events` the weight of events against profile columns.
    """

    capabilities = Capabilities()
    GRID: tuple[dict[str, Any], ...] = tuple(
        {"neighbours": neighbours, "events": events}
        for neighbours, events in product((20, 100), (1.0, 4.0))
    )

    def __init__(
        self,
        interactions: sp.csr_array,
        profile: sp.csr_array,
        popular: Popular,
        *,
        neighbours: int,
        events: float,
    ) -> None:
        self.interactions, self.profile, self.popular = interactions, profile, popular
        self.items = len(popular)
        self.settings = {"neighbours": neighbours, "events": events}
        self.idf = idf_weights(profile)
        self.columns, self.rows = unit_rows(profile, self.idf), unit_rows(interactions)

    @classmethod
    def fit(
        cls, train: Tasks, *, items: int, neighbours: int = 20, events: float = 1.0
    ) -> "ProfileKNN":
        empty = sp.csr_array((len(train), 0), dtype=np.float32)
        return cls(
            train.all_events.matrix(items),
            empty if train.profile is None else train.profile,
            popularity(train, items),
            neighbours=neighbours,
            events=events,
        )

    def adapt(self, support: Examples, profile: Profile = None) -> sp.csr_array:
        width = max(1, MAX_CELLS // len(self.interactions.indptr))
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
            break_ties(sp.csr_array(state @ self.interactions).toarray(), self.popular), items
        )

    def arrays(self) -> dict[str, np.ndarray]:
        flat = {
            **sparse_to_arrays("met", self.interactions),
            **sparse_to_arrays("profile", self.profile),
        }
        return {**flat, "popular": self.popular, "width": np.array([len(self.idf)])}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "ProfileKNN":
        popular, width = arrays["popular"], int(arrays["width"].item())
        interactions = sparse_from_arrays("met", arrays, len(popular))
        profile = sparse_from_arrays("profile", arrays, width)
        return cls(interactions, profile, popular, **settings)

    def _nearest(self, support: Examples, profile: Profile) -> sp.csr_array:
        return nearest_neighbours(self._similarity(support, profile), self.settings["neighbours"])

    def _similarity(self, support: Examples, profile: Profile) -> Float32[np.ndarray, "T U"]:
        """The cosine of the profile columns, plus that of the events times their weight."""
        cosine = unit_rows(support.matrix(self.items)) @ self.rows.T
        of_events = np.float32(self.settings["events"]) * cosine.toarray()
        if profile is None:
            return of_events
        of_columns = unit_rows(profile, self.idf) @ self.columns.T
        return of_events + of_columns.toarray()
