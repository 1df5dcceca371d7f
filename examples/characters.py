"""Five-way one-shot classification of drawn characters, as in Omniglot (Lake et al., 2015).

    python examples/characters.py [STEPS]

A class is a character of a made-up alphabet: a few strokes. A task shows one drawing each of five
characters that were never seen in training, and asks which of them fifteen further drawings are.
"""

import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from warmstart.meta import Episode, Prototypes, meta_train

WAYS, SHOTS, QUERIES, SIZE = 5, 1, 3, 16
TRAIN, TEST = range(300), range(300, 400)  # characters by number


def drawings(characters: np.ndarray, rng: np.random.Generator, each: int) -> np.ndarray:
    """Drawings of characters, each a bit otherwise: (C,) -> (C, each, SIZE, SIZE)."""
    strokes = np.stack(
        [np.random.default_rng(int(c)).uniform(2, SIZE - 2, (3, 2, 2)) for c in characters]
    )
    shift = rng.uniform(-3, 3, (len(characters), each, 1, 1, 2))
    moved = strokes[:, None] + shift + rng.normal(0, 0.7, (len(characters), each, 3, 2, 2))
    along = np.linspace(0, 1, 12)[:, None]
    points = moved[..., :1, :] * along + moved[..., 1:, :] * (1 - along)  # (C, each, 3, 12, 2)
    grid = np.arange(SIZE)
    ink = (
        np.exp(-((points[..., 0, None] - grid) ** 2))[..., :, None]
        * np.exp(-((points[..., 1, None] - grid) ** 2))[..., None, :]
    )
    return ink.max(axis=(2, 3)).astype(np.float32)


def episodes(characters: range, tasks: int = 16) -> Callable[[np.random.Generator], Episode]:
    """A source of five-way episodes of some characters."""

    def draw(rng: np.random.Generator) -> Episode:
        chosen = np.stack([rng.choice(characters, WAYS, replace=False) for _ in range(tasks)])
        images = drawings(chosen.ravel(), rng, SHOTS + QUERIES)
        images = images.reshape(tasks, WAYS, SHOTS + QUERIES, SIZE, SIZE).swapaxes(1, 2)
        x = images.reshape(tasks, -1, SIZE, SIZE)
        y = np.tile(np.arange(WAYS), (tasks, SHOTS + QUERIES))
        return Episode.split(x, y, shots=WAYS * SHOTS)

    return draw


def encoder(outputs: int = 64) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(SIZE * SIZE, 128), nn.ReLU(), nn.Linear(128, outputs)
    )


def accuracy(learner: nn.Module, episode: Episode) -> float:
    """The share of query drawings that are given their own character."""
    state = learner.adapt(episode.support_x, episode.support_y)
    found = learner.score(state, episode.query_x).argmax(dim=-1)
    return float((found == episode.query_y).float().mean())


def main(steps: int = 600) -> None:
    torch.manual_seed(0)
    learner = Prototypes(encoder())
    test = episodes(TEST, tasks=200)(np.random.default_rng(1))
    before = accuracy(learner, test)
    meta_train(learner, episodes(TRAIN), steps=steps, validate_every=steps // 4)
    after = accuracy(learner, test)
    print(f"new characters recognised: {before:.0%} before training, {after:.0%} after")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
