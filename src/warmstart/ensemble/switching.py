"""Switching hybrid: a scorer for each range of shots.

Switching is one of the hybrids of Burke (UMUAI 2002); here the number of support events decides.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from warmstart.arrays import strip_prefix
from warmstart.scorer import Candidates, Capabilities, Scorer, Scores, State
from warmstart.tasks.examples import Examples, Profile


class ScorerPart(NamedTuple):
    """K tasks that the same scorer serves, and its state for them."""

    scorer: int
    """Position of the scorer."""
    tasks: Int64[np.ndarray, "K"]
    state: State


class SwitchState(NamedTuple):
    """The states of T tasks in parts, one a scorer; each task is in one of them."""

    parts: tuple[ScorerPart, ...]
    tasks: int


class ShotSwitch:
    """Uses `scorers[i]` from `first[i]` shots on, up to where the next scorer begins.

    Scores of different tasks may come from different scorers on different scales, so that only the
    scores of one task can be compared.
    """

    def __init__(self, scorers: Sequence[Scorer], first: Sequence[int]) -> None:
        assert len(scorers) == len(first) and first[0] == 0 and list(first) == sorted(set(first)), (
            "each scorer begins at a number of shots of its own, the first at 0; "
            f"these begin at {list(first)}"
        )
        self.scorers, self.first, self.items = tuple(scorers), tuple(first), scorers[0].items

    def adapt(self, support: Examples, profile: Profile = None) -> SwitchState:
        scorer = np.searchsorted(self.first, support.counts, side="right") - 1  # (T,)
        parts = [
            self._part(int(i), np.flatnonzero(scorer == i), support, profile)
            for i in np.unique(scorer)
        ]
        return SwitchState(tuple(parts), len(support))

    def score(self, state: SwitchState, items: Candidates) -> Scores:
        return _by_part([scorer.score for scorer in self.scorers], state, items)

    @property
    def capabilities(self) -> Capabilities:
        """What all scorers can do with a batch of states, and the scorer for a number of shots."""
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
        """The arrays of all scorers, each name behind the position of its scorer."""
        return {
            f"{i}.{name}": array
            for i, scorer in enumerate(self.scorers)
            for name, array in scorer.arrays().items()
        }

    def _scorer_for(self, shots: int) -> Scorer:
        return self.scorers[int(np.searchsorted(self.first, shots, side="right")) - 1]

    def _part(
        self, scorer: int, tasks: Int64[np.ndarray, "K"], support: Examples, profile: Profile
    ) -> ScorerPart:
        rows = None if profile is None else profile[tasks]
        return ScorerPart(scorer, tasks, self.scorers[scorer].adapt(support.take(tasks), rows))


def _by_part(
    functions: Sequence[Callable[[State, Candidates], Scores]],
    state: SwitchState,
    items: Candidates,
) -> Scores:
    """The results of the function of each task's scorer, for (Q,) or (T, Q) items: (T, Q)."""
    results = np.empty((state.tasks, items.shape[-1]), dtype=np.float32)
    for part in state.parts:
        candidates = items if items.ndim == 1 else items[part.tasks]
        results[part.tasks] = functions[part.scorer](part.state, candidates)
    return results


def arrays_of_scorer(arrays: Mapping[str, np.ndarray], scorer: int) -> dict[str, np.ndarray]:
    """The arrays of one scorer of a switch, by their own names."""
    return strip_prefix(arrays, f"{scorer}.")
