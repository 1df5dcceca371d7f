"""Stacked scorer: base scorers and count features of past tasks, weighed by a trained combiner.

Popularity in the latest events is among the features: of a new catalogue a network that was trained
for an hour knows nothing, the last hundred clicks do.
"""

import math
from collections.abc import Collection, Mapping

import numpy as np
import torch
from jaxtyping import Float32

from warmstart.arrays import strip_prefix
from warmstart.ensemble.combiner import Combiner, clip_shots
from warmstart.ensemble.count_features import CountFeatures
from warmstart.scorer import (
    Candidates,
    Capabilities,
    Scorer,
    Scores,
    candidates_of,
)
from warmstart.tasks.examples import Examples, Profile

CatalogueScores = Float32[np.ndarray, "T I"]
BASE_PREFIX, COMBINER_PREFIX = "base.", "judge."
"""Prefixes on disk of the arrays of the base scorers and of the combiner."""


class BaseScorers:
    """Base (level-0) scorers by name, standardised and averaged.

    Scores of those in `logits` are logarithms of a likelihood, up to a constant for each task.
    """

    def __init__(self, scorers: Mapping[str, Scorer], logits: Collection[str] = ()) -> None:
        self.scorers, self.logits = scorers, logits
        self.items = next(iter(scorers.values())).items

    def scores(self, support: Examples, profile: Profile = None) -> CatalogueScores:
        """The mean of the standardised scores of all base scorers after T support sets: (T, I)."""
        scores = [self._standardised(name, support, profile) for name in self.scorers]
        return scores[0] if len(scores) == 1 else np.asarray(np.mean(np.stack(scores), axis=0))

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of all base scorers, each below its name."""
        return {
            f"{name}.{key}": array
            for name, scorer in self.scorers.items()
            for key, array in scorer.arrays().items()
        }

    def _standardised(self, name: str, support: Examples, profile: Profile) -> CatalogueScores:
        scorer = self.scorers[name]
        scores = scorer.score(scorer.adapt(support, profile), np.arange(self.items))
        return log_lift(scores) if name in self.logits else z_scores(scores)


class StackedScorer:
    """The scores of a combiner for the whole catalogue; its state are these scores, (T, I)."""

    def __init__(
        self, base_scorers: BaseScorers, count_features: CountFeatures, combiner: Combiner
    ) -> None:
        self.base_scorers, self.count_features = base_scorers, count_features
        self.combiner, self.items = combiner.eval(), base_scorers.items
        features = torch.from_numpy(count_features.item_features)  # (I, P)
        with torch.no_grad():
            self.item_context = combiner.of_item(features)  # (I, H)
        # one row for each hidden unit is faster to go through
        self.context_by_unit = self.item_context.T.contiguous()  # (H, I)

    @torch.no_grad()
    def adapt(self, support: Examples, profile: Profile = None) -> CatalogueScores:
        base = torch.from_numpy(self.base_scorers.scores(support, profile))  # (T, I)
        features = self.count_features.extract(support)
        shots = clip_shots(self.count_features.shots(support))
        of_shots = self.combiner.of_shots[shots]  # (T, H)
        # most items have no features; those that have some are scored again
        scores = self.combiner.score_without_features(base, self.context_by_unit, of_shots)
        task, item = torch.from_numpy(features.task), torch.from_numpy(features.item)
        context = self.item_context[item] + of_shots[task]  # (N, H)
        values = torch.from_numpy(features.values)  # (N, W)
        scores[task, item] = self.combiner(base[task, item], values, context)
        return scores.numpy()

    def score(self, state: CatalogueScores, items: Candidates) -> Scores:
        return candidates_of(state, items)

    def with_sessions(self, more: Examples) -> "StackedScorer":
        """The scorer with later sessions in its counts; nothing is trained."""
        return StackedScorer(
            self.base_scorers, self.count_features.with_sessions(more), self.combiner
        )

    @property
    def capabilities(self) -> Capabilities:
        """The training sessions that the count features read."""
        return Capabilities(neighbours=self.count_features.session_knn.capabilities.neighbours)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs; the counts are made anew from the past tasks."""
        base = {BASE_PREFIX + name: array for name, array in self.base_scorers.arrays().items()}
        weights = {
            COMBINER_PREFIX + name: tensor.numpy().copy()
            for name, tensor in self.combiner.state_dict().items()
        }
        past = self.count_features.past
        return {
            **base,
            **weights,
            "past.item": past.item,
            "past.start": past.offsets,
            "past.ordered": np.array(self.count_features.ordered),
            "past.elsewhere": self.count_features.source_items,
        }

    @classmethod
    def restore(
        cls, base_scorers: BaseScorers, arrays: Mapping[str, np.ndarray]
    ) -> "StackedScorer":
        """The scorer of which these are the arrays, with base scorers that were restored before."""
        past = Examples.unweighted(arrays["past.item"], arrays["past.start"])
        ordered, source_items = bool(arrays["past.ordered"]), arrays["past.elsewhere"]
        weights = strip_prefix(arrays, COMBINER_PREFIX)
        combiner = Combiner(len(weights["out"]))
        combiner.load_state_dict({name: torch.from_numpy(one) for name, one in weights.items()})
        return cls(base_scorers, CountFeatures.fit(past, ordered, source_items), combiner)


def log_lift(scores: CatalogueScores) -> CatalogueScores:
    """Log of the likelihood of each item over the mean likelihood, divided by 3.

    The division brings the scores to about the scale of `z_scores`.
    """
    logits = torch.from_numpy(scores)
    log_mean = logits.logsumexp(dim=1, keepdim=True) - math.log(scores.shape[1])
    return (logits - log_mean).div_(3).numpy()


def z_scores(scores: CatalogueScores) -> CatalogueScores:
    """Scores with mean 0 and standard deviation 1 in each task; all 0 where they are equal."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    return (centred / np.maximum(scores.std(axis=1, keepdims=True), 1e-9)).astype(np.float32)
