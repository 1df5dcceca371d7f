"""Conformal intervals hold as many ratings as promised, whatever the scorer predicts; point
predictions stay on the scale.
"""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import warmstart as ws
from warmstart.errors import UsageError
from warmstart.evaluation.conformal import (
    COVERAGE,
    ConformalIntervals,
    coverage,
    standard_deviation,
)
from warmstart.scorer import Capabilities
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import Tasks

ITEMS = 40


class Level:
    """Predicts the same rating for every user and item."""

    items = ITEMS
    capabilities = Capabilities()

    def adapt(self, support, profile=None):
        return len(support)

    def score(self, state, items):
        return np.full((state, items.shape[-1]), 3.0, dtype=np.float32)

    def arrays(self):
        return {}


class OddItemsVary(Level):
    """Says that odd items vary ten times as much, but not in which units."""

    @property
    def capabilities(self):
        return Capabilities(standard_deviation=self.standard_deviation)

    def standard_deviation(self, state, items):
        return np.broadcast_to(np.where(items % 2, 10.0, 1.0), (state, items.shape[-1])).astype(
            np.float32
        )


def ratings(rng: np.random.Generator, users: int = 400) -> Tasks:
    item = np.concatenate([rng.permutation(ITEMS)[:25] for _ in range(users)])
    value = 3 + np.where(item % 2, 1.0, 0.1) * rng.standard_normal(len(item))
    return Tasks(Examples(item, value.astype(np.float32), 25 * np.arange(users + 1)), ordered=False)


@pytest.mark.parametrize("scorer", [Level(), OddItemsVary()])
def test_the_intervals_have_the_promised_coverage(scorer):
    rng = np.random.default_rng(0)
    intervals = ConformalIntervals.fit(scorer, ratings(rng), shots=[0, 5])
    shares = coverage(scorer, ratings(rng), intervals, shots=[0, 5])
    assert {k: values.mean() for k, values in shares.items()} == pytest.approx(
        {0: COVERAGE, 5: COVERAGE}, abs=0.02
    )


def test_a_scorer_with_standard_deviations_has_wide_intervals_only_where_ratings_vary():
    scorer, items = OddItemsVary(), np.arange(ITEMS)
    intervals = ConformalIntervals.fit(scorer, ratings(np.random.default_rng(0)), shots=[0])
    low, high = intervals.bounds(scorer, 1, items)
    wide = (high - low)[0]
    assert wide[1] > 5 * wide[0]
    assert intervals.width == pytest.approx(
        0.128, abs=0.02
    )  # 1.28 standard deviations of 0.1 on either side


def test_intervals_end_where_ratings_do_and_point_predictions_are_on_the_scale():
    tasks = ratings(np.random.default_rng(0))
    stars = replace(
        tasks, events=replace(tasks.events, value=np.clip(np.round(tasks.events.value), 1, 5))
    )
    intervals = ConformalIntervals.fit(Level(), stars, shots=[0])
    assert intervals.levels == (1.0, 2.0, 3.0, 4.0, 5.0)
    low, high = replace(intervals, width=9.0).bounds(Level(), 2, np.arange(3))
    assert (low == 1).all() and (high == 5).all()
    guesses = np.array([[-4.0, 1.4, 1.6, 3.49, 3.51, 9.0]], dtype=np.float32)
    assert intervals.point_prediction(guesses).tolist() == [[1, 1, 2, 3, 4, 5]]
    free = ConformalIntervals.fit(Level(), tasks, shots=[0])
    assert free.levels == () and free.point_prediction(np.array([[3.3, 99]], np.float32)).tolist()[
        0
    ][0] == pytest.approx(3.3)
    assert free.point_prediction(np.array([[99]], np.float32)).item() == pytest.approx(
        tasks.events.value.max()
    )


def test_the_median_rating_has_less_absolute_error_than_the_mean():
    rng = np.random.default_rng(1)
    mean = rng.uniform(1, 5, (1, 20_000)).astype(np.float32)
    stars = np.clip(np.round(mean + 0.9 * rng.standard_normal(mean.shape)), 1, 5)
    intervals = ConformalIntervals(1.0, (1.0, 2.0, 3.0, 4.0, 5.0), 1.0, 5.0)
    assert (
        np.abs(intervals.point_prediction(mean) - stars).mean() < np.abs(mean - stars).mean() - 0.02
    )


def test_saved_and_restored_they_are_the_same():
    intervals = ConformalIntervals.fit(Level(), ratings(np.random.default_rng(0)), shots=[0])
    assert ConformalIntervals.restore(json.loads(json.dumps(intervals.to_dict()))) == intervals


def test_a_scorer_without_standard_deviations_has_equal_ones():
    assert (standard_deviation(Level(), 2, np.arange(4)) == 1).all()


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(3)
    taste, kind = rng.integers(0, 2, 200), np.arange(30) % 2
    rows = [
        (u, i, 5 if kind[i] == taste[u] else 2)
        for u in range(200)
        for i in rng.permutation(30)[:20]
    ]
    return ws.read(pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row"))


@pytest.fixture(scope="module", params=["factors", "bias"])
def model(request, log):
    return ws.fit(log, learner=request.param, objective="rating")


def test_a_recommender_of_ratings_predicts_them_with_intervals(model, tmp_path):
    answer = model.predict({0: 5.0, 2: 5.0, 1: 2.0, 3: 2.0}, [4, 5, 4])
    assert [found.item for found in answer.items] == [4, 5, 4] and answer.used == 4
    for found in answer.items:
        assert 2 <= found.low <= found.high <= 5
    if model.learner == "factors":
        liked, disliked, again = answer.items
        assert liked.score > 4.5 and disliked.score < 2.5 and again == liked
    model.save(tmp_path / "model")
    assert (
        ws.load(tmp_path / "model").predict({0: 5.0, 2: 5.0, 1: 2.0, 3: 2.0}, [4, 5, 4]) == answer
    )


def test_recommended_ratings_come_with_their_intervals(model):
    found = model.recommend({0: 5.0, 1: 2.0}, 3).to_dict()["items"]
    assert all(item["low"] <= item["high"] for item in found) and len(found) == 3


def test_an_item_that_the_model_does_not_know_is_named(model):
    answer = model.predict({0: 5.0}, [4, 99, "x"])
    assert [found.item for found in answer.items] == [4]
    assert answer.warnings == ("2 of 3 items to rate are unknown and were skipped: 99, x",)


def test_a_model_of_events_predicts_no_ratings(log):
    with pytest.raises(UsageError, match="predicts no ratings; fit one with the objective rating"):
        ws.fit(log, learner="popularity").predict({0: 5.0}, [1])
