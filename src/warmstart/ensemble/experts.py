"""Evidence: what the training tasks as a whole say of a support set, in closed form, each task's
own row left out.

Witnesses that need no training and grow with the data: EASE (Steck, WWW 2019), the cosine of who
met two items (Sarwar et al., WWW 2001), where something is known of the items how alike their
content is (Lops et al., Recommender Systems Handbook, 2011), where events stand in time order what
tends to come soon after an item (sequential rules; Ludewig & Jannach, UMUAI 2018), and where tasks
have columns what these foretell (see `foretold`).

**Left out exactly.** A learner that is told in training what a matrix says which holds the task's
own events learns to look the answer up. So in training every figure is what it would be had the
task never been seen: for EASE by the inverse of a matrix less a row (Sherman & Morrison, 1950), for
counts by subtraction.

**How loud at first.** What users did speaks at full loudness, content at a third of it, and
columns as much as they foretell more than popularity does: all of it where popularity says nothing,
and not at all where it says as much.

**Deviations.** Where both items and users are more than `limit`, only the most popular items take
part, so that memory stays bounded. The cosine is shrunk by `shrink` users on both sides. A pair of
events counts by the root of how far the second comes after the first, up to `window` events. Each
witness is brought to like spread, so that one trust may start for all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float32, Int64

from warmstart.arrays import n_columns, strip_prefix
from warmstart.cooccurrence.gram import (
    SMALL,
    GramInverse,
    gram_inverse,
    most_frequent,
    restore_inverse,
    select_items,
    sparse_from_arrays,
    sparse_to_arrays,
)
from warmstart.cooccurrence.similarity import idf_weights, unit_rows
from warmstart.cooccurrence.transitions import (
    events_since,
    own_transitions,
    restrict_to_items,
    transition_counts,
    weighted_matrix,
)
from warmstart.ensemble.profile_regression import ProfileRegression, in_top_k
from warmstart.tasks.tasks import NEXT, Examples, Profile, TaskBatch, Tasks

ItemMatrix = sp.csr_array | Float32[np.ndarray, "J J"]
ItemScores = Float32[np.ndarray, "T J"]
ColumnMask = Bool[np.ndarray, "G"]
ItemSubset = Int64[np.ndarray, "Q"]  # places among the items that take part
ExpertScores = Float32[np.ndarray, "T J E"]
RECENCY_EXPONENTS = (0.0, 1.0)
"""An event that n later ones follow counts 1 / (1 + n) to this power: all alike, and the last ones
above all.
"""
SPREAD_TASKS = 256  # training tasks on which the spread of each witness is measured
RIDGES = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
RIDGE_SEARCH_ITEMS, RIDGE_SEARCH_TASKS = (
    2000,
    1000,
)  # items and training tasks by which a ridge is chosen
CONTENT_DOWNWEIGHT = 3.0  # content speaks at first this many times less loud than what users did
CONTENT_EXPERT = 2  # the place of the witness of content
PLAIN = ("taken", "counts", "spread")  # what is saved as it is
PRECISION, FORETOLD = "precision.", "foretold."
"""What the names of the arrays of the two begin with."""


@dataclass(frozen=True)
class Experts:
    """The item-to-item matrices of the J items that take part, and E witnesses read off them."""

    taken: Int64[np.ndarray, "J"]
    counts: Float32[np.ndarray, "J"]  # users that met each
    precision: GramInverse  # the inverse of `together` with a ridge
    together: ItemMatrix  # users that met both
    content: sp.csr_array | None  # of each a row of length 1; what many items share counts little
    after: ItemMatrix | None  # how often, and how soon, the second came after the first
    foretold: ProfileRegression | None  # by columns of the tasks
    spread: Float32[np.ndarray, "E"]
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
        """The evidence of all training tasks; a ridge of 0 stands for the one that does best on
        tasks left out.
        """
        taken = select_items(train, items, limit)
        met = train.met.matrix(items)[:, taken]
        whole = cls(
            taken=taken,
            counts=np.asarray(met.sum(axis=0), dtype=np.float32),
            precision=gram_inverse(met, ridge or _best_ridge(train, items)),
            together=_table(sp.csr_array(met.T @ met)),
            content=None
            if item_features is None
            else unit_rows(item_features[taken], idf_weights(item_features[taken])),
            after=_table(transition_counts(train.met, taken, items, window))
            if train.ordered
            else None,
            foretold=None
            if train.profile is None
            else _heard(ProfileRegression.fit(train.profile, met, ridge=profile_ridge)),
            spread=np.ones(1, dtype=np.float32),  # until it is measured
            items=items,
            shrink=shrink,
            window=window,
        )
        return replace(whole, spread=whole._measured(train))

    @property
    def n_experts(self) -> int:
        """E, the number of witnesses."""
        return len(self.spread)

    def scores(
        self, support: Examples, own: Examples | None = None, profile: Profile = None
    ) -> ExpertScores:
        """What each witness says of the J items, for T support sets and the columns of the same
        tasks.

        `own` are all events that the same tasks had in training, from the first one of their
        support on: what is said is what would be said had these never been seen.
        """
        events = restrict_to_items(support, self.taken, self.items)
        left_out = None if own is None else restrict_to_items(own, self.taken, self.items)
        row = None if left_out is None else left_out.matrix(len(self.taken))
        dense = None if row is None else row.toarray()
        found = [
            _ease(self.precision, weighted_matrix(events, len(self.taken)), row),
            self._neighbours(events, dense),
        ]
        if self.content is not None:
            found.append(_alike(events, self.content))
        found += [self._followers(events, left_out, dense, recency) for recency in self._recencies]
        if self.foretold is not None:
            found.append(_foretold(self.foretold, profile, row, len(support)))
        return np.stack(found, axis=-1) / self.spread

    def score_subset(
        self, support: Examples, profile: Profile, items: Int64[np.ndarray, "Q"]
    ) -> Float32[np.ndarray, "T Q E"]:
        """The same of a few items alone, in use; 0 of those that do not take part."""
        place = np.searchsorted(self.taken, items)
        known = np.flatnonzero(self.taken[np.minimum(place, len(self.taken) - 1)] == items)
        few, events = place[known], restrict_to_items(support, self.taken, self.items)
        heard, column = np.unique(events.item, return_inverse=True)
        of = replace(
            events, item=column
        )  # by their place among the U items that anybody met: all tables are (U, Q)
        by_event, root = (
            self.counts[events.item] + self.shrink,
            np.sqrt(self.counts[few] + self.shrink),
        )
        plain, cosine = (
            weighted_matrix(of, len(heard)),
            weighted_matrix(of, len(heard), 1 / np.sqrt(by_event)),
        )
        found = [plain @ (-self.precision.submatrix(heard, few) / self.precision.diagonal[few])]
        found.append(cosine @ _among(self.together, heard, few) / root)
        if self.content is not None:
            found.append(plain @ sp.csr_array(self.content[heard] @ self.content[few].T).toarray())
        for recency in self._recencies:
            assert self.after is not None, "followers are asked for where there is an order"
            weight = ((1 + events_since(events)) ** -recency / by_event).astype(np.float32)
            found.append(
                weighted_matrix(of, len(heard), weight) @ _among(self.after, heard, few) / root
            )
        if self.foretold is not None:
            found.append(_foretold(self.foretold, profile, None, len(support))[:, few])
        said = np.zeros((len(support), len(items), self.n_experts), dtype=np.float32)
        said[:, known] = np.stack(found, axis=-1) / self.spread
        return said

    def content_attribution(
        self, support: Examples, item: int, columns: Sequence[ColumnMask]
    ) -> Float32[np.ndarray, "P"]:
        """The part of what the witness of content says of an item to one person that is due to each
        set of columns.
        """
        place = np.flatnonzero(self.taken == item)
        if self.content is None or not len(place):
            return np.zeros(len(columns), dtype=np.float32)
        events = restrict_to_items(support, self.taken, self.items)
        read = sp.csr_array(weighted_matrix(events, len(self.taken)) @ self.content).toarray()[0]
        said = sp.csr_array(self.content[place]).toarray()[0] * read / self.spread[CONTENT_EXPERT]
        return np.array([said[marked].sum() for marked in columns], dtype=np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs."""
        kinds = 0 if self.content is None else n_columns(self.content)
        facts = np.array([self.items, self.shrink, self.window, kinds], dtype=np.float64)
        return {
            **{name: getattr(self, name) for name in PLAIN},
            **{PRECISION + name: array for name, array in self.precision.arrays().items()},
            **sparse_to_arrays("together", sp.csr_array(self.together)),
            **({} if self.after is None else sparse_to_arrays("after", sp.csr_array(self.after))),
            **({} if self.content is None else sparse_to_arrays("content", self.content)),
            **(
                {}
                if self.foretold is None
                else {FORETOLD + name: one for name, one in self.foretold.arrays().items()}
            ),
            "facts": facts,
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray]) -> "Experts":
        """The evidence of which these are the arrays."""
        items, shrink, window, kinds = arrays["facts"]
        width = len(arrays["taken"])
        return cls(
            **{name: arrays[name] for name in PLAIN},
            precision=restore_inverse(strip_prefix(arrays, PRECISION)),
            together=_table(sparse_from_arrays("together", arrays, width)),
            content=sparse_from_arrays("content", arrays, int(kinds))
            if "content.start" in arrays
            else None,
            foretold=ProfileRegression.restore(strip_prefix(arrays, FORETOLD))
            if f"{FORETOLD}line" in arrays
            else None,
            after=_table(sparse_from_arrays("after", arrays, width))
            if "after.start" in arrays
            else None,
            items=int(items),
            shrink=float(shrink),
            window=int(window),
        )

    @property
    def _recencies(self) -> tuple[float, ...]:
        """The ways to hear followers; none where there is no order."""
        return () if self.after is None else RECENCY_EXPONENTS

    def _neighbours(self, events: Examples, row: ItemScores | None) -> ItemScores:
        """The sum of cosines to the support set."""
        width = len(self.taken)
        counts, by_event = self.counts, self.counts[events.item]
        if row is not None:
            counts, by_event = counts - row, by_event - 1
        weight = 1 / np.sqrt(by_event + self.shrink)
        said = _product(weighted_matrix(events, width, weight), self.together)
        if row is not None:
            said -= (
                np.bincount(events.task, weights=weight, minlength=len(events)).astype(np.float32)[
                    :, None
                ]
                * row
            )
        return said / np.sqrt(counts + self.shrink)

    def _followers(
        self, events: Examples, own: Examples | None, row: ItemScores | None, recency: float
    ) -> ItemScores:
        """What came soon after the events of the support set, as a share of all that did."""
        assert self.after is not None, "followers are asked for where there is an order"
        width = len(self.taken)
        counts, by_event = self.counts, self.counts[events.item]
        if row is not None:
            counts, by_event = counts - row, by_event - 1
        weight = ((1 + events_since(events)) ** -recency / (by_event + self.shrink)).astype(
            np.float32
        )
        said = _product(weighted_matrix(events, width, weight), self.after)
        if own is not None:
            said -= own_transitions(events, own, weight, width, self.window).toarray()
        return said / np.sqrt(counts + self.shrink)

    def _measured(self, train: Tasks) -> Float32[np.ndarray, "E"]:
        """The spread of each witness over items, in the mean over some training tasks."""
        rng = np.random.default_rng(0)
        batch = train.episodes(rng, SPREAD_TASKS, most_shots=10, queries=1)
        spread = np.maximum(
            self.scores(batch.support, batch.own, batch.profile).std(axis=1).mean(axis=0), 1e-6
        )
        if self.content is not None:
            spread[CONTENT_EXPERT] *= CONTENT_DOWNWEIGHT
        if self.foretold is not None:
            spread[-1] /= self.foretold.gain
        return spread.astype(np.float32)


