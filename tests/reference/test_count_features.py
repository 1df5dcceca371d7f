"""What the memory says, against counting by hand."""

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
from warmstart.tasks.tasks import Examples

ITEMS = 9
NOWHERE = np.zeros(ITEMS, dtype=bool)  # all items may be an answer
PAST = [[0, 1, 2], [1, 2, 3, 1], [4], [], [2, 1, 5], [0, 4, 4, 6]]
SUPPORT = [[1, 2], [4], [], [7, 0, 4, 0]]


@pytest.fixture
def past(examples) -> Examples:
    return examples(PAST)


@pytest.fixture
def support(examples) -> Examples:
    return examples(SUPPORT)


def said(memory: CountFeatures, support: Examples) -> np.ndarray:
    """(T, I, W), with zeros where nothing is said."""
    heard = memory.extract(support)
    found = np.zeros((len(support), ITEMS, len(FEATURE_NAMES)), dtype=np.float32)
    found[heard.task, heard.item] = heard.values
    return found


def loud(share: float, witness: str) -> float:
    return math.log1p(share / LOG_SCALE_THRESHOLDS[witness]) / math.log1p(
        0.1 / LOG_SCALE_THRESHOLDS[witness]
    )


def shares(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum() if weights.sum() else weights


def together(item: int) -> np.ndarray:
    counts = np.zeros(ITEMS)
    for task in map(set, PAST):
        for other in task - {item} if item in task else ():
            counts[other] += 1
    return shares(counts)


def followed(item: int) -> np.ndarray:
    counts = np.zeros(ITEMS)
    for task in PAST:
        for one, other in itertools.pairwise(task):
            counts[other] += one == item
    return shares(counts)


@pytest.mark.parametrize("ordered", [True, False])
def test_what_was_met_together_is_counted_over_past_tasks(past, support, ordered):
    found = said(CountFeatures.fit(past, ordered, NOWHERE), support)[
        ..., FEATURE_NAMES.index("together")
    ]
    for t, events in enumerate(SUPPORT):
        weights = [DECAY ** (len(events) - 1 - i) if ordered else 1.0 for i in range(len(events))]
        share = sum(
            (w / sum(weights) * together(item) for w, item in zip(weights, events, strict=True)),
            np.zeros(ITEMS),
        )
        np.testing.assert_allclose(
            found[t], [loud(one, "together") for one in share], rtol=1e-4, atol=1e-6
        )


def cosine(item: int, other: int) -> float:
    tasks = [set(task) for task in PAST]
    both = sum(item in task and other in task for task in tasks)
    return (
        both / math.sqrt(sum(item in t for t in tasks) * sum(other in t for t in tasks))
        if both
        else 0.0
    )


def test_items_that_are_met_together_alone_are_near(past, support):
    found = said(CountFeatures.fit(past, True, NOWHERE), support)[
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


def test_what_followed_is_asked_of_the_last_event(past, support):
    found = said(CountFeatures.fit(past, True, NOWHERE), support)[..., FEATURE_NAMES.index("next")]
    for t, events in enumerate(SUPPORT):
        share = followed(events[-1]) if events else np.zeros(ITEMS)
        np.testing.assert_allclose(
            found[t], [loud(one, "next") for one in share], rtol=1e-4, atol=1e-6
        )


def test_places_of_events_are_marked(past, support):
    found = said(CountFeatures.fit(past, True, NOWHERE), support)
    for t, events in enumerate(SUPPORT):
        for name, items in (("met", events), ("last", events[-1:]), ("before_last", events[-2:-1])):
            assert set(np.flatnonzero(found[t, :, FEATURE_NAMES.index(name)])) == set(items)


def test_what_was_met_elsewhere_is_said_by_witnesses_of_its_own(past, support):
    elsewhere = np.arange(ITEMS) % 2 == 0  # items 0, 2, 4 and so on are no answer
    found = said(CountFeatures.fit(past, True, elsewhere), support)
    for which, suffix in ((~elsewhere, ""), (elsewhere, SOURCE_SUFFIX)):
        part = said(CountFeatures.fit(past, True, NOWHERE), support.where(which[support.item]))
        for name in ("alike", "together", "cosine"):
            np.testing.assert_array_equal(
                found[..., FEATURE_NAMES.index(name + suffix)], part[..., FEATURE_NAMES.index(name)]
            )
    assert not found[:, elsewhere, FEATURE_NAMES.index("met")].any()
    shots = CountFeatures.fit(past, True, elsewhere).shots(support)
    assert shots.tolist() == [sum(item % 2 for item in events) for events in SUPPORT]


def test_without_an_order_nothing_followed(past, support):
    found = said(CountFeatures.fit(past, False, NOWHERE), support)
    for name in ("next", "last", "before_last"):
        assert not found[..., FEATURE_NAMES.index(name)].any()
    turned = said(
        CountFeatures.fit(past, False, NOWHERE), support.shuffled(np.random.default_rng(0))
    )
    np.testing.assert_allclose(found, turned, rtol=1e-6)


def test_tasks_that_are_alike_name_what_they_met(past, support):
    found = said(CountFeatures.fit(past, True, NOWHERE), support)[..., FEATURE_NAMES.index("alike")]
    assert set(np.flatnonzero(found[1])) == {0, 4, 6}  # [4] and [0, 4, 4, 6] share the only event
    assert not found[2].any()


def test_of_late_is_counted_among_the_latest_events(past):
    of_items = CountFeatures.fit(past, True, NOWHERE).item_features
    met = [item for task in PAST for item in task]
    assert of_items.shape == (ITEMS, len(ITEM_FEATURE_NAMES))
    for column, share in enumerate(RECENT_SHARES):
        latest = met[len(met) - round(share * len(met)) :]
        counts = np.array([latest.count(item) for item in range(ITEMS)])
        np.testing.assert_allclose(
            of_items[:, column], np.log((counts + 0.3) / (counts.mean() + 0.3)), rtol=1e-5
        )
    since = [
        len(met) - 1 - max((i for i, one in enumerate(met) if one == item), default=-1)
        for item in range(ITEMS)
    ]
    np.testing.assert_allclose(
        of_items[:, -1], np.log1p(100 * np.array(since) / len(met)), rtol=1e-5
    )


def test_tasks_that_come_later_are_counted_like_those_before(past, support, examples):
    more = [[3, 8], [1, 2, 8]]
    grown, whole = (
        CountFeatures.fit(past, True, NOWHERE).with_sessions(examples(more)),
        CountFeatures.fit(examples(PAST + more), True, NOWHERE),
    )
    np.testing.assert_array_equal(grown.item_features, whole.item_features)
    np.testing.assert_allclose(said(grown, support), said(whole, support), rtol=1e-6)


def test_nobody_known_and_nothing_past_is_valid(support, examples):
    memory = CountFeatures.fit(examples([[]]), True, NOWHERE)
    assert np.isfinite(memory.item_features).all()
    found = said(memory, support)
    assert set(np.flatnonzero(found.any(axis=(0, 1)))) == {
        FEATURE_NAMES.index(name) for name in ("met", "last", "before_last")
    }
    assert len(memory.extract(examples([[], []])).item) == 0
