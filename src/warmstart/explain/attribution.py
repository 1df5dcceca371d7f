"""Influence: what each thing known of somebody does for an item, found by leaving it out and
adapting again.

Exact leave-one-out (Cook, Technometrics 1977), which influence functions only approximate (Koh &
Liang, ICML 2017): an adaptation is so cheap that all copies with one thing missing fit in one
batch, and a scorer may know the answer in closed form (`Capabilities.attribution`).

**Leads.** An item is recommended because it stands above others, so what is explained is its
*lead*: its score less the mean of its rivals'. What an event adds to all items alike explains
nothing. Of ratings the score itself is explained, in the user's own units.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float32, Int64

from warmstart.arrays import n_columns
from warmstart.scorer import Scorer, delegate
from warmstart.tasks.examples import Examples, Profile

Codes = Int64[np.ndarray, "N"]
Kept = Bool[np.ndarray, "C S"]
Excluded = Bool[np.ndarray, "I"]
N_COMPARISONS = 10


class UserContext(NamedTuple):
    """What is known of one person: S events, and perhaps columns."""

    support: Examples
    """Of one task."""
    profile: Profile = None
    """One row; None where nothing is known."""
    without: Profile = None
    """The same row without each of P columns in turn: (P, F)."""

    @property
    def shots(self) -> int:
        return len(self.support.item)

    @property
    def columns(self) -> int:
        """P."""
        return 0 if self.without is None else len(self.without.indptr) - 1


class Influences(NamedTuple):
    """Why N items lead as far as they do, in units of their scores: four parts that are the lead in
    all.
    """

    margin: Float32[np.ndarray, "N"]
    prior: Float32[np.ndarray, "N"]
    """The lead where nothing is known."""
    events: Float32[np.ndarray, "N S"]
    """The lead less what it would be without each event."""
    columns: Float32[np.ndarray, "N P"]
    """The lead less what it would be without each column of the profile."""

    @property
    def interaction(self) -> Float32[np.ndarray, "N"]:
        """What no event and no column does alone."""
        return self.margin - self.prior - self.events.sum(axis=1) - self.columns.sum(axis=1)


def influences(
    scorer: Scorer, user: UserContext, items: Codes, comparisons: Int64[np.ndarray, "N R"]
) -> Influences:
    """What makes N items lead their rivals; without rivals, what makes their scores."""
    scorer = delegate(scorer, user.shots)
    closed_form = scorer.capabilities.attribution
    codes, place = np.unique(
        np.concatenate([items[:, None], comparisons], axis=1), return_inverse=True
    )
    place = place.reshape(len(items), -1)
    events = closed_form and closed_form(user.support, user.profile, codes)
    kept, rows = _left_out(user, events is None)
    leads = _margins(_scores(scorer, copies(user.support, kept), rows, codes), place)
    full, prior, columns = (
        leads[:, 0],
        leads[:, 1],
        leads[:, 0, None] - leads[:, 2 : 2 + user.columns],
    )
    alone = (
        leads[:, :1] - leads[:, 2 + user.columns :] if events is None else _margins(events, place)
    )
    return Influences(full, prior, alone, columns)


def copies(support: Examples, kept: Kept) -> Examples:
    """C copies of the support of one task, each with the events that are kept in it."""
    return support.take(np.zeros(len(kept), dtype=np.int64)).where(kept.ravel())


def repeated_profile(profile: Profile, times: int) -> Profile:
    """The one row of a profile as many times over."""
    return None if profile is None else profile[np.zeros(times, dtype=np.int64)]


def top_competitors(
    scores: Float32[np.ndarray, "I"], excluded: Excluded, items: Codes
) -> Int64[np.ndarray, "N R"]:
    """The rivals of each of N items: the ten best others that are not barred, fewer where there are
    fewer.
    """
    allowed = np.where(excluded, -np.inf, scores)
    best = np.argpartition(-allowed, min(N_COMPARISONS, len(scores) - 1))[: N_COMPARISONS + 1]
    best = best[np.argsort(-allowed[best], kind="stable")]
    best = best[~excluded[best]]
    width = max(0, min(N_COMPARISONS, len(best) - 1))
    others = [best[best != item][:width] for item in items]
    return np.stack(others) if others else np.zeros((0, width), dtype=np.int64)


def _scores(
    scorer: Scorer, support: Examples, profile: Profile, items: Codes
) -> Float32[np.ndarray, "C K"]:
    subset = scorer.capabilities.score_subset
    if subset is not None:
        return subset(support, profile, items)
    return scorer.score(scorer.adapt(support, profile), items)


def _left_out(known: UserContext, each: bool) -> tuple[Kept, Profile]:
    """All that is known, nothing, all without each column; and without each event, where that must
    be asked.
    """
    shots, columns = known.shots, known.columns
    blocks = [
        np.ones((1, shots)),
        np.zeros((1, shots)),
        np.ones((columns, shots)),
        1 - np.eye(shots) * each,
    ]
    kept = np.concatenate(blocks if each else blocks[:-1]).astype(bool)
    if known.profile is None:
        return kept, None
    nothing = sp.csr_array((1, n_columns(known.profile)), dtype=np.float32)
    rows = sp.csr_array(sp.vstack([known.profile, nothing, *([known.without] if columns else [])]))
    return kept, rows if not each else rows[np.r_[: 2 + columns, np.zeros(shots, dtype=np.int64)]]


def _margins(
    scores: Float32[np.ndarray, "C K"], place: Int64[np.ndarray, "N W"]
) -> Float32[np.ndarray, "N C"]:
    """What C copies score N items above the mean of their rivals, whose places are behind their
    own.
    """
    own = scores[:, place[:, 0]].T
    if place.shape[1] == 1:
        return own
    return own - scores[:, place[:, 1:]].mean(axis=2).T
