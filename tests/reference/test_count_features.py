"""Count features against counting by hand."""

import itertools
import math

import numpy as np
import pytest

from warmstart.ensemble.count_features import (
    DECAY,
    FEATURE_NAMES,
    ITEM_FEATURE_NAMES,
    LOG_SCALE_THRESHOLDS,
    RECENT_SHARES,
    SOURCE_SUFFIX,
    CountFeatures,
)
from warmstart.tasks.examples import Examples

ITEMS = 9
NO_SOURCE = np.zeros(ITEMS, dtype=bool)  # all items may be an answer
PAST = [[0, 1, 2], [1, 2, 3, 1], [4], [], [2, 1, 5], [0, 4, 4, 6]]
SUPPORT = [[1, 2], [4], [], [7, 0, 4, 0]]


@pytest.fixture
def past(examples) -> Examples:
    return examples(PAST)


@pytest.fixture
def support(examples) -> Examples:
    return examples(SUPPORT)


def dense(features: CountFeatures, support: Examples) -> np.ndarray:
    """(T, I, W), with zeros where a pair has no features."""
    found = features.extract(support)
    values = np.zeros((len(support), ITEMS, len(FEATURE_NAMES)), dtype=np.float32)
    values[found.task, found.item] = found.values
    return values


def log_scaled(share: float, name: str) -> float:
    return math.log1p(share / LOG_SCALE_THRESHOLDS[name]) / math.log1p(
        0.1 / LOG_SCALE_THRESHOLDS[name]
    )


