"""Tuning: how a classic and a meta-learner are fitted, their settings chosen on validation, and
restored.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from warmstart.ensemble.experts import Experts
from warmstart.errors import Misuse, shown
from warmstart.evaluation.evaluate import Objective
from warmstart.evaluation.validation import overall, quality
from warmstart.learners.base import Learner
from warmstart.model.encoder import Encoder
from warmstart.model.few_shot import FewShot
from warmstart.model.fitted import ITEM_COLUMNS, FittedModel
from warmstart.model.statistics import InitialStatistics
from warmstart.model.user_neighbours import UserNeighbours
from warmstart.scorer import Scorer
from warmstart.tasks.tasks import Split
from warmstart.training.loop import train
from warmstart.training.outer_loop import History, Progress
from warmstart.training.schedule import Schedule

Kind = Literal["classic", "meta", "transfer"]
Settings = Mapping[str, Any]
Arrays = dict[str, np.ndarray]
MORE, SLOWER, LOOKS = 0.075, 0.25, 3
"""Of its steps and of its rate, what a network gets that goes on with new tasks; and looks at
validation on the way.
"""
FIXED = (
    "value_mean",
    "value_std",
    "profile_width",
    "ordered",
    "witnesses",
)  # facts of the data, not settings


@dataclass(frozen=True)
class Order:
    """What to fit: the split to learn from, the objective, and all that the caller may decide."""

    split: Split
    objective: Objective = "ranking"
    seed: int = 0
    settings: Settings = field(default_factory=dict)
    seconds: float | None = None
    checkpoint: Path | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class Fitted:
    """A fitted scorer with what it took to get it; `settings` is all that `restore` needs beside
    the arrays.
    """

    learner: str
    kind: Kind
    scorer: Scorer
    settings: Settings
    valid: Mapping[int, float]
    """Quality on the validation tasks by shots, on which all choices were made."""
    fit_seconds: float
    tasks: int
    """Tasks that were learned from in `fit_seconds`, each counted as often as it was drawn."""
    tune_seconds: float = 0.0
    """Seconds spent on settings that were not chosen."""
    history: History | None = None


@dataclass(frozen=True)
class Classic:
    """This is fitted in closed form or by its library, once for each setting of its grid;
    validation chooses.
    """

    cls: Any
    objectives: tuple[Objective, ...] = ("ranking",)
    kind: Kind = "classic"
    content: bool = False
    """Whether it reads the columns of the items."""

    @property
    def options(self) -> Mapping[str, Any]:
        return defaults(self.cls.fit)

    def fit(self, name: str, order: Order) -> Fitted:
        started = time.perf_counter()
        best: Fitted | None = None
        content = {"content": order.split.item_features} if self.content else {}
        for point in self._grid(order.settings):
            begun = time.perf_counter()
            scorer = self.cls.fit(order.split.train, items=order.split.items, **content, **point)
            took = time.perf_counter() - begun
            reached = quality(scorer, order.split.valid, order.objective)
            if best is None or overall(reached) > overall(best.valid):
                best = Fitted(
                    name, self.kind, scorer, scorer.settings, reached, took, len(order.split.train)
                )
            if order.seconds is not None and time.perf_counter() - started > order.seconds:
                break
        assert best is not None, "a grid has at least one point"
        return replace(best, tune_seconds=time.perf_counter() - started - best.fit_seconds)

    def restore(self, arrays: Arrays, settings: Settings) -> Scorer:
        return self.cls.restore(arrays, settings)

    def _grid(self, settings: Settings) -> list[dict[str, Any]]:
        """The grid with the caller's settings in place, equal points once."""
        grid: list[dict[str, Any]] = []
        for point in self.cls.GRID or ({},):
            merged = {**point, **settings}
            if merged not in grid:
                grid.append(merged)
        return grid


