"""Experts: closed-form scorers of a support set by statistics of all training tasks.

They need no training and grow with the data: EASE (Steck, WWW 2019), item cosine (Sarwar et al.,
WWW 2001), content where items have features (Lops et al., Recommender Systems Handbook, 2011),
transitions where events stand in time order (Ludewig & Jannach, UMUAI 2018), and a regression where
tasks have profiles. A learner gates them by the support set.

**Leave-one-out.** In training each task's own events are left out exactly: a learner that is shown
scores which have seen the answer learns to look the answer up.

**Initial scale.** Each expert is divided by its spread over items, so that one initial gate weight
suits all. Content starts at a third of that, and profiles at their lift over popularity.

**Deviations.** Where both items and users are more than `limit`, only the most popular items are
kept, so that memory stays bounded. Cosines and transitions are shrunk by `shrink` users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Int64

from warmstart.arrays import n_columns, sparse_from_arrays, sparse_to_arrays, strip_prefix
from warmstart.cooccurrence.gram import (
    GramInverse,
    gram_inverse,
    restore_inverse,
    select_items,
)
from warmstart.cooccurrence.transitions import restrict_to_items, transition_counts
from warmstart.ensemble.closed_form import (
    ColumnMask,
    ContentExpert,
    CosineExpert,
    EaseExpert,
    Expert,
    ProfileExpert,
    TransitionExpert,
    content_rows,
    item_matrix,
)
from warmstart.ensemble.ease_ridge import choose_ridge
from warmstart.ensemble.profile_regression import ProfileRegression, fit_profile_regression
from warmstart.ensemble.support_sets import ItemMatrix, SupportSets, SupportSubset
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.tasks import Tasks

RECENCY_EXPONENTS = (0.0, 1.0)
"""One transition expert each: all support events count alike, and the last ones above all."""
SPREAD_TASKS = 256  # training tasks on which the spread of each expert is measured
CONTENT_DOWNWEIGHT = 3.0  # content starts at this fraction of the scale of co-occurrence
CONTENT_EXPERT = 2  # position of the content expert
INVERSE_PREFIX, PROFILE_PREFIX = "precision.", "foretold."
"""Prefixes on disk of the arrays of the Gram inverse and of the profile regression."""


@dataclass(frozen=True)
class Experts:
    """The statistics of J kept items, and the E experts that read them."""

    kept_items: Int64[np.ndarray, "J"]
    popularity: Float32[np.ndarray, "J"]
    """Users with each item."""
    inverse: GramInverse
    """Inverse of the regularised co-occurrence matrix, for EASE."""
    cooccurrence: ItemMatrix
    """Users with both items."""
    content: sp.csr_array | None
    """(J, G) content as unit rows with inverse-frequency weights."""
    transitions: ItemMatrix | None
    """How often, and how soon, the second item came after the first; None without time order."""
    profile_regression: ProfileRegression | None
    spread: Float32[np.ndarray, "E"]
    """Standard deviation over items by which each expert is divided."""
    items: int
    shrink: float
    window: int

    @classmethod
    def fit(
        cls,
        train: Tasks,
        items: int,
        *,
        item_features: sp.csr_array | None = None,
        ridge: float = 0.0,
        profile_ridge: float = 0.0,
        shrink: float = 50.0,
        window: int = 20,
        limit: int = 6000,
    ) -> "Experts":
        """Count over all training tasks.

        A ridge of 0 stands for the one with the best leave-one-out hit rate.
        """
        kept = select_items(train, items, limit)
        interactions = train.all_events.matrix(items)[:, kept]  # (U, J)
        experts = cls(
            kept_items=kept,
            popularity=np.asarray(interactions.sum(axis=0), dtype=np.float32),
            inverse=gram_inverse(interactions, ridge or choose_ridge(train, items)),
            cooccurrence=item_matrix(sp.csr_array(interactions.T @ interactions)),
            content=None if item_features is None else content_rows(item_features[kept]),
            transitions=_transitions(train, kept, items, window),
            profile_regression=fit_profile_regression(train.profile, interactions, profile_ridge),
            spread=np.ones(1, dtype=np.float32),  # until it is measured
            items=items,
            shrink=shrink,
            window=window,
        )
        return replace(experts, spread=experts._measured_spread(train))

    @property
    def n_experts(self) -> int:
        """E, the number of experts."""
        return len(self.spread)

    def scores(
        self, support: Examples, task_events: Examples | None = None, profile: Profile = None
    ) -> Float32[np.ndarray, "T J E"]:
        """Scores of E experts for J items after T support sets: (T, J, E).

        In training `task_events` are all events of the same tasks, from the first of their support
        on; they are left out of every statistic.
        """
        sets = self._support_sets(support, profile, task_events)
        found = [expert.scores(sets) for expert in self._experts]
        return np.stack(found, axis=-1) / self.spread

    def score_subset(
        self, support: Examples, profile: Profile, items: Int64[np.ndarray, "Q"]
    ) -> Float32[np.ndarray, "T Q E"]:
        """Scores of E experts for Q item codes, in use: (T, Q, E); 0 for items not kept."""
        position = np.searchsorted(self.kept_items, items)
        last = len(self.kept_items) - 1
        kept = np.flatnonzero(self.kept_items[np.minimum(position, last)] == items)
        events = restrict_to_items(support, self.kept_items, self.items)
        support_items, recoded = np.unique(events.item, return_inverse=True)
        subset = SupportSubset(
            replace(events, item=recoded), support_items, position[kept], profile
        )
        found = [expert.score_subset(subset) for expert in self._experts]
        scores = np.zeros((len(support), len(items), self.n_experts), dtype=np.float32)
        scores[:, kept] = np.stack(found, axis=-1) / self.spread
        return scores

    def content_attribution(
        self, support: Examples, item: int, columns: Sequence[ColumnMask]
    ) -> Float32[np.ndarray, "P"]:
        """What each of P sets of content columns adds to one user's content score of an item."""
        position = np.flatnonzero(self.kept_items == item)
        if self.content is None or not len(position):
            return np.zeros(len(columns), dtype=np.float32)
        sets = self._support_sets(support)
        added = ContentExpert(self.content).by_column(sets, int(position[0]))
        added = added / self.spread[CONTENT_EXPERT]
        return np.array([added[marked].sum() for marked in columns], dtype=np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs."""
        width = 0 if self.content is None else n_columns(self.content)
        matrices = {
            "together": self.cooccurrence,
            "after": self.transitions,
            "content": self.content,
        }
        arrays = {"taken": self.kept_items, "counts": self.popularity, "spread": self.spread}
        arrays |= {INVERSE_PREFIX + name: array for name, array in self.inverse.arrays().items()}
        for name, matrix in matrices.items():
            arrays |= {} if matrix is None else sparse_to_arrays(name, sp.csr_array(matrix))
        if self.profile_regression is not None:
            of_profile = self.profile_regression.arrays()
            arrays |= {PROFILE_PREFIX + name: array for name, array in of_profile.items()}
        facts = np.array([self.items, self.shrink, self.window, width], dtype=np.float64)
        return {**arrays, "facts": facts}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray]) -> "Experts":
        """The experts of which these are the arrays; they cannot leave profiles out any more."""
        items, shrink, window, content_columns = arrays["facts"]
        kept = arrays["taken"]

        def matrix(name: str, width: int) -> sp.csr_array | None:
            return sparse_from_arrays(name, arrays, width) if f"{name}.start" in arrays else None

        transitions = matrix("after", len(kept))
        of_profile = strip_prefix(arrays, PROFILE_PREFIX)
        return cls(
            kept_items=kept,
            popularity=arrays["counts"],
            inverse=restore_inverse(strip_prefix(arrays, INVERSE_PREFIX)),
            cooccurrence=item_matrix(sparse_from_arrays("together", arrays, len(kept))),
            content=matrix("content", int(content_columns)),
            transitions=None if transitions is None else item_matrix(transitions),
            profile_regression=ProfileRegression.restore(of_profile) if of_profile else None,
            spread=arrays["spread"],
            items=int(items),
            shrink=float(shrink),
            window=int(window),
        )

    @property
    def _experts(self) -> list[Expert]:
        """The E experts in the order of the last axis of `scores`."""
        experts: list[Expert] = [
            EaseExpert(self.inverse),
            CosineExpert(self.cooccurrence, self.popularity, self.shrink),
        ]
        if self.content is not None:
            experts.append(ContentExpert(self.content))
        if self.transitions is not None:
            counts = (self.transitions, self.popularity, self.shrink, self.window)
            experts += [TransitionExpert(*counts, recency) for recency in RECENCY_EXPONENTS]
        if self.profile_regression is not None:
            experts.append(ProfileExpert(self.profile_regression))
        return experts

    def _support_sets(
        self, support: Examples, profile: Profile = None, task_events: Examples | None = None
    ) -> SupportSets:
        events = restrict_to_items(support, self.kept_items, self.items)
        if task_events is not None:
            task_events = restrict_to_items(task_events, self.kept_items, self.items)
        return SupportSets(events, len(self.kept_items), profile, task_events)

    def _measured_spread(self, train: Tasks) -> Float32[np.ndarray, "E"]:
        """Standard deviation of each expert over items, in the mean over some training tasks."""
        rng = np.random.default_rng(0)
        batch = train.episodes(rng, SPREAD_TASKS, max_shots=10, queries=1)
        scores = self.scores(batch.support, batch.task_events, batch.profile)
        spread = np.maximum(scores.std(axis=1).mean(axis=0), 1e-6)
        if self.content is not None:
            spread[CONTENT_EXPERT] *= CONTENT_DOWNWEIGHT
        if self.profile_regression is not None:
            spread[-1] /= self.profile_regression.lift_over_popularity
        return spread.astype(np.float32)


def _transitions(
    train: Tasks, kept: Int64[np.ndarray, "J"], items: int, window: int
) -> ItemMatrix | None:
    if not train.ordered:
        return None
    return item_matrix(transition_counts(train.all_events, kept, items, window))
