"""EMCDR: a user's factors in the target domain are predicted from those in the source domain.

Man, Shen, Jin & Cheng, IJCAI 2017: matrix factorisation of each domain, and a map from the one to
the other that is fitted on users with events in both. **Deviations.** The factors are those of ALS
for implicit feedback, and the map is a ridge regression, the paper's linear one. Events in the
target domain are folded in; the prediction counts as much as `caution` of them. Where all items are
candidates there is no source domain, and nothing to map.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from warmstart.arrays import strip_prefix
from warmstart.baselines.als import ALS, Factors
from warmstart.scorer import Candidates, Capabilities, Scores
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks

SOURCE, TARGET = "there.", "here."  # prefixes of the names of the arrays of each domain


class EMCDR:
    """Scores by factors of the target domain; the state is the factors of each task.

    `l2` is the ridge of the map, `caution` the pseudo-count of its prediction.
    """

    capabilities = Capabilities()
    GRID: tuple[dict[str, Any], ...] = tuple(
        {"l2": l2, "caution": caution} for l2, caution in product((0.1, 1.0, 10.0), (1.0, 5.0))
    )

    def __init__(
        self,
        source: ALS,
        target: ALS,
        coefficients: Float32[np.ndarray, "K K"],
        mean: Float32[np.ndarray, "K"],
        source_items: Bool[np.ndarray, "I"],
        *,
        l2: float,
        caution: float,
    ) -> None:
        self.source, self.target, self.source_items = source, target, source_items
        self.coefficients, self.mean = coefficients, mean
        self.items, self.caution = target.items, caution
        self.settings = {"l2": l2, "caution": caution, "als": target.settings}

    @classmethod
    def fit(
        cls, train: Tasks, *, items: int, l2: float = 1.0, caution: float = 1.0, seed: int = 0
    ) -> "EMCDR":
        source_items = train.query_spec.non_candidates(items)
        in_source = source_items[train.all_events.item]
        events = train.all_events.where(in_source), train.all_events.where(~in_source)
        source, target = (
            ALS.fit(Tasks(domain, train.ordered), items=items, seed=seed) for domain in events
        )
        both = np.flatnonzero((events[0].counts > 0) & (events[1].counts > 0))
        known = source.adapt(events[0].take(both))  # (B, K) of the users with events in both
        wanted = target.adapt(events[1].take(both))
        mean = target.adapt(events[1].take(np.flatnonzero(events[1].counts))).mean(axis=0)
        gram = known.T @ known + l2 * np.eye(known.shape[1], dtype=np.float32)
        coefficients = np.linalg.solve(gram, known.T @ (wanted - mean)).astype(np.float32)
        return cls(source, target, coefficients, mean, source_items, l2=l2, caution=caution)

    def adapt(self, support: Examples, profile: Profile = None) -> Factors:
        in_source = self.source_items[support.item]
        predicted = self.mean + self.source.adapt(support.where(in_source)) @ self.coefficients
        events = support.where(~in_source)
        weight = (events.counts / (events.counts + self.caution))[:, None]
        return (weight * self.target.adapt(events) + (1 - weight) * predicted).astype(np.float32)

    def score(self, state: Factors, items: Candidates) -> Scores:
        return self.target.score(state, items)

    def arrays(self) -> dict[str, np.ndarray]:
        domains = {SOURCE: self.source, TARGET: self.target}
        flat = {
            prefix + name: array
            for prefix, als in domains.items()
            for name, array in als.arrays().items()
        }
        return {**flat, "line": self.coefficients, "usual": self.mean, "others": self.source_items}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "EMCDR":
        source, target = (
            ALS.restore(strip_prefix(arrays, prefix), settings["als"])
            for prefix in (SOURCE, TARGET)
        )
        parts = (arrays["line"], arrays["usual"], arrays["others"])
        return cls(source, target, *parts, l2=settings["l2"], caution=settings["caution"])
