"""Calibration: zero error for correct probabilities, and the distance from them for others."""

import numpy as np
import pytest
from scipy.stats import norm

from warmstart.baselines import Popularity
from warmstart.evaluation.calibration import calibration, expected_error, quantile_error
from warmstart.scorer import Capabilities, Posterior
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import Tasks


class GivenScores:
    """A scorer with given scores; a sample of its posterior adds a draw of the given spread."""

    def __init__(self, scores, *, noise=0.0, spread=0.0):
        self.scores, self.noise, self.spread = np.asarray(scores, dtype=np.float32), noise, spread
        self.items = len(self.scores)

    @property
    def capabilities(self):
        return Capabilities(posterior=Posterior(self.noise, self.sample))

    def adapt(self, support, profile=None):
        return np.zeros((len(support), 1), dtype=np.float32)

    def score(self, state, items):
        found = np.broadcast_to(self.scores, (len(state), self.items))
        return (
            np.take_along_axis(found, items, axis=1) if items.ndim == 2 else found[:, items]
        ) + state

    def sample(self, state, rng):
        return state + self.spread * rng.normal(size=state.shape).astype(np.float32)

    def arrays(self):
        return {}


def tasks(rows, values=None):
    counts = [len(row) for row in rows]
    items = np.array([item for row in rows for item in row], dtype=np.int64)
    amounts = np.ones(len(items)) if values is None else np.concatenate(values)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Tasks(Examples(items, amounts.astype(np.float32), start), ordered=True)


def test_expected_error_is_that_of_ten_equally_full_bins():
    rng = np.random.default_rng(0)
    confidence = rng.random(97)
    hit = (rng.random(97) < 0.5 * confidence).astype(float)
    order = np.argsort(confidence)
    sizes = [10] * 7 + [9] * 3
    expected, first = 0.0, 0
    for size in sizes:
        rows = order[first : first + size]
        expected += size / 97 * abs(confidence[rows].mean() - hit[rows].mean())
        first += size
    assert expected_error(confidence, hit) == pytest.approx(expected)


def test_correct_probabilities_have_no_error():
    assert expected_error(np.full(40, 0.25), np.tile([1.0, 0.0, 0.0, 0.0], 10)) == pytest.approx(
        0.0, abs=0.2
    )
    assert expected_error(np.full(4, 0.25), np.array([0.25] * 4)) == pytest.approx(0.0)
    assert quantile_error((np.arange(1000) + 0.5) / 1000) == pytest.approx(0.0, abs=1e-9)
    assert quantile_error(np.full(10, 0.45)) == pytest.approx(
        (0.1 + 0.2 + 0.3 + 0.4 + 0.5 + 0.4 + 0.3 + 0.2 + 0.1) / 9
    )


def test_the_probability_of_the_ten_best_items_is_that_of_the_softmax():
    scores = np.log(np.r_[np.full(10, 4.0), np.full(60, 1.0)])  # the ten best hold 40 of 100
    scorer = GivenScores(scores)
    hits = [
        [0, 20, 30, 1, 40],
        [20, 30, 40, 50, 60],
        [0, 1, 2, 3, 4],
    ]  # shares .4, 0 and 1 of the query
    found = calibration(scorer, tasks(hits), objective="ranking", shots=[0])
    assert found == {0: pytest.approx((0.0 + 0.4 + 0.6) / 3, abs=1e-6)}


def test_the_support_has_no_probability_and_counts_as_no_hit():
    scores = np.log(np.r_[np.full(10, 4.0), np.full(60, 1.0)])
    found = calibration(GivenScores(scores), tasks([[0, 20, 1]]), objective="ranking", shots=[1])
    # without item 0 the ten best hold nine of the good items and one of the others: 37 of 96
    assert found[1] == pytest.approx(abs(37 / 96 - 0.5), abs=0.01)


def test_probabilities_are_averaged_over_samples():
    class OneOfTwo(GivenScores):
        def sample(self, state, rng):
            return 12.0 * (rng.random(state.shape) < 0.5)

        def score(self, state, items):
            lifted = np.where(np.arange(self.items) < 10, 1.0, 0.0)
            return (
                super().score(np.zeros_like(state), items) + (0.01 + state) * lifted[items]
            ).astype(np.float32)

    found = calibration(
        OneOfTwo(np.zeros(50_000)), tasks([[0]] * 1), objective="ranking", shots=[0], seed=3
    )
    assert 0.1 < found[0] < 0.9  # certain in some samples, uniform in the others


@pytest.mark.parametrize(("noise", "spread"), [(1.0, 0.0), (0.6, 0.8)])
def test_ratings_distributed_as_predicted_have_no_error(noise, spread):
    at = norm.ppf((np.arange(400) + 0.5) / 400)
    rows, values = [list(range(400))], [at + 3.0]
    tasks_ = tasks(rows * 20, values * 20)
    scorer = GivenScores(np.full(400, 3.0), noise=noise, spread=spread)
    assert calibration(scorer, tasks_, objective="rating", shots=[0], queries=400)[0] < 0.05
    overconfident = GivenScores(np.full(400, 3.0), noise=0.2, spread=0.0)
    assert calibration(overconfident, tasks_, objective="rating", shots=[0], queries=400)[0] > 0.15


def test_a_scorer_without_a_posterior_has_no_calibration(split):
    popularity = Popularity.fit(split.train, items=split.n_items)
    assert calibration(popularity, split.test, objective="ranking", shots=[0, 1]) == {}
