"""The neural process against products of Gaussians, torch's divergence, many draws, and its loss
worked out by hand.
"""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import gelu, linear
from torch.testing import assert_close

from warmstart.learners import NeuralProcess
from warmstart.learners.base import PosteriorSampler, Query, Support
from warmstart.learners.objectives import CandidateSet

DIM, LATENT, HIDDEN, ITEMS, QUERIES, COUNTS = 6, 3, 5, 4, 2, (4, 0, 2)
KL = 0.7


@pytest.fixture
def support():
    torch.manual_seed(0)
    mask = torch.arange(4) < torch.tensor(COUNTS)[:, None]
    return Support(_doubles(3, 4, DIM), _doubles(3, 4), mask, _doubles(3, DIM))


@pytest.fixture
def query():
    torch.manual_seed(1)
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    return Query(_doubles(3, QUERIES, DIM), _doubles(3, QUERIES), mask)


@pytest.fixture
def candidates():
    torch.manual_seed(2)
    return CandidateSet(_doubles(7, DIM), _doubles(7))


def make(objective, *, dropout=0.0) -> Any:
    """In double precision, with every parameter away from where it starts."""
    torch.manual_seed(3)
    settings = {"hidden": HIDDEN, "latent": LATENT, "dropout": dropout, "kl": KL}
    learner = NeuralProcess(DIM, objective=objective, **settings).double()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return learner.eval()


def observation(learner, x, y, prior):
    """What one example says of z: the centre and the precision of a Gaussian."""
    amount = y if learner.is_ranking else y - x @ prior
    hidden = gelu(_affine(learner.example, x) + amount * _affine(learner.strength, x))
    encoded = _affine(learner.evidence[-1], hidden)
    return encoded[:LATENT], torch.log(1 + torch.exp(encoded[LATENT:]))


def posterior_after(learner, examples, prior):
    """N(0, 1) multiplied by one example's Gaussian after the other: the mean and the standard
    deviation.
    """
    mean, variance = torch.zeros(LATENT).double(), torch.ones(LATENT).double()
    for x, y in examples:
        centre, precision = observation(learner, x, y, prior)
        share = variance / (variance + 1 / precision)
        mean, variance = mean + share * (centre - mean), (1 - share) * variance
    return mean, variance.sqrt()


def examples_of(support, query, t):
    known = [(support.x[t, s], support.y[t, s]) for s in range(COUNTS[t])]
    return known, [(query.x[t, q], query.y[t, q]) for q in range(QUERIES) if query.mask[t, q]]


def decoded(learner, z, prior):
    hidden = gelu(_affine(learner.mixing[0], z))
    return prior + learner.linear.weight @ z + _affine(learner.mixing[-1], hidden)


@torch.no_grad()
@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_the_belief_is_the_product_of_gaussians_one_for_each_example(
    objective, support, query, candidates
):
    learner = make(objective)
    posterior = learner.adapt(support, candidates)
    for t in range(3):
        mean, std = posterior_after(learner, examples_of(support, query, t)[0], support.prior[t])
        assert_close(posterior.mean[t], mean)
        assert_close(posterior.std[t], std)


@torch.no_grad()
def test_without_examples_the_posterior_is_the_standard_normal(support, candidates):
    posterior = make("rating").adapt(support, candidates)
    assert_close(posterior.mean[1], torch.zeros(LATENT).double())
    assert_close(posterior.std[1], torch.ones(LATENT).double())


@torch.no_grad()
def test_every_example_makes_it_surer(support, candidates):
    learner = make("ranking")
    masks = [support.mask & (torch.arange(4) < count) for count in range(5)]
    spreads = [learner.adapt(replace(support, mask=mask), candidates).std[0] for mask in masks]
    for before, after in pairwise(spreads):
        assert (after < before).all()


@torch.no_grad()
def test_an_item_scores_by_its_product_with_the_decoded_mean(support, candidates):
    learner, items = make("ranking"), _doubles(ITEMS, DIM)
    posterior = learner.adapt(support, candidates)
    scores = learner.score(posterior, items)
    for t in range(3):
        weights = decoded(learner, posterior.mean[t], support.prior[t])
        for q in range(ITEMS):
            assert_close(scores[t, q], items[q] @ weights)


@torch.no_grad()
def test_many_draws_have_the_mean_and_the_spread_of_the_belief(support, candidates):
    learner, draws = make("rating"), 40_000
    posterior = learner.adapt(support, candidates)
    many = type(posterior)(*(part.repeat(draws, 1) for part in posterior))
    drawn = learner.sample(many, torch.Generator().manual_seed(0)).mean.view(draws, 3, LATENT)
    error = posterior.std / math.sqrt(draws)
    assert ((drawn.mean(dim=0) - posterior.mean).abs() < 4 * error).all()
    assert ((drawn.std(dim=0) - posterior.std).abs() < 4 * error).all()
    correlation = torch.corrcoef(drawn.flatten(1).mT) - torch.eye(3 * LATENT)
    assert correlation.abs().max() < 0.03


