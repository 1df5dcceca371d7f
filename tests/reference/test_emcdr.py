"""EMCDR against a regression written out, and where one domain determines the other."""

import numpy as np
import pytest

from warmstart.baselines import ALS, EMCDR
from warmstart.tasks.tasks import QuerySpec, Tasks

ITEMS, TARGET = 20, np.arange(10, 20)


@pytest.fixture
def train(examples) -> Tasks:
    """Users like even items in both domains, or odd ones; some have events in one domain only."""
    rng = np.random.default_rng(0)
    before, events = [], []
    for user in range(60):
        kind = np.arange(user % 2, 10, 2)
        before.append(rng.permutation(kind)[:3].tolist() if user % 5 else [])
        events.append((10 + rng.permutation(kind)[:3]).tolist() if user % 7 else [])
    return Tasks(
        examples(events),
        ordered=False,
        context=examples(before),
        query_spec=QuerySpec(candidates=TARGET),
    )


def test_events_in_the_source_domain_predict_those_in_the_target_domain(train, examples):
    one = EMCDR.fit(train, items=ITEMS)
    best = np.argsort(-one.score(one.adapt(examples([[0, 4], [1, 3]])), TARGET), axis=1)[:, :3]
    assert (best % 2 == [[0], [1]]).all()


def test_the_map_is_a_ridge_regression_on_users_with_events_in_both_domains(train, examples):
    one = EMCDR.fit(train, items=ITEMS, l2=0.7, caution=2.0, seed=3)
    source = ALS.fit(Tasks(train.context, False), items=ITEMS, seed=3)
    target = ALS.fit(Tasks(train.events, False), items=ITEMS, seed=3)
    both = [t for t in range(60) if t % 5 and t % 7]
    known = source.adapt(train.context.take(np.array(both)))
    mean = target.adapt(train.events.take(np.array([t for t in range(60) if t % 7]))).mean(axis=0)
    wanted = target.adapt(train.events.take(np.array(both))) - mean
    coefficients = np.linalg.inv(known.T @ known + 0.7 * np.eye(64)) @ known.T @ wanted
    predicted = mean + source.adapt(examples([[0, 4]])) @ coefficients
    np.testing.assert_allclose(one.adapt(examples([[0, 4]])), predicted, atol=2e-3)
    mixed = (target.adapt(examples([[12]])) + 2 * predicted) / 3
    np.testing.assert_allclose(one.adapt(examples([[0, 4, 12]])), mixed, atol=2e-3)


def test_where_all_items_are_candidates_there_is_nothing_to_map(train, examples):
    one = EMCDR.fit(Tasks(train.events, ordered=False), items=ITEMS)
    assert (
        not one.coefficients.any()
        and np.isfinite(one.score(one.adapt(examples([[12], []])), TARGET)).all()
    )
