"""Stacking: how a stack is fitted, its base on earlier training tasks and its judge on later ones."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from warmstart.arrays import under
from warmstart.evaluation import Objective
from warmstart.memory import Memory
from warmstart.scorer import Scorer
from warmstart.stack import BASE, Levelled, Stack, learned
from warmstart.tasks import Tasks
from warmstart.tuning import Arrays, Classic, Fitted, Kind, Meta, Order, Settings, accepted, defaults
from warmstart.validation import quality

LATER, ENOUGH, MOST = 0.02, 2000, 0.2  # of the training tasks that judge: this share, but as many, up to that share
FOR_BASE = 0.9  # of the seconds that a fit may take


@dataclass(frozen=True)
class Stacked:
    """This trains `base` on all but the latest training tasks, and on these a judge of it and of the memory.

    Then the memory takes in the latest tasks, too. Where training tasks stand in no order of time, the last of them
    are taken for the latest.
    """

    base: Classic | Meta
    objectives: tuple[Objective, ...] = ("ranking",)
    kind: Kind = "meta"

    @property
    def cls(self) -> Any:
        return self.base.cls

    @property
    def options(self) -> Mapping[str, Any]:
        return {**self.base.options, **defaults(learned)}

    def fit(self, name: str, order: Order) -> Fitted:
        started = time.perf_counter()
        earlier, later = _in_time(order.split.train)
        own = accepted(learned, order.settings)
        of_base = {setting: value for setting, value in order.settings.items() if setting not in own}
        seconds = None if order.seconds is None else FOR_BASE * order.seconds
        split = replace(order.split, train=earlier)
        based = self.base.fit(name, replace(order, split=split, settings=of_base, seconds=seconds))
        base = self._as_logits(based.scorer)
        memory = Memory.of(earlier.met, earlier.ordered, earlier.question.others(order.split.items))
        judge = learned(base, memory, later, seed=order.seed, **own)
        stack = Stack(base, memory.followed_by(later.met), judge)
        return replace(
            based,
            kind=self.kind,
            scorer=stack,
            settings={**based.settings, **own},
            valid=quality(stack, order.split.valid, order.objective),
            fit_seconds=time.perf_counter() - started,
        )

    def restore(self, arrays: Arrays, settings: Settings) -> Stack:
        return Stack.restore(self._as_logits(self.base.restore(under(arrays, BASE), settings)), arrays)

    def _as_logits(self, scorer: Scorer) -> Scorer:
        """A network's scores are logits; a classic's are whatever it counts."""
        return Levelled(scorer) if isinstance(self.base, Classic) else scorer


def _in_time(train: Tasks) -> tuple[Tasks, Tasks]:
    """The earlier and the later training tasks; these are such as will be served."""
    served = np.flatnonzero(train.alike_served)
    later = min(max(round(LATER * len(served)), ENOUGH), max(1, round(MOST * len(served))))
    kept = np.ones(len(train), dtype=bool)
    kept[served[len(served) - later :]] = False
    return train.take(np.flatnonzero(kept)), train.take(np.flatnonzero(~kept))
