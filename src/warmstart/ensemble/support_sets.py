"""Support sets as the closed-form experts read them: scored over all kept items, or over a few."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Int64

from warmstart.cooccurrence.transitions import weighted_matrix
from warmstart.tasks.examples import Examples, Profile

ItemMatrix = sp.csr_array | Float32[np.ndarray, "J J"]
ItemScores = Float32[np.ndarray, "T J"]
ItemSubset = Int64[np.ndarray, "Q"]  # positions among the J kept items


@dataclass(frozen=True)
class SupportSets:
    """T support sets and profiles; in training with all events of the same tasks, to leave out.

    Items are positions among the `width` = J kept items.
    """

    events: Examples
    width: int
    profile: Profile = None
    task_events: Examples | None = None

    def matrix(self, weight: Float32[np.ndarray, "N"] | None = None) -> sp.csr_array:
        """The weights of the support events: (T, J)."""
        return weighted_matrix(self.events, self.width, weight)

    @cached_property
    def task_matrix(self) -> sp.csr_array | None:
        """The row that each task put into the interaction matrix: (T, J)."""
        return None if self.task_events is None else self.task_events.matrix(self.width)

    @cached_property
    def task_rows(self) -> ItemScores | None:
        """The same as a dense matrix."""
        return None if self.task_matrix is None else self.task_matrix.toarray()

    def counts(
        self, popularity: Float32[np.ndarray, "J"]
    ) -> tuple[Float32[np.ndarray, "*T J"], Float32[np.ndarray, "N"]]:
        """Users per item, (J,) or without the task itself (T, J), and per support event, (N,)."""
        by_event = popularity[self.events.item]
        if self.task_rows is None:
            return popularity, by_event
        return popularity - self.task_rows, by_event - 1


@dataclass(frozen=True)
class SupportSubset:
    """T support sets whose scores of Q items alone are wanted, with their profiles.

    The items of `events` are positions in `support_items`, the U different items of all support
    sets, so that every matrix is (U, Q) or (T, U).
    """

    events: Examples
    support_items: Int64[np.ndarray, "U"]
    columns: ItemSubset
    profile: Profile = None

    def matrix(self, weight: Float32[np.ndarray, "N"] | None = None) -> sp.csr_array:
        """The weights of the support events: (T, U)."""
        return weighted_matrix(self.events, len(self.support_items), weight)

    def cells(self, matrix: ItemMatrix) -> Float32[np.ndarray, "U Q"]:
        """The rows of the support items and the columns of the candidates."""
        if isinstance(matrix, np.ndarray):
            return matrix[self.support_items[:, None], self.columns]
        return sp.csr_array(matrix[self.support_items])[:, self.columns].toarray()

    def counts(
        self, popularity: Float32[np.ndarray, "J"]
    ) -> tuple[Float32[np.ndarray, "Q"], Float32[np.ndarray, "N"]]:
        """Users per candidate, (Q,), and per support event, (N,)."""
        return popularity[self.columns], popularity[self.support_items[self.events.item]]
