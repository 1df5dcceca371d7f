"""Bootstrap intervals: their coverage, paired differences, adjusted p values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.evaluation.bootstrap import difference, holm, interval, resampled_means


def test_on_many_tasks_the_interval_is_the_normal_one():
    values = np.random.default_rng(0).normal(3.0, 2.0, 4000)
    found = interval(values, resampled_means(values[:, None])[:, 0])
    half = 1.96 * values.std() / np.sqrt(len(values))
    np.testing.assert_allclose(
        [found.mean, found.low, found.high],
        [values.mean(), values.mean() - half, values.mean() + half],
        atol=0.01,
    )


def test_the_interval_holds_the_truth_about_19_times_in_20():
    rng = np.random.default_rng(1)
    values = rng.exponential(1.0, (150, 300))  # 300 experiments of 150 tasks
    low, high = np.percentile(resampled_means(values, resamples=1000), [2.5, 97.5], axis=0)
    held = np.mean((low <= 1.0) & (high >= 1.0))
    assert 0.90 < held < 0.98


def test_pairing_finds_a_small_gain_below_the_variation_between_users():
    rng = np.random.default_rng(2)
    base = rng.normal(0.2, 0.2, 300)
    better = base + 0.01 + rng.normal(0, 0.01, 300)
    means = resampled_means(np.stack([base, better, better - base], axis=1))
    alone = [interval(values, means[:, i]) for i, values in enumerate((base, better))]
    paired = difference(better - base, means[:, 2])
    assert alone[0].high > alone[1].low
    assert paired.low > 0 and paired.p < 0.001


def test_no_difference_is_not_significant():
    values = np.random.default_rng(3).normal(0, 1, 200)
    values -= values.mean()
    assert difference(values, resampled_means(values[:, None])[:, 0]).p > 0.5
    assert difference(np.zeros(9), np.zeros(100)).p == 1.0


def test_a_single_task_has_an_interval_without_width():
    assert interval(np.array([0.3]), resampled_means(np.array([[0.3]]))[:, 0]) == pytest.approx(
        (0.3, 0.3, 0.3)
    )


def test_no_tasks_are_refused():
    with pytest.raises(ValueError, match="needs at least one task"):
        resampled_means(np.zeros((0, 2)))


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_equals_its_definition(p):
    expected = [0.0] * len(p)
    highest = 0.0
    for smaller, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        highest = max(highest, (len(p) - smaller) * p[index])
        expected[index] = min(highest, 1.0)
    np.testing.assert_allclose(holm(p), expected)
