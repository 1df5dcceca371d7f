"""Split: a log cut into training, validation and test tasks."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from warmstart.data.features.table import Features
from warmstart.errors import UsageError
from warmstart.tasks.tasks import Tasks


@dataclass(frozen=True)
class Split:
    """A log cut into training, validation and test tasks whose users are disjoint.

    Everything that a model may learn from is in `train` and `item_features`. `n_items` is the size
    of the catalogue; `profile_columns` turns a new user's columns into the profile row that models
    expect.
    """

    train: Tasks
    valid: Tasks
    test: Tasks
    n_items: int
    least_events: int
    """Users with fewer events are in no validation or test task."""
    item_features: sp.csr_array | None = None
    profile_columns: Features | None = None

    def learning_from(self, share: float) -> "Split":
        """The same split with a share of the training tasks, the first of their random order; at
        least one.
        """
        if not 0 < share <= 1:
            raise UsageError(f"a share of the training tasks is above 0 and at most 1, not {share}")
        count = max(1, round(share * len(self.train)))
        return replace(self, train=self.train.take(np.arange(count)))
