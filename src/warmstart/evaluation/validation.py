"""Validation: the one figure by which settings are chosen and training is stopped, by number of
shots.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from warmstart.evaluation.evaluate import HEADLINE, SHOTS, Objective, evaluate
from warmstart.scorer import Scorer
from warmstart.tasks.tasks import Tasks

# looks at each of few validation tasks; what another order changes is the smaller part of the noise
TIMES = 4
# looks at validation tasks that a number of shots needs to count, if the first number has as many
FEW = 20
ENOUGH = (
    500  # validation tasks looked at; more would cost time at each look and hardly change a choice
)


def quality(scorer: Scorer, valid: Tasks, objective: Objective) -> dict[int, float]:
    """The mean over validation tasks by shots, higher is better: nDCG@10, or minus the mean
    absolute error.
    """
    return {
        shots: float(values.mean()) for shots, values in by_task(scorer, valid, objective).items()
    }


def by_task(
    scorer: Scorer, valid: Tasks, objective: Objective
) -> dict[int, Float64[np.ndarray, "_"]]:
    """The same for each look at a task."""
    sign = 1.0 if objective == "ranking" else -1.0
    looked_at = _looked_at(valid)
    outcome = evaluate(scorer, looked_at, objective=objective, shots=_shots(looked_at))
    return {shots: sign * values for shots, values in outcome.values[HEADLINE[objective]].items()}


def overall(by_shots: Mapping[int, float]) -> float:
    """One figure of all: the mean over the numbers of shots, each as important as the others."""
    return float(np.mean(list(by_shots.values())))


def _shots(valid: Tasks) -> list[int]:
    """The numbers of shots after which enough tasks go on: of long sessions alone a mean would be
    mostly chance.
    """
    able = {k: int((valid.events.counts > k).sum()) for k in SHOTS}
    return [k for k, tasks in able.items() if tasks >= min(FEW, max(able[SHOTS[0]], 1))]


def _looked_at(valid: Tasks) -> Tasks:
    """At most `ENOUGH` tasks; few without an order more than once, each time with another order
    drawn.
    """
    some = valid.take(np.arange(min(len(valid), ENOUGH)))
    times = min(TIMES, ENOUGH // max(len(some), 1))
    if some.ordered or times < 2:
        return some
    again = valid.take(np.tile(np.arange(len(some)), times))
    return replace(again, events=again.events.shuffled(np.random.default_rng(0)))
