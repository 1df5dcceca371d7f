"""The metrics against scikit-learn and brute force, and their behaviour on ties."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from warmstart.evaluation import metrics


def world(seed: int, tasks: int = 4, items: int = 30):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(tasks, items)).astype(np.float32)
    query = np.stack([rng.permutation(items)[:6] for _ in range(tasks)])
    mask = np.arange(6) < rng.integers(1, 7, size=tasks)[:, None]
    return scores, query, mask, metrics.ranks(scores, query, rng.permutation(items))


@given(st.integers(0, 10_000))
def test_ndcg_equals_that_of_scikit_learn(seed):
    scores, query, mask, ranks = world(seed)
    relevant = np.zeros(scores.shape)
    for t in range(len(scores)):
        relevant[t, query[t, mask[t]]] = 1.0
    expected = [
        ndcg_score(relevant[t : t + 1], scores[t : t + 1], k=10) for t in range(len(scores))
    ]
    np.testing.assert_allclose(metrics.ndcg(ranks, mask, at=10), expected, rtol=1e-6)


@given(st.integers(0, 10_000))
def test_recall_and_reciprocal_rank_equal_brute_force(seed):
    scores, query, mask, ranks = world(seed)
    for t in range(len(scores)):
        order = sorted(range(scores.shape[1]), key=lambda item: -scores[t, item])
        positions = [order.index(item) + 1 for item in query[t, mask[t]]]
        assert metrics.recall(ranks, mask, at=20)[t] == np.mean(np.array(positions) <= 20)
        assert metrics.reciprocal_rank(ranks, mask)[t] == 1 / min(positions)


def test_equal_scores_rank_by_the_given_order():
    scores = np.zeros((1, 4), dtype=np.float32)
    found = metrics.ranks(scores, np.array([[0, 1, 2, 3]]), np.array([2, 0, 3, 1]))
    assert found.tolist() == [[3, 1, 4, 2]]


@given(st.integers(0, 10_000))
def test_many_items_rank_as_they_do_one_by_one(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, size=(3, 60)).astype(np.float32)  # many are equal
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    query, order = (
        np.stack([rng.permutation(60)[: metrics.MAX_COUNTED + 5] for _ in range(3)]),
        rng.permutation(60),
    )
    one_by_one = [
        metrics.ranks(scores, query[:, [column]], order) for column in range(query.shape[1])
    ]
    np.testing.assert_array_equal(metrics.ranks(scores, query, order), np.hstack(one_by_one))


def test_excluded_items_rank_last():
    scores = np.array([[-np.inf, 0.5, -3.0]], dtype=np.float32)
    assert metrics.ranks(scores, np.array([[1, 2]]), np.arange(3)).tolist() == [[1, 2]]


def test_a_perfect_ranking_has_the_highest_ndcg_and_padding_does_not_count():
    mask = np.array([[True, True, False]])
    assert metrics.ndcg(np.array([[2, 1, 1]]), mask)[0] == 1.0
    assert metrics.ndcg(np.array([[11, 12, 1]]), mask)[0] == 0.0


def test_errors_are_means_over_what_the_mask_keeps():
    scores = np.array([[1.0, 2.0, 9.0]], dtype=np.float32)
    values = np.array([[2.0, 5.0, 0.0]], dtype=np.float32)
    mask = np.array([[True, True, False]])
    assert metrics.mean_absolute_error(scores, values, mask)[0] == 2.0
    assert metrics.root_mean_squared_error(scores, values, mask)[0] == np.sqrt(5.0)
