"""Meta-training of any model on any source of episodes, in one call."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from warmstart.meta.episode import Episode
from warmstart.training.outer_loop import Progress, ValidationCurve, outer_loop
from warmstart.training.schedule import Schedule

VALIDATION = 2**32 - 1  # the stream of random numbers that validation episodes come from


@dataclass(frozen=True)
class FunctionEpisodes:
    """Episodes that a function draws: `function(rng)` is a batch of them."""

    function: Callable[[np.random.Generator], Episode]

    def draw(self, rng: np.random.Generator) -> Episode:
        return self.function(rng)

    def identity(self) -> bytes:
        """The name of the function, which is all that a checkpoint can compare."""
        return getattr(self.function, "__qualname__", type(self.function).__qualname__).encode()


def meta_train(
    model: nn.Module,
    episodes: Callable[[np.random.Generator], Episode],
    *,
    steps: int = 1000,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.0,
    validation: Callable[[np.random.Generator], Episode] | None = None,
    validate_every: int = 100,
    validation_batches: int = 10,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> ValidationCurve:
    """Train `model` on episodes and leave it with its best weights; returns the validation curve.

    `model(episode, rng)` is a differentiable loss, as of `GradientDescent` and `Prototypes`;
    `episodes(rng)` draws a batch of tasks. The best weights are those with the least mean loss on
    `validation_batches` batches of `validation`, the same batches each time; without `validation`
    they are drawn from `episodes`, from random numbers that training never uses. The same seed
    gives the same weights; a killed run continues from its `checkpoint`.
    """
    source = validation or episodes

    def validate(trained: nn.Module) -> dict[int, float]:
        trained.eval()
        rng = np.random.default_rng([seed, VALIDATION])
        with torch.no_grad():
            losses = [float(trained(source(rng), rng)) for _ in range(validation_batches)]
        return {0: -float(np.mean(losses))}

    schedule = Schedule(
        steps=steps,
        rate=learning_rate,
        weight_decay=weight_decay,
        validate_every=validate_every,
        patience=steps,
    )
    return outer_loop(
        model,
        FunctionEpisodes(episodes),
        validate,
        schedule=schedule,
        seed=seed,
        facts=[type(model).__name__],
        checkpoint=checkpoint,
        progress=progress,
    )
