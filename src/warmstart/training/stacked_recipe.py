"""Stacking: how a stack is fitted, its bases on earlier training tasks and its judge on later
ones.
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
from warmstart.evaluation.evaluate import Objective
from warmstart.evaluation.validation import quality
from warmstart.scorer import Scorer
from warmstart.tasks.tasks import Tasks
from warmstart.training.tuning import (
    Arrays,
    Classic,
    Fitted,
    Kind,
    Meta,
    Order,
    Settings,
    accepted,
    defaults,
)

LATER, ENOUGH, MOST = (
    0.02,
    2000,
    0.2,
)  # of the training tasks that judge: this share, but as many, up to that share
FOR_BASE, FOR_MORE = 0.78, 0.08  # of the seconds that a fit may take


@dataclass(frozen=True)
class Stacked:
    """This fits `bases` on all but the latest training tasks, and on these a judge of them and of
    the memory.

    Then the memory takes in the latest tasks, too, and a network goes on with all of them for a
    while. Where training tasks stand in no order of time, the last of them are taken for the
    latest. Several bases are heard as one; each has the settings whose names it knows.
    """

    bases: Mapping[str, Classic | Meta]
    objectives: tuple[Objective, ...] = ("ranking",)
    kind: Kind = "meta"

    @property
    def cls(self) -> Any:
        """What decides which settings a caller may choose by their names: the last of the bases."""
        return list(self.bases.values())[-1].cls

    @property
    def options(self) -> Mapping[str, Any]:
        options = {
            name: value for base in self.bases.values() for name, value in base.options.items()
        }
        return {**options, **defaults(fit_combiner)}

    def fit(self, name: str, order: Order) -> Fitted:
        started = time.perf_counter()
        earlier, later = _in_time(order.split.train)
        own = accepted(fit_combiner, order.settings)
        seconds = None if order.seconds is None else FOR_BASE * order.seconds / len(self.bases)
        for_bases = replace(order, split=replace(order.split, train=earlier), seconds=seconds)
        fitted = {
            part: base.fit(part, _known_to(base, for_bases)) for part, base in self.bases.items()
        }
        memory = CountFeatures.fit(
            earlier.met, earlier.ordered, earlier.question.others(order.split.items)
        )
        judge = fit_combiner(self._heard(_scorers(fitted)), memory, later, seed=order.seed, **own)
        for_more = replace(order, seconds=order.seconds and FOR_MORE * order.seconds)
        fitted = {
            part: _up_to_date(self.bases[part], one, for_more) for part, one in fitted.items()
        }
        stack = StackedScorer(self._heard(_scorers(fitted)), memory.with_sessions(later.met), judge)
        histories = [one.history for one in fitted.values() if one.history is not None]
        return Fitted(
            learner=name,
            kind=self.kind,
            scorer=stack,
            settings={**{part: dict(one.settings) for part, one in fitted.items()}, **own},
            valid=quality(stack, order.split.valid, order.objective),
            fit_seconds=time.perf_counter() - started,
            tasks=sum(one.tasks for one in fitted.values()),
            history=histories[-1] if histories else None,
        )

    def restore(self, arrays: Arrays, settings: Settings) -> StackedScorer:
        of_bases = strip_prefix(arrays, BASE_PREFIX)
        parts = {
            name: base.restore(strip_prefix(of_bases, f"{name}."), settings[name])
            for name, base in self.bases.items()
        }
        return StackedScorer.restore(self._heard(parts), arrays)

    def _heard(self, scorers: Mapping[str, Scorer]) -> BaseScorers:
        """A network's scores are logits; a classic's are whatever it counts."""
        return BaseScorers(
            scorers, logits=[name for name in scorers if isinstance(self.bases[name], Meta)]
        )


def _scorers(fitted: Mapping[str, Fitted]) -> dict[str, Scorer]:
    return {name: one.scorer for name, one in fitted.items()}


def _up_to_date(base: Classic | Meta, fitted: Fitted, order: Order) -> Fitted:
    """A network that has gone on with all training tasks; closed forms stay, as do networks that
    hear them.
    """
    return base.go_on(fitted, order) if isinstance(base, Meta) and not base.evidence else fitted


def _known_to(base: Classic | Meta, order: Order) -> Order:
    """The order with such settings alone as the base has."""
    return replace(
        order,
        settings={name: value for name, value in order.settings.items() if name in base.options},
    )


def _in_time(train: Tasks) -> tuple[Tasks, Tasks]:
    """The earlier and the later training tasks; these are such as will be served."""
    served = np.flatnonzero(train.alike_served)
    later = min(max(round(LATER * len(served)), ENOUGH), max(1, round(MOST * len(served))))
    kept = np.ones(len(train), dtype=bool)
    kept[served[len(served) - later :]] = False
    return train.take(np.flatnonzero(kept)), train.take(np.flatnonzero(~kept))