def _ease(precision: GramInverse, support: sp.csr_array, row: sp.csr_array | None) -> ItemScores:
    """The support sets times the map whose column j predicts item j from the others."""
    known, diagonal = precision.left_multiply(support), precision.diagonal
    if row is None:
        return -known / diagonal
    away = precision.left_multiply(row)  # P x
    rest = 1 - np.asarray(row.multiply(away).sum(axis=1))  # 1 - x' P x, above 0 by the ridge
    known = known + np.asarray(support.multiply(away).sum(axis=1))[:, None] / rest[:, None] * away
    return -known / (diagonal + away**2 / rest[:, None])


def _heard(foretold: ProfileRegression) -> ProfileRegression | None:
    """Columns that foretell no more than popularity does are not heard at all."""
    return foretold if foretold.gain > 0 else None


def _foretold(
    foretold: ProfileRegression, profile: Profile, row: sp.csr_array | None, tasks: int
) -> ItemScores:
    """What the columns foretell of each task; where none are given, what holds for everybody."""
    if profile is None:
        return np.tile(foretold.usual, (tasks, 1))
    return foretold.predict(profile) if row is None else foretold.predict_left_out(profile, row)


def _alike(events: Examples, content: sp.csr_array) -> ItemScores:
    """The sum of cosines to the content of the support set."""
    width = len(content.indptr) - 1
    read = sp.csr_array(weighted_matrix(events, width) @ content).toarray()
    return np.ascontiguousarray((content @ read.T).T)


