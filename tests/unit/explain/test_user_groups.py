"""Tastes show groups, never a single person."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from warmstart.baselines import EASE, SessionKNN
from warmstart.explain.user_groups import GROUP, SEEN, UserGroups, neighbourhood
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import Tasks


def tasks_of(rows: list[list[int]], examples) -> Tasks:
    return Tasks(examples(rows), ordered=False)


@pytest.fixture
def two_groups(examples) -> Tasks:
    """Sixty who met even items and sixty who met odd ones, each four of ten; two of them met item
    20, four item 21.
    """
    rng = np.random.default_rng(0)
    rows = [
        rng.choice(np.arange(kind, 20, 2), 4, replace=False).tolist()
        for kind in (0, 1)
        for _ in range(60)
    ]
    for place in (0, 1):
        rows[place].append(20)
    for place in (2, 3, 4, 5):
        rows[place].append(21)
    return tasks_of(rows, examples)


def test_prototypes_are_the_groups_there_are(two_groups):
    tastes = UserGroups.fit(two_groups, 22)
    assert sorted(tastes.tasks.tolist()) == [60, 60]
    shares = tastes.shares.toarray()
    even = int(shares[:, 0].argmax())
    assert (shares[even, 0:20:2] > 0).all() and (shares[even, 1:20:2] == 0).all()
    assert (
        tastes.similarity(np.array([0, 2, 4]))[even]
        > tastes.similarity(np.array([0, 2, 4]))[1 - even]
    )


def test_what_fewer_than_three_of_a_group_met_is_not_shown(two_groups):
    shares = UserGroups.fit(two_groups, 22).shares.toarray()
    assert SEEN == 3
    assert (shares[:, 20] == 0).all() and shares[:, 21].max() == pytest.approx(4 / 60)


def test_fewer_tasks_than_ten_have_no_taste(examples):
    tastes = UserGroups.fit(tasks_of([[1, 2]] * (GROUP - 1), examples), 5)
    assert len(tastes.tasks) == 0 and tastes.similarity(np.array([1])).shape == (0,)


def test_restored_tastes_are_the_same(two_groups):
    one = UserGroups.fit(two_groups, 22)
    again = UserGroups.restore(one.arrays())
    assert_allclose(again.shares.toarray(), one.shares.toarray())
    assert again.tasks.tolist() == one.tasks.tolist()
    assert_allclose(again.base_rate, one.base_rate)


def test_a_memory_tells_what_those_met_whom_it_reads(examples):
    past = tasks_of([[1, 2, 3]] * 11 + [[1, 4]] * 2 + [[5, 6]] * 9, examples)
    scorer = SessionKNN.fit(past, items=8)
    assert scorer.capabilities.neighbours is not None
    found = neighbourhood(scorer, examples([[1]]))
    assert found is not None and found.tasks == 13
    assert found.shares[2] > 0.5 and found.shares[5] == 0
    assert found.shares[4] == 0  # two of the thirteen met it: not enough to be shown


def test_what_fewer_than_ten_have_in_common_is_not_shown(examples):
    past = tasks_of([[1, 2, 3]] * 11 + [[5, 6]] * 9, examples)
    assert neighbourhood(SessionKNN.fit(past, items=8), examples([[5]])) is None


def test_a_scorer_without_memory_reads_nobody(split, examples):
    assert neighbourhood(EASE.fit(split.train, items=30), examples([[1]])) is None


def test_whoever_has_met_nothing_makes_nobody_be_read(examples):
    past = tasks_of([[1, 2, 3]] * 20, examples)
    empty = Examples.unweighted(np.zeros(0, dtype=np.int64), np.array([0, 0]))
    assert neighbourhood(SessionKNN.fit(past, items=8), empty) is None
