"""Search over learners and settings on the validation tasks.

Asynchronous successive halving (ASHA; Jamieson & Talwalkar, AISTATS 2016; Li et al., MLSys 2020): a
trial is validated while it trains, and stopped unless it is in the better half of those that came
as far. First come the baselines, tuned, then each learner with its own settings, then settings
proposed from the trials so far (TPE, Bergstra et al., NeurIPS 2011). Halving and proposals are
optuna's.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from warmstart.errors import UsageError
from warmstart.evaluation.validation import by_task, overall
from warmstart.tasks.tasks import Objective
from warmstart.training.outer_loop import Progress, ValidationCurve
from warmstart.training.recipes import RECIPES
from warmstart.training.requests import FitRequest, Fitted
from warmstart.training.search_result import SearchResult
from warmstart.training.shot_assignment import Trial, TrialResult, assign_by_shots

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)
SEARCHED: Mapping[Objective, tuple[str, ...]] = {
    "ranking": ("popularity", "item-knn", "ease", "als", "blend", "gru4rec", "ridge"),
    "rating": ("bias", "factors", "ridge", "in-context", "prototype"),
}
"""Cheap learners first: when time is short, something has always been fitted."""
SEARCHED_FOR_SESSIONS = ("popularity", "item-knn", "session-knn", "gru4rec", "stacked-core")
"""The learners of a search where each event of a sequence is to be predicted."""
SEARCHED_ACROSS_DOMAINS = (
    *("popularity", "item-knn", "session-knn", "ease", "bridge"),
    *("blend", "stacked-blend", "stacked-bridge"),
)
"""The learners of a search where events in other domains are known before the first shot."""
MAX_PROPOSED_TRIALS = 4
"""Trials with proposed settings at most."""
RUNGS = 8
"""Validations of a trial at which it may be stopped."""


@runtime_checkable
class Fit(Protocol):
    """Fits a learner by its name: `registry.fit`."""

    def __call__(self, learner: str, request: FitRequest) -> Fitted: ...


def search(
    request: FitRequest,
    *,
    fit: Fit,
    learners: Sequence[str] | None = None,
    prefitted: Mapping[str, Fitted] | None = None,
) -> SearchResult:
    """Try learners and settings for as long as the time lasts, and choose among the finished
    trials.

    `prefitted` are learners that the same request has fitted already, which are not fitted again.
    """
    if request.settings:
        raise UsageError(
            "settings belong to one learner; name it instead of leaving the choice open"
        )
    return _Search(request, fit).run(
        _suited(request) if learners is None else tuple(learners), prefitted or {}
    )


class _Search:
    """One search: its request, and how its trials are fitted."""

    def __init__(self, request: FitRequest, fit: Fit) -> None:
        self.request, self.fit, self.begun = request, fit, time.monotonic()

    def run(self, names: Sequence[str], prefitted: Mapping[str, Fitted]) -> SearchResult:
        trials = [self._known(name, one) for name, one in prefitted.items() if name in names]
        for name in names:
            new = name not in prefitted and not RECIPES[name].trains
            if new and (not trials or not self.request.deadline.passed):
                trials.append(self._finished_trial(name, self.request))
        trainable = [name for name in names if RECIPES[name].trains]
        if trainable and (not trials or not self.request.deadline.passed):
            trials += self._trained(trainable, trials)
        took = time.monotonic() - self.begun + sum(_seconds(one) for one in prefitted.values())
        result = SearchResult(self.request.objective, tuple(trials), assign_by_shots(trials), took)
        logger.info("%d trials in %.1f s; chosen: %s", len(trials), took, result.summary)
        return result

    def _known(self, name: str, fitted: Fitted) -> Trial:
        """A trial of what was fitted before, with its own settings."""
        trial = self._measured(name, fitted, _seconds(fitted))
        return replace(trial, settings={}) if RECIPES[name].trains else trial

    def _finished_trial(self, name: str, request: FitRequest) -> Trial:
        """A trial that is fitted to its end."""
        begun = time.monotonic()
        fitted = self.fit(name, request)
        return self._measured(name, fitted, time.monotonic() - begun)

    def _measured(self, name: str, fitted: Fitted, seconds: float) -> Trial:
        values = by_task(fitted.scorer, self.request.split.valid, self.request.objective)
        return Trial(name, fitted.settings, seconds, fitted.valid, TrialResult(fitted, values))

    def _trained(self, names: Sequence[str], before: Sequence[Trial]) -> list[Trial]:
        """Trials of the learners that are not there yet, with their own settings, and then with
        proposed ones.
        """
        study = _study(names, self.request.seed)
        there = {one.learner: one for one in before}
        trials: list[Trial] = []
        for number in range(len(names) + MAX_PROPOSED_TRIALS):
            if self.request.deadline.passed and (trials or before):
                break
            if number < len(names) and names[number] in there:
                _replay(study, names, there[names[number]])
            else:
                trials.append(self._next_trial(study, names, number))
        return trials

    def _next_trial(self, study: "optuna.Study", names: Sequence[str], number: int) -> Trial:
        """The next trial of the study, to its end or until it is stopped."""
        from optuna import TrialPruned
        from optuna.trial import TrialState

        proposal, request = study.ask(), self.request
        name = proposal.suggest_categorical("learner", list(names))
        settings = _proposed_settings(proposal, name)
        checkpoint = request.checkpoint and request.checkpoint.with_name(
            f"{request.checkpoint.name}.{number}"
        )
        halving = _Halving(proposal, request.progress, may_stop=RECIPES[name].kind != "baseline")
        begun = time.monotonic()
        try:
            trial = self._finished_trial(
                name,
                replace(request, settings=settings, progress=halving, checkpoint=checkpoint),
            )
        except TrialPruned:
            study.tell(proposal, state=TrialState.PRUNED)
            seconds, curve = time.monotonic() - begun, halving.curve
            stopped = f"stopped at step {curve.steps[-1]}"
            logger.info("trial %d: %s %s %s", number, name, settings, stopped)
            return Trial(name, settings, seconds, curve.quality[-1], None, stopped)
        logger.info("trial %d: %s %s: %.5g", number, name, settings, overall(trial.valid))
        study.tell(proposal, overall(trial.valid))
        return replace(trial, settings=settings)


def _suited(request: FitRequest) -> tuple[str, ...]:
    """The learners that suit the objective and the kind of tasks."""
    train = request.split.train
    if request.objective == "rating":
        return SEARCHED["rating"]
    if train.query_spec.per_event:
        return SEARCHED_FOR_SESSIONS
    return SEARCHED["ranking"] if train.context is None else SEARCHED_ACROSS_DOMAINS


def _seconds(fitted: Fitted) -> float:
    return fitted.fit_seconds + fitted.tune_seconds


def _study(names: Sequence[str], seed: int) -> "optuna.Study":
    """A study that first tries each learner with its own settings."""
    import optuna  # a third of a second to import

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=len(names)),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    )
    for name in names:
        study.enqueue_trial({"learner": name, "size": 1.0, "rate": 1.0, "weight_decay": 1.0})
    return study


def _replay(study: "optuna.Study", names: Sequence[str], trial: Trial) -> None:
    """Let the study know of a trial that was run before, rung by rung."""
    proposal = study.ask()
    _proposed_settings(proposal, proposal.suggest_categorical("learner", list(names)))
    curve = trial.finished.fitted.curve or ValidationCurve()
    steps = RECIPES[trial.learner].options["steps"]
    for i, step in enumerate(curve.steps):
        rung = RUNGS * step // steps
        if rung not in (0, RUNGS * curve.steps[i - 1] // steps):
            proposal.report(max(curve.means[: i + 1]), rung)
    study.tell(proposal, overall(trial.valid))


def _proposed_settings(proposal: "optuna.Trial", name: str) -> dict[str, Any]:
    """A learner's settings times the proposed factors; none where all factors are 1."""
    factors = {
        "size": proposal.suggest_categorical("size", [0.5, 1.0, 2.0]),
        "rate": proposal.suggest_float("rate", 0.25, 4.0, log=True),
        "weight_decay": proposal.suggest_float("weight_decay", 0.1, 10.0, log=True),
    }
    if all(factor == 1.0 for factor in factors.values()):
        return {}
    recipe = RECIPES[name]
    own = recipe.options
    sizes = {
        key: max(4, round(own[key] * factors["size"])) for key in recipe.size_settings if key in own
    }
    return {**sizes, **{key: own[key] * factors[key] for key in ("rate", "weight_decay")}}


class _Halving:
    """Reports each rung of a trial to the study, which may stop it; baselines always finish, since
    the gain is measured against them.
    """

    def __init__(
        self, proposal: "optuna.Trial", progress: Progress | None, *, may_stop: bool
    ) -> None:
        self.proposal, self.progress, self.may_stop = proposal, progress, may_stop
        self.curve, self.rung = ValidationCurve(), 0

    def __call__(self, step: int, steps: int, curve: ValidationCurve) -> None:
        from optuna import TrialPruned

        if self.progress is not None:
            self.progress(step, steps, curve)
        if not curve.steps or curve.steps[-1] != step:
            return
        self.curve = curve
        rung = RUNGS * step // steps
        if rung == self.rung:
            return
        self.rung = rung
        self.proposal.report(max(curve.means), rung)
        if self.proposal.should_prune() and self.may_stop:
            raise TrialPruned
