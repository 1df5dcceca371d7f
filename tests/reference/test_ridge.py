"""The ridge head against scikit-learn."""

import numpy as np
import torch
from sklearn.linear_model import Ridge as Reference
from torch.testing import assert_close

from warmstart.learners import Ridge
from warmstart.learners.base import Query, Support
from warmstart.learners.objectives import CandidateSet

L2, GAIN, ABSENT = 0.7, 1.3, 0.4


def world():
    torch.manual_seed(0)
    mask = torch.arange(5) < torch.tensor([5, 2])[:, None]
    support = Support(torch.randn(2, 5, 3), torch.randn(2, 5), mask, torch.randn(2, 3))
    return support, CandidateSet(torch.randn(9, 3), torch.randn(9))


def test_ratings_are_solved_as_scikit_learn_solves_them():
    support, candidates = world()
    weights = Ridge(3, objective="rating", l2=L2, gain=1.0).adapt(support, candidates).mean
    for t, count in enumerate((5, 2)):
        x, y, prior = (
            support.x[t, :count].numpy(),
            support.y[t, :count].numpy(),
            support.prior[t].numpy(),
        )
        reference = Reference(alpha=L2, fit_intercept=False).fit(x, y - x @ prior)
        assert_close(
            weights[t], torch.from_numpy(prior + reference.coef_).float(), rtol=1e-4, atol=1e-5
        )


def test_events_are_solved_against_the_catalogue_as_weighted_zeros():
    support, candidates = world()
    learner = Ridge(3, objective="ranking", l2=L2, gain=GAIN)
    assert learner.log_absent is not None
    with torch.no_grad():
        learner.log_absent.fill_(ABSENT).log_()
    weights = learner.adapt(support, candidates).mean
    share = torch.softmax(candidates.log_weight, dim=0).numpy()
    for t, count in enumerate((5, 2)):
        x = np.concatenate([support.x[t, :count].numpy(), candidates.x.numpy()])
        y = np.concatenate([support.y[t, :count].numpy(), np.zeros(9)])
        weight = np.concatenate([np.ones(count), ABSENT * share])
        reference = Reference(alpha=L2, fit_intercept=False).fit(x, y, sample_weight=weight)
        expected = support.prior[t] + GAIN * torch.from_numpy(reference.coef_).float()
        assert_close(weights[t], expected, rtol=1e-4, atol=1e-5)


def test_the_density_of_ratings_moves_neither_items_nor_weights():
    support, candidates = world()
    learner = Ridge(3, objective="rating", l2=L2)
    known = Support(
        support.x.requires_grad_(), support.y.requires_grad_(), support.mask, support.prior
    )
    query = Query(
        torch.randn(2, 4, 3).requires_grad_(), torch.randn(2, 4), torch.ones(2, 4, dtype=torch.bool)
    )
    learner._nll_of_ratings(learner.adapt(known, candidates), query).sum().backward()
    assert learner.log_spread.grad is not None
    assert (known.x.grad, query.x.grad, learner.log_l2.grad) == (None, None, None)