@torch.no_grad()
def test_a_draw_comes_from_its_generator_alone_and_is_scored_like_any_state(support, candidates):
    learner, items = make("ranking"), _doubles(ITEMS, DIM)
    posterior = learner.adapt(support, candidates)
    one, again, other = (
        learner.sample(posterior, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert_close(one, again, rtol=0, atol=0)
    assert not torch.equal(one.mean, other.mean)
    assert_close(one[1:], posterior[1:], rtol=0, atol=0)
    assert_close(
        learner.score(one, items)[0], items @ decoded(learner, one.mean[0], support.prior[0])
    )
    assert isinstance(learner, PosteriorSampler)


@torch.no_grad()
@pytest.mark.parametrize("objective", ["ranking", "rating"])
@pytest.mark.parametrize("training", [False, True])
def test_the_loss_is_the_misfit_of_two_draws_and_the_divergence_between_them(
    objective, training, support, query, candidates
):
    learner = make(objective).train(training)
    torch.manual_seed(4)
    noise = [
        torch.randn(3, LATENT).double() * training for _ in range(2)
    ]  # before the query is known, and after
    torch.manual_seed(4)
    found = learner.loss(support, query, candidates, candidates)
    for t in range(3):
        known, asked = examples_of(support, query, t)
        posteriors = [
            posterior_after(learner, examples, support.prior[t])
            for examples in (known, known + asked)
        ]
        misfits = []
        for (mean, std), shift in zip(posteriors, noise, strict=True):
            weights = decoded(learner, mean + std * shift[t], support.prior[t])
            misfits.append(
                sum(misfit_of(learner, x, y, weights, candidates) for x, y in asked) / len(asked)
            )
        before, after = (Normal(*posterior) for posterior in posteriors)
        divergence = kl_divergence(after, before).sum()
        assert_close(found[t], (misfits[0] + misfits[1]) / 2 + KL * divergence / len(asked))


def misfit_of(learner, x, y, weights, candidates):
    """Minus the log-likelihood of one example, without the constant of a Gaussian."""
    if learner.is_ranking:
        odds = sum(
            math.exp(other @ weights + w)
            for other, w in zip(candidates.x, candidates.log_weight, strict=True)
        )
        return math.log(1 + odds / math.exp(x @ weights))
    return -Normal(x @ weights, learner.noise).log_prob(y) - math.log(math.sqrt(2 * math.pi))


@torch.no_grad()
def test_a_task_without_a_query_has_no_loss(support, query, candidates):
    nothing = replace(query, mask=torch.zeros_like(query.mask))
    loss = make("ranking").loss(support, nothing, candidates, candidates)
    assert_close(loss, torch.zeros(3).double())


@torch.no_grad()
def test_encoder_and_decoder_both_drop_out_in_training(support, candidates):
    learner, items = make("ranking", dropout=0.5).train(), _doubles(ITEMS, DIM)
    one, again = (learner.adapt(support, candidates) for _ in range(2))
    assert not torch.equal(one.mean, again.mean)
    assert not torch.equal(learner.score(one, items), learner.score(one, items))


@torch.no_grad()
def test_what_drops_out_is_what_comes_after_the_activation(support, candidates, monkeypatch):
    """Were everything doubled in the place of being dropped, the weights after it would count
    double.
    """
    expected, found = make("ranking"), make("ranking")
    for name in ("evidence", "mixing"):
        getattr(expected, name)[-1].weight.mul_(2)
        for layer in getattr(found, name):
            if isinstance(layer, torch.nn.Dropout):
                monkeypatch.setattr(layer, "forward", lambda x: 2 * x)
    state, items = expected.adapt(support, candidates), _doubles(ITEMS, DIM)
    assert_close(found.adapt(support, candidates), state)
    assert_close(found.score(state, items), expected.score(state, items))


@torch.no_grad()
def test_the_noise_of_ratings_is_learned_from_one_on_and_ranking_has_none():
    assert NeuralProcess(DIM, objective="rating").noise == 1.0
    assert NeuralProcess(DIM).noise == 0.0
    learner = make("rating")
    assert learner.noise == pytest.approx(learner.log_noise.exp().item()) != 1.0


def _affine(layer, x):
    return linear(x, layer.weight, layer.bias)


def _doubles(*shape):
    return torch.randn(*shape, dtype=torch.float64)
