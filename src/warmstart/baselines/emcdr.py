"""Bridge: what somebody's events elsewhere say of their factors among the items that are asked for
(EMCDR).

Man, Shen, Jin & Cheng, IJCAI 2017: matrix factorisation of each side, and a map from the one to the
other that is fitted on users with events on both. **Deviations.** The factors are those of ALS for
implicit feedback, and the map is a ridge regression, the paper's linear one. Events among the items
asked for are folded in; the map counts as much as `caution` of them. Where all items are asked for
there is no other side, and nothing to map.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from warmstart.arrays import strip_prefix
from warmstart.baselines.als import ALS, Factors
from warmstart.scorer import Candidates, Capabilities, Scores
from warmstart.tasks.tasks import Examples, Profile, Tasks

THERE, HERE = "there.", "here."


class Bridge:
    """This scores by factors of the items asked for; its state is the factors of every task."""

    capabilities = Capabilities()
    GRID: tuple[dict[str, Any], ...] = tuple(
        {"l2": l2, "caution": caution} for l2, caution in product((0.1, 1.0, 10.0), (1.0, 5.0))
    )

    def __init__(
        self,
        there: ALS,
        here: ALS,
        line: Float32[np.ndarray, "K K"],
        usual: Float32[np.ndarray, "K"],
        others: Bool[np.ndarray, "I"],
        *,
        l2: float,
        caution: float,
    ) -> None:
        self.there, self.here, self.line, self.usual, self.others = there, here, line, usual, others
        self.items, self.caution = here.items, caution
        self.settings = {"l2": l2, "caution": caution, "als": here.settings}

    @classmethod
    def fit(
        cls, train: Tasks, *, items: int, l2: float = 1.0, caution: float = 1.0, seed: int = 0
    ) -> "Bridge":
        others = train.question.others(items)
        elsewhere, asked = (
            train.met.where(others[train.met.item]),
            train.met.where(~others[train.met.item]),
        )
        there, here = (
            ALS.fit(Tasks(side, train.ordered), items=items, seed=seed)
            for side in (elsewhere, asked)
        )
        both = np.flatnonzero((elsewhere.counts > 0) & (asked.counts > 0))
        known, wanted = there.adapt(elsewhere.take(both)), here.adapt(asked.take(both))
        usual = here.adapt(asked.take(np.flatnonzero(asked.counts))).mean(axis=0)
        gram = known.T @ known + l2 * np.eye(known.shape[1], dtype=np.float32)
        line = np.linalg.solve(gram, known.T @ (wanted - usual)).astype(np.float32)
        return cls(there, here, line, usual, others, l2=l2, caution=caution)

    def adapt(self, support: Examples, profile: Profile = None) -> Factors:
        elsewhere = self.others[support.item]
        foretold = self.usual + self.there.adapt(support.where(elsewhere)) @ self.line
        asked = support.where(~elsewhere)
        weight = (asked.counts / (asked.counts + self.caution))[:, None]
        return (weight * self.here.adapt(asked) + (1 - weight) * foretold).astype(np.float32)

    def score(self, state: Factors, items: Candidates) -> Scores:
        return self.here.score(state, items)

    def arrays(self) -> dict[str, np.ndarray]:
        sides = {THERE: self.there, HERE: self.here}
        flat = {
            side + name: array
            for side, als in sides.items()
            for name, array in als.arrays().items()
        }
        return {**flat, "line": self.line, "usual": self.usual, "others": self.others}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> "Bridge":
        there, here = (
            ALS.restore(strip_prefix(arrays, side), settings["als"]) for side in (THERE, HERE)
        )
        parts = (arrays["line"], arrays["usual"], arrays["others"])
        return cls(there, here, *parts, l2=settings["l2"], caution=settings["caution"])
