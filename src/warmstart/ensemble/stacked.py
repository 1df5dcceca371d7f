"""Stack: fitted scorers, and what past tasks say by counting, weighed by a judge.

What was met of late is among what the judge hears: of what a new catalogue holds, a network that
was trained for an hour knows nothing, the last hundred clicks do.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from warmstart.arrays import strip_prefix
from warmstart.ensemble.base_scorers import BaseScorers
from warmstart.ensemble.combiner import Combiner, clip_shots
from warmstart.ensemble.count_features import CountFeatures
from warmstart.scorer import Candidates, Scores, candidates_of
from warmstart.tasks.tasks import Examples, Profile

BASE_PREFIX, JUDGE = "base.", "judge."
"""What the names of the arrays of the two begin with."""


class StackedScorer:
    """This scores the whole catalogue at once; its state are the scores."""

    def __init__(self, bases: BaseScorers, memory: CountFeatures, judge: Combiner) -> None:
        self.base_scorers, self.count_features, self.combiner, self.items = (
            bases,
            memory,
            judge.eval(),
            bases.items,
        )
        with torch.no_grad():
            self.item_context = judge.of_item(torch.from_numpy(memory.item_features))  # (I, H)
        self.of_unit = (
            self.item_context.T.contiguous()
        )  # the same as a row for each unit, which is faster to go through

    @torch.no_grad()
    def adapt(self, support: Examples, profile: Profile = None) -> Float32[np.ndarray, "T I"]:
        base = torch.from_numpy(self.base_scorers.scores(support, profile))
        heard, shots = (
            self.count_features.extract(support),
            self.combiner.of_shots[clip_shots(self.count_features.shots(support))],
        )
        scores = self.combiner.score_without_features(base, self.of_unit, shots)
        task, item = torch.from_numpy(heard.task), torch.from_numpy(heard.item)
        context = self.item_context[item] + shots[task]
        scores[task, item] = self.combiner(
            base[task, item], torch.from_numpy(heard.values), context
        )
        return scores.numpy()

    def score(self, state: Float32[np.ndarray, "T I"], items: Candidates) -> Scores:
        return candidates_of(state, items)

    def with_sessions(self, more: Examples) -> "StackedScorer":
        """The same, with sessions that came since; nothing is trained."""
        return StackedScorer(
            self.base_scorers, self.count_features.with_sessions(more), self.combiner
        )

    @property
    def met(self) -> Any:
        """What the past tasks met."""
        return self.count_features.session_knn.met

    def read(self, support: Examples, profile: Profile = None) -> Any:
        """The past tasks that are like a support set, and how much."""
        return self.count_features.session_knn.read(support, profile)

    def arrays(self) -> dict[str, np.ndarray]:
        judge = {
            JUDGE + name: tensor.numpy().copy()
            for name, tensor in self.combiner.state_dict().items()
        }
        past = {
            "past.item": self.count_features.past.item,
            "past.start": self.count_features.past.start,
        }
        past |= {
            "past.ordered": np.array(self.count_features.ordered),
            "past.elsewhere": self.count_features.source_items,
        }
        return {
            **{BASE_PREFIX + name: array for name, array in self.base_scorers.arrays().items()},
            **judge,
            **past,
        }

    @classmethod
    def restore(cls, bases: BaseScorers, arrays: Mapping[str, np.ndarray]) -> "StackedScorer":
        past = Examples.plain(arrays["past.item"], arrays["past.start"])
        memory = CountFeatures.fit(past, bool(arrays["past.ordered"]), arrays["past.elsewhere"])
        of_judge = strip_prefix(arrays, JUDGE)
        judge = Combiner(len(of_judge["out"]))
        judge.load_state_dict({name: torch.from_numpy(array) for name, array in of_judge.items()})
        return cls(bases, memory, judge)
