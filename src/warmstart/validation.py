"""Validation: the one figure by which settings are chosen and training is stopped, by number of shots."""

from collections.abc import Mapping

import numpy as np

from warmstart.evaluation import HEADLINE, Objective, evaluate
from warmstart.scorer import Scorer
from warmstart.tasks import Tasks

ENOUGH = 500  # validation tasks looked at; more would cost time at each look and hardly change a choice


def quality(scorer: Scorer, valid: Tasks, objective: Objective) -> dict[int, float]:
    """The mean over validation tasks by shots, higher is better: nDCG@10, or minus the mean absolute error."""
    some = Tasks(
        valid.events.take(np.arange(min(len(valid), ENOUGH))),
        valid.ordered,
        None if valid.profile is None else valid.profile[:ENOUGH],
    )
    sign = 1.0 if objective == "ranking" else -1.0
    outcome = evaluate(scorer, some, objective=objective)
    return {shots: sign * float(values.mean()) for shots, values in outcome.values[HEADLINE[objective]].items()}


def overall(by_shots: Mapping[int, float]) -> float:
    """One figure of all: the mean over the numbers of shots, each as important as the others."""
    return float(np.mean(list(by_shots.values())))
