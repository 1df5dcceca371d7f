"""A comparison: learners and the required baselines, fitted and tested on the same tasks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warmstart.data.interactions import Interactions
from warmstart.durations import Deadline, parse_duration
from warmstart.errors import DataError, UsageError
from warmstart.evaluation.calibration import calibration
from warmstart.evaluation.evaluate import SHOTS, time_single_adaptation
from warmstart.evaluation.evaluate import evaluate as evaluate_scorer
from warmstart.evaluation.interest_drift import CLICKS, InterestDrift, interest_drift
from warmstart.evaluation.resources import PeakMemory
from warmstart.evaluation.validation import overall
from warmstart.experiments.report import Report
from warmstart.experiments.required_baselines import required_baselines
from warmstart.experiments.results import Row
from warmstart.tasks.cutting import BENCHMARK
from warmstart.tasks.scenarios import NO_OPTIONS, ScenarioOptions, cut
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import Objective
from warmstart.training.auto_recipe import AutoRecipe
from warmstart.training.outer_loop import ValidationCurve
from warmstart.training.registry import LearnerLike, Named, fit, recipe
from warmstart.training.requests import FitRequest, Fitted
from warmstart.training.search import search


@dataclass(frozen=True)
class ProgressCallbacks:
    """Functions that are called when a learner starts, after each training step, and at its end."""

    on_start: Callable[[str], None] = lambda name: None
    on_step: Callable[[int, int, ValidationCurve], None] = lambda step, steps, history: None
    on_result: Callable[[Row], None] = lambda row: None


def evaluate(
    log: Interactions,
    learners: Sequence[LearnerLike],
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
    chosen = _named([*required_baselines(objective, scenario), *learners], objective)
    _check_settings([recipe(one, objective) for one in learners], settings or {})
    split = cut(log, scenario, seed=seed, shares=BENCHMARK, options=options)
    split = split.learning_from(train_share)
    possible = _possible_shots(split, shots)
    limit = parse_duration(budget)
    prefitted: dict[str, Fitted] = {}
    rows: dict[str, Row] = {}
    # a choice among learners comes last: it need not fit again what is fitted
    for learner, one in sorted(chosen, key=lambda pair: _chooses(pair[1])):
        own = _settings_of(one, settings or {})
        request = FitRequest(
            split, objective, seed, own, Deadline(limit), progress=callbacks.on_step
        )
        rows[one.name] = _row(learner, one, request, possible, callbacks, prefitted)
    ordered = tuple(rows[one.name] for _, one in chosen)
    return Report(_dataset_facts(log, split), scenario, objective, possible, ordered, seed)


def _named(
    learners: Sequence[LearnerLike], objective: Objective
) -> list[tuple[LearnerLike, Named]]:
    """Each learner once, with its recipe; unknown ones are refused before the first fit."""
    found: dict[str, tuple[LearnerLike, Named]] = {}
    for learner in learners:
        one = recipe(learner, objective)
        found.setdefault(one.name, (learner, one))
    return list(found.values())


def _chooses(one: Named) -> bool:
    """Whether it chooses among other learners."""
    return isinstance(one.recipe, AutoRecipe)


def _check_settings(chosen: Sequence[Named], settings: Mapping[str, Any]) -> None:
    """Refuse settings that none of the learners has, before the first fit."""
    for setting in settings:
        if not any(setting in one.recipe.options for one in chosen):
            raise UsageError(f'no learner of this comparison has a setting "{setting}"')


def _settings_of(one: Named, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the settings that a learner has."""
    return {key: value for key, value in settings.items() if key in one.recipe.options}


def _row(
    learner: LearnerLike,
    one: Named,
    request: FitRequest,
    shots: tuple[int, ...],
    callbacks: ProgressCallbacks,
    prefitted: dict[str, Fitted],
) -> Row:
    """Fit and test one learner.

    Without a time limit, `auto` chooses among the `prefitted` learners and fits only the others.
    """
    callbacks.on_start(one.name)
    with PeakMemory() as memory:
        if _chooses(one):
            fitted = search(request, fit=fit, prefitted=prefitted).fitted
        else:
            fitted = fit(learner, request)
        outcome = evaluate_scorer(
            fitted.scorer, request.split.test, objective=request.objective, shots=shots
        )
    if request.deadline.unlimited and not request.settings:
        prefitted[one.name] = fitted
    calibrated = calibration(
        fitted.scorer,
        request.split.test,
        objective=request.objective,
        shots=shots,
        seed=request.seed,
    )
    row = Row(
        learner=one.name,
        kind=one.recipe.kind,
        values=outcome.values,
        coverage=outcome.coverage,
        calibration=calibrated,
        valid=overall(fitted.valid),
        fit_seconds=fitted.fit_seconds,
        tune_seconds=fitted.tune_seconds,
        tasks_per_second=fitted.tasks / max(fitted.fit_seconds, 1e-6),
        adapt_ms=time_single_adaptation(fitted.scorer, request.split.test.cut(max(shots))),
        batch_adapt_ms=outcome.batch_adapt_ms,
        peak_mb=memory.mb,
        settings=dict(fitted.settings),
        training="" if fitted.curve is None else fitted.curve.summary,
        interest=_interest_drift(fitted, request),
    )
    callbacks.on_result(row)
    return row


def _interest_drift(fitted: Fitted, request: FitRequest) -> InterestDrift | None:
    """How a scorer follows a changing interest; None without sessions that are long enough."""
    test = request.split.test
    if not test.query_spec.allow_repeats or (test.events.counts > CLICKS).sum() < 2:
        return None
    return interest_drift(fitted.scorer, test, request.split.train, seed=request.seed)


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
        "asked": split.test.query_spec.horizon,
        "candidates": int((~split.test.query_spec.non_candidates(split.n_items)).sum()),
    }
