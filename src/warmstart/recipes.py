"""Recipes: the one place where names become learners, and how each is fitted, tuned and restored."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch

from warmstart.classics import ALS, EASE, Bias, ItemKNN, Popularity
from warmstart.encoder import Encoder
from warmstart.learner import Learner
from warmstart.learners import MAML, InContext, Matching, Ridge, Siamese
from warmstart.model import FewShot, Trained
from warmstart.scorer import Scorer
from warmstart.tasks import Split, Tasks
from warmstart.training import History, Progress, Schedule, train
from warmstart.validation import Objective, quality

Kind = Literal["classic", "meta", "transfer"]
Settings = Mapping[str, Any]
Arrays = dict[str, np.ndarray]


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
    fit_seconds: float
    tune_seconds: float = 0.0
    history: History | None = None


class Recipe(Protocol):
    """This makes a scorer of a split, and again of the arrays of a fitted one."""

    kind: Kind
    objectives: tuple[Objective, ...]

    def fit(self, name: str, order: Order) -> Fitted: ...

    def restore(self, arrays: Arrays, settings: Settings) -> Scorer: ...


@dataclass(frozen=True)
class Classic:
    """A classic is fitted in closed form or by its library, once for each setting of its grid; validation chooses."""

    cls: Any
    objectives: tuple[Objective, ...] = ("ranking",)
    kind: Kind = "classic"

    def fit(self, name: str, order: Order) -> Fitted:
        started = time.perf_counter()
        grid = [{**point, **order.settings} for point in self.cls.GRID] or [dict(order.settings)]
        if set(order.settings) >= {key for point in self.cls.GRID for key in point}:
            grid = grid[:1]
        best, best_quality, fit_seconds = None, -np.inf, 0.0
        for point in grid:
            begun = time.perf_counter()
            scorer = self.cls.fit(order.split.train, items=order.split.items, **point)
            took = time.perf_counter() - begun
            reached = float(np.mean(list(quality(scorer, order.split.valid, order.objective).values())))
            if reached > best_quality:
                best, best_quality, fit_seconds = scorer, reached, took
            if order.seconds is not None and time.perf_counter() - started > order.seconds:
                break
        assert best is not None, "a grid has at least one point"
        return Fitted(name, self.kind, best, best.settings, fit_seconds, time.perf_counter() - started - fit_seconds)

    def restore(self, arrays: Arrays, settings: Settings) -> Scorer:
        return self.cls.restore(arrays, settings)


@dataclass(frozen=True)
class Meta:
    """A meta-learner is trained by the outer loop behind an encoder of its own; validation stops the training."""

    cls: type[Learner]
    preset: Settings = field(default_factory=dict)
    schedule: Settings = field(default_factory=dict)
    model: Settings = field(default_factory=dict)
    objectives: tuple[Objective, ...] = ("ranking", "rating")
    kind: Kind = "meta"

    def fit(self, name: str, order: Order) -> Fitted:
        started = time.perf_counter()
        settings = self._settings(order)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(order.seed)
            model = self._build(order.split, settings)
        history = train(
            model,
            order.split.train,
            lambda scorer: quality(scorer, order.split.valid, order.objective),
            schedule=Schedule(**settings["schedule"]),
            seed=order.seed,
            seconds=order.seconds,
            checkpoint=order.checkpoint,
            progress=order.progress,
        )
        took = time.perf_counter() - started
        return Fitted(name, self.kind, Trained(model), settings, took, history=history)
