"""Fidelity: whether the reasons for a recommendation are the true ones, found by acting on them.

What is said to matter most is taken out of the history (comprehensiveness, deletion), or is all
that is left in (sufficiency, insertion), and somebody with that history is recommended to anew
(ERASER, DeYoung et al., ACL 2020; deletion and insertion as of Petsiuk et al., BMVC 2018). An
item's place counts by its discount, 1 / log2(1 + rank).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from warmstart.explain.attribution import (
    Codes,
    Excluded,
    Influences,
    Kept,
    UserContext,
    copies,
    influences,
    repeated_profile,
)
from warmstart.scorer import Scorer

Ranks = Int64[np.ndarray, "C"]
EventOrder = Int64[np.ndarray, "S"]
TOP = 3
"""Events that are to carry a recommendation."""
NEGLIGIBLE = 1e-6
"""Influences that differ by less are alike, but for rounding."""


class Fidelity(NamedTuple):
    """How far the most important events carry each of N items: its discount with other histories,
    as shares.
    """

    sufficiency: Float64[np.ndarray, "N"]
    """With these events alone, of that with all; above 1 where others spoke against the item."""
    comprehensiveness: Float64[np.ndarray, "N"]
    """What is lost of it without them."""


def ranks(
    scorer: Scorer,
    known: UserContext,
    kept: Kept,
    items: Int64[np.ndarray, "C"],
    excluded: Excluded,
) -> Ranks:
    """The rank (1 = best) of one item for each of C copies of a person, each with some of the
    events.

    Items that are barred do not compete, whatever is left out of the history.
    """
    state = scorer.adapt(copies(known.support, kept), repeated_profile(known.profile, len(kept)))
    scores = scorer.score(state, np.arange(scorer.items))
    own = scores[np.arange(len(kept)), items][:, None]
    return 1 + ((scores > own) & ~excluded).sum(axis=1)


def important_first(events: Float32[np.ndarray, "N S"]) -> Int64[np.ndarray, "N S"]:
    """The events in the order of their influence, the largest first; of equals the later one."""
    return events.shape[1] - 1 - np.argsort(-events[:, ::-1], axis=1, kind="stable")


def fidelity(
    scorer: Scorer,
    known: UserContext,
    items: Codes,
    events: Float32[np.ndarray, "N S"],
    excluded: Excluded,
) -> Fidelity:
    """How far the events of most influence carry each of N items."""
    first = np.argsort(important_first(events), axis=1) < TOP
    everything = np.ones((1, known.shots), dtype=bool)
    kept = np.concatenate([np.repeat(everything, len(items), axis=0), first, ~first])
    gains = discount(ranks(scorer, known, kept, np.tile(items, 3), excluded)).reshape(3, -1)
    return Fidelity(gains[1] / gains[0], 1 - gains[2] / gains[0])


def deletion(
    scorer: Scorer,
    known: UserContext,
    item: int,
    order: EventOrder,
    excluded: Excluded,
    most: int = 5,
) -> float:
    """The mean discount of an item after the first 1, 2, ... `most` events of an order are gone;
    lower is better.
    """
    return _mean_discount(scorer, known, item, ~_first_kept(order, most), excluded)


def insertion(
    scorer: Scorer,
    known: UserContext,
    item: int,
    order: EventOrder,
    excluded: Excluded,
    most: int = 5,
) -> float:
    """The mean discount of an item with the first 1, 2, ... `most` events of an order alone; higher
    is better.
    """
    return _mean_discount(scorer, known, item, _first_kept(order, most), excluded)


def stability(
    scorer: Scorer,
    known: UserContext,
    item: int,
    found: Influences,
    rivals: Codes,
    rng: np.random.Generator,
) -> float:
    """How alike the events' influences rank (Spearman) once another event, drawn at random, was
    never there.
    """
    gone = rng.integers(known.shots)
    kept = np.arange(known.shots) != gone
    fewer = known._replace(support=copies(known.support, kept[None]))
    again = influences(scorer, fewer, np.array([item]), rivals[None])
    before, after = found.events[0, kept], again.events[0]
    differ = [np.ptp(events) > NEGLIGIBLE for events in (before, after)]
    if not all(differ):
        return float(differ[0] == differ[1])
    return float(np.corrcoef(_ranks(before), _ranks(after))[0, 1])


def _ranks(values: np.ndarray) -> Float64[np.ndarray, "_"]:
    """The rank of each value, of equals the mean: scipy.stats has it too, and takes a second to
    import.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def discount(rank: Ranks) -> Float64[np.ndarray, "C"]:
    """What a place is worth: 1 in front, one half at the third, and so on."""
    return 1 / np.log2(1 + rank)


def _first_kept(order: EventOrder, most: int) -> Kept:
    """The first 1, 2, ... `most` events of an order."""
    place = np.argsort(order)
    return place < np.arange(1, min(most, len(order)) + 1)[:, None]


def _mean_discount(
    scorer: Scorer, known: UserContext, item: int, kept: Kept, excluded: Excluded
) -> float:
    return float(discount(ranks(scorer, known, kept, np.full(len(kept), item), excluded)).mean())
