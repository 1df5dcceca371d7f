"""What columns foretell against a regression written out, and of a task left out against a fit
without it.
"""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from warmstart.cooccurrence.similarity import IDF_SMOOTHING
from warmstart.ensemble.experts import Experts
from warmstart.ensemble.profile_regression import RIDGES, ProfileRegression
from warmstart.tasks.tasks import Examples, Tasks

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
def met(profile) -> sp.csr_array:
    """Everybody has met something that hangs on the columns, and something that does not."""
    rng = np.random.default_rng(1)
    hangs = profile.toarray()[:, [0, 1, 2, 3, 4, 5, 6, 0, 1]] > 0
    return sp.csr_array(
        np.where(rng.random((TASKS, ITEMS)) < 0.7, hangs, rng.random((TASKS, ITEMS)) < 0.3),
        dtype=np.float32,
    )


def read(profile: np.ndarray, taken: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Columns weighed by how rare they are among the rows of `by`, brought to length 1, with a one
    behind them.
    """
    weighed = profile[:, taken] / np.sqrt((by[:, taken] ** 2).sum(axis=0) + IDF_SMOOTHING)
    length = np.linalg.norm(weighed, axis=1, keepdims=True)
    return np.hstack([weighed / np.maximum(length, 1e-9), np.ones((len(profile), 1))])


def test_it_says_what_a_ridge_regression_says(profile, met):
    foretold = ProfileRegression.fit(profile, met, ridge=RIDGE)
    whole = profile.toarray().astype(float)
    x = read(whole, np.arange(COLUMNS), whole)
    line = np.linalg.solve(x.T @ x + RIDGE * np.eye(COLUMNS + 1), x.T @ met.toarray())
    new = sp.csr_array(np.array([[0, 1.5, 0, 0, 2, 0, 0], np.zeros(COLUMNS)], dtype=np.float32))
    said = foretold.predict(new)
    assert said.dtype == np.float32
    assert_allclose(
        said, read(new.toarray(), np.arange(COLUMNS), whole) @ line, rtol=1e-4, atol=1e-5
    )
    assert_allclose(
        foretold.usual, said[1], rtol=1e-6
    )  # of whom no column is filled, nothing is known


@pytest.mark.parametrize("small", [0, 100])  # the inverse by tasks, or by columns
def test_of_a_task_left_out_it_says_what_a_fit_without_it_says(profile, met, small, monkeypatch):
    monkeypatch.setattr("warmstart.cooccurrence.gram.SMALL", small)
    few = slice(0, TASKS if small else 5)
    profile, met = profile[few], met[few]
    foretold = ProfileRegression.fit(profile, met, ridge=RIDGE)
    whole, events = profile.toarray().astype(float), met.toarray()
    for task in (0, 3, 4):
        others = np.delete(np.arange(len(whole)), task)
        x = read(whole, np.arange(COLUMNS), whole)
        line = np.linalg.solve(
            x[others].T @ x[others] + RIDGE * np.eye(COLUMNS + 1), x[others].T @ events[others]
        )
        said = foretold.predict_left_out(profile[[task]], met[[task]])
        assert_allclose(said, x[[task]] @ line, rtol=1e-3, atol=1e-4)


def test_only_the_most_common_columns_take_part(profile, met, monkeypatch):
    monkeypatch.setattr("warmstart.ensemble.profile_regression.MOST", 3)
    foretold = ProfileRegression.fit(profile, met, ridge=RIDGE)
    counts = (profile.toarray() != 0).sum(axis=0)
    assert sorted(counts[foretold.taken]) == sorted(counts)[-3:] and foretold.line.shape == (
        4,
        ITEMS,
    )
    monkeypatch.setattr("warmstart.ensemble.profile_regression.MOST", COLUMNS)
    monkeypatch.setattr("warmstart.ensemble.profile_regression.CELLS", 2 * ITEMS)
    assert len(ProfileRegression.fit(profile, met, ridge=RIDGE).taken) == 2


def test_the_ridge_is_the_one_that_finds_most_of_tasks_left_out(profile, met):
    """Noise asks for a larger ridge than columns that tell all."""
    told = sp.csr_array(sp.csr_array(profile > 0), dtype=np.float32)
    chosen = ProfileRegression.fit(profile, told)
    assert_array_equal(
        chosen.line, ProfileRegression.fit(profile, told, ridge=_best(profile, told)).line
    )
    assert_array_equal(
        ProfileRegression.fit(profile, met).line,
        ProfileRegression.fit(profile, met, ridge=_best(profile, met)).line,
    )


def _best(profile: sp.csr_array, met: sp.csr_array) -> float:
    events = met.toarray() > 0
    shares = [
        _share(
            ProfileRegression.fit(profile, met, ridge=ridge).predict_left_out(profile, met), events
        )
        for ridge in RIDGES
    ]
    return RIDGES[int(np.argmax(shares))]


def _share(said: np.ndarray, events: np.ndarray) -> float:
    """By counting, for each task that met anything, what stands no lower than its first few."""
    at = FIRST
    tenth = [sorted(row)[-at] for row in said]
    able = [t for t in range(len(events)) if events[t].any()]
    found = [
        sum(said[t, i] >= tenth[t] for i in np.flatnonzero(events[t])) / min(at, events[t].sum())
        for t in able
    ]
    return float(np.mean(found))


@pytest.fixture
def tasks(profile, met) -> Tasks:
    kept = np.flatnonzero(np.diff(met.indptr))
    rows = met[kept]
    events = Examples.plain(rows.indices.astype(np.int64), rows.indptr.astype(np.int64))
    return Tasks(events, ordered=False, profile=profile[kept])


def test_it_is_the_last_witness_of_the_evidence(tasks):
    evidence = Experts.fit(tasks, ITEMS, ridge=1.0, profile_ridge=RIDGE)
    assert evidence.n_experts == 3
    batch = tasks.cut(1)
    said = evidence.scores(batch.support, None, batch.profile)[..., 2] * evidence.spread[2]
    assert evidence.foretold is not None
    assert_allclose(said, evidence.foretold.predict(batch.profile), rtol=1e-5)
    nothing_known = evidence.scores(batch.support)[..., 2] * evidence.spread[2]
    assert_allclose(
        nothing_known, np.tile(evidence.foretold.usual, (len(batch.support), 1)), rtol=1e-5
    )
    episodes = tasks.episodes(np.random.default_rng(0), 20, most_shots=3, queries=1)
    assert episodes.own is not None
    unseen = (
        evidence.scores(episodes.support, episodes.own, episodes.profile)[..., 2]
        * evidence.spread[2]
    )
    own = episodes.own.matrix(ITEMS)
    assert_allclose(
        unseen, evidence.foretold.predict_left_out(episodes.profile, own), rtol=1e-4, atol=1e-6
    )


def test_its_gain_is_what_popularity_does_not_find(profile, met):
    """Each task left out of the counts, too; where columns are noise, nothing is gained, and
    nothing is heard.
    """
    foretold, events = ProfileRegression.fit(profile, met, ridge=RIDGE), met.toarray() > 0
    by_counts = _share(events.sum(axis=0) - events, events)
    by_columns = _share(foretold.predict_left_out(profile, met), events)
    assert by_columns > by_counts
    assert_allclose(foretold.gain, (by_columns - by_counts) / by_columns, rtol=1e-5)
    noise = ProfileRegression.fit(profile[np.random.default_rng(2).permutation(TASKS)], met)
    assert noise.gain < foretold.gain / 2


def test_it_is_as_loud_at_first_as_it_gains(tasks, met):
    evidence = Experts.fit(tasks, ITEMS, ridge=1.0, profile_ridge=RIDGE)
    assert evidence.foretold is not None
    batch = tasks.episodes(np.random.default_rng(0), 256, most_shots=10, queries=1)
    loud = evidence.scores(batch.support, batch.own, batch.profile).std(axis=1).mean(axis=0)
    assert_allclose(loud[:2], 1, rtol=0.1)
    assert_allclose(loud[2], evidence.foretold.gain, rtol=0.1)


def test_columns_that_foretell_nothing_are_not_heard(tasks):
    alike = replace(tasks, profile=sp.csr_array(np.ones((len(tasks), 1), dtype=np.float32)))
    evidence = Experts.fit(alike, ITEMS, ridge=1.0)
    assert evidence.foretold is None and evidence.n_experts == 2


def test_restored_it_says_the_same(tasks):
    evidence = Experts.fit(tasks, ITEMS)
    again, batch = Experts.restore(evidence.arrays()), tasks.cut(2)
    assert_array_equal(
        again.scores(batch.support, None, batch.profile),
        evidence.scores(batch.support, None, batch.profile),
    )
