"""Training: the outer loop, the only one of the package, with validation, early stopping and
resumable checkpoints.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from warmstart.arrays import strip_prefix
from warmstart.errors import Misuse
from warmstart.model.few_shot import FewShot
from warmstart.model.fitted import FittedModel
from warmstart.tasks.tasks import Tasks

Quality = Mapping[int, float]  # by number of shots; higher is better
HEAD_START = 0.05
Validate = Callable[[FittedModel], Quality]


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and on which episodes to train; chosen on validation figures."""

    steps: int = 1500
    tasks: int = 128
    rate: float = 6e-3
    weight_decay: float = 1e-4
    most_shots: int = 30
    queries: int = 100
    validate_every: int = 100
    patience: int = 8
    """Validations without a better one after which training stops."""
    passes: int = 0
    """Times that as many tasks are drawn as there are, after which training ends before `steps`; 0:
    no such end.
    """

    def on(self, tasks: Tasks) -> "Schedule":
        """The schedule on these tasks."""
        if not self.passes:
            return self
        return replace(self, steps=max(1, min(self.steps, self.passes * len(tasks) // self.tasks)))


@dataclass
class History:
    """The validation curve of one training run: quality by shots at each step looked at, and the
    best step.
    """

    steps: list[int] = field(default_factory=list)
    quality: list[dict[int, float]] = field(default_factory=list)

    def add(self, step: int, quality: Quality) -> None:
        self.steps.append(step)
        self.quality.append(dict(quality))

    @property
    def means(self) -> list[float]:
        """The mean over the numbers of shots, at each step looked at."""
        return [float(np.mean(list(quality.values()))) for quality in self.quality]

    @property
    def best_step(self) -> int:
        return self.steps[int(np.argmax(self.means))]

    @property
    def since_best(self) -> int:
        """Validations since the best one."""
        return len(self.means) - 1 - int(np.argmax(self.means))

    @property
    def verdict(self) -> str:
        """How the training ended, in words."""
        last = self.steps[-1]
        if self.since_best == 0:
            return f"validation was still improving when training ended at step {last}"
        return f"validation was best at step {self.best_step} of {last}"


Progress = Callable[[int, int, History], None]


def train(
    model: FewShot,
    tasks: Tasks,
    validate: Validate,
    *,
    schedule: Schedule,
    seed: int,
    seconds: float | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> History:
    """Train `model` in place and leave it with the weights of its best validation; returns the
    validation curve.

    With `seconds` a schedule that is too long is shortened to end by then, after one step at the
    earliest, and depends on the machine. Else all randomness of a step comes from (`seed`, step),
    so a run that was killed goes on from its `checkpoint` to the same weights as one that was not.
    The process's own random state is left as it was.
    """
    run = _Run(model, schedule, seed, seconds, tasks)
    if checkpoint is not None and checkpoint.exists():
        run.load(checkpoint)
    if not run.history.steps:
        run.look(
            validate(FittedModel(model))
        )  # training may only make better what the data say before it
    while run.step == 0 or (run.done < 1 and run.history_is_open()):
        with torch.random.fork_rng(devices=[]):
            run.take_step()
        if run.step % schedule.validate_every == 0 or run.done >= 1:
            run.look(validate(FittedModel(model)))
            if checkpoint is not None:
                run.save(checkpoint)
        if progress is not None:
            progress(run.step, schedule.steps, run.history)
    model.load_state_dict(run.best)
    model.eval()
    return run.history


class _Run:
    """The state of one training run, which a checkpoint holds whole."""

    def __init__(
        self, model: FewShot, schedule: Schedule, seed: int, seconds: float | None, tasks: Tasks
    ) -> None:
        self.model, self.schedule, self.seed = model, schedule, seed
        self.begun, self.seconds, self.tasks = time.monotonic(), seconds, tasks
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=schedule.rate, weight_decay=schedule.weight_decay
        )
        self.step = 0
        self.history = History()
        self.best = _copy(model.state_dict())

    @property
    def done(self) -> float:
        """The share of the run that is over, by steps or by time.

        Time has to be ahead of the steps by `HEAD_START` to count, so that a run that its budget
        does not shorten goes the same way whatever the speed of the machine.
        """
        by_steps = self.step / self.schedule.steps
        if self.seconds is None:
            return by_steps
        by_time = (time.monotonic() - self.begun) / self.seconds
        return 1.0 if by_time >= 1 else max(by_steps, by_time - HEAD_START)

    def history_is_open(self) -> bool:
        return self.history.since_best < self.schedule.patience

    def take_step(self) -> None:
        rng = np.random.default_rng([self.seed, self.step])
        torch.manual_seed(int(rng.integers(2**63)))
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate * _share_of_rate(self.done)
        batch = self.tasks.episodes(
            rng,
            self.schedule.tasks,
            most_shots=self.schedule.most_shots,
            queries=self.schedule.queries,
            whole=self.model.learner.trains_on_sequences,
        )
        self.optimizer.zero_grad()
        self.model(batch, rng).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        self.step += 1

    def look(self, quality: Quality) -> None:
        self.history.add(self.step, quality)
        if self.history.since_best == 0:
            self.best = _copy(self.model.state_dict())

    def save(self, path: Path) -> None:
        """Write the checkpoint whole or not at all."""
        state = self.optimizer.state_dict()["state"]
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= {
            f"adam.{i}.{name}": value for i, entry in state.items() for name, value in entry.items()
        }
        facts = {
            "step": self.step,
            "identity": self._identity(),
            "history": json.dumps(asdict(self.history)),
        }
        partial = path.with_suffix(".partial")
        save_file(
            _copy(tensors), partial, metadata={name: str(value) for name, value in facts.items()}
        )
        partial.replace(path)

    def load(self, path: Path) -> None:
        tensors, facts = _read(path)
        if facts["identity"] != self._identity():
            raise Misuse(
                f"{path} is the checkpoint of a run with another learner, data, settings or seed; "
                "delete it, or write this model to another folder"
            )
        self.model.load_state_dict(strip_prefix(tensors, "model."))
        self.best = strip_prefix(tensors, "best.")
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in strip_prefix(tensors, "adam.").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.step = int(facts["step"])
        history = json.loads(facts["history"])
        quality = [
            {int(shots): value for shots, value in entry.items()} for entry in history["quality"]
        ]
        self.history = History(history["steps"], quality)

    def _identity(self) -> str:
        """A digest of all that decides how the run goes: equal for a run that was killed and
        started again.
        """
        shapes = {name: list(tensor.shape) for name, tensor in self.model.state_dict().items()}
        what = [
            type(self.model.learner).__name__,
            self.model.learner.is_ranking,
            shapes,
            asdict(self.schedule),
            self.seed,
        ]
        digest = hashlib.sha256(json.dumps(what).encode())
        for column in (self.tasks.met.item, self.tasks.met.value, self.tasks.met.start):
            digest.update(column.tobytes())
        return digest.hexdigest()


def _share_of_rate(done: float) -> float:
    """A short linear warm-up, then a cosine to zero."""
    warm_up = 0.05
    if done < warm_up:
        return (done + 0.001) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (min(done, 1.0) - warm_up) / (1 - warm_up)))


def _copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        return load_file(path), file.metadata()
