"""Transition counts, and what a task adds to them, against loops over pairs of events."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from warmstart.cooccurrence.transitions import (
    events_since,
    own_transitions,
    restrict_to_items,
    transition_counts,
    weighted_matrix,
)
from warmstart.tasks.examples import Examples

ITEMS, WINDOW = 7, 2
ROWS = [[0, 3, 3, 5], [], [6, 2, 5, 0, 3], [5]]
KEPT = np.array([0, 2, 3, 5])  # 6 is dropped


@pytest.fixture
def events(examples) -> Examples:
    return examples(ROWS)


def counts_of(rows: list[list[int]]) -> np.ndarray:
    counts = np.zeros((len(KEPT), len(KEPT)))
    for row in rows:
        kept = [KEPT.tolist().index(item) for item in row if item in KEPT]
        for i, first in enumerate(kept):
            for gap, second in enumerate(kept[i + 1 : i + 1 + WINDOW], start=1):
                counts[first, second] += gap**-0.5
    return counts


def test_pairs_within_the_window_are_counted_by_their_gap(events):
    found = transition_counts(events, KEPT, ITEMS, WINDOW)
    assert_allclose(found.toarray(), counts_of(ROWS), rtol=1e-6)


def test_without_its_own_transitions_a_task_reads_the_counts_of_all_others(events, examples):
    own = restrict_to_items(events, KEPT, ITEMS)
    support = restrict_to_items(examples([[0, 3], [], [2], [5]]), KEPT, ITEMS)
    weight = np.array([1.0, 0.5, 2.0, 1.0], dtype=np.float32)
    read = weighted_matrix(support, len(KEPT), weight)
    all_tasks = read @ transition_counts(events, KEPT, ITEMS, WINDOW).toarray()
    found = all_tasks - own_transitions(support, own, weight, len(KEPT), WINDOW).toarray()
    for t in range(len(ROWS)):
        others = ROWS[:t] + ROWS[t + 1 :]
        assert_allclose(found[t], read.toarray()[t] @ counts_of(others), rtol=1e-5, atol=1e-6)


def test_items_are_recoded_and_later_events_counted(events):
    kept = restrict_to_items(events, KEPT, ITEMS)
    assert_array_equal(KEPT[kept.item], [0, 3, 3, 5, 2, 5, 0, 3, 5])
    assert_array_equal(kept.counts, [4, 0, 4, 1])
    assert_array_equal(events_since(kept), [3, 2, 1, 0, 3, 2, 1, 0, 0])
