"""Reasons put to the test: deletion, insertion, sufficiency, stability, and what would change a
list.
"""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from warmstart.baselines import EASE, Popularity
from warmstart.explain.attribution import UserContext, influences, top_competitors
from warmstart.explain.counterfactual import addition, removal
from warmstart.explain.fidelity import (
    deletion,
    discount,
    fidelity,
    important_first,
    insertion,
    ranks,
    stability,
)
from warmstart.explain.list_shift import list_shift

EVERYTHING = np.arange(30)


@pytest.fixture(scope="module")
def ease(split) -> EASE:
    return EASE.fit(split.train, items=30, l2=30.0)


@pytest.fixture
def known(examples) -> UserContext:
    return UserContext(examples([[4, 8, 2, 13, 16]]))


@pytest.fixture
def excluded(known) -> np.ndarray:
    marked = np.zeros(30, dtype=bool)
    marked[known.support.item] = True
    return marked


def rank_of(scorer, examples, items: list[int], item: int, excluded: np.ndarray) -> int:
    """By the definition: how many items that may be recommended score higher, and one."""
    scores = scorer.score(scorer.adapt(examples([items])), EVERYTHING)[0]
    return 1 + sum(scores[other] > scores[item] for other in range(30) if not excluded[other])


def best_of(scorer, known, excluded) -> int:
    scores = scorer.score(scorer.adapt(known.support), EVERYTHING)[0]
    return int(np.where(excluded, -np.inf, scores).argmax())


def test_deletion_and_insertion_are_mean_discounts_of_the_item_along_an_order(
    ease, known, excluded, examples
):
    item, order = best_of(ease, known, excluded), np.array([2, 0, 4, 1, 3])
    history = known.support.item
    gone = [[i for place, i in enumerate(history) if place not in order[:m]] for m in (1, 2, 3)]
    left = [[i for place, i in enumerate(history) if place in order[:m]] for m in (1, 2, 3)]
    for measure, histories in ((deletion, gone), (insertion, left)):
        expected = np.mean(
            [1 / np.log2(1 + rank_of(ease, examples, one, item, excluded)) for one in histories]
        )
        assert measure(ease, known, item, order, excluded, most=3) == pytest.approx(expected)


def test_what_was_deleted_does_not_compete_with_the_item(ease, known, excluded):
    item = best_of(ease, known, excluded)
    nothing = np.zeros((1, 5), dtype=bool)
    assert ranks(ease, known, nothing, np.array([item]), excluded)[0] <= 30 - 5


def test_important_events_come_first_and_of_equals_the_later():
    assert important_first(np.array([[0.1, 0.5, 0.1, -2.0]], dtype=np.float32)).tolist() == [
        [1, 2, 0, 3]
    ]


def test_true_reasons_are_better_than_turned_ones(ease, known, excluded):
    item = best_of(ease, known, excluded)
    scores = ease.score(ease.adapt(known.support), EVERYTHING)[0]
    found = influences(
        ease, known, np.array([item]), top_competitors(scores, excluded, np.array([item]))
    )
    order = important_first(found.events)[0]
    assert deletion(ease, known, item, order, excluded) < deletion(
        ease, known, item, order[::-1], excluded
    )
    assert insertion(ease, known, item, order, excluded) >= insertion(
        ease, known, item, order[::-1], excluded
    )


def test_fidelity_is_what_three_events_carry(ease, known, excluded, examples):
    item = best_of(ease, known, excluded)
    events = np.array([[0.3, -0.1, 0.2, 0.5, 0.0]], dtype=np.float32)
    found = fidelity(ease, known, np.array([item]), events, excluded)
    history = known.support.item.tolist()
    with_three, without = [history[i] for i in (0, 2, 3)], [history[i] for i in (1, 4)]
    gain = {
        tuple(one): 1 / np.log2(1 + rank_of(ease, examples, one, item, excluded))
        for one in (with_three, without)
    }
    assert found.sufficiency[0] == pytest.approx(gain[tuple(with_three)])
    assert found.comprehensiveness[0] == pytest.approx(1 - gain[tuple(without)])


