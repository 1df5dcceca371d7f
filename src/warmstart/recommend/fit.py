"""Fitting: from an event log to a recommender that is ready to use."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from warmstart.arrays import aligned
from warmstart.data.interactions import Interactions
from warmstart.durations import seconds
from warmstart.evaluation.conformal import ErrorBars
from warmstart.evaluation.evaluate import Objective
from warmstart.evaluation.validation import overall
from warmstart.explain.user_groups import Tastes
from warmstart.recommend.recommender import Recommender, from_log
from warmstart.tasks.scenarios import DEPLOY, NO_OPTIONS, ScenarioOptions, cut, seen_by
from warmstart.training.outer_loop import Progress
from warmstart.training.registry import AUTO, restore
from warmstart.training.registry import fit as fit_learner
from warmstart.training.search import select
from warmstart.training.tuning import Fitted, Order


def fit(
    log: Interactions,
    *,
    learner: str = AUTO,
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

    `learner` is a name of `recipes.RECIPES`, or "auto" for those that are best on validation, by
    the number of known events. `budget` is in seconds, or a text as "60s" or "10m". `checkpoint`
    names a file from which a killed run goes on.
    """
    order = Order(
        split=cut(log, scenario, seed=seed, shares=DEPLOY, options=options),
        objective=objective,
        seed=seed,
        settings=settings or {},
        seconds=seconds(budget),
        checkpoint=checkpoint,
        progress=progress,
    )
    if learner != AUTO:
        return _recommender(log, order, fit_learner(learner, order), scenario, options)
    race = select(order)
    return _recommender(
        log, order, race.fitted, scenario, options, choice=race.explained, race=race.to_list()
    )


def _recommender(
    log: Interactions,
    order: Order,
    fitted: Fitted,
    scenario: str,
    options: ScenarioOptions,
    **facts: Any,
) -> Recommender:
    arrays = {name: aligned(array) for name, array in fitted.scorer.arrays().items()}
    scorer = restore(
        fitted.learner, arrays, fitted.settings
    )  # as it will be loaded: the same bits in both
    return from_log(
        seen_by(scenario, log),
        scorer=scorer,
        learner=fitted.learner,
        objective=order.objective,
        settings=fitted.settings,
        profile_columns=order.split.profile_columns,
        among=order.split.train.question.among,
        tastes=Tastes.fit(order.split.train, order.split.items),
        error_bars=ErrorBars.fit(scorer, order.split.valid)
        if order.objective == "rating"
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
            "seed": order.seed,
            "train_tasks": len(order.split.train),
            "valid_tasks": len(order.split.valid),
            "valid_quality": {str(shots): value for shots, value in fitted.valid.items()},
            "valid_mean": overall(fitted.valid),
            "fit_seconds": round(fitted.fit_seconds + fitted.tune_seconds, 3),
            **facts,
        },
    )
