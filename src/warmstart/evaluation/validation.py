"""The validation score by number of shots, for the choice of settings and early stopping."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from warmstart.evaluation.evaluate import HEADLINE, SHOTS, evaluate
from warmstart.scorer import Scorer
from warmstart.tasks.tasks import Objective, Tasks

MAX_TASKS = 500  # more would take longer at each validation and hardly change a choice
MAX_REPEATS = 4  # of each of few tasks, in other random orders; more hardly reduce the noise
MIN_TASKS = 20  # with queries after a number of shots, if there are as many without shots


def quality(scorer: Scorer, valid: Tasks, objective: Objective) -> dict[int, float]:
    """The mean over validation tasks by shots: nDCG@10, or minus the mean absolute error."""
    return {
        shots: float(values.mean()) for shots, values in by_task(scorer, valid, objective).items()
    }


def by_task(
    scorer: Scorer, valid: Tasks, objective: Objective
) -> dict[int, Float64[np.ndarray, "_"]]:
    """The validation score of each task and repetition, by shots; higher is better."""
    sign = 1.0 if objective == "ranking" else -1.0
    tasks = _repeated(valid)
    outcome = evaluate(scorer, tasks, objective=objective, shots=_shots(tasks))
    return {shots: sign * values for shots, values in outcome.values[HEADLINE[objective]].items()}


def overall(by_shots: Mapping[int, float]) -> float:
    """The mean over the numbers of shots, with equal weights."""
    return float(np.mean(list(by_shots.values())))


def _shots(valid: Tasks) -> list[int]:
    """The numbers of shots with enough tasks: a mean over a few long sessions is mostly noise."""
    tasks = {k: int((valid.events.counts > k).sum()) for k in SHOTS}  # that have a query
    least = min(MIN_TASKS, max(tasks[SHOTS[0]], 1))
    return [k for k, count in tasks.items() if count >= least]


def _repeated(valid: Tasks) -> Tasks:
    """At most `MAX_TASKS` tasks; if these are few and have no order, each is repeated in other
    random orders.
    """
    first = valid.take(np.arange(min(len(valid), MAX_TASKS)))
    times = min(MAX_REPEATS, MAX_TASKS // max(len(first), 1))
    if first.ordered or times < 2:
        return first
    repeated = valid.take(np.tile(np.arange(len(first)), times))
    return replace(repeated, events=repeated.events.shuffled(np.random.default_rng(0)))
