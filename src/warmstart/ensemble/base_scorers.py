"""Bases: fitted scorers, and what they say of the catalogue on one scale."""

import math
from collections.abc import Collection, Mapping

import numpy as np
import torch
from jaxtyping import Float32

from warmstart.scorer import Scorer
from warmstart.tasks.tasks import Examples, Profile

ItemScores = Float32[np.ndarray, "T I"]


class BaseScorers:
    """Scorers by name, heard as one; those in `logits` score by the logarithm of a likelihood, up
    to a constant.
    """

    def __init__(self, scorers: Mapping[str, Scorer], logits: Collection[str] = ()) -> None:
        self.scorers, self.logits = scorers, logits
        self.items = next(iter(scorers.values())).items

    def scores(self, support: Examples, profile: Profile = None) -> ItemScores:
        """The mean of what they say of each item after each support set, each with a spread of
        about one.
        """
        said = [self._of(name, support, profile) for name in self.scorers]
        return said[0] if len(said) == 1 else np.asarray(np.mean(np.stack(said), axis=0))

    def _of(self, name: str, support: Examples, profile: Profile) -> ItemScores:
        scores = self.scorers[name].score(
            self.scorers[name].adapt(support, profile), np.arange(self.items)
        )
        return log_lift(scores) if name in self.logits else z_scores(scores)

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            f"{name}.{key}": array
            for name, one in self.scorers.items()
            for key, array in one.arrays().items()
        }


def log_lift(scores: ItemScores) -> ItemScores:
    """How much likelier than any item each is thought to be: the logarithm, over 3."""
    logits = torch.from_numpy(scores)
    mean = logits.logsumexp(dim=1, keepdim=True) - math.log(scores.shape[1])
    return (logits - mean).div_(3).numpy()


def z_scores(scores: ItemScores) -> ItemScores:
    """Scores of any scale with mean 0 and standard deviation 1; none of them, where all are
    alike.
    """
    off = scores - scores.mean(axis=1, keepdims=True)
    return (off / np.maximum(scores.std(axis=1, keepdims=True), 1e-9)).astype(np.float32)
