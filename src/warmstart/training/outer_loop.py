"""Outer loop: training any model on any source of episodes, with validation, early stopping and
resumable checkpoints.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import nn

from warmstart.durations import UNLIMITED, Deadline
from warmstart.training.checkpoint import (
    Checkpoint,
    copied,
    identity_of,
    load_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from warmstart.training.schedule import Schedule

logger = logging.getLogger(__name__)
M = TypeVar("M", bound=nn.Module)
Quality = Mapping[int, float]
"""How good a model is on validation tasks, by number of shots; higher is better."""
HEAD_START = 0.05
"""Share of a run by which time has to be ahead of steps to shorten it."""
MAX_GRADIENT_NORM = 10.0
WARM_UP = 0.05
"""Share of a run in which the learning rate rises."""


@dataclass
class ValidationCurve:
    """The validation curve of one training run: quality by shots at each validated step, and the
    best step.
    """

    steps: list[int] = field(default_factory=list)
    quality: list[dict[int, float]] = field(default_factory=list)

    def add(self, step: int, quality: Quality) -> None:
        self.steps.append(step)
        self.quality.append(dict(quality))

    @classmethod
    def from_json(cls, curve: Mapping[str, Any]) -> "ValidationCurve":
        """The curve whose `asdict` went through JSON, where keys are text."""
        quality = [
            {int(shots): value for shots, value in entry.items()} for entry in curve["quality"]
        ]
        return cls(list(curve["steps"]), quality)

    @property
    def means(self) -> list[float]:
        """The mean over the numbers of shots, at each validated step."""
        return [float(np.mean(list(quality.values()))) for quality in self.quality]

    @property
    def best_step(self) -> int:
        return self.steps[int(np.argmax(self.means))]

    @property
    def since_best(self) -> int:
        """Validations since the best one."""
        return len(self.means) - 1 - int(np.argmax(self.means))

    @property
    def summary(self) -> str:
        """How the training ended, in words."""
        last = self.steps[-1]
        if self.since_best == 0:
            return f"validation was still improving when training ended at step {last}"
        return f"validation was best at step {self.best_step} of {last}"


Progress = Callable[[int, int, ValidationCurve], None]


@runtime_checkable
class Episodes(Protocol):
    """A source of episodes: whatever a model can be trained on, a batch at a time."""

    def draw(self, rng: np.random.Generator) -> Any:
        """A batch of episodes, as the model's `forward(batch, rng)` takes it."""
        ...

    def identity(self) -> bytes:
        """What tells this source from another one, for checkpoints."""
        ...


def outer_loop(
    model: M,
    episodes: Episodes,
    validate: Callable[[M], Quality],
    *,
    schedule: Schedule,
    seed: int,
    facts: Sequence[Any] = (),
    deadline: Deadline = UNLIMITED,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> ValidationCurve:
    """Train any model on any source of episodes; returns the validation curve.

    `model(batch, rng)` is the loss of a batch, differentiable. The model is trained in place and
    left with the weights of its best validation; before the first step it is validated, too, so
    that training can only make it better. With a `deadline` a schedule that is too long is
    shortened to end by then, after one step at the earliest, and depends on the machine. Else all
    randomness of a step comes from (`seed`, step), so a run that was killed continues from its
    `checkpoint` to the same weights as one that was not; `facts` tell its checkpoint from those of
    other runs. The process's own random state is left as it was.
    """
    run = _Run(model, episodes, schedule, seed, deadline)
    identity = run.identity(facts)
    if checkpoint is not None and checkpoint.exists():
        run.resume(load_checkpoint(checkpoint, identity))
    if not run.curve.steps:
        run.record(validate(model))
    while run.step == 0 or (run.done < 1 and run.curve.since_best < schedule.patience):
        with torch.random.fork_rng(devices=[]):
            run.take_step()
        if run.step % schedule.validate_every == 0 or run.done >= 1:
            run.record(validate(model))
            if checkpoint is not None:
                save_checkpoint(checkpoint, run.checkpoint(), identity)
        if progress is not None:
            progress(run.step, schedule.steps, run.curve)
    model.load_state_dict(run.best)
    model.eval()
    best, planned = max(run.curve.means), schedule.steps
    logger.info("%s; %d were planned; best validation %.5g", run.curve.summary, planned, best)
    return run.curve


class _Run:
    """The state of one training run, which a checkpoint holds whole."""

    def __init__(
        self,
        model: nn.Module,
        episodes: Episodes,
        schedule: Schedule,
        seed: int,
        deadline: Deadline,
    ) -> None:
        self.model, self.episodes, self.schedule, self.seed = model, episodes, schedule, seed
        self.deadline = deadline.share(1.0)  # of what is left, now that training begins
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=schedule.rate, weight_decay=schedule.weight_decay
        )
        self.step = 0
        self.curve = ValidationCurve()
        self.best = copied(model.state_dict())

    @property
    def done(self) -> float:
        """The share of the run that is over, by steps or by time.

        Time has to be ahead of the steps by `HEAD_START` to count, so that a run that its budget
        does not shorten goes the same way whatever the speed of the machine.
        """
        by_steps = self.step / self.schedule.steps
        if self.deadline.unlimited:
            return by_steps
        by_time = self.deadline.elapsed_share
        return 1.0 if by_time >= 1 else max(by_steps, by_time - HEAD_START)

    def take_step(self) -> None:
        rng = np.random.default_rng([self.seed, self.step])
        torch.manual_seed(int(rng.integers(2**63)))
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate * _share_of_rate(self.done)
        batch = self.episodes.draw(rng)
        self.optimizer.zero_grad()
        self.model(batch, rng).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.step += 1

    def record(self, quality: Quality) -> None:
        """Add a validation to the curve, and keep the weights if it is the best so far."""
        self.curve.add(self.step, quality)
        if self.curve.since_best == 0:
            self.best = copied(self.model.state_dict())

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            model=self.model.state_dict(),
            best=self.best,
            optimizer=self.optimizer.state_dict()["state"],
            step=self.step,
            curve=asdict(self.curve),
        )

    def resume(self, saved: Checkpoint) -> None:
        """Stand where the saved run stood."""
        self.model.load_state_dict(saved.model)
        self.best, self.step = dict(saved.best), saved.step
        restore_optimizer(self.optimizer, saved.optimizer)
        self.curve = ValidationCurve.from_json(saved.curve)

    def identity(self, facts: Sequence[Any]) -> str:
        shapes = {name: list(tensor.shape) for name, tensor in self.model.state_dict().items()}
        return identity_of(
            [*facts, shapes, asdict(self.schedule), self.seed], self.episodes.identity()
        )


def _share_of_rate(done: float) -> float:
    """A short linear warm-up, then a cosine to zero."""
    if done < WARM_UP:
        return (done + 0.001) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (min(done, 1.0) - WARM_UP) / (1 - WARM_UP)))
