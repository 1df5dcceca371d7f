"""The objectives against sums written out, and the sampled catalogue against the whole one."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp as scipy_logsumexp
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from warmstart.learners.objectives import CandidateSet, ranking, rating
from warmstart.model.fitted import logsumexp
from warmstart.model.sampled_softmax import sample_candidates


def test_ranking_is_the_cross_entropy_of_each_example_among_the_catalogue():
    torch.manual_seed(0)
    x, pool, w = torch.randn(3, 4), torch.randn(6, 4), torch.randn(4)
    mask = torch.tensor([True, True, False])
    loss = ranking(lambda z: z @ w, x, torch.ones(3), mask, CandidateSet(pool, torch.zeros(6)))
    logits = torch.stack([torch.cat([x[i : i + 1], pool]) @ w for i in range(2)])
    assert_close(loss, cross_entropy(logits, torch.zeros(2, dtype=torch.long)))


def test_rating_is_the_mean_squared_error_over_the_mask():
    x, y = torch.tensor([[1.0], [2.0], [50.0]]), torch.tensor([0.0, 4.0, 0.0])
    mask = torch.tensor([True, True, False])
    loss = rating(lambda z: z[..., 0], x, y, mask, CandidateSet(x, torch.zeros(3)))
    assert_close(loss, torch.tensor((1.0 + 4.0) / 2))


def test_the_sampled_denominator_estimates_the_whole_one():
    rng = np.random.default_rng(0)
    popularity, scores = rng.integers(0, 100, 500).astype(np.float32), rng.normal(size=500)
    whole = np.exp(scores).sum()
    draws = [sample_candidates(popularity, 100, rng) for _ in range(400)]
    estimates = [np.exp(scores[drawn.item] + drawn.log_weight).sum() for drawn in draws]
    assert abs(np.mean(estimates) / whole - 1) < 0.02


def test_a_small_catalogue_is_taken_whole():
    drawn = sample_candidates(np.arange(7, dtype=np.float32), 7, np.random.default_rng(0))
    assert drawn.item.tolist() == list(range(7)) and not drawn.log_weight.any()


@pytest.mark.parametrize("spread", [0.1, 10.0, 50.0, 1e4])
def test_the_sum_of_exponentials_is_that_of_scipy_however_far_apart_scores_lie(spread):
    scores = (spread * np.random.default_rng(0).normal(size=5000)).astype(np.float32)
    scores[::3] = -np.inf
    assert logsumexp(scores) == pytest.approx(
        scipy_logsumexp(scores.astype(np.float64)), rel=1e-6, abs=1e-6
    )
