"""The Siamese network against loops over tasks, items, pairs and triplets."""

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from warmstart.learners import Siamese
from warmstart.learners.base import Query, Support
from warmstart.learners.objectives import OBJECTIVES, CandidateSet

DIM, WIDTH, CANDIDATES = 6, 2, 7
SHOTS, QUERIES = (4, 0, 1), (5, 2, 3)


@pytest.fixture
def support() -> Support:
    torch.manual_seed(0)
    mask = torch.arange(4) < torch.tensor(SHOTS)[:, None]
    return Support(torch.randn(3, 4, DIM), torch.randn(3, 4), mask, torch.randn(3, DIM))


@pytest.fixture
def query() -> Query:
    torch.manual_seed(1)
    mask = torch.arange(5) < torch.tensor(QUERIES)[:, None]
    return Query(torch.randn(3, 5, DIM), torch.randn(3, 5), mask)


@pytest.fixture
def candidates() -> CandidateSet:
    torch.manual_seed(2)
    return CandidateSet(torch.randn(CANDIDATES, DIM), torch.randn(CANDIDATES))


def siamese(**settings) -> Siamese:
    """A small network whose parameters are away from where they start."""
    torch.manual_seed(3)
    learner = Siamese(DIM, **{"width": WIDTH, **settings})
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return learner


