"""Race: which learner suits the data at which number of events, by a race on the validation tasks.

Successive halving (Jamieson & Talwalkar, AISTATS 2016; asynchronous, as optuna does it): an entrant
is looked at while it trains, and stopped unless it is in the better half of those that were looked
at as early. First come the classics, tuned, then each learner with its own settings, then other
settings, proposed by what did well (TPE, Bergstra et al., NeurIPS 2011).
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from warmstart.ensemble.switching import ShotSwitch
from warmstart.errors import Misuse
from warmstart.evaluation.evaluate import HEADLINE, NAMES, Objective
from warmstart.evaluation.validation import by_task, overall
from warmstart.training.outer_loop import History, Progress
from warmstart.training.registry import AUTO, RECIPES, fit
from warmstart.training.shot_assignment import (
    Entrant,
    Finish,
    Stretch,
    gate,
    joined,
    standard_error,
)
from warmstart.training.tuning import Fitted, Order

if TYPE_CHECKING:
    from optuna import Study, Trial

ENTRANTS: Mapping[Objective, tuple[str, ...]] = {
    "ranking": ("popularity", "item-knn", "ease", "als", "blend", "gru4rec", "ridge"),
    "rating": ("bias", "factors", "ridge", "in-context", "prototype"),
}
"""Cheap ones first: when time is short, something has always been fitted."""
OF_CLICKS = ("popularity", "item-knn", "session-knn", "gru4rec", "stacked-core")
"""The entrants where each event is asked for."""
FROM_ELSEWHERE = (
    "popularity",
    "item-knn",
    "session-knn",
    "ease",
    "bridge",
    "blend",
    "stacked-blend",
    "stacked-bridge",
)
"""The entrants where something is known before the first shot."""
OTHERS = 4
"""Other settings that are tried at most."""
RUNGS = 8
"""Looks at a training run, at which it may be stopped."""


@dataclass(frozen=True)
class Race:
    """All entrants in the order of their start, and who serves whom."""

    objective: Objective
    entrants: tuple[Entrant, ...]
    chosen: tuple[Stretch, ...]
    seconds: float

    @cached_property
    def fitted(self) -> Fitted:
        """The chosen scorer; where several share the numbers of events, as one."""
        members = [stretch.entrant.done.fitted for stretch in self.chosen]
        fit_seconds = sum(member.fit_seconds for member in members)
        tune_seconds = max(self.seconds - fit_seconds, 0.0)
        if len(members) == 1:
            return replace(members[0], tune_seconds=tune_seconds)
        firsts = [stretch.first for stretch in self.chosen]
        return Fitted(
            learner=AUTO,
            kind="meta",
            scorer=ShotSwitch([member.scorer for member in members], firsts),
            settings={
                "members": [
                    {"learner": member.learner, "settings": dict(member.settings), "first": first}
                    for member, first in zip(members, firsts, strict=True)
                ]
            },
            valid={k: float(values.mean()) for k, values in self._values.items()},
            fit_seconds=fit_seconds,
            tasks=sum(member.tasks for member in members),
            tune_seconds=tune_seconds,
        )

    @property
    def explained(self) -> str:
        """The choice in one sentence, with its gain over the best classic at each number of
        events.
        """
        names = [stretch.entrant.learner for stretch in self.chosen]
        if len(names) == 1:
            who = f"{names[0]} at any number of known events"
        else:
            ends = [stretch.first for stretch in self.chosen[1:]]
            parts = [f"{names[0]} below {ends[0]} known events"]
            parts += [
                f"{name} from {first} on" for name, first in zip(names[1:], ends, strict=True)
            ]
            who = ", ".join(parts)
        users = max(len(values) for values in self._values.values())
        return f"{who}: {self._gain} on {users} looks at validation users"

    def to_list(self) -> list[dict[str, Any]]:
        """The entrants, fit for JSON."""
        return [
            {
                "learner": one.learner,
                "settings": dict(one.settings),
                "seconds": round(one.seconds, 2),
                "valid": {str(k): value for k, value in one.valid.items()},
                "mean": overall(one.valid) if one.valid else None,
                "error": None
                if one.finish is None
                else standard_error(list(one.finish.values.values())),
                "stopped": one.stopped,
                "from": [stretch.first for stretch in self.chosen if stretch.entrant is one],
            }
            for one in self.entrants
        ]

    @property
    def _values(self) -> dict[int, Float64[np.ndarray, "_"]]:
        """What the chosen reach, task by task."""
        return joined([(stretch.first, stretch.entrant.done.values) for stretch in self.chosen])

    @property
    def _gain(self) -> str:
        classics = [
            one.finish.values
            for one in self.entrants
            if one.finish and RECIPES[one.learner].kind == "classic"
        ]
        best = {k: max((values[k] for values in classics), key=np.mean) for k in self._values}
        bar = abs(float(np.mean([values.mean() for values in best.values()])))
        gains = [self._values[k] - best[k] for k in best]
        mean, error = float(np.mean([gain.mean() for gain in gains])), standard_error(gains)
        if all(not gain.any() for gain in gains):
            return "the best classics themselves"
        metric = NAMES[HEADLINE[self.objective]]
        better = (
            f"{100 * mean / bar:+.0f} %"
            if self.objective == "ranking"
            else f"{-100 * mean / bar:+.0f} %"
        )
        return (
            f"{metric} {better} ± {200 * error / bar:.0f} % against the best classic at each number"
        )


def select(
    order: Order,
    *,
    entrants: Sequence[str] | None = None,
    ready: Mapping[str, Fitted] | None = None,
) -> Race:
    """Race the entrants for as long as the budget lasts, and choose among those that came to the
    end.

    `ready` are learners that the same order has fitted already, which are not fitted again.
    """
    if order.settings:
        raise Misuse("settings belong to one learner; name it instead of leaving the choice open")
    begun = time.monotonic()
    names = _suited(order) if entrants is None else tuple(entrants)
    run = [_known(name, one, order) for name, one in (ready or {}).items() if name in names]
    for name in names:
        new = name not in (ready or {})
        if new and not _trains(name) and (not run or _left(order, begun) > 0):
            run.append(_entered(name, replace(order, seconds=_within(order, begun))))
    trainable = [name for name in names if _trains(name)]
    if trainable and (not run or _left(order, begun) > 0):
        run += _trained(trainable, order, begun, run)
    spent = sum(_took(one) for one in (ready or {}).values())
    return Race(order.objective, tuple(run), gate(run), time.monotonic() - begun + spent)


def _suited(order: Order) -> tuple[str, ...]:
    """The entrants that suit what is asked."""
    train = order.split.train
    if order.objective == "rating":
        return ENTRANTS["rating"]
    return (
        OF_CLICKS
        if train.question.each
        else ENTRANTS["ranking"]
        if train.before is None
        else FROM_ELSEWHERE
    )


def _trains(name: str) -> bool:
    return "steps" in RECIPES[name].options


def _left(order: Order, begun: float) -> float:
    return math.inf if order.seconds is None else order.seconds - (time.monotonic() - begun)


def _within(order: Order, begun: float) -> float | None:
    return None if order.seconds is None else max(_left(order, begun), 1e-3)


def _took(fitted: Fitted) -> float:
    return fitted.fit_seconds + fitted.tune_seconds


def _entered(name: str, order: Order) -> Entrant:
    """An entrant that is fitted to its end."""
    begun = time.monotonic()
    fitted = fit(name, order)
    return _judged(name, fitted, order, time.monotonic() - begun)


def _known(name: str, fitted: Fitted, order: Order) -> Entrant:
    """An entrant that was fitted before, with its own settings."""
    entrant = _judged(name, fitted, order, _took(fitted))
    return replace(entrant, settings={}) if _trains(name) else entrant


def _judged(name: str, fitted: Fitted, order: Order, seconds: float) -> Entrant:
    values = by_task(fitted.scorer, order.split.valid, order.objective)
    return Entrant(name, fitted.settings, seconds, fitted.valid, Finish(fitted, values))


def _trained(
    names: Sequence[str], order: Order, begun: float, before: Sequence[Entrant]
) -> list[Entrant]:
    """The learners in the race that are not in it yet, with their own settings, and then with
    others.
    """
    import optuna  # a third of a second to import

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=order.seed, n_startup_trials=len(names)),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    )
    there = {one.learner for one in before}
    for name in names:
        study.enqueue_trial({"learner": name, "size": 1.0, "rate": 1.0, "weight_decay": 1.0})
    run: list[Entrant] = []
    for number in range(len(names) + OTHERS):
        if _left(order, begun) <= 0 and (run or before):
            break
        if number < len(names) and names[number] in there:
            _retold(study, names, next(one for one in before if one.learner == names[number]))
        else:
            run.append(_tried(study, names, number, replace(order, seconds=_within(order, begun))))
    return run


def _retold(study: "Study", names: Sequence[str], entrant: Entrant) -> None:
    """Let the study know of an entrant that was fitted before, look by look."""
    trial = study.ask()
    _suggested(trial, trial.suggest_categorical("learner", list(names)))
    history, steps = (
        entrant.done.fitted.history or History(),
        RECIPES[entrant.learner].options["steps"],
    )
    for i, step in enumerate(history.steps):
        rung = RUNGS * step // steps
        if rung not in (0, RUNGS * history.steps[i - 1] // steps):
            trial.report(max(history.means[: i + 1]), rung)
    study.tell(trial, overall(entrant.valid))


def _tried(study: "Study", names: Sequence[str], number: int, order: Order) -> Entrant:
    """The next trial of the study, to its end or until it is stopped."""
    from optuna import TrialPruned
    from optuna.trial import TrialState

    trial = study.ask()
    name = trial.suggest_categorical("learner", list(names))
    settings = _suggested(trial, name)
    checkpoint = order.checkpoint and order.checkpoint.with_name(
        f"{order.checkpoint.name}.{number}"
    )
    watch = _Watch(trial, order.progress, spared=RECIPES[name].kind == "classic")
    begun = time.monotonic()
    try:
        entrant = _entered(
            name, replace(order, settings=settings, progress=watch, checkpoint=checkpoint)
        )
    except TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
        seconds, seen = time.monotonic() - begun, watch.history
        return Entrant(
            name, settings, seconds, seen.quality[-1], None, f"stopped at step {seen.steps[-1]}"
        )
    study.tell(trial, overall(entrant.valid))
    return replace(entrant, settings=settings)


def _suggested(trial: "Trial", name: str) -> dict[str, Any]:
    """A learner's settings: its own ones times what the trial proposes; none where it proposes to
    leave them.
    """
    factors = {
        "size": trial.suggest_categorical("size", [0.5, 1.0, 2.0]),
        "rate": trial.suggest_float("rate", 0.25, 4.0, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 0.1, 10.0, log=True),
    }
    if all(factor == 1.0 for factor in factors.values()):
        return {}
    own = RECIPES[name].options
    sizes = {
        key: max(4, round(own[key] * factors["size"]))
        for key in ("dim", "width", "hidden")
        if key in own
    }
    return {**sizes, **{key: own[key] * factors[key] for key in ("rate", "weight_decay")}}


class _Watch:
    """This tells the study of each look at a training run, which may stop it; a classic is a bar,
    and spared.
    """

    def __init__(self, trial: "Trial", progress: Progress | None, *, spared: bool) -> None:
        self.trial, self.progress, self.spared = trial, progress, spared
        self.history, self.rung = History(), 0

    def __call__(self, step: int, steps: int, history: History) -> None:
        from optuna import TrialPruned

        if self.progress is not None:
            self.progress(step, steps, history)
        if not history.steps or history.steps[-1] != step:
            return
        self.history = history
        rung = RUNGS * step // steps
        if rung == self.rung:
            return
        self.rung = rung
        self.trial.report(max(history.means), rung)
        if self.trial.should_prune() and not self.spared:
            raise TrialPruned
