"""Stack: fitted scorers, and what past tasks say by counting, weighed by a judge.

What was met of late is among what the judge hears: of what a new catalogue holds, a network that
was trained for an hour knows nothing, the last hundred clicks do.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from warmstart.arrays import under
from warmstart.ensemble.base_scorers import Bases
from warmstart.ensemble.combiner import Judge, many
from warmstart.ensemble.count_features import Memory
from warmstart.scorer import Candidates, Scores, candidates_of
from warmstart.tasks.tasks import Examples, Profile

BASE, JUDGE = "base.", "judge."
"""What the names of the arrays of the two begin with."""


class Stack:
    """This scores the whole catalogue at once; its state are the scores."""

    def __init__(self, bases: Bases, memory: Memory, judge: Judge) -> None:
        self.bases, self.memory, self.judge, self.items = bases, memory, judge.eval(), bases.items
        with torch.no_grad():
            self.of_item = judge.of_item(torch.from_numpy(memory.of_items))  # (I, H)
        self.of_unit = (
            self.of_item.T.contiguous()
        )  # the same as a row for each unit, which is faster to go through

    @torch.no_grad()
    def adapt(self, support: Examples, profile: Profile = None) -> Float32[np.ndarray, "T I"]:
        base = torch.from_numpy(self.bases.said(support, profile))
        heard, shots = (
            self.memory.heard(support),
            self.judge.of_shots[many(self.memory.shots(support))],
        )
        scores = self.judge.unsaid(base, self.of_unit, shots)
        task, item = torch.from_numpy(heard.task), torch.from_numpy(heard.item)
        context = self.of_item[item] + shots[task]
        scores[task, item] = self.judge(base[task, item], torch.from_numpy(heard.said), context)
        return scores.numpy()

    def score(self, state: Float32[np.ndarray, "T I"], items: Candidates) -> Scores:
        return candidates_of(state, items)

    def with_sessions(self, more: Examples) -> "Stack":
        """The same, with sessions that came since; nothing is trained."""
        return Stack(self.bases, self.memory.followed_by(more), self.judge)

    @property
    def met(self) -> Any:
        """What the past tasks met."""
        return self.memory.alike.met

    def read(self, support: Examples, profile: Profile = None) -> Any:
        """The past tasks that are like a support set, and how much."""
        return self.memory.alike.read(support, profile)

    def arrays(self) -> dict[str, np.ndarray]:
        judge = {
            JUDGE + name: tensor.numpy().copy() for name, tensor in self.judge.state_dict().items()
        }
        past = {"past.item": self.memory.past.item, "past.start": self.memory.past.start}
        past |= {
            "past.ordered": np.array(self.memory.ordered),
            "past.elsewhere": self.memory.elsewhere,
        }
        return {
            **{BASE + name: array for name, array in self.bases.arrays().items()},
            **judge,
            **past,
        }

    @classmethod
    def restore(cls, bases: Bases, arrays: Mapping[str, np.ndarray]) -> "Stack":
        past = Examples.plain(arrays["past.item"], arrays["past.start"])
        memory = Memory.of(past, bool(arrays["past.ordered"]), arrays["past.elsewhere"])
        of_judge = under(arrays, JUDGE)
        judge = Judge(len(of_judge["out"]))
        judge.load_state_dict({name: torch.from_numpy(array) for name, array in of_judge.items()})
        return cls(bases, memory, judge)
