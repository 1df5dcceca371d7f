"""Recipe of a meta-learner: trained by the outer loop behind an encoder of its own."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import numpy as np
import torch

from warmstart.ensemble.experts import Experts
from warmstart.errors import UsageError, shorten
from warmstart.evaluation.validation import overall, quality
from warmstart.learners.base import Learner
from warmstart.model.encoder import Encoder
from warmstart.model.few_shot import FewShot
from warmstart.model.fitted import ITEM_COLUMNS, FittedModel
from warmstart.model.statistics import InitialStatistics
from warmstart.model.user_neighbours import UserNeighbours
from warmstart.scorer import Scorer
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import Objective
from warmstart.training.loop import train
from warmstart.training.requests import (
    Arrays,
    FitRequest,
    Fitted,
    Role,
    Settings,
    accepted_settings,
    default_settings,
)
from warmstart.training.schedule import Schedule

logger = logging.getLogger(__name__)
CONTINUED_STEPS, CONTINUED_RATE, CONTINUED_VALIDATIONS = 0.075, 0.25, 3
"""Of its steps and of its rate, what a network gets that trains on with new tasks; and the
validations on the way.
"""


@dataclass(frozen=True)
class MetaLearnerRecipe:
    """Trains a learner, stops by validation, and tunes what only matters in use.

    `overrides` holds whatever differs from the defaults of the constructors, by the names of their
    arguments.
    """

    cls: Callable[..., Learner]
    overrides: Settings = field(default_factory=dict)
    objectives: tuple[Objective, ...] = ("ranking", "rating")
    kind: Role = "meta"
    posthoc_grid: tuple[Settings, ...] = ()
    """Settings that only matter in use: validation chooses among them once training is over."""
    inference_wrapper: type[UserNeighbours] | None = None
    """What recommends in the place of the trained model, from it and the training tasks."""
    experts: bool = False
    """Whether it weighs closed forms over all training tasks, where events are ranked."""
    package: str | None = None
    """What must be installed for it besides our own dependencies."""
    size_settings: tuple[str, ...] = ("dim", "width", "hidden")
    """The settings that a search scales to make the model smaller or larger."""

    def __post_init__(self) -> None:
        known = {**self._defaults, "objective": ""}
        if wrong := [name for name in self.overrides if name not in known]:
            raise TypeError(
                f"{self.cls.__name__} and what surrounds it have no setting {wrong[0]!r}; "
                f"they have {', '.join(known)}"
            )

    @property
    def options(self) -> Mapping[str, Any]:
        """The settings that a caller may choose, with their defaults in this recipe."""
        return {**self._defaults, **self.overrides}

    @property
    def trains(self) -> bool:
        """Whether it is trained in steps: meta-learners are."""
        return True

    @property
    def _defaults(self) -> dict[str, Any]:
        parts: list[Any] = [InitialStatistics.of_split]
        parts += [Experts.fit] if self.experts else []
        parts += [Encoder, FewShot, Schedule, self.cls]
        parts += [] if self.inference_wrapper is None else [self.inference_wrapper]
        found = {name: value for part in parts for name, value in default_settings(part).items()}
        found.pop("objective", None)
        return found

    def statistics(self, split: Split, settings: Settings) -> InitialStatistics:
        """What the data say before training; `objective` is one of the settings."""
        found = InitialStatistics.of_split(
            split, **accepted_settings(InitialStatistics.of_split, settings)
        )
        if not self.experts or settings["objective"] != "ranking":
            return found
        return replace(
            found,
            experts=Experts.fit(
                split.train,
                split.n_items,
                item_features=split.item_features,
                **accepted_settings(Experts.fit, settings),
            ),
        )

    def fit(self, name: str, request: FitRequest) -> Fitted:
        """Train from the initial statistics; the weights of the best validation stay."""
        started = time.perf_counter()
        split = request.split
        settings = {**self.overrides, **request.settings, "objective": request.objective}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(request.seed)
            model = self.build_model(self.statistics(split, settings), settings)
        schedule = Schedule(**accepted_settings(Schedule, settings)).on(split.train)
        curve = train(
            model,
            split.train,
            lambda scorer: quality(
                self._wrapped(scorer, request, settings), split.valid, request.objective
            ),
            schedule=schedule,
            seed=request.seed,
            deadline=request.deadline,
            checkpoint=request.checkpoint,
            progress=request.progress,
        )
        valid = curve.quality[curve.steps.index(curve.best_step)]
        took = time.perf_counter() - started
        scorer = self._wrapped(FittedModel(model), request, settings)
        seen = curve.steps[-1] * schedule.tasks
        return self._tuned_posthoc(
            Fitted(name, self.kind, scorer, settings, valid, took, seen, curve=curve), request
        )

    def continue_training(self, fitted: Fitted, request: FitRequest) -> Fitted:
        """The same after more training, on new tasks and all others, from its current weights.

        This takes `CONTINUED_STEPS` of the steps that it was given, at `CONTINUED_RATE` of their
        rate. The best by validation stays, which may be the model as it came. Only for learners
        without experts, which would have to be those of all these tasks.
        """
        started = time.perf_counter()
        model = self._restored(fitted.scorer.arrays(), fitted.settings)
        whole = Schedule(**accepted_settings(Schedule, fitted.settings)).on(request.split.train)
        steps = max(1, round(CONTINUED_STEPS * whole.steps))
        curve = train(
            model,
            request.split.train,
            lambda scorer: quality(scorer, request.split.valid, request.objective),
            schedule=replace(
                whole,
                steps=steps,
                rate=CONTINUED_RATE * whole.rate,
                validate_every=max(1, steps // CONTINUED_VALIDATIONS),
            ),
            seed=request.seed,
            deadline=request.deadline,
            progress=request.progress,
        )
        return replace(
            fitted,
            scorer=FittedModel(model),
            valid=curve.quality[curve.steps.index(curve.best_step)],
            fit_seconds=fitted.fit_seconds + time.perf_counter() - started,
            tasks=fitted.tasks + curve.steps[-1] * whole.tasks,
        )

    def restore(self, arrays: Arrays, settings: Settings) -> Scorer:
        """The scorer whose arrays and settings these are."""
        trained = FittedModel(
            self._restored(arrays, settings), torch.from_numpy(arrays[ITEM_COLUMNS])
        )
        if self.inference_wrapper is None:
            return trained
        own = accepted_settings(self.inference_wrapper, settings)
        return self.inference_wrapper.restore(trained, arrays, **own)

    def build_model(self, statistics: InitialStatistics, settings: Settings) -> FewShot:
        """An untrained model: the encoder, the learner and what surrounds them."""
        check_import(self.package)
        encoder = Encoder(
            statistics.item_bias,
            content=statistics.content,
            profile_width=statistics.profile_width,
            initial_embeddings=statistics.initial_embeddings,
            **accepted_settings(Encoder, settings),
        )
        n_experts = 0 if statistics.experts is None else statistics.experts.n_experts
        facts = {"dim": encoder.dim, "ordered": statistics.ordered, "witnesses": n_experts}
        learner = self.cls(**accepted_settings(self.cls, {**settings, **facts}))
        return FewShot(
            encoder,
            learner,
            statistics.popularity,
            value_mean=statistics.value_mean,
            value_std=statistics.value_std,
            experts=statistics.experts,
            **accepted_settings(FewShot, settings),
        )

    def _tuned_posthoc(self, trained: Fitted, request: FitRequest) -> Fitted:
        """The trained scorer with the settings of the grid that are best on validation, unless the
        caller chose.
        """
        started, best = time.perf_counter(), trained
        for point in self.posthoc_grid:
            if request.deadline.passed:
                break
            settings = {**trained.settings, **point, **request.settings}
            scorer = self.restore(trained.scorer.arrays(), settings)
            reached = quality(scorer, request.split.valid, request.objective)
            if overall(reached) > overall(best.valid):
                best = replace(trained, scorer=scorer, settings=settings, valid=reached)
                logger.info("%s: %s is best in use so far", trained.learner, point)
        return replace(best, tune_seconds=time.perf_counter() - started)

    def _restored(self, arrays: Arrays, settings: Settings) -> FewShot:
        model = self.build_model(InitialStatistics.of_arrays(arrays), settings)
        learned = {name: torch.from_numpy(np.asarray(arrays[name])) for name in model.state_dict()}
        # assigned and not copied, so that processes share what is mapped
        model.load_state_dict(learned, assign=True)
        return model

    def _wrapped(self, trained: FittedModel, request: FitRequest, settings: Settings) -> Scorer:
        if self.inference_wrapper is None:
            return trained
        own = accepted_settings(self.inference_wrapper, settings)
        return self.inference_wrapper.fit(trained, request.split.train, **own)


def check_import(package: str | None) -> None:
    """Refuse at once, and not after others have been fitted, where a learner's package is
    missing.
    """
    if package is None:
        return
    try:
        import_module(package)
    except (ImportError, OSError, RuntimeError) as error:  # the last two: compiled for another one
        raise UsageError(
            f'learner "{package}" runs the package of that name, which cannot be imported here '
            f"({shorten(error)}); benchmarks/speed_meta.py says how to build it, or leave this "
            "learner out"
        ) from error
