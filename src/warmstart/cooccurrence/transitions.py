"""Followers: what comes soon after what, counted over the events of all tasks in their order."""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Int64

from warmstart.tasks.tasks import Examples


def transition_counts(
    events: Examples, taken: Int64[np.ndarray, "J"], items: int, window: int
) -> sp.csr_array:
    """The sum over users and pairs of their events of how soon the second came: (J, J)."""
    events = restrict_to_items(events, taken, items)
    found = sp.csr_array((len(taken), len(taken)), dtype=np.float32)
    for gap in range(1, window + 1):
        first = np.arange(max(len(events.item) - gap, 0))
        first = first[events.task[first] == events.task[first + gap]]
        weight = np.full(len(first), gap**-0.5, dtype=np.float32)
        found = found + sp.csr_array(
            (weight, (events.item[first], events.item[first + gap])), shape=found.shape
        )
    return found


def own_transitions(
    events: Examples, own: Examples, weight: Float32[np.ndarray, "N"], width: int, window: int
) -> sp.csr_array:
    """What the tasks' own events put into `after`, as read from the support with these weights: (T,
    J).

    An item of the support is read wherever the task met it, which may be more than once.
    """
    read = weighted_matrix(events, width, weight).toarray()[
        own.task, own.item
    ]  # by each event of their own
    place = np.flatnonzero(read)
    gap = np.arange(1, window + 1)
    later = place[:, None] + gap  # (N, W)
    has = later < own.start[1:][own.task[place]][:, None]
    said = np.where(has, read[place][:, None] * gap**-0.5, 0.0).astype(np.float32)
    rows = (np.repeat(own.task[place], has.sum(axis=1)), own.item[later[has]])
    return sp.csr_array((said[has], rows), shape=(len(events), width))


def restrict_to_items(examples: Examples, taken: Int64[np.ndarray, "J"], items: int) -> Examples:
    """The examples of the items that take part, by their place among these."""
    place = np.full(items, -1)
    place[taken] = np.arange(len(taken))
    known = examples.where(place[examples.item] >= 0)
    return Examples(place[known.item], known.value, known.start)


def events_since(examples: Examples) -> Int64[np.ndarray, "N"]:
    """How many examples of its task come after each."""
    return examples.start[1:][examples.task] - 1 - np.arange(len(examples.item))


def weighted_matrix(
    examples: Examples, width: int, weight: Float32[np.ndarray, "N"] | None = None
) -> sp.csr_array:
    weight = (
        np.ones(len(examples.item), dtype=np.float32)
        if weight is None
        else weight.astype(np.float32)
    )
    return sp.csr_array((weight, examples.item, examples.start), shape=(len(examples), width))
