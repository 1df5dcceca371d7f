"""The baselines that read profiles against loops and scikit-learn's regression."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import Ridge

from warmstart.baselines import ALS, ProfileALS, ProfileKNN
from warmstart.cooccurrence.similarity import IDF_SMOOTHING
from warmstart.scorer import Scorer
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import Tasks

ITEMS, COLUMNS, USERS = 14, 5, 30


@pytest.fixture
def train(examples) -> Tasks:
    rng = np.random.default_rng(0)
    rows = [rng.permutation(ITEMS)[: rng.integers(1, 8)].tolist() for _ in range(USERS)]
    some = rng.random((USERS, COLUMNS)) * (rng.random((USERS, COLUMNS)) < 0.7)
    profile = sp.csr_array(some.astype(np.float32))
    return Tasks(examples(rows), ordered=False, profile=profile)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / size) if size else 0.0


@pytest.mark.parametrize(("neighbours", "event_weight"), [(4, 1.0), (9, 3.0)])
def test_the_nearest_by_columns_and_events_are_summed(train, examples, neighbours, event_weight):
    one = ProfileKNN.fit(train, items=ITEMS, neighbours=neighbours, events=event_weight)
    supports, profile = (
        [[], [3], [8, 1, 5]],
        np.random.default_rng(2).random((3, COLUMNS)).astype(np.float32),
    )
    found = one.score(one.adapt(examples(supports), sp.csr_array(profile)), np.arange(ITEMS))
    columns, interactions = train.profile.toarray(), train.events.matrix(ITEMS).toarray()
    weight = 1 / np.sqrt((columns**2).sum(axis=0) + IDF_SMOOTHING)
    for row, support, columns_of_task in zip(found, supports, profile, strict=True):
        events = np.isin(np.arange(ITEMS), support).astype(float)
        similarity = [
            cosine(columns_of_task * weight, columns[u] * weight)
            + event_weight * cosine(events, interactions[u])
            for u in range(USERS)
        ]
        nearest = np.argsort(-np.array(similarity))[:neighbours]
        np.testing.assert_allclose(
            row, sum(similarity[u] * interactions[u] for u in nearest), rtol=1e-4, atol=1e-5
        )


def test_before_any_event_the_factors_are_those_of_a_ridge_regression(train, examples):
    one = ProfileALS.fit(train, items=ITEMS, l2=2.0, caution=3.0, seed=1)
    als = ALS.fit(train, items=ITEMS, seed=1)
    factors = als.adapt(train.events)
    ridge = Ridge(alpha=2.0, solver="cholesky").fit(train.profile.toarray(), factors)
    profile = np.array([[1, 0, 1, 0, 0], [0, 1, 1, 1, 0]], dtype=np.float32)
    predicted = ridge.predict(profile)
    support = examples([[], [8, 1, 5]])
    found = one.adapt(support, sp.csr_array(profile))
    np.testing.assert_allclose(found[0], predicted[0], atol=1e-3)
    np.testing.assert_allclose(
        found[1], 0.5 * predicted[1] + 0.5 * als.adapt(support)[1], atol=1e-3
    )


def test_without_profiles_both_still_recommend(train, examples):
    bare = Tasks(train.events, ordered=False)
    scorers: list[Scorer] = [ProfileKNN.fit(bare, items=ITEMS), ProfileALS.fit(bare, items=ITEMS)]
    for one in scorers:
        scores = one.score(one.adapt(examples([[3, 4], []])), np.arange(ITEMS))
        assert np.isfinite(scores).all() and isinstance(bare.all_events, Examples)
