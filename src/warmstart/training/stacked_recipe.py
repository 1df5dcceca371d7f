"""Recipe of a stack: base scorers on earlier training tasks, their combiner on later ones (Wolpert,
Neural Networks 1992).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from warmstart.arrays import strip_prefix
from warmstart.ensemble.combiner_training import fit_combiner
from warmstart.ensemble.count_features import CountFeatures
from warmstart.ensemble.stacked import BASE_PREFIX, BaseScorers, StackedScorer
from warmstart.evaluation.validation import quality
from warmstart.scorer import Scorer
from warmstart.tasks.tasks import Objective, Tasks
from warmstart.training.baseline_recipe import BaselineRecipe
from warmstart.training.meta_recipe import MetaLearnerRecipe
from warmstart.training.requests import (
    Arrays,
    FitRequest,
    Fitted,
    Role,
    Settings,
    accepted_settings,
    default_settings,
)

LATER_SHARE, LATER_TASKS, LATER_SHARE_AT_MOST = 0.02, 2000, 0.2
"""The training tasks that teach the combiner: this share of them, but as many at least, unless that
is more than the last share.
"""
BASE_TIME, COMBINER_TIME, CONTINUED_TIME = 0.78, 0.1, 0.08
"""Shares of the time limit for the base scorers, for the combiner, and for the training of the base
scorers with the later tasks.
"""
BaseRecipe = BaselineRecipe | MetaLearnerRecipe


@dataclass(frozen=True)
class StackedRecipe:
    """Fits base scorers on all but the latest training tasks, and on these their combiner.

    Then the count features take in the latest tasks, too, and a network trains on with all of them
    for a while. Where training tasks have no order of time, the last of them count as the latest.
    Several base scorers are averaged; each has the settings whose names it knows.
    """

    bases: Mapping[str, BaseRecipe]
    objectives: tuple[Objective, ...] = ("ranking",)
    kind: Role = "meta"

    @property
    def cls(self) -> Any:
        """The class whose annotations say which texts a setting allows: that of the last base."""
        return list(self.bases.values())[-1].cls

    @property
    def options(self) -> Mapping[str, Any]:
        """The settings that a caller may choose, with their defaults."""
        options = {
            name: value for base in self.bases.values() for name, value in base.options.items()
        }
        return {**options, **default_settings(fit_combiner)}

    @property
    def trains(self) -> bool:
        """Whether a base scorer is trained in steps."""
        return any(base.trains for base in self.bases.values())

    @property
    def size_settings(self) -> tuple[str, ...]:
        """The settings of the base scorers that make the model smaller or larger."""
        return tuple(name for base in self.bases.values() for name in base.size_settings)

    def fit(self, name: str, request: FitRequest) -> Fitted:
        """Fit the base scorers, the combiner, and the base scorers with the later tasks."""
        started = time.perf_counter()
        earlier, later = _in_time(request.split.train)
        own = accepted_settings(fit_combiner, request.settings)
        fitted = self._fit_bases(request, earlier)
        counts = CountFeatures.fit(
            earlier.all_events,
            earlier.ordered,
            earlier.query_spec.non_candidates(request.split.n_items),
        )
        combiner = fit_combiner(
            self._base_scorers(_scorers(fitted)),
            counts,
            later,
            seed=request.seed,
            deadline=request.deadline.share(COMBINER_TIME),
            **own,
        )
        fitted = {part: _continued(self.bases[part], one, request) for part, one in fitted.items()}
        stack = StackedScorer(
            self._base_scorers(_scorers(fitted)), counts.with_sessions(later.all_events), combiner
        )
        curves = [one.curve for one in fitted.values() if one.curve is not None]
        return Fitted(
            learner=name,
            kind=self.kind,
            scorer=stack,
            settings={**{part: dict(one.settings) for part, one in fitted.items()}, **own},
            valid=quality(stack, request.split.valid, request.objective),
            fit_seconds=time.perf_counter() - started,
            tasks=sum(one.tasks for one in fitted.values()),
            curve=curves[-1] if curves else None,
        )

    def restore(self, arrays: Arrays, settings: Settings) -> StackedScorer:
        """The scorer whose arrays and settings these are."""
        of_bases = strip_prefix(arrays, BASE_PREFIX)
        parts = {
            name: base.restore(strip_prefix(of_bases, f"{name}."), settings[name])
            for name, base in self.bases.items()
        }
        return StackedScorer.restore(self._base_scorers(parts), arrays)

    def _fit_bases(self, request: FitRequest, earlier: Tasks) -> dict[str, Fitted]:
        """Each base scorer on the earlier tasks, within its share of the time."""
        split, fitted = replace(request.split, train=earlier), {}
        for part, base in self.bases.items():
            deadline = request.deadline.share(BASE_TIME / len(self.bases))
            own = replace(_known_to(base, request), split=split, deadline=deadline)
            fitted[part] = base.fit(part, own)
        return fitted

    def _base_scorers(self, scorers: Mapping[str, Scorer]) -> BaseScorers:
        """A network's scores are logits; a baseline's are whatever it counts."""
        logits = [name for name in scorers if isinstance(self.bases[name], MetaLearnerRecipe)]
        return BaseScorers(scorers, logits=logits)


def _scorers(fitted: Mapping[str, Fitted]) -> dict[str, Scorer]:
    return {name: one.scorer for name, one in fitted.items()}


def _continued(base: BaseRecipe, fitted: Fitted, request: FitRequest) -> Fitted:
    """A network trained on with all training tasks; closed forms stay, as do networks with
    experts.
    """
    if isinstance(base, MetaLearnerRecipe) and not base.experts:
        limited = replace(request, deadline=request.deadline.share(CONTINUED_TIME))
        return base.continue_training(fitted, limited)
    return fitted


def _known_to(base: BaseRecipe, request: FitRequest) -> FitRequest:
    """The request with only such settings as the base has."""
    known = {name: value for name, value in request.settings.items() if name in base.options}
    return replace(request, settings=known)


def _in_time(train: Tasks) -> tuple[Tasks, Tasks]:
    """The earlier and the later training tasks; the later ones are such as will be served."""
    served = np.flatnonzero(train.servable)
    at_most = max(1, round(LATER_SHARE_AT_MOST * len(served)))
    later = min(max(round(LATER_SHARE * len(served)), LATER_TASKS), at_most)
    kept = np.ones(len(train), dtype=bool)
    kept[served[len(served) - later :]] = False
    return train.take(np.flatnonzero(kept)), train.take(np.flatnonzero(~kept))
