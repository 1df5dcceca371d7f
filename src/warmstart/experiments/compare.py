"""A comparison: learners and the required baselines, fitted and tested on the same tasks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warmstart.data.interactions import Interactions
from warmstart.durations import seconds
from warmstart.errors import DataError, Misuse
from warmstart.evaluation.calibration import calibration
from warmstart.evaluation.evaluate import SHOTS, Objective, evaluate, time_alone
from warmstart.evaluation.interest_drift import CLICKS, Interest, interest
from warmstart.evaluation.resources import PeakMemory
from warmstart.evaluation.validation import overall
from warmstart.experiments.report import Report
from warmstart.experiments.required_baselines import required_baselines
from warmstart.experiments.results import Row
from warmstart.tasks.scenarios import BENCHMARK, NO_OPTIONS, ScenarioOptions, cut
from warmstart.tasks.tasks import Split
from warmstart.training.outer_loop import History
from warmstart.training.registry import AUTO, fit, recipe
from warmstart.training.search import select
from warmstart.training.tuning import Fitted, Order


@dataclass(frozen=True)
class ProgressCallbacks:
    """Functions that are called when a learner starts, after each training step, and at its end."""

    on_start: Callable[[str], None] = lambda name: None
    on_step: Callable[[int, int, History], None] = lambda step, steps, history: None
    on_result: Callable[[Row], None] = lambda row: None


def evaluate_learners(
    log: Interactions,
    learners: Sequence[str],
    *,
    scenario: str = "user",
    options: ScenarioOptions = NO_OPTIONS,
    objective: Objective = "ranking",
    shots: Sequence[int] = SHOTS,
    seed: int = 0,
    budget: str | float | int | None = None,
    settings: Mapping[str, Any] | None = None,
    train_share: float = 1.0,
    callbacks: ProgressCallbacks = ProgressCallbacks(),
) -> Report:
    """Fit learners and the required baselines, and test them on tasks that none has seen.

    `budget` is the time limit for fitting each learner: seconds, or a text as "60s" or "10m".
    `settings` are passed to those of the learners that have them. `train_share` is the share of the
    training users that is used; the test users are the same whatever it is.
    """
    names = list(dict.fromkeys([*required_baselines(objective, scenario), *learners]))
    for name in names:
        _options(name, objective)
    for setting in settings or {}:
        if not any(setting in _options(name, objective) for name in learners):
            raise Misuse(f'no learner of this comparison has a setting "{setting}"')
    split = cut(log, scenario, seed=seed, shares=BENCHMARK, options=options).learning_from(
        train_share
    )
    possible = _possible_shots(split, shots)
    limit = seconds(budget)

    def order(name: str) -> Order:
        own = _settings_of(name, objective, settings)
        return Order(split, objective, seed, own, limit, progress=callbacks.on_step)

    prefitted: dict[str, Fitted] = {}
    last = sorted(names, key=AUTO.__eq__)  # auto chooses among the others, so it comes after them
    rows = {name: _row(name, order(name), possible, callbacks, prefitted) for name in last}
    ordered = tuple(rows[name] for name in names)
    return Report(_dataset_facts(log, split), scenario, objective, possible, ordered, seed)


def _settings_of(
    name: str, objective: Objective, settings: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Those of the settings that a learner has."""
    options = _options(name, objective)
    return {key: value for key, value in (settings or {}).items() if key in options}


def _options(name: str, objective: Objective) -> Mapping[str, Any]:
    """The settings that a learner has; a choice among learners has none."""
    return {} if name == AUTO else recipe(name, objective).options


def _row(
    name: str,
    order: Order,
    shots: tuple[int, ...],
    callbacks: ProgressCallbacks,
    prefitted: dict[str, Fitted],
) -> Row:
    """Fit and test one learner.

    Without a time limit, `auto` chooses among the `prefitted` learners and fits only the others.
    """
    callbacks.on_start(name)
    with PeakMemory() as memory:
        fitted = select(order, ready=prefitted).fitted if name == AUTO else fit(name, order)
        outcome = evaluate(fitted.scorer, order.split.test, objective=order.objective, shots=shots)
    if order.seconds is None and not order.settings:
        prefitted[name] = fitted
    calibrated = calibration(
        fitted.scorer, order.split.test, objective=order.objective, shots=shots, seed=order.seed
    )
    row = Row(
        learner=name,
        kind="meta" if name == AUTO else fitted.kind,
        values=outcome.values,
        coverage=outcome.coverage,
        calibration=calibrated,
        valid=overall(fitted.valid),
        fit_seconds=fitted.fit_seconds,
        tune_seconds=fitted.tune_seconds,
        tasks_per_second=fitted.tasks / max(fitted.fit_seconds, 1e-6),
        adapt_ms=time_alone(fitted.scorer, order.split.test.cut(max(shots))),
        batch_adapt_ms=outcome.batch_adapt_ms,
        peak_mb=memory.mb,
        settings=dict(fitted.settings),
        training="" if fitted.history is None else fitted.history.verdict,
        interest=_interest_drift(fitted, order),
    )
    callbacks.on_result(row)
    return row


def _interest_drift(fitted: Fitted, order: Order) -> Interest | None:
    """How a scorer follows a changing interest; None without sessions that are long enough."""
    test = order.split.test
    if not test.question.again or (test.events.counts > CLICKS).sum() < 2:
        return None
    return interest(fitted.scorer, test, order.split.train, seed=order.seed)


def _possible_shots(split: Split, shots: Sequence[int]) -> tuple[int, ...]:
    """The numbers of shots after which some test task still has an event to predict."""
    longest = int(split.test.events.counts.max(initial=0))
    possible = tuple(k for k in shots if k < longest)
    if not possible:
        raise DataError(
            f"no test task has more than {longest} events, so nothing can be predicted after "
            f"{min(shots)} shots; ask for fewer shots or bring longer histories"
        )
    return possible


def _dataset_facts(log: Interactions, split: Split) -> dict[str, Any]:
    return {
        "name": log.name,
        "events": len(log),
        "users": len(log.users),
        "items": len(log.items),
        "explicit": log.explicit,
        "order": "time" if log.time is not None else "random",
        "train_tasks": len(split.train),
        "valid_tasks": len(split.valid),
        "test_tasks": len(split.test),
        "least_events": split.least_events,
        "asked": split.test.question.next,
        "candidates": int((~split.test.question.others(split.items)).sum()),
    }
