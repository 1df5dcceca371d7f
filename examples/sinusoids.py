"""Regression from ten points: a sine wave, and the rest of it (Finn et al., ICML 2017).

    python examples/sinusoids.py [STEPS]

A task is a sine wave of random amplitude and phase. Before adaptation the network knows waves in
general, after one gradient step on ten points it knows this one.
"""

import sys

import numpy as np
import torch
from torch import nn

from warmstart.meta import Episode, GradientDescent, meta_train


def sinusoids(rng: np.random.Generator, tasks: int = 25) -> Episode:
    """Ten points of each wave to adapt to, and ten to predict."""
    amplitude, phase = rng.uniform(0.1, 5, (tasks, 1)), rng.uniform(0, np.pi, (tasks, 1))
    x = rng.uniform(-5, 5, (tasks, 20))
    return Episode.split(x[..., None], amplitude * np.sin(x - phase), shots=10)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
    )


def main(steps: int = 2000) -> None:
    torch.manual_seed(0)
    learner = GradientDescent(network(), objective="rating", inner_steps=1, inner_rate=0.01)
    curve = meta_train(learner, sinusoids, steps=steps, validate_every=steps // 4)
    print("mean squared error on new waves:", [round(-value, 2) for value in curve.means])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