def shares(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum() if weights.sum() else weights


def cooccurrence(item: int) -> np.ndarray:
    counts = np.zeros(ITEMS)
    for task in map(set, PAST):
        for other in task - {item} if item in task else ():
            counts[other] += 1
    return shares(counts)


def transition(item: int) -> np.ndarray:
    counts = np.zeros(ITEMS)
    for task in PAST:
        for one, other in itertools.pairwise(task):
            counts[other] += one == item
    return shares(counts)


@pytest.mark.parametrize("ordered", [True, False])
def test_cooccurrence_is_counted_over_past_tasks(past, support, ordered):
    found = dense(CountFeatures.fit(past, ordered, NO_SOURCE), support)[
        ..., FEATURE_NAMES.index("cooccurrence")
    ]
    for t, events in enumerate(SUPPORT):
        weights = [DECAY ** (len(events) - 1 - i) if ordered else 1.0 for i in range(len(events))]
        share = sum(
            (
                w / sum(weights) * cooccurrence(item)
                for w, item in zip(weights, events, strict=True)
            ),
            np.zeros(ITEMS),
        )
        np.testing.assert_allclose(
            found[t], [log_scaled(one, "cooccurrence") for one in share], rtol=1e-4, atol=1e-6
        )


def cosine(item: int, other: int) -> float:
    tasks = [set(task) for task in PAST]
    both = sum(item in task and other in task for task in tasks)
    return (
        both / math.sqrt(sum(item in t for t in tasks) * sum(other in t for t in tasks))
        if both
        else 0.0
    )


def test_cosine_is_high_for_items_that_come_only_together(past, support):
    found = dense(CountFeatures.fit(past, True, NO_SOURCE), support)[
        ..., FEATURE_NAMES.index("cosine")
    ]
    for t, events in enumerate(SUPPORT):
        wanted = [
            sum(
                DECAY ** (len(events) - 1 - i) * cosine(one, item)
                for i, one in enumerate(events)
                if one != item
            )
            for item in range(ITEMS)
        ]
        np.testing.assert_allclose(found[t], wanted, rtol=1e-4, atol=1e-6)


def test_transitions_are_read_from_the_last_event(past, support):
    found = dense(CountFeatures.fit(past, True, NO_SOURCE), support)[
        ..., FEATURE_NAMES.index("transition")
    ]
    for t, events in enumerate(SUPPORT):
        share = transition(events[-1]) if events else np.zeros(ITEMS)
        np.testing.assert_allclose(
            found[t], [log_scaled(one, "transition") for one in share], rtol=1e-4, atol=1e-6
        )


def test_positions_of_events_are_marked(past, support):
    found = dense(CountFeatures.fit(past, True, NO_SOURCE), support)
    for t, events in enumerate(SUPPORT):
        for name, items in (
            ("seen", events),
            ("last", events[-1:]),
            ("before_last", events[-2:-1]),
        ):
            assert set(np.flatnonzero(found[t, :, FEATURE_NAMES.index(name)])) == set(items)


def test_events_of_a_source_domain_have_features_of_their_own(past, support):
    source_items = np.arange(ITEMS) % 2 == 0
    found = dense(CountFeatures.fit(past, True, source_items), support)
    for which, suffix in ((~source_items, ""), (source_items, SOURCE_SUFFIX)):
        part = dense(CountFeatures.fit(past, True, NO_SOURCE), support.where(which[support.item]))
        for name in ("similar_sessions", "cooccurrence", "cosine"):
            np.testing.assert_array_equal(
                found[..., FEATURE_NAMES.index(name + suffix)], part[..., FEATURE_NAMES.index(name)]
            )
    assert not found[:, source_items, FEATURE_NAMES.index("seen")].any()
    shots = CountFeatures.fit(past, True, source_items).shots(support)
    assert shots.tolist() == [sum(item % 2 for item in events) for events in SUPPORT]


def test_without_a_time_order_there_are_no_transitions(past, support):
    found = dense(CountFeatures.fit(past, False, NO_SOURCE), support)
    for name in ("transition", "last", "before_last"):
        assert not found[..., FEATURE_NAMES.index(name)].any()
    shuffled = dense(
        CountFeatures.fit(past, False, NO_SOURCE), support.shuffled(np.random.default_rng(0))
    )
    np.testing.assert_allclose(found, shuffled, rtol=1e-6)


def test_similar_sessions_name_their_items(past, support):
    found = dense(CountFeatures.fit(past, True, NO_SOURCE), support)[
        ..., FEATURE_NAMES.index("similar_sessions")
    ]
    assert set(np.flatnonzero(found[1])) == {0, 4, 6}  # [4] and [0, 4, 4, 6] share the only event
    assert not found[2].any()


def test_item_features_count_among_the_latest_events(past):
    item_features = CountFeatures.fit(past, True, NO_SOURCE).item_features
    events = [item for task in PAST for item in task]
    assert item_features.shape == (ITEMS, len(ITEM_FEATURE_NAMES))
    for column, share in enumerate(RECENT_SHARES):
        latest = events[len(events) - round(share * len(events)) :]
        counts = np.array([latest.count(item) for item in range(ITEMS)])
        np.testing.assert_allclose(
            item_features[:, column], np.log((counts + 0.3) / (counts.mean() + 0.3)), rtol=1e-5
        )
    since = [
        len(events) - 1 - max((i for i, one in enumerate(events) if one == item), default=-1)
        for item in range(ITEMS)
    ]
    np.testing.assert_allclose(
        item_features[:, -1], np.log1p(100 * np.array(since) / len(events)), rtol=1e-5
    )


def test_later_tasks_are_counted_like_earlier_ones(past, support, examples):
    more = [[3, 8], [1, 2, 8]]
    grown, whole = (
        CountFeatures.fit(past, True, NO_SOURCE).with_sessions(examples(more)),
        CountFeatures.fit(examples(PAST + more), True, NO_SOURCE),
    )
    np.testing.assert_array_equal(grown.item_features, whole.item_features)
    np.testing.assert_allclose(dense(grown, support), dense(whole, support), rtol=1e-6)


def test_empty_support_and_no_past_tasks_are_valid(support, examples):
    features = CountFeatures.fit(examples([[]]), True, NO_SOURCE)
    assert np.isfinite(features.item_features).all()
    found = dense(features, support)
    assert set(np.flatnonzero(found.any(axis=(0, 1)))) == {
        FEATURE_NAMES.index(name) for name in ("seen", "last", "before_last")
    }
    assert len(features.extract(examples([[], []])).item) == 0
