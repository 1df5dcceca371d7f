"""Candidates of a softmax: how often they are drawn, and which of them a task excludes."""

import numpy as np
import torch

from warmstart.learners.objectives import MASKED_LOGIT
from warmstart.model.sampled_softmax import (
    candidate_set,
    exclude,
    mark_events,
    sample_candidates,
)

POPULARITY = np.array([0, 3, 8, 15, 24, 99], dtype=np.float32)


def test_items_are_drawn_by_the_root_of_their_popularity():
    sample = sample_candidates(POPULARITY, 5, np.random.default_rng(0))
    chance = np.sqrt(POPULARITY + 1) / np.sqrt(POPULARITY + 1).sum()
    np.testing.assert_allclose(sample.log_weight, -np.log(5 * chance[sample.item]), rtol=1e-6)
    many = [sample_candidates(POPULARITY, 5, np.random.default_rng(s)).item for s in range(2000)]
    share = np.bincount(np.concatenate(many), minlength=6) / 10_000
    np.testing.assert_allclose(share, chance, atol=0.015)


def test_the_weights_of_a_sample_add_up_to_the_catalogue_on_average():
    totals = [
        np.exp(sample_candidates(POPULARITY, 4, np.random.default_rng(s)).log_weight).sum()
        for s in range(3000)
    ]
    assert abs(np.mean(totals) - len(POPULARITY)) < 0.15


def test_each_task_excludes_its_own_events_and_all_exclude_the_same_others(examples):
    others = np.array([False, False, False, False, True, False])
    excluded = mark_events(others, [examples([[1, 2], []]).padded(), examples([[5], [0]]).padded()])
    expected = [[False, True, True, False, True, True], [True, False, False, False, True, False]]
    assert excluded.tolist() == expected
    assert others.sum() == 1 and mark_events(others, []).tolist() == others.tolist()


def test_excluded_candidates_keep_their_place_and_lose_their_weight(examples):
    sample = sample_candidates(POPULARITY, 6, np.random.default_rng(0))
    candidates = candidate_set(torch.randn(6, 3), sample)
    excluded = mark_events(np.zeros(6, dtype=bool), [examples([[3], [], [0, 1]]).padded()])
    found = exclude(candidates, sample, excluded)
    assert torch.equal(found.x, candidates.x)
    assert (found.log_weight == MASKED_LOGIT).tolist() == excluded.tolist()
    assert (found.log_weight[~torch.from_numpy(excluded)] == 0).all()
