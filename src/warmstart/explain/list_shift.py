"""Movement: how far each event of a history moves the list of recommendations."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from warmstart.explain.attribution import UserContext, copies, repeated_profile
from warmstart.scorer import Scorer

MAX_RANK = 100  # places up to which moves are counted: what happens further down nobody sees


class ListShift(NamedTuple):
    """The first n items before the first event and after each, and how far it moved them."""

    lists: Int64[np.ndarray, "L n"]
    """S + 1 lists, best items first."""
    new: Int64[np.ndarray, "S"]
    """Items that an event brought among the first n."""
    moved: Float64[np.ndarray, "S"]
    """Places by which the first n moved on average; what comes from afar, as from the hundredth."""


def list_shift(
    scorer: Scorer, known: UserContext, n: int, excluded: Bool[np.ndarray, "I"]
) -> ListShift:
    """The lists of somebody after none, one, two, ... of their events; what is barred is in none of
    them.
    """
    kept = np.tri(known.shots + 1, known.shots, k=-1, dtype=bool)
    state = scorer.adapt(copies(known.support, kept), repeated_profile(known.profile, len(kept)))
    scores = np.where(excluded, -np.inf, scorer.score(state, np.arange(scorer.items)))
    n = min(n, int((~excluded).sum()))
    order = np.argsort(-scores, axis=1, kind="stable")
    place = np.argsort(order, axis=1)
    lists = order[:, :n]
    before = np.take_along_axis(place[:-1], lists[1:], axis=1)
    after = np.arange(n)
    moved = np.abs(np.minimum(before, MAX_RANK) - after)
    return ListShift(
        lists, (before >= n).sum(axis=1), moved.mean(axis=1) if n else np.zeros(known.shots)
    )
