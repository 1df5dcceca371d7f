"""The bridge between two sides against a regression written out, and on a world in which one side
tells the other.
"""

import numpy as np
import pytest

from warmstart.baselines import ALS, Bridge
from warmstart.tasks.tasks import Question, Tasks

ITEMS, HERE = 20, np.arange(10, 20)


@pytest.fixture
def train(examples) -> Tasks:
    """Who met even things there met even things here; some have one side only."""
    rng = np.random.default_rng(0)
    before, events = [], []
    for user in range(60):
        kind = np.arange(user % 2, 10, 2)
        before.append(rng.permutation(kind)[:3].tolist() if user % 5 else [])
        events.append((10 + rng.permutation(kind)[:3]).tolist() if user % 7 else [])
    return Tasks(
        examples(events), ordered=False, before=examples(before), question=Question(among=HERE)
    )


def test_what_was_met_elsewhere_foretells_what_is_met_here(train, examples):
    one = Bridge.fit(train, items=ITEMS)
    best = np.argsort(-one.score(one.adapt(examples([[0, 4], [1, 3]])), HERE), axis=1)[:, :3]
    assert (best % 2 == [[0], [1]]).all()


def test_the_map_is_a_ridge_regression_on_those_with_both_sides(train, examples):
    one = Bridge.fit(train, items=ITEMS, l2=0.7, caution=2.0, seed=3)
    there = ALS.fit(Tasks(train.before, False), items=ITEMS, seed=3)
    here = ALS.fit(Tasks(train.events, False), items=ITEMS, seed=3)
    both = [t for t in range(60) if t % 5 and t % 7]
    known = there.adapt(train.before.take(np.array(both)))
    usual = here.adapt(train.events.take(np.array([t for t in range(60) if t % 7]))).mean(axis=0)
    wanted = here.adapt(train.events.take(np.array(both))) - usual
    line = np.linalg.inv(known.T @ known + 0.7 * np.eye(64)) @ known.T @ wanted
    foretold = usual + there.adapt(examples([[0, 4]])) @ line
    np.testing.assert_allclose(one.adapt(examples([[0, 4]])), foretold, atol=2e-3)
    mixed = (here.adapt(examples([[12]])) + 2 * foretold) / 3
    np.testing.assert_allclose(one.adapt(examples([[0, 4, 12]])), mixed, atol=2e-3)


def test_where_all_is_asked_for_there_is_nothing_to_map(train, examples):
    one = Bridge.fit(Tasks(train.events, ordered=False), items=ITEMS)
    assert (
        not one.line.any() and np.isfinite(one.score(one.adapt(examples([[12], []])), HERE)).all()
    )
