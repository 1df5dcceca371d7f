"""By shots: one scorer for few events, another one for more; whoever is asked decides the number
that is known.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from warmstart.arrays import strip_prefix
from warmstart.scorer import Candidates, Capabilities, Scorer, Scores, State
from warmstart.tasks.tasks import Examples, Profile


class ScorerPart(NamedTuple):
    """The tasks that one of the scorers serves, and its state."""

    scorer: int
    tasks: Int64[np.ndarray, "K"]
    state: State


class SwitchState(NamedTuple):
    """T tasks in parts; each task is in one of them."""

    parts: tuple[ScorerPart, ...]
    tasks: int


class ShotSwitch:
    """This asks `scorers[i]` for tasks with `first[i]` events or more, up to where the next scorer
    begins.

    The scores of different tasks may come from different scorers, in units of their own: they rank
    items for one task.
    """

    def __init__(self, scorers: Sequence[Scorer], first: Sequence[int]) -> None:
        assert len(scorers) == len(first) and first[0] == 0 and list(first) == sorted(set(first)), (
            f"each scorer begins at a number of events of its own, the first at 0; these begin at {list(first)}"
        )
        self.scorers, self.first, self.items = tuple(scorers), tuple(first), scorers[0].items

    def adapt(self, support: Examples, profile: Profile = None) -> SwitchState:
        serves = np.searchsorted(self.first, support.counts, side="right") - 1
        parts = [
            self._part(int(i), np.flatnonzero(serves == i), support, profile)
            for i in np.unique(serves)
        ]
        return SwitchState(tuple(parts), len(support))

    def score(self, state: SwitchState, items: Candidates) -> Scores:
        return _by_part([scorer.score for scorer in self.scorers], state, items)

    @property
    def capabilities(self) -> Capabilities:
        """The scorer for a number of shots; and what all can do that batches of states need."""
        return self._capabilities

    @cached_property
    def _capabilities(self) -> Capabilities:
        members = [scorer.capabilities for scorer in self.scorers]
        deviations = [one.standard_deviation for one in members if one.standard_deviation]
        return Capabilities(
            standard_deviation=partial(_by_part, deviations)
            if len(deviations) == len(members)
            else None,
            log_probabilities=all(one.log_probabilities for one in members),
            delegate=self._scorer_for,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of all scorers, each name after the number of its scorer."""
        return {
            f"{i}.{name}": array
            for i, one in enumerate(self.scorers)
            for name, array in one.arrays().items()
        }

    def _scorer_for(self, shots: int) -> Scorer:
        return self.scorers[int(np.searchsorted(self.first, shots, side="right")) - 1]

    def _part(
        self, scorer: int, tasks: Int64[np.ndarray, "K"], support: Examples, profile: Profile
    ) -> ScorerPart:
        own = None if profile is None else profile[tasks]
        return ScorerPart(scorer, tasks, self.scorers[scorer].adapt(support.take(tasks), own))


def _by_part(
    functions: Sequence[Callable[[State, Candidates], Scores]],
    state: SwitchState,
    items: Candidates,
) -> Scores:
    """(T, Q): the results of each task's own function, for items (Q,) or (T, Q)."""
    found = np.empty((state.tasks, items.shape[-1]), dtype=np.float32)
    for part in state.parts:
        candidates = items if items.ndim == 1 else items[part.tasks]
        found[part.tasks] = functions[part.scorer](part.state, candidates)
    return found


def arrays_of_scorer(arrays: Mapping[str, np.ndarray], scorer: int) -> dict[str, np.ndarray]:
    """The arrays of one of the scorers, by their own names."""
    return strip_prefix(arrays, f"{scorer}.")
