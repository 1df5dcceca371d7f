"""The profile regression against one written out, and leave-one-out against a fit without the
task.
"""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from warmstart.cooccurrence.similarity import IDF_SMOOTHING
from warmstart.ensemble.experts import Experts
from warmstart.ensemble.profile_regression import RIDGES, ProfileRegression
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import Tasks

TASKS, COLUMNS, ITEMS, RIDGE = 40, 7, 9, 2.0
FIRST = 4  # a few among so few items


@pytest.fixture
def profile() -> sp.csr_array:
    rng = np.random.default_rng(0)
    return sp.csr_array(
        (rng.random((TASKS, COLUMNS)) < 0.4) * rng.uniform(0.5, 2, (TASKS, COLUMNS)),
        dtype=np.float32,
    )


@pytest.fixture
def interactions(profile) -> sp.csr_array:
    """Interactions of which some depend on the profile columns and some do not."""
    rng = np.random.default_rng(1)
    depends = profile.toarray()[:, [0, 1, 2, 3, 4, 5, 6, 0, 1]] > 0
    return sp.csr_array(
        np.where(rng.random((TASKS, ITEMS)) < 0.7, depends, rng.random((TASKS, ITEMS)) < 0.3),
        dtype=np.float32,
    )


def design(profile: np.ndarray, columns: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Unit rows with inverse-frequency weights from the rows of `by`, and a one behind them."""
    weighted = profile[:, columns] / np.sqrt((by[:, columns] ** 2).sum(axis=0) + IDF_SMOOTHING)
    length = np.linalg.norm(weighted, axis=1, keepdims=True)
    return np.hstack([weighted / np.maximum(length, 1e-9), np.ones((len(profile), 1))])


def test_predictions_are_those_of_a_ridge_regression(profile, interactions):
    regression = ProfileRegression.fit(profile, interactions, ridge=RIDGE)
    whole = profile.toarray().astype(float)
    x = design(whole, np.arange(COLUMNS), whole)
    line = np.linalg.solve(x.T @ x + RIDGE * np.eye(COLUMNS + 1), x.T @ interactions.toarray())
    new = sp.csr_array(np.array([[0, 1.5, 0, 0, 2, 0, 0], np.zeros(COLUMNS)], dtype=np.float32))
    predicted = regression.predict(new)
    assert predicted.dtype == np.float32
    assert_allclose(
        predicted, design(new.toarray(), np.arange(COLUMNS), whole) @ line, rtol=1e-4, atol=1e-5
    )
    assert_allclose(regression.intercept, predicted[1], rtol=1e-6)  # an empty profile


@pytest.mark.parametrize("dense", [False, True])  # the inverse by tasks, or by columns
def test_leave_one_out_predictions_are_those_of_a_fit_without_the_task(
    profile, interactions, dense
):
    few = slice(0, TASKS if dense else 5)
    profile, interactions = profile[few], interactions[few]
    regression = ProfileRegression.fit(
        profile, interactions, ridge=RIDGE, max_dense_columns=100 if dense else 0
    )
    whole, events = profile.toarray().astype(float), interactions.toarray()
    for task in (0, 3, 4):
        others = np.delete(np.arange(len(whole)), task)
        x = design(whole, np.arange(COLUMNS), whole)
        line = np.linalg.solve(
            x[others].T @ x[others] + RIDGE * np.eye(COLUMNS + 1), x[others].T @ events[others]
        )
        predicted = regression.predict_left_out(profile[[task]], interactions[[task]])
        assert_allclose(predicted, x[[task]] @ line, rtol=1e-3, atol=1e-4)


def test_only_the_most_frequent_columns_are_used(profile, interactions):
    regression = ProfileRegression.fit(profile, interactions, ridge=RIDGE, max_columns=3)
    counts = (profile.toarray() != 0).sum(axis=0)
    assert sorted(counts[regression.selected_columns]) == sorted(counts)[-3:]
    assert regression.coefficients.shape == (4, ITEMS)
    small = ProfileRegression.fit(profile, interactions, ridge=RIDGE, max_coefficients=2 * ITEMS)
    assert len(small.selected_columns) == 2


def test_the_ridge_chosen_has_the_best_leave_one_out_hit_rate(profile, interactions):
    """Noise needs a larger ridge than columns that determine everything."""
    determined = sp.csr_array(sp.csr_array(profile > 0), dtype=np.float32)
    chosen = ProfileRegression.fit(profile, determined)
    assert_array_equal(
        chosen.coefficients,
        ProfileRegression.fit(profile, determined, ridge=_best(profile, determined)).coefficients,
    )
    assert_array_equal(
        ProfileRegression.fit(profile, interactions).coefficients,
        ProfileRegression.fit(
            profile, interactions, ridge=_best(profile, interactions)
        ).coefficients,
    )


def _best(profile: sp.csr_array, interactions: sp.csr_array) -> float:
    events = interactions.toarray() > 0
    shares = [
        _hit_rate(
            ProfileRegression.fit(profile, interactions, ridge=ridge).predict_left_out(
                profile, interactions
            ),
            events,
        )
        for ridge in RIDGES
    ]
    return RIDGES[int(np.argmax(shares))]


def _hit_rate(predicted: np.ndarray, events: np.ndarray) -> float:
    """The mean share of each task's items that rank among its first few, by counting."""
    at = FIRST
    least = [sorted(row)[-at] for row in predicted]
    usable = [t for t in range(len(events)) if events[t].any()]
    found = [
        sum(predicted[t, i] >= least[t] for i in np.flatnonzero(events[t]))
        / min(at, events[t].sum())
        for t in usable
    ]
    return float(np.mean(found))


@pytest.fixture
def tasks(profile, interactions) -> Tasks:
    kept = np.flatnonzero(np.diff(interactions.indptr))
    rows = interactions[kept]
    events = Examples.unweighted(rows.indices.astype(np.int64), rows.indptr.astype(np.int64))
    return Tasks(events, ordered=False, profile=profile[kept])


def test_it_is_the_last_expert(tasks):
    experts = Experts.fit(tasks, ITEMS, ridge=1.0, profile_ridge=RIDGE)
    assert experts.n_experts == 3
    batch = tasks.cut(1)
    predicted = experts.scores(batch.support, None, batch.profile)[..., 2] * experts.spread[2]
    assert experts.profile_regression is not None
    assert_allclose(predicted, experts.profile_regression.predict(batch.profile), rtol=1e-5)
    no_profile = experts.scores(batch.support)[..., 2] * experts.spread[2]
    assert_allclose(
        no_profile,
        np.tile(experts.profile_regression.intercept, (len(batch.support), 1)),
        rtol=1e-5,
    )
    episodes = tasks.episodes(np.random.default_rng(0), 20, max_shots=3, queries=1)
    assert episodes.task_events is not None
    left_out = (
        experts.scores(episodes.support, episodes.task_events, episodes.profile)[..., 2]
        * experts.spread[2]
    )
    own = episodes.task_events.matrix(ITEMS)
    assert_allclose(
        left_out,
        experts.profile_regression.predict_left_out(episodes.profile, own),
        rtol=1e-4,
        atol=1e-6,
    )


def test_its_lift_is_the_hit_rate_that_popularity_does_not_reach(profile, interactions):
    """Tasks are left out of the popularity counts too; of noise the lift is small."""
    regression, events = (
        ProfileRegression.fit(profile, interactions, ridge=RIDGE),
        interactions.toarray() > 0,
    )
    by_popularity = _hit_rate(events.sum(axis=0) - events, events)
    by_columns = _hit_rate(regression.predict_left_out(profile, interactions), events)
    assert by_columns > by_popularity
    assert_allclose(
        regression.lift_over_popularity, (by_columns - by_popularity) / by_columns, rtol=1e-5
    )
    noise = ProfileRegression.fit(
        profile[np.random.default_rng(2).permutation(TASKS)], interactions
    )
    assert noise.lift_over_popularity < regression.lift_over_popularity / 2


def test_its_initial_scale_is_its_lift(tasks, interactions):
    experts = Experts.fit(tasks, ITEMS, ridge=1.0, profile_ridge=RIDGE)
    assert experts.profile_regression is not None
    batch = tasks.episodes(np.random.default_rng(0), 256, max_shots=10, queries=1)
    scale = experts.scores(batch.support, batch.task_events, batch.profile).std(axis=1).mean(axis=0)
    assert_allclose(scale[:2], 1, rtol=0.1)
    assert_allclose(scale[2], experts.profile_regression.lift_over_popularity, rtol=0.1)


def test_profiles_without_a_lift_make_no_expert(tasks):
    constant = replace(tasks, profile=sp.csr_array(np.ones((len(tasks), 1), dtype=np.float32)))
    experts = Experts.fit(constant, ITEMS, ridge=1.0)
    assert experts.profile_regression is None and experts.n_experts == 2


def test_scores_are_the_same_after_a_restore(tasks):
    experts = Experts.fit(tasks, ITEMS)
    again, batch = Experts.restore(experts.arrays()), tasks.cut(2)
    assert_array_equal(
        again.scores(batch.support, None, batch.profile),
        experts.scores(batch.support, None, batch.profile),
    )