def distance(learner: Siamese, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (learner.embed(one) - learner.embed(other)).norm()


@torch.no_grad()
def test_a_rating_is_moved_by_the_examples_near_it(support, candidates):
    learner = siamese(objective="rating")
    scores = learner.score(learner.adapt(support, candidates), candidates.x)
    for t, count in enumerate(SHOTS):
        for c, item in enumerate(candidates.x):
            weight, total = 1.0, 0.0
            for s in range(count):
                gap = distance(learner, support.x[t, s], item)
                closeness = math.exp(learner.log_sharpness.exp() * (learner.reach - gap))
                weight += closeness
                total += closeness * (support.y[t, s] - support.x[t, s] @ support.prior[t])
            expected = item @ support.prior[t] + learner.log_gain.exp() * total / weight
            assert_close(scores[t, c], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_item_ranks_by_the_log_odds_of_the_examples_near_it(support, candidates):
    learner = siamese()
    scores = learner.score(learner.adapt(support, candidates), candidates.x)
    for t, count in enumerate(SHOTS):
        for c, item in enumerate(candidates.x):
            odds = 1.0
            for s in range(count):
                gap = distance(learner, support.x[t, s], item)
                odds += math.exp(learner.log_sharpness.exp() * (learner.reach - gap))
            expected = item @ support.prior[t] + learner.log_gain.exp() * math.log(odds)
            assert_close(scores[t, c], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_padding_may_hold_what_is_not_a_number(objective, support, candidates):
    learner, blank = siamese(objective=objective), ~support.mask
    junk = replace(
        support,
        x=support.x.masked_fill(blank.unsqueeze(-1), torch.nan),
        y=support.y.masked_fill(blank, torch.nan),
    )
    expected = learner.score(learner.adapt(support, candidates), candidates.x)
    assert_close(learner.score(learner.adapt(junk, candidates), candidates.x), expected)


@torch.no_grad()
def test_at_first_an_example_weighs_as_much_as_the_prior_at_distance_one():
    learner = Siamese(DIM)
    assert learner.embed.out_features == 64
    assert_close(learner.reach, torch.tensor(1.0))
    assert_close(learner.log_sharpness.exp(), torch.tensor(3.0))
    assert_close(learner.log_gain.exp(), torch.tensor(1.0))
    learner.embed.weight.zero_()
    learner.embed.bias.zero_()
    support = Support(
        torch.ones(1, 1, DIM),
        torch.ones(1, 1),
        torch.ones(1, 1, dtype=torch.bool),
        torch.zeros(1, DIM),
    )
    state = learner.adapt(support, CandidateSet(torch.ones(1, DIM), torch.zeros(1)))
    nearest = math.log(
        1 + math.exp(3 * (1 - 0.001))
    )  # no distance is below a thousandth, where its derivative has no bound
    assert_close(learner.score(state, torch.ones(1, DIM)), torch.tensor([[nearest]]))


@torch.no_grad()
@pytest.mark.parametrize("pairs_of", ["items", "users"])
def test_pairs_attract_within_a_task_and_repel_the_catalogue(pairs_of, support, query, candidates):
    learner = siamese(margin=2.0, pairs_of=pairs_of)
    found = learner._pair_loss(support, query, candidates)
    for t, anchors in enumerate(anchors_of(learner, support)):
        losses = [torch.tensor(0.0)]
        for anchor in anchors:
            near = [(learner.embed(query.x[t, q]) - anchor).norm() for q in range(QUERIES[t])]
            far = [(learner.embed(item) - anchor).norm() for item in candidates.x]
            attracted = torch.stack([d**2 for d in near])
            repelled = torch.stack([(2.0 - d).clamp(min=0.0) ** 2 for d in far])
            losses.append(attracted.mean() + repelled.mean())
        assert_close(found[t], sum(losses) / max(len(anchors), 1), rtol=1e-4, atol=1e-4)
    assert found[0] > 0 and found[1] == 0 and found[2] > 0


@torch.no_grad()
@pytest.mark.parametrize("pairs_of", ["items", "users"])
def test_triplets_attract_the_query_more_than_the_catalogue_by_a_margin(
    pairs_of, support, query, candidates
):
    learner = siamese(margin=0.3, pairs_of=pairs_of, contrast="triplet")
    found, idle = learner._pair_loss(support, query, candidates), []
    for t, anchors in enumerate(anchors_of(learner, support)):
        losses = [
            max(
                0.0,
                (learner.embed(query.x[t, q]) - anchor).norm()
                - (learner.embed(item) - anchor).norm()
                + 0.3,
            )
            for anchor in anchors
            for q in range(QUERIES[t])
            for item in candidates.x
        ]
        assert_close(
            found[t], torch.tensor(losses).sum() / max(len(losses), 1), rtol=1e-4, atol=1e-4
        )
        idle += [loss == 0.0 for loss in losses]
    assert any(idle) and not all(idle)


@pytest.mark.parametrize("pairs_of", ["items", "users"])
@pytest.mark.parametrize("contrast", ["contrastive", "triplet"])
def test_the_gradient_of_the_pair_loss_is_that_of_finite_differences(
    contrast, pairs_of, support, query, candidates
):
    learner = siamese(margin=0.7, pairs_of=pairs_of, contrast=contrast).double()

    def loss(known: torch.Tensor, following: torch.Tensor, all_items: torch.Tensor) -> torch.Tensor:
        return learner._pair_loss(
            replace(support, x=known), replace(query, x=following), replace(candidates, x=all_items)
        )

    vectors = [part.x.double().requires_grad_() for part in (support, query, candidates)]
    assert torch.autograd.gradcheck(loss, vectors)


@torch.no_grad()
@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_the_loss_is_that_of_the_reading_and_a_share_of_the_pairs(
    objective, support, query, candidates
):
    learner, negatives = (
        siamese(objective=objective, pairs=0.3),
        CandidateSet(torch.randn(7, DIM), torch.randn(7)),
    )
    state = learner.adapt(support, candidates)
    reading = OBJECTIVES[objective](
        lambda x: learner.score(state, x), query.x, query.y, query.mask, negatives
    )
    expected = reading + 0.3 * learner._pair_loss(support, query, candidates)
    assert_close(learner.loss(support, query, candidates, negatives), expected)


@torch.no_grad()
def test_by_default_a_tenth_of_pairs_of_items_with_margin_one_is_added(support, query, candidates):
    learner, alone = siamese(), siamese(pairs=0.0)
    added = learner.loss(support, query, candidates, candidates) - alone.loss(
        support, query, candidates, candidates
    )
    named = siamese(pairs_of="items", contrast="contrastive", margin=1.0)
    assert (learner.pairs_of, learner.contrast) == (named.pairs_of, named.contrast)
    assert_close(added, 0.1 * named._pair_loss(support, query, candidates))


@torch.no_grad()
def test_a_user_is_the_mean_embedding_of_their_items(support):
    learner = siamese()
    junk = replace(support, x=torch.where(support.mask.unsqueeze(-1), support.x, torch.nan))
    found = learner.embed_users(junk)
    assert found.shape == (3, WIDTH)
    assert_close(found[0], torch.stack([learner.embed(item) for item in support.x[0]]).mean(dim=0))
    assert_close(found[1], learner.embed(torch.zeros(DIM)))
    assert_close(found[2], learner.embed(support.x[2, 0]))


def anchors_of(learner: Siamese, support: Support) -> list[list[torch.Tensor]]:
    """The anchors of a task's pairs: the embeddings of its examples, or their mean if any."""
    embeddings = [
        [learner.embed(support.x[t, s]) for s in range(count)] for t, count in enumerate(SHOTS)
    ]
    if learner.pairs_of == "items":
        return embeddings
    return [[torch.stack(own).mean(dim=0)] if own else [] for own in embeddings]