def _best_ridge(train: Tasks, items: int) -> float:
    """The ridge with which EASE, on the most popular items, finds most of what training tasks left
    out of it met.
    """
    taken = most_frequent(np.bincount(train.met.item, minlength=items), RIDGE_SEARCH_ITEMS)
    batch = train.episodes(
        np.random.default_rng(0), RIDGE_SEARCH_TASKS, most_shots=20, queries=NEXT
    )
    met = train.met.matrix(items)[:, taken]
    return max(RIDGES, key=lambda ridge: _hits(gram_inverse(met, ridge), batch, taken, items))


def _hits(
    precision: GramInverse, batch: TaskBatch, taken: Int64[np.ndarray, "J"], items: int
) -> float:
    """The share of the events to predict that EASE has among its first ten, each task left out of
    it.
    """
    assert batch.own is not None, "training tasks come with all their events"
    support, own, query = (
        restrict_to_items(part, taken, items) for part in (batch.support, batch.own, batch.query)
    )
    said = _ease(precision, weighted_matrix(support, len(taken)), own.matrix(len(taken)))
    said[support.task, support.item] = -np.inf
    return float(in_top_k(said, query.task, query.item).mean()) if len(query.item) else 0.0


def _table(matrix: sp.csr_array) -> ItemMatrix:
    """A small table in full, row by row as products with sparse rows read it; they are ten times as
    fast.
    """
    matrix = sp.csr_array(matrix, dtype=np.float32)
    return np.ascontiguousarray(matrix.toarray()) if len(matrix.indptr) - 1 <= SMALL else matrix


def _product(rows: sp.csr_array, table: ItemMatrix) -> ItemScores:
    return rows @ table if isinstance(table, np.ndarray) else sp.csr_array(rows @ table).toarray()


def _among(
    table: ItemMatrix, rows: Int64[np.ndarray, "U"], columns: ItemSubset
) -> Float32[np.ndarray, "U Q"]:
    """A few columns of a few rows of a table."""
    if isinstance(table, np.ndarray):
        return table[rows[:, None], columns]
    return sp.csr_array(table[rows])[:, columns].toarray()
