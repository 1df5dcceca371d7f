"""The baselines against brute force."""

import numpy as np
import pytest

from warmstart.baselines import ALS, EASE, Bias, ItemKNN, Popularity
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import Tasks

ITEMS = 6


@pytest.fixture
def train(examples) -> Tasks:
    rng = np.random.default_rng(0)
    rows = [
        rng.choice(ITEMS, size=rng.integers(1, ITEMS), replace=False).tolist() for _ in range(25)
    ]
    values = [rng.integers(1, 6, size=len(row)).astype(float).tolist() for row in rows]
    return Tasks(examples(rows, values), ordered=False)


def dense(tasks: Tasks) -> np.ndarray:
    interactions = np.zeros((len(tasks), ITEMS))
    for task, item in zip(tasks.events.task, tasks.events.item, strict=True):
        interactions[task, item] = 1.0
    return interactions


def test_popularity_counts_users(train):
    np.testing.assert_allclose(
        Popularity.fit(train, items=ITEMS).popular, dense(train).mean(axis=0), rtol=1e-6
    )


def test_ease_is_the_constrained_least_squares_solution(train):
    """Column by column: regress an item on all others with the same ridge."""
    interactions, l2 = dense(train), 2.5
    expected = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        rest = [other for other in range(ITEMS) if other != item]
        x = interactions[:, rest]
        expected[rest, item] = np.linalg.solve(
            x.T @ x + l2 * np.eye(ITEMS - 1), x.T @ interactions[:, item]
        )
    ease, each = EASE.fit(train, items=ITEMS, l2=l2), np.arange(ITEMS)
    alone = Examples(each, np.ones(ITEMS, dtype=np.float32), np.arange(ITEMS + 1))
    np.testing.assert_allclose(ease.adapt(alone), expected, rtol=1e-4, atol=1e-6)


def test_ease_with_a_limit_leaves_rare_items_to_popularity(train):
    ease = EASE.fit(train, items=ITEMS, l2=2.5, limit=3)
    popular = dense(train).mean(axis=0)
    assert set(ease.kept_items) == set(np.argsort(-popular, kind="stable")[:3])
    rare = np.setdiff1d(np.arange(ITEMS), ease.kept_items)
    scores = ease.score(ease.adapt(train.events), rare)
    np.testing.assert_allclose(scores, np.tile(1e-6 * popular[rare], (25, 1)), rtol=1e-5)


def test_item_knn_sums_the_shrunken_cosines_of_the_nearest(train, examples):
    interactions, shrink, neighbours = dense(train), 3.0, 2
    norm = np.sqrt(interactions.sum(axis=0))
    similarity = np.array(
        [
            [
                interactions[:, i] @ interactions[:, j] / (norm[i] * norm[j] + shrink)
                for j in range(ITEMS)
            ]
            for i in range(ITEMS)
        ]
    )
    np.fill_diagonal(similarity, 0.0)
    kept = np.array(
        [
            [row[j] if row[j] >= np.sort(row)[-neighbours] else 0.0 for j in range(ITEMS)]
            for row in similarity
        ]
    )
    knn = ItemKNN.fit(train, items=ITEMS, neighbours=neighbours, shrink=shrink)
    scores = knn.score(knn.adapt(examples([[0, 3], [5]])), np.arange(ITEMS))
    np.testing.assert_allclose(scores, np.array([kept[0] + kept[3], kept[5]]), atol=2e-6)


def test_bias_predicts_mean_plus_both_shrunken_biases(train, examples):
    bias = Bias.fit(train, items=ITEMS, item_l2=2.0, user_l2=1.5)
    mean = train.events.value.mean()
    item_bias = []
    for item in range(ITEMS):
        ratings = train.events.value[train.events.item == item]
        item_bias.append((ratings - mean).sum() / (len(ratings) + 2.0))
    support = examples([[1, 4], []], [[5.0, 4.0], []])
    user_bias = sum(value - mean - item_bias[item] for item, value in ((1, 5.0), (4, 4.0))) / (
        2 + 1.5
    )
    expected = np.array(
        [[mean + item_bias[item] + user_bias for item in range(ITEMS)], mean + np.array(item_bias)]
    )
    np.testing.assert_allclose(
        bias.score(bias.adapt(support), np.arange(ITEMS)), expected, rtol=1e-4
    )


def test_als_folds_in_by_the_least_squares_solution(train, examples):
    """Hu, Koren & Volinsky, equation 4, with confidence alpha where there is an interaction and 1
    elsewhere.
    """
    als = ALS.fit(train, items=ITEMS, factors=3, l2=0.5, alpha=4.0)
    y = als.arrays()["factors"].astype(np.float64)
    state = als.adapt(examples([[0, 2, 5], []]))
    seen = y[[0, 2, 5]]
    precision = y.T @ y + (4.0 - 1.0) * seen.T @ seen + 0.5 * np.eye(3)
    np.testing.assert_allclose(
        state[0], np.linalg.solve(precision, 4.0 * seen.sum(axis=0)), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_array_equal(state[1], np.zeros(3))


def test_als_is_the_same_for_the_same_seed(train):
    first, again = (
        ALS.fit(train, items=ITEMS, factors=3, seed=7).arrays()["factors"] for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
