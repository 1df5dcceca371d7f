"""Recipe of a baseline: fitted by its own closed form or library at each point of a grid."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from warmstart.evaluation.validation import overall, quality
from warmstart.scorer import Scorer
from warmstart.tasks.tasks import Objective
from warmstart.training.requests import (
    Arrays,
    FitRequest,
    Fitted,
    Role,
    Settings,
    default_settings,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BaselineRecipe:
    """Fits `cls` once for each point of its grid of settings; validation chooses among them."""

    cls: Any
    """A scorer class with `fit`, `restore` and `GRID`."""
    objectives: tuple[Objective, ...] = ("ranking",)
    kind: Role = "baseline"
    content: bool = False
    """Whether it uses the columns of the items."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The settings that a caller may choose, with their defaults."""
        return default_settings(self.cls.fit)

    @property
    def trains(self) -> bool:
        """Whether it is trained in steps: baselines are not."""
        return False

    @property
    def size_settings(self) -> tuple[str, ...]:
        """The settings that a search scales to make the model smaller or larger."""
        return ()

    def fit(self, name: str, request: FitRequest) -> Fitted:
        """The best by validation; after the deadline no further point is begun."""
        started = time.perf_counter()
        best: Fitted | None = None
        split = request.split
        content = {"content": split.item_features} if self.content else {}
        for point in self._grid(request.settings):
            begun = time.perf_counter()
            scorer = self.cls.fit(split.train, items=split.n_items, **content, **point)
            took = time.perf_counter() - begun
            reached = quality(scorer, split.valid, request.objective)
            if best is None or overall(reached) > overall(best.valid):
                best = Fitted(
                    name, self.kind, scorer, scorer.settings, reached, took, len(split.train)
                )
            if request.deadline.passed:
                logger.info("%s: the time is over, other settings are not tried", name)
                break
        assert best is not None, "a grid has at least one point"
        logger.info("%s: best settings %s, quality %.5g", name, best.settings, overall(best.valid))
        return replace(best, tune_seconds=time.perf_counter() - started - best.fit_seconds)

    def restore(self, arrays: Arrays, settings: Settings) -> Scorer:
        """The scorer whose arrays and settings these are."""
        return self.cls.restore(arrays, settings)

    def _grid(self, settings: Settings) -> list[dict[str, Any]]:
        """The grid with the caller's settings in place, equal points once."""
        grid: list[dict[str, Any]] = []
        for point in self.cls.GRID or ({},):
            merged = {**point, **settings}
            if merged not in grid:
                grid.append(merged)
        return grid