@dataclass(frozen=True)
class Meta:
    """A meta-learner is trained by the outer loop behind an encoder of its own; validation stops
    the training.

    `preset` holds whatever differs from the defaults of the constructors, by the names of their
    arguments.
    """

    cls: Callable[..., Learner]
    preset: Settings = field(default_factory=dict)
    objectives: tuple[Objective, ...] = ("ranking", "rating")
    kind: Kind = "meta"
    grid: tuple[Settings, ...] = ()
    """Settings that only matter in use: validation chooses among them once training is over."""
    serve: type[UserNeighbours] | None = None
    """What recommends in the place of the trained model, from it and the training tasks."""
    evidence: bool = False
    """Whether it weighs what all training tasks say in closed form, where events are ranked."""
    package: str | None = None
    """What must be installed for it beside our own dependencies."""

    @property
    def options(self) -> Mapping[str, Any]:
        own = {name: value for name, value in defaults(self.cls).items() if name != "objective"}
        served = {} if self.serve is None else defaults(self.serve)
        start = {
            **defaults(InitialStatistics.of_split),
            **(defaults(Experts.fit) if self.evidence else {}),
        }
        shared = {**defaults(Encoder), **defaults(FewShot), **defaults(Schedule)}
        return {**start, **shared, **own, **served, **self.preset}

    def start(self, split: Split, settings: Settings) -> InitialStatistics:
        """What the training data say before training, by the settings, of which `objective` is
        one.
        """
        start = InitialStatistics.of_split(split, **accepted(InitialStatistics.of_split, settings))
        if not self.evidence or settings["objective"] != "ranking":
            return start
        return replace(
            start,
            experts=Experts.fit(
                split.train,
                split.items,
                item_features=split.item_features,
                **accepted(Experts.fit, settings),
            ),
        )

    def fit(self, name: str, order: Order) -> Fitted:
        started = time.perf_counter()
        settings = {**self.preset, **order.settings, "objective": order.objective}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(order.seed)
            model = self._model(self.start(order.split, settings), settings)
        schedule = Schedule(**accepted(Schedule, settings)).on(order.split.train)
        history = train(
            model,
            order.split.train,
            lambda scorer: quality(
                self._served(scorer, order, settings), order.split.valid, order.objective
            ),
            schedule=schedule,
            seed=order.seed,
            seconds=order.seconds,
            checkpoint=order.checkpoint,
            progress=order.progress,
        )
        valid = history.quality[history.steps.index(history.best_step)]
        took = time.perf_counter() - started
        scorer = self._served(FittedModel(model), order, settings)
        seen = history.steps[-1] * schedule.tasks
        return self._tuned(
            Fitted(name, self.kind, scorer, settings, valid, took, seen, history=history), order
        )

    def go_on(self, fitted: Fitted, order: Order) -> Fitted:
        """The same after more training, on tasks that came since and all others, from where it
        stands.

        This takes `MORE` of the steps that it was given, at `SLOWER` of their rate. The best by
        validation stays, which may be where it stood. Only for learners without evidence, which
        would have to be that of all these tasks.
        """
        started = time.perf_counter()
        model = self._restored(fitted.scorer.arrays(), fitted.settings)
        whole = Schedule(**accepted(Schedule, fitted.settings)).on(order.split.train)
        steps, rate = max(1, round(MORE * whole.steps)), SLOWER * whole.rate
        history = train(
            model,
            order.split.train,
            lambda scorer: quality(scorer, order.split.valid, order.objective),
            schedule=replace(whole, steps=steps, rate=rate, validate_every=max(1, steps // LOOKS)),
            seed=order.seed,
            seconds=order.seconds,
            progress=order.progress,
        )
        return replace(
            fitted,
            scorer=FittedModel(model),
            valid=history.quality[history.steps.index(history.best_step)],
            fit_seconds=fitted.fit_seconds + time.perf_counter() - started,
            tasks=fitted.tasks + history.steps[-1] * whole.tasks,
        )

    def _tuned(self, trained: Fitted, order: Order) -> Fitted:
        """The trained scorer with the settings of the grid that are best on validation, unless the
        caller chose.
        """
        started, best = time.perf_counter(), trained
        for point in self.grid:
            settings = {**trained.settings, **point, **order.settings}
            scorer = self.restore(trained.scorer.arrays(), settings)
            reached = quality(scorer, order.split.valid, order.objective)
            if overall(reached) > overall(best.valid):
                best = replace(trained, scorer=scorer, settings=settings, valid=reached)
        return replace(best, tune_seconds=time.perf_counter() - started)

    def restore(self, arrays: Arrays, settings: Settings) -> Scorer:
        trained = FittedModel(
            self._restored(arrays, settings), torch.from_numpy(arrays[ITEM_COLUMNS])
        )
        if self.serve is None:
            return trained
        return self.serve.restore(trained, arrays, **accepted(self.serve, settings))

    def _restored(self, arrays: Arrays, settings: Settings) -> FewShot:
        model = self._model(InitialStatistics.of_arrays(arrays), settings)
        learned = {name: torch.from_numpy(np.asarray(arrays[name])) for name in model.state_dict()}
        model.load_state_dict(
            learned, assign=True
        )  # not copied, so that processes share what is mapped
        return model

    def _served(self, trained: FittedModel, order: Order, settings: Settings) -> Scorer:
        if self.serve is None:
            return trained
        return self.serve.fit(trained, order.split.train, **accepted(self.serve, settings))

    def _model(self, start: InitialStatistics, settings: Settings) -> FewShot:
        check_import(self.package)
        encoder = Encoder(
            start.item_bias,
            content=start.content,
            profile_width=start.profile_width,
            initial_embeddings=start.initial_embeddings,
            **accepted(Encoder, settings),
        )
        witnesses = 0 if start.experts is None else start.experts.n_experts
        facts = accepted(
            self.cls, {"dim": encoder.dim, "ordered": start.ordered, "witnesses": witnesses}
        )
        learner = self.cls(**{**accepted(self.cls, settings), **facts})
        return FewShot(
            encoder,
            learner,
            start.popularity,
            value_mean=start.value_mean,
            value_std=start.value_std,
            experts=start.experts,
            **accepted(FewShot, settings),
        )


def check_import(package: str | None) -> None:
    """Whether a package can be imported that only one learner needs; now, and not when others have
    been fitted.
    """
    if package is None:
        return
    try:
        import_module(package)
    except (
        ImportError,
        OSError,
        RuntimeError,
    ) as error:  # the last two where its compiled parts do not fit
        raise Misuse(
            f'learner "{package}" runs the package of that name, which cannot be imported here ({shown(error)}); '
            "benchmarks/speed_meta.py says how to build it, or leave this learner out"
        ) from error


def defaults(function: Any) -> dict[str, Any]:
    """The settings of a constructor that a caller may choose: keyword arguments whose default is a
    plain value.
    """
    parameters = signature(function).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if isinstance(p.default, int | float | str) and p.name not in FIXED
    }


def accepted(function: Any, settings: Settings) -> dict[str, Any]:
    names = signature(function).parameters
    return {name: value for name, value in settings.items() if name in names}
