"""Exploration: the chances that are told are the chances there are."""

import numpy as np
import pytest

from warmstart.recommend.exploration import epsilon_greedy, thompson
from warmstart.scorer import best

SCORES = np.array([3.0, 9.0, 7.0, 7.0, 1.0, 5.0], dtype=np.float32)
BARRED = np.array([False, False, False, False, True, False])


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_the_best_are_those_of_a_sorted_list(n):
    assert best(SCORES, BARRED, n).tolist() == [1, 2, 3, 5, 0][:n]


def test_of_many_the_best_are_those_of_a_sorted_list():
    scores = np.random.default_rng(0).integers(0, 50, 1000).astype(np.float32)
    excluded = np.random.default_rng(1).random(1000) < 0.3
    expected = [item for item in np.argsort(-scores, kind="stable") if not excluded[item]][:20]
    assert best(scores, excluded, 20).tolist() == expected


def test_nothing_is_best_of_nothing():
    assert len(best(SCORES, np.ones(6, dtype=bool), 3)) == 0


def test_without_epsilon_the_best_are_shown_for_sure():
    found = epsilon_greedy(SCORES, BARRED, 3, 0.0, np.random.default_rng(0))
    assert found.items.tolist() == [1, 2, 3] and found.propensity.tolist() == [1, 1, 1]


def test_the_chance_of_the_first_place_is_how_often_an_item_stands_there():
    rng, shown, told = np.random.default_rng(0), np.zeros(6), {}
    for _ in range(4000):
        found = epsilon_greedy(SCORES, BARRED, 2, 0.4, rng)
        assert len(set(found.items.tolist())) == 2 and not BARRED[found.items].any()
        shown[found.items[0]] += 1 / 4000
        told[int(found.items[0])] = found.propensity[0]
    for item, chance in told.items():
        assert shown[item] == pytest.approx(chance, abs=0.03)
    assert told[1] == pytest.approx(0.6 + 0.4 / 5) and told[0] == pytest.approx(0.4 / 5)


def test_with_chance_alone_everything_is_shown_alike():
    found = epsilon_greedy(SCORES, BARRED, 5, 1.0, np.random.default_rng(0))
    assert sorted(found.items.tolist()) == [0, 1, 2, 3, 5]
    assert found.propensity.tolist() == pytest.approx([1 / 5, 1 / 4, 1 / 3, 1 / 2, 1])


def test_thompson_shows_the_first_draw_with_the_share_of_all():
    draws = np.array(
        [[9, 1, 2, 0, 5], [1, 9, 2, 0, 5], [9, 1, 2, 0, 5], [9, 3, 4, 0, 5]], dtype=np.float32
    )
    found = thompson(draws, np.array([False, False, False, False, True]), 2)
    assert found.items.tolist() == [0, 2] and found.propensity.tolist() == [3 / 4, 1.0]
