"""Counterfactual: what would have to be different, verified by adapting to it.

The smallest set of events without which an item is not recommended (as PRINCE, Ghazimatin et al.,
WSDM 2020, but for any scorer and by adaptation itself), and the fewest further events that bring an
item into the list.
"""

from itertools import combinations, islice
from math import comb
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from warmstart.explain.attribution import (
    Excluded,
    Kept,
    UserContext,
    influences,
    repeated_profile,
    top_competitors,
)
from warmstart.explain.fidelity import important_first, ranks
from warmstart.scorer import Scorer, best
from warmstart.tasks.examples import Examples

MAX_HISTORIES = 1500  # histories that are tried to prove that no smaller set will do
CHUNK_HISTORIES = 256  # histories adapted to at a time, to bound the memory
NEAR, ADDED = (
    100,
    3,
)  # items that are tried as further events, and the events that are added at most


class Removal(NamedTuple):
    """Events without which an item is not among the first n."""

    events: tuple[int, ...]
    """Their places in the history."""
    rank: int
    """Where the item stands without them."""
    smallest: bool
    """Whether all smaller sets were tried."""


class Addition(NamedTuple):
    """Further events that bring an item among the first n, or as near as was found."""

    items: tuple[int, ...]
    rank: int
    """Where the item stands with them."""


def removal(
    scorer: Scorer,
    known: UserContext,
    item: int,
    n: int,
    excluded: Excluded,
    tried: int = MAX_HISTORIES,
) -> Removal | None:
    """The smallest set of events without which `item` is not among the first n, as far as `tried`
    histories tell.

    None where the item stays whatever is taken out one after the other. Sets are tried by size;
    what is too many to try is replaced by taking out, again and again, what holds the item in its
    place most.
    """
    found = _one_by_one(scorer, known, item, n, excluded)
    if found is None:
        return None
    sizes = range(1, len(found.events))
    for size in sizes:
        tried -= comb(known.shots, size)
        if tried < 0:
            return found
        smaller = _of_size(scorer, known, item, n, excluded, size)
        if smaller is not None:
            return smaller
    return found._replace(smallest=True)


def addition(
    scorer: Scorer, known: UserContext, item: int, n: int, excluded: Excluded, value: float = 1.0
) -> Addition | None:
    """The items that somebody might meet so that `item` is among the first n; the nearest miss if
    three do not do it.

    They are looked for among the hundred that are recommended to those who met `item` alone, one
    after the other. What was met leaves the list, but that alone is no help: it counts as if it had
    kept its place. None where nothing helps.
    """
    start = scorer.score(scorer.adapt(known.support, known.profile), np.arange(scorer.items))[0]
    in_front, history, excluded = start > start[item], known.support, excluded.copy()
    found = [Addition((), 1 + int((in_front & ~excluded).sum()))]
    for _ in range(ADDED):
        near = np.setdiff1d(_near(scorer, item, excluded, value), history.item)
        if not len(near) or found[-1].rank <= n:
            break
        grown = _each_added(history, near, value)
        rank = np.concatenate(
            [
                _ranks_of(scorer, known, grown.take(part), item, excluded)
                for part in _parts(len(near))
            ]
        )
        place = int((rank + in_front[near]).argmin())
        found.append(Addition((*found[-1].items, int(near[place])), int(rank[place])))
        history, excluded[near[place]] = grown.take(np.array([place])), True
    nearest = min(found, key=lambda one: one.rank + in_front[list(one.items)].sum())
    return nearest if nearest.items else None


def _near(scorer: Scorer, item: int, excluded: Excluded, value: float) -> Int64[np.ndarray, "K"]:
    """The items that are recommended to those who met one alone, the best first."""
    others = excluded.copy()
    others[item] = True
    alone = Examples(np.array([item]), np.array([value], dtype=np.float32), np.array([0, 1]))
    return best(scorer.score(scorer.adapt(alone), np.arange(scorer.items))[0], others, NEAR)


def _one_by_one(
    scorer: Scorer, known: UserContext, item: int, n: int, excluded: Excluded
) -> Removal | None:
    """Events taken out one after the other, each time the one of most influence, until the item is
    gone.
    """
    left = np.arange(known.shots)
    while len(left):
        kept = np.isin(np.arange(known.shots), left)
        now = known._replace(support=known.support.where(kept))
        scores = scorer.score(scorer.adapt(now.support, now.profile), np.arange(scorer.items))[0]
        found = influences(
            scorer, now, np.array([item]), top_competitors(scores, excluded, np.array([item]))
        )
        left = np.delete(left, important_first(found.events)[0, 0])
        rank = int(
            ranks(
                scorer,
                known,
                np.isin(np.arange(known.shots), left)[None],
                np.array([item]),
                excluded,
            )[0]
        )
        if rank > n:
            gone = np.setdiff1d(np.arange(known.shots), left)
            return Removal(tuple(map(int, gone)), rank, smallest=len(gone) == 1)
    return None


def _of_size(
    scorer: Scorer, known: UserContext, item: int, n: int, excluded: Excluded, size: int
) -> Removal | None:
    """Of all sets of so many events the one without which the item falls furthest, if it is far
    enough.
    """
    sets = combinations(range(known.shots), size)
    furthest: Removal | None = None
    while part := list(islice(sets, CHUNK_HISTORIES)):
        rank = ranks(scorer, known, _without(part, known.shots), np.full(len(part), item), excluded)
        place = int(rank.argmax())
        if rank[place] > n and (furthest is None or rank[place] > furthest.rank):
            furthest = Removal(part[place], int(rank[place]), smallest=True)
    return furthest


def _without(sets: list[tuple[int, ...]], shots: int) -> Kept:
    kept = np.ones((len(sets), shots), dtype=bool)
    kept[np.arange(len(sets))[:, None], np.array(sets)] = False
    return kept


def _ranks_of(
    scorer: Scorer, known: UserContext, histories: Examples, item: int, excluded: Excluded
) -> np.ndarray:
    """The rank of an item after each of C histories; what was added to a history does not
    compete.
    """
    state = scorer.adapt(histories, repeated_profile(known.profile, len(histories)))
    scores = scorer.score(state, np.arange(scorer.items)).copy()
    own = scores[:, [item]]
    scores[histories.task, histories.item] = -np.inf
    return 1 + ((scores > own) & ~excluded).sum(axis=1)


def _each_added(history: Examples, items: np.ndarray, value: float) -> Examples:
    """The history of one with each of C items behind it: C histories."""
    more = Examples(items, np.full(len(items), value, dtype=np.float32), np.arange(len(items) + 1))
    return history.take(np.zeros(len(items), dtype=np.int64)).followed_by(more)


def _parts(count: int) -> list[np.ndarray]:
    return np.split(np.arange(count), range(CHUNK_HISTORIES, count, CHUNK_HISTORIES))
