"""Matching and Siamese networks against loops over tasks, items and examples."""

import math

import torch
from torch.testing import assert_close

from warmstart.learner import Catalogue, Query, Support
from warmstart.learners import Matching, Siamese

ITEMS = 4


def world():
    torch.manual_seed(0)
    mask = torch.arange(3) < torch.tensor([3, 0, 1])[:, None]
    support = Support(torch.randn(3, 3, 5), torch.randn(3, 3), mask, torch.randn(3, 5))
    return support, Catalogue(torch.randn(6, 5), torch.zeros(6)), torch.randn(ITEMS, 5)


@torch.no_grad()
def test_matching_is_a_softmax_over_cosines_with_a_null_example():
    support, catalogue, items = world()
    learner = Matching(5, objective="rating", width=3).eval()
    scores = learner.score(learner.adapt(support, catalogue), items)
    for t, count in enumerate((3, 0, 1)):
        for q in range(ITEMS):
            weight, total = math.exp(learner.null), 0.0
            for s in range(count):
                key, look_up = learner.key(support.x[t, s]), learner.look_up(items[q])
                cosine = torch.cosine_similarity(key, look_up, dim=0)
                attention = math.exp(cosine * learner.log_sharpness.exp())
                weight += attention
                total += attention * (support.y[t, s] - support.x[t, s] @ support.prior[t])
            expected = items[q] @ support.prior[t] + learner.log_gain.exp() * total / weight
            assert_close(scores[t, q], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_matching_ranks_by_the_log_odds_of_the_attention_on_the_support():
    support, catalogue, items = world()
    learner = Matching(5, width=3).eval()
    scores = learner.score(learner.adapt(support, catalogue), items)
    for t, count in enumerate((3, 0, 1)):
        for q in range(ITEMS):
            odds = 1.0
            for s in range(count):
                cosine = torch.cosine_similarity(learner.key(support.x[t, s]), learner.look_up(items[q]), dim=0)
                odds += math.exp(cosine * learner.log_sharpness.exp() - learner.null)
            expected = items[q] @ support.prior[t] + learner.log_gain.exp() * math.log(odds)
            assert_close(scores[t, q], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_siamese_weighs_examples_by_their_distance():
    support, catalogue, items = world()
    learner = Siamese(5, objective="rating", width=3).eval()
    scores = learner.score(learner.adapt(support, catalogue), items)
    for t, count in enumerate((3, 0, 1)):
        for q in range(ITEMS):
            weight, total = 1.0, 0.0
            for s in range(count):
                distance = (learner.embed(support.x[t, s]) - learner.embed(items[q])).norm()
                closeness = math.exp(learner.log_sharpness.exp() * (learner.reach - distance))
                weight += closeness
                total += closeness * (support.y[t, s] - support.x[t, s] @ support.prior[t])
            expected = items[q] @ support.prior[t] + learner.log_gain.exp() * total / weight
            assert_close(scores[t, q], expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_siamese_pairs_attract_within_a_task_and_repel_the_catalogue():
    support, catalogue, _ = world()
    query = Query(torch.randn(3, 2, 5), torch.ones(3, 2), torch.tensor([[True, True], [True, True], [True, False]]))
    learner = Siamese(5, width=3, margin=2.0)
    found = learner._contrast(support, query, catalogue)
    for t, (count, queries) in enumerate(((3, 2), (0, 2), (1, 1))):
        expected = torch.tensor(0.0)
        if count:
            places = learner.embed(support.x[t, :count])
            pulled = [((learner.embed(query.x[t, q]) - place) ** 2).sum() for q in range(queries) for place in places]
            pushed = [
                (2.0 - (learner.embed(stranger) - place).norm()).clamp(min=0) ** 2
                for stranger in catalogue.x
                for place in places
            ]
            expected = torch.stack(pulled).mean() + torch.stack(pushed).mean()
        assert_close(found[t], expected, rtol=1e-4, atol=1e-4)
