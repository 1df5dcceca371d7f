"""Recipes: the one place where names become learners, and how each is fitted, tuned and restored."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from warmstart.classics import ALS, EASE, Bias, ItemKNN, Popularity
from warmstart.encoder import Encoder
from warmstart.errors import Misuse, shown
from warmstart.evaluation import Objective
from warmstart.learner import Learner
from warmstart.learners import (
    IMAML,
    MAML,
    MANN,
    FineTune,
    GRU4Rec,
    InContext,
    Learn2Learn,
    Matching,
    MetaRNN,
    NeuralProcess,
    Prototype,
    Reptile,
    Ridge,
    SASRec,
    Siamese,
)
from warmstart.model import FewShot, Trained, in_use
from warmstart.neighbours import Neighbours
from warmstart.scorer import Scorer
from warmstart.start import Start
from warmstart.tasks import Split
from warmstart.training import History, Progress, Schedule, train
from warmstart.validation import overall, quality

Kind = Literal["classic", "meta", "transfer"]
Settings = Mapping[str, Any]
Arrays = dict[str, np.ndarray]

DESCENTS = tuple(
    {"inner_rate": rate, "inner_steps": steps} for rate, steps in product((0.1, 0.3, 1.0, 3.0, 10.0), (1, 3, 10))
)
"""Ways to fine-tune: fewer and more steps, smaller and larger ones."""
SHORTER = tuple({"inner_rate": rate, "inner_steps": steps} for rate, steps in product((0.1, 0.3, 1.0), (1, 2, 4, 8)))
"""Ways down for learners whose outer loop does not learn the rate."""
LIGHT = {"steps": 600, "tasks": 64, "inner": 256, "outer": 1500}
"""For learners whose step costs ten times that of the others; sampling loses them little."""
USERS = {**LIGHT, "pairs_of": "users"}
CROWDS = tuple({"nearest": nearest} for nearest in (25, 100, 200, 400))
"""How many users like the new one to ask, beside the default."""
WIDE = {"dim": 128, "width": 128, "hidden": 256, "rate": 0.003, "id_dropout": 0.0}
"""For the encoder that has room for it: a thousandth better on validation (ml-1m) than half the size."""
FIXED = ("value_mean", "value_std", "profile_width")  # facts of the data, not settings


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
    """A fitted scorer with what it took to get it; `settings` is all that `restore` needs beside the arrays."""

    learner: str
    kind: Kind
    scorer: Scorer
    settings: Settings
    valid: Mapping[int, float]
    """Quality on the validation tasks by shots, on which all choices were made."""
    fit_seconds: float
    tune_seconds: float = 0.0
    """Seconds spent on settings that were not chosen."""
    history: History | None = None


@dataclass(frozen=True)
class Classic:
    """A classic is fitted in closed form or by its library, once for each setting of its grid; validation chooses."""

    cls: Any
    objectives: tuple[Objective, ...] = ("ranking",)
    kind: Kind = "classic"

    @property
    def options(self) -> Mapping[str, Any]:
        return _defaults(self.cls.fit)

    def fit(self, name: str, order: Order) -> Fitted:
        started = time.perf_counter()
        best: Fitted | None = None
        for point in self._grid(order.settings):
            begun = time.perf_counter()
            scorer = self.cls.fit(order.split.train, items=order.split.items, **point)
            took = time.perf_counter() - begun
            reached = quality(scorer, order.split.valid, order.objective)
            if best is None or overall(reached) > overall(best.valid):
                best = Fitted(name, self.kind, scorer, scorer.settings, reached, took)
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
    """A meta-learner is trained by the outer loop behind an encoder of its own; validation stops the training.

    `preset` holds whatever differs from the defaults of the constructors, by the names of their arguments.
    """

    cls: Callable[..., Learner]
    preset: Settings = field(default_factory=dict)
    objectives: tuple[Objective, ...] = ("ranking", "rating")
    kind: Kind = "meta"
    grid: tuple[Settings, ...] = ()
    """Settings that only matter in use: validation chooses among them once training is over."""
    serve: type[Neighbours] | None = None
    """What recommends in the place of the trained model, from it and the training tasks."""
    package: str | None = None
    """What must be installed for it beside our own dependencies."""

    @property
    def options(self) -> Mapping[str, Any]:
        own = {name: value for name, value in _defaults(self.cls).items() if name != "objective"}
        served = {} if self.serve is None else _defaults(self.serve)
        return {**_defaults(Encoder), **_defaults(FewShot), **_defaults(Schedule), **own, **served, **self.preset}

    def fit(self, name: str, order: Order) -> Fitted:
        started = time.perf_counter()
        settings = {**self.preset, **order.settings, "objective": order.objective}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(order.seed)
            model = self._model(Start.of_split(order.split, order.objective), settings)
        history = train(
            model,
            order.split.train,
            lambda scorer: quality(self._served(scorer, order, settings), order.split.valid, order.objective),
            schedule=Schedule(**_accepted(Schedule, settings)),
            seed=order.seed,
            seconds=order.seconds,
            checkpoint=order.checkpoint,
            progress=order.progress,
        )
        valid = history.quality[history.steps.index(history.best_step)]
        took = time.perf_counter() - started
        scorer = self._served(in_use(model), order, settings)
        return self._tuned(Fitted(name, self.kind, scorer, settings, valid, took, history=history), order)

    def _tuned(self, trained: Fitted, order: Order) -> Fitted:
        """The trained scorer with the settings of the grid that are best on validation, unless the caller chose."""
        started, best = time.perf_counter(), trained
        for point in self.grid:
            settings = {**trained.settings, **point, **order.settings}
            scorer = self.restore(trained.scorer.arrays(), settings)
            reached = quality(scorer, order.split.valid, order.objective)
            if overall(reached) > overall(best.valid):
                best = replace(trained, scorer=scorer, settings=settings, valid=reached)
        return replace(best, tune_seconds=time.perf_counter() - started)

    def restore(self, arrays: Arrays, settings: Settings) -> Scorer:
        model = self._model(Start.of_arrays(arrays), settings)
        model.load_state_dict({name: torch.from_numpy(np.asarray(arrays[name])) for name in model.state_dict()})
        if self.serve is None:
            return in_use(model)
        return self.serve.restore(in_use(model), arrays, **_accepted(self.serve, settings))

    def _served(self, trained: Trained, order: Order, settings: Settings) -> Scorer:
        if self.serve is None:
            return trained
        return self.serve.fit(trained, order.split.train, **_accepted(self.serve, settings))

    def _model(self, start: Start, settings: Settings) -> FewShot:
        _check_import(self.package)
        encoder = Encoder(
            start.appeal, content=start.content, profile_width=start.profile_width, **_accepted(Encoder, settings)
        )
        learner = self.cls(**{**_accepted(self.cls, settings), "dim": encoder.dim})
        return FewShot(
            encoder,
            learner,
            start.popularity,
            value_mean=start.value_mean,
            value_std=start.value_std,
            **_accepted(FewShot, settings),
        )


Recipe = Classic | Meta
RECIPES: dict[str, Recipe] = {
    "popularity": Classic(Popularity),
    "bias": Classic(Bias, objectives=("ranking", "rating")),
    "item-knn": Classic(ItemKNN),
    "ease": Classic(EASE),
    "als": Classic(ALS),
    "gru4rec": Meta(GRU4Rec, {**LIGHT, "tasks": 32}, ("ranking",), kind="classic"),
    "sasrec": Meta(SASRec, {**LIGHT, "tasks": 32, "rate": 0.003}, ("ranking",), kind="classic"),
    "in-context": Meta(InContext, WIDE),
    "ridge": Meta(Ridge),
    "matching": Meta(Matching, LIGHT),
    "siamese": Meta(Siamese, LIGHT),
    "prototype": Meta(Prototype, {"rate": 0.003}),
    "neural-process": Meta(NeuralProcess, {"rate": 0.003}),
    "siamese-users": Meta(Siamese, USERS, ("ranking",), grid=CROWDS, serve=Neighbours),
    "maml": Meta(MAML, LIGHT),
    "fomaml": Meta(MAML, {**LIGHT, "first_order": True}),
    "anil": Meta(MAML, {**LIGHT, "adapts": "output"}),
    "melu": Meta(MAML, {**LIGHT, "adapts": "decision"}),
    "meta-sgd": Meta(MAML, {**LIGHT, "learn_rates": "each"}),
    "reptile": Meta(Reptile, {**LIGHT, "inner": 512}, grid=SHORTER),
    "imaml": Meta(IMAML, LIGHT, grid=SHORTER),
    "meta-rnn": Meta(MetaRNN, LIGHT),
    "mann": Meta(MANN, LIGHT),
    "fine-tune": Meta(FineTune, kind="transfer", grid=DESCENTS),
    "learn2learn": Meta(Learn2Learn, LIGHT, package="learn2learn"),
}


def recipe(name: str, objective: Objective) -> Recipe:
    """The recipe of that name, if it can pursue the objective."""
    if name not in RECIPES:
        close = get_close_matches(name, RECIPES, n=1)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        raise Misuse(f'there is no learner "{name}"{hint} (there are {", ".join(RECIPES)})')
    found = RECIPES[name]
    if objective not in found.objectives:
        able = [other for other, entry in RECIPES.items() if objective in entry.objectives]
        raise Misuse(f'learner "{name}" has no objective "{objective}"; these have: {", ".join(able)}')
    if isinstance(found, Meta):
        _check_import(found.package)
    return found


def fit(name: str, order: Order) -> Fitted:
    """Fit the learner of that name to what `order` holds."""
    chosen = recipe(name, order.objective)
    for setting in order.settings:
        if setting not in chosen.options:
            known = ", ".join(f"{key}={value}" for key, value in chosen.options.items())
            raise Misuse(f'learner "{name}" has no setting "{setting}"; it has {known or "none"}')
        _check(setting, order.settings[setting], chosen)
    return chosen.fit(name, order)


def _check_import(package: str | None) -> None:
    """Whether a package can be imported that only one learner needs; now, and not when others have been fitted."""
    if package is None:
        return
    try:
        import_module(package)
    except (ImportError, OSError, RuntimeError) as error:  # the last two where its compiled parts do not fit
        raise Misuse(
            f'learner "{package}" runs the package of that name, which cannot be imported here ({shown(error)}); '
            "benchmarks/speed_meta.py says how to build it, or leave this learner out"
        ) from error


def _check(setting: str, value: Any, chosen: Recipe) -> None:
    """Whether a value is of the kind of its default: a choice, a truth value, a count, or a number not below 0."""
    default = chosen.options[setting]
    choices = get_args(signature(chosen.cls).parameters[setting].annotation) if isinstance(default, str) else ()
    if choices:
        right, expected = value in choices, f"one of {', '.join(choices)}"
    elif isinstance(default, bool):
        right, expected = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        right, expected = isinstance(value, int) and not isinstance(value, bool) and value > 0, "a whole number above 0"
    else:
        right, expected = isinstance(value, int | float) and 0 <= value < float("inf"), "a number from 0 up"
    if not right:
        raise Misuse(f'setting "{setting}" is {expected} (default {default}), not {value!r}')


def _defaults(function: Any) -> dict[str, Any]:
    """The settings of a constructor that a caller may choose: keyword arguments whose default is a plain value."""
    parameters = signature(function).parameters.values()
    return {p.name: p.default for p in parameters if isinstance(p.default, int | float | str) and p.name not in FIXED}


def _accepted(function: Any, settings: Settings) -> dict[str, Any]:
    names = signature(function).parameters
    return {name: value for name, value in settings.items() if name in names}