def test_where_nothing_is_personal_three_events_carry_all_and_nothing(split, known, excluded):
    scorer = Popularity.fit(split.train, items=30)
    found = fidelity(
        scorer,
        known,
        np.array([best_of(scorer, known, excluded)]),
        np.zeros((1, 5), np.float32),
        excluded,
    )
    assert found.sufficiency[0] == 1 and found.comprehensiveness[0] == 0


def test_additive_reasons_are_stable_and_those_of_popularity_are_none(ease, split, known, excluded):
    rng, item = np.random.default_rng(0), np.array([best_of(ease, known, excluded)])
    rivals = top_competitors(ease.score(ease.adapt(known.support), EVERYTHING)[0], excluded, item)
    found = influences(ease, known, item, rivals)
    assert stability(ease, known, int(item[0]), found, rivals[0], rng) == pytest.approx(1.0)


@pytest.mark.parametrize("n", [1, 3])
def test_the_smallest_removal_is_that_of_all_subsets(ease, known, excluded, examples, n):
    item, history = best_of(ease, known, excluded), known.support.item.tolist()
    found = removal(ease, known, item, n, excluded)
    smallest = next(
        size
        for size in range(1, 6)
        if any(
            rank_of(
                ease, examples, [i for p, i in enumerate(history) if p not in gone], item, excluded
            )
            > n
            for gone in combinations(range(5), size)
        )
    )
    assert found is not None and found.smallest and len(found.events) == smallest
    left = [i for place, i in enumerate(history) if place not in found.events]
    assert found.rank == rank_of(ease, examples, left, item, excluded) > n


def test_without_tries_the_removal_is_not_said_to_be_the_smallest(ease, known, excluded):
    item = best_of(ease, known, excluded)
    found, proven = (removal(ease, known, item, 11, excluded, tried=tried) for tried in (0, 1500))
    assert found is not None and proven is not None
    assert found.rank > 11 and len(found.events) >= len(proven.events) > 1
    assert proven.smallest and not found.smallest


def test_what_everybody_likes_no_removal_takes_away(split, known, excluded):
    scorer = Popularity.fit(split.train, items=30)
    assert removal(scorer, known, best_of(scorer, known, excluded), 3, excluded) is None


def test_an_addition_brings_the_item_where_it_says(ease, known, excluded, examples):
    scores = ease.score(ease.adapt(known.support), EVERYTHING)[0]
    item = int(np.where(excluded, np.inf, scores).argmin())
    found = addition(ease, known, item, 5, excluded)
    assert (
        found is not None and 1 <= len(found.items) <= 3 and not excluded[list(found.items)].any()
    )
    now = excluded.copy()
    now[list(found.items)] = True
    assert found.rank == rank_of(ease, examples, [*known.support.item, *found.items], item, now)
    assert found.rank < rank_of(ease, examples, known.support.item.tolist(), item, excluded)


def test_where_nothing_is_personal_no_addition_helps(split, known, excluded):
    scorer = Popularity.fit(split.train, items=30)
    order = np.argsort(-scorer.popular)
    least = int(order[~excluded[order]][-1])
    assert addition(scorer, known, least, 3, excluded) is None


def test_movement_follows_the_lists_after_each_event(ease, known, excluded, examples):
    found = list_shift(ease, known, 4, excluded)
    assert found.lists.shape == (6, 4)
    for shots in range(6):
        scores = ease.score(
            ease.adapt(examples([known.support.item[:shots].tolist()])), EVERYTHING
        )[0]
        expected = np.argsort(-np.where(excluded, -np.inf, scores), kind="stable")[:4]
        assert found.lists[shots].tolist() == expected.tolist()
    new = [
        len(set(after) - set(before))
        for before, after in zip(found.lists[:-1], found.lists[1:], strict=True)
    ]
    assert found.new.tolist() == new


def test_popularity_never_moves(split, known, excluded):
    found = list_shift(Popularity.fit(split.train, items=30), known, 4, excluded)
    assert found.new.tolist() == [0] * 5
    assert_allclose(found.moved, 0)


def test_a_discount_is_one_in_front_and_half_at_the_third_place():
    assert_allclose(discount(np.array([1, 3, 7])), [1, 1 / 2, 1 / 3])
