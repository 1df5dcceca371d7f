"""The ridge head's uncertainty against Gaussian formulas written out with scipy."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch.testing import assert_close

from warmstart.learners import Ridge
from warmstart.learners.base import PosteriorSampler, Query, Support
from warmstart.learners.objectives import CandidateSet
from warmstart.learners.ridge import TRAINING_SAMPLES

L2, GAIN, ABSENT, SPREAD = 0.7, 1.3, 0.4, 0.6
COUNTS, QUERIES = (4, 0, 2), (2, 5, 3)


def doubles(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def world():
    torch.manual_seed(0)
    known, count = (
        torch.arange(n) < torch.tensor(counts)[:, None] for n, counts in ((4, COUNTS), (5, QUERIES))
    )
    support = Support(doubles(3, 4, 3), doubles(3, 4), known, doubles(3, 3))
    return (
        support,
        Query(doubles(3, 5, 3), doubles(3, 5), count),
        CandidateSet(doubles(7, 3), doubles(7)),
    )


def make(objective):
    learner = Ridge(3, objective=objective, l2=L2, gain=GAIN).double()
    with torch.no_grad():
        learner.log_spread.fill_(math.log(SPREAD))
        learner.log_gain.fill_(math.log(GAIN))
        if learner.log_absent is not None:
            learner.log_absent.fill_(math.log(ABSENT))
    return learner


def precision(objective, support, candidates, t):
    x = support.x[t, : COUNTS[t]].numpy()
    found = L2 * np.eye(3) + x.T @ x
    if objective == "ranking":
        share = np.exp(candidates.log_weight.numpy())
        found += ABSENT * (candidates.x.numpy().T * share / share.sum()) @ candidates.x.numpy()
    return found


BOTH = pytest.mark.parametrize("objective", ["ranking", "rating"])


@BOTH
def test_samples_have_the_posteriors_mean_and_covariance(objective):
    support, _, candidates = world()
    learner = make(objective)
    state = learner.adapt(support, candidates)
    assert isinstance(learner, PosteriorSampler)
    rng = torch.Generator().manual_seed(5)
    draws = torch.stack([learner.sample(state, rng).mean for _ in range(6000)]).detach().numpy()
    for t in range(3):
        covariance = SPREAD**2 * np.linalg.inv(precision(objective, support, candidates, t))
        scale = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(
            draws[:, t].mean(axis=0), state.mean[t].detach(), atol=5 * scale.max() / 77
        )
        np.testing.assert_allclose(np.cov(draws[:, t].T), covariance, atol=0.06 * covariance.max())


@BOTH
def test_a_sample_scores_as_its_weights_and_comes_again_from_the_same_seed(objective):
    support, _, candidates = world()
    learner, items = make(objective), doubles(2, 3)
    state = learner.adapt(support, candidates)
    one, again, other = (
        learner.sample(state, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert_close(learner.score(one, items), torch.stack([items @ weights for weights in one.mean]))
    assert torch.equal(one.mean, again.mean) and not torch.equal(one.mean, other.mean)


@BOTH
def test_noise_is_that_of_a_rating_and_none_where_events_are_ranked(objective):
    assert make(objective).noise == pytest.approx(0.0 if objective == "ranking" else SPREAD)


def test_in_training_the_loss_of_events_is_that_of_their_mean_probability_over_samples():
    support, query, candidates = world()
    negatives = CandidateSet(candidates.x, doubles(3, 7))
    learner = make("ranking").train()
    torch.manual_seed(9)
    found = learner.loss(support, query, candidates, negatives)
    torch.manual_seed(9)
    state = learner.adapt(support, candidates)
    draws = [learner.sample(state).mean for _ in range(TRAINING_SAMPLES)]
    for t, count in enumerate(QUERIES):
        nll = []
        for q in range(count):
            probability = []
            for weights in draws:
                own = (query.x[t, q] @ weights[t]).exp()
                rest = (negatives.x @ weights[t] + negatives.log_weight[t]).exp().sum()
                probability.append((own / (own + rest)).item())
            nll.append(-math.log(sum(probability) / len(probability)))
        assert found[t].item() == pytest.approx(np.mean(nll))


def test_in_training_ratings_add_minus_the_log_density_of_their_error():
    support, query, candidates = world()
    learner = make("rating").train()
    total = learner.loss(support, query, candidates, candidates)
    plain = learner.eval().loss(support, query, candidates, candidates)
    state = learner.adapt(support, candidates)
    for t, count in enumerate(QUERIES):
        errors = [(query.y[t, q] - query.x[t, q] @ state.mean[t]).item() for q in range(count)]
        assert plain[t].item() == pytest.approx(np.mean(np.square(errors)))
        covariance = np.linalg.inv(precision("rating", support, candidates, t))
        nll = []
        for q, error in enumerate(errors):
            x = query.x[t, q].numpy()
            scale = SPREAD * math.sqrt(1 + x @ covariance @ x)
            nll.append(-norm.logpdf(error, scale=scale) - 0.5 * math.log(2 * math.pi))
        assert (total - plain)[t].item() == pytest.approx(np.mean(nll))


def test_the_density_of_ratings_teaches_the_width_alone():
    support, query, candidates = world()
    learner = make("rating").train()
    state = learner.adapt(support, candidates)
    learner._nll_of_ratings(state, query).sum().backward()
    taught = {name for name, parameter in learner.named_parameters() if parameter.grad is not None}
    assert taught == {"log_spread"}


@BOTH
def test_in_use_the_loss_is_that_of_the_mean(objective):
    support, query, candidates = world()
    negatives = CandidateSet(candidates.x, doubles(3, 7))
    learner = make(objective).eval()
    state = learner.adapt(support, candidates)
    found = learner.loss(support, query, candidates, negatives)
    for t, count in enumerate(QUERIES):
        errors = []
        for q in range(count):
            own = query.x[t, q] @ state.mean[t]
            if objective == "rating":
                errors.append(((own - query.y[t, q]) ** 2).item())
            else:
                rest = (negatives.x @ state.mean[t] + negatives.log_weight[t]).exp().sum()
                errors.append(-(own.exp() / (own.exp() + rest)).log().item())
        assert found[t].item() == pytest.approx(np.mean(errors))


@BOTH
def test_more_examples_leave_less_open(objective):
    support, _, candidates = world()
    learner = make(objective)
    few = learner.adapt(
        Support(support.x, support.y, support.mask & (torch.arange(4) < 1), support.prior),
        candidates,
    )
    many = learner.adapt(support, candidates)
    volume = [torch.logdet(state.factor @ state.factor.mT) for state in (few, many)]
    assert volume[1][0] > volume[0][0] and volume[1][1] == volume[0][1]


def test_it_starts_with_the_width_that_it_is_documented_to_learn_from():
    learner = Ridge(4, objective="rating")
    assert learner.noise == pytest.approx(0.5)
    assert learner.log_l2.item() == pytest.approx(0.0) and learner.log_gain.item() == pytest.approx(
        0.0
    )
    ranking = Ridge(4)
    assert ranking.log_gain.item() == pytest.approx(math.log(4.0))
    assert ranking.log_absent is not None and ranking.log_absent.item() == pytest.approx(0.0)
