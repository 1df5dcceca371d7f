"""Transition counts between items: how often, and how soon, one event came after another.

As sequential rules (Ludewig & Jannach, UMUAI 2018), counted over the events of all tasks in their
order. **Deviation.** A pair of events counts by the inverse square root of the gap between them.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Int64

from warmstart.tasks.examples import Examples


def transition_counts(
    events: Examples, kept_items: Int64[np.ndarray, "J"], items: int, window: int
) -> sp.csr_array:
    """Weighted counts of (earlier, later) pairs at most `window` events apart: (J, J)."""
    events = restrict_to_items(events, kept_items, items)
    counts = sp.csr_array((len(kept_items), len(kept_items)), dtype=np.float32)
    for gap in range(1, window + 1):
        first = np.arange(max(len(events.item) - gap, 0))
        first = first[events.task[first] == events.task[first + gap]]  # both of the same task
        weight = np.full(len(first), gap**-0.5, dtype=np.float32)
        pairs = (events.item[first], events.item[first + gap])
        counts = counts + sp.csr_array((weight, pairs), shape=counts.shape)
    return counts


def own_transitions(
    support: Examples,
    task_events: Examples,
    weight: Float32[np.ndarray, "N"],
    width: int,
    window: int,
) -> sp.csr_array:
    """What the tasks' own events add to weighted support @ `transition_counts`: (T, J).

    It is subtracted to leave each task out. An item of the support counts at each of its events in
    `task_events`, which may be more than one, as it did when the transitions were counted.
    """
    by_item = weighted_matrix(support, width, weight).toarray()  # (T, J)
    by_event = by_item[task_events.task, task_events.item]  # (M,) over the tasks' own events
    position = np.flatnonzero(by_event)
    gap = np.arange(1, window + 1)
    later = position[:, None] + gap  # (P, W)
    inside = later < task_events.offsets[1:][task_events.task[position]][:, None]
    value = np.where(inside, by_event[position][:, None] * gap**-0.5, 0.0).astype(np.float32)
    task = np.repeat(task_events.task[position], inside.sum(axis=1))
    cells = (task, task_events.item[later[inside]])
    return sp.csr_array((value[inside], cells), shape=(len(support), width))


def restrict_to_items(
    examples: Examples, kept_items: Int64[np.ndarray, "J"], items: int
) -> Examples:
    """The examples of the kept items, recoded to positions in `kept_items`."""
    position = np.full(items, -1)
    position[kept_items] = np.arange(len(kept_items))
    kept = examples.where(position[examples.item] >= 0)
    return Examples(position[kept.item], kept.value, kept.offsets)


def events_since(examples: Examples) -> Int64[np.ndarray, "N"]:
    """How many examples of the same task come after each."""
    return examples.offsets[1:][examples.task] - 1 - np.arange(len(examples.item))


def weighted_matrix(
    examples: Examples, width: int, weight: Float32[np.ndarray, "N"] | None = None
) -> sp.csr_array:
    """The examples as a sparse (T, width) matrix of their weights, 1 where none are given."""
    if weight is None:
        weight = np.ones(len(examples.item), dtype=np.float32)
    values = weight.astype(np.float32)
    return sp.csr_array((values, examples.item, examples.offsets), shape=(len(examples), width))
