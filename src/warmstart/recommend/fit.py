"""Fitting: from an event log to a recommender that is ready to use."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from warmstart.arrays import aligned
from warmstart.data.interactions import Interactions
from warmstart.durations import Deadline, parse_duration
from warmstart.evaluation.conformal import ConformalIntervals
from warmstart.evaluation.validation import overall
from warmstart.explain.user_groups import UserGroups
from warmstart.recommend.recommender import Recommender, from_log
from warmstart.tasks.cutting import DEPLOY
from warmstart.tasks.scenarios import NO_OPTIONS, ScenarioOptions, cut, seen_by
from warmstart.tasks.tasks import Objective
from warmstart.training.outer_loop import Progress
from warmstart.training.registry import LearnerLike, restore
from warmstart.training.registry import fit as fit_learner
from warmstart.training.requests import FitRequest, Fitted
from warmstart.training.search_result import AUTO


def fit(
    log: Interactions,
    *,
    learner: LearnerLike = AUTO,
    scenario: str = "user",
    options: ScenarioOptions = NO_OPTIONS,
    objective: Objective = "ranking",
    budget: str | float | int | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Recommender:
    """A recommender that learned from nine tasks in ten; the tenth stopped its training and chose
    its settings.

    `scenario` says what a task is, and what is new to it: a user, an item (users are recommended
    for it), a session, or a user of other domains in the target of `options`.

    `learner` is a name (docs/learners.md), "auto" for those that are best on validation, by the
    number of known events, a learner of your own (the class, or "module:Class"), or a recipe.
    `budget` is in seconds, or a text as "60s" or "10m". `checkpoint` names a file from which a
    killed run continues.
    """
    deadline = Deadline(parse_duration(budget))
    request = FitRequest(
        split=cut(log, scenario, seed=seed, shares=DEPLOY, options=options),
        objective=objective,
        seed=seed,
        settings=settings or {},
        deadline=deadline,
        checkpoint=checkpoint,
        progress=progress,
    )
    return _recommender(log, request, fit_learner(learner, request), scenario, options)


def _recommender(
    log: Interactions,
    request: FitRequest,
    fitted: Fitted,
    scenario: str,
    options: ScenarioOptions,
) -> Recommender:
    arrays = {name: aligned(array) for name, array in fitted.scorer.arrays().items()}
    # restored as it will be loaded, so that both score alike to the last bit
    scorer = restore(fitted.learner, arrays, fitted.settings)
    return from_log(
        seen_by(scenario, log),
        scorer=scorer,
        learner=fitted.learner,
        objective=request.objective,
        settings=fitted.settings,
        profile_columns=request.split.profile_columns,
        candidates=request.split.train.query_spec.candidates,
        user_groups=UserGroups.fit(request.split.train, request.split.n_items),
        error_bars=ConformalIntervals.fit(scorer, request.split.valid)
        if request.objective == "rating"
        else None,
        facts={
            "data": {
                "name": log.name,
                "events": len(log),
                "users": len(log.users),
                "items": len(log.items),
            },
            "data_fingerprint": log.fingerprint(),
            "scenario": scenario,
            "options": {**asdict(options), "sources": list(options.sources)},
            "seed": request.seed,
            "train_tasks": len(request.split.train),
            "valid_tasks": len(request.split.valid),
            "valid_quality": {str(shots): value for shots, value in fitted.valid.items()},
            "valid_mean": overall(fitted.valid),
            "fit_seconds": round(fitted.fit_seconds + fitted.tune_seconds, 3),
            **fitted.facts,
        },
    )
