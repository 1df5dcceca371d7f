"""Blend against its parts put together by hand, and the model's sum of network and experts
against both alone.
"""

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.testing import assert_close

from warmstart.learners import Blend, InContext
from warmstart.learners.base import Query, Support
from warmstart.learners.objectives import CandidateSet, ranking
from warmstart.model.encoder import Encoder
from warmstart.model.few_shot import StateWithExperts
from warmstart.model.fitted import FittedModel
from warmstart.training import registry as recipes
from warmstart.training.registry import RECIPES
from warmstart.training.requests import FitRequest

DIM, COUNTS = 5, (4, 0, 2)
CANDIDATES = CandidateSet(torch.zeros(1, DIM), torch.zeros(1))  # it does not look at it
SETTINGS = {"dim": 8, "objective": "ranking", "spectral": True}


def support() -> Support:
    torch.manual_seed(0)
    mask = torch.arange(4) < torch.tensor(COUNTS)[:, None]
    return Support(torch.randn(3, 4, DIM), torch.randn(3, 4), mask, torch.randn(3, DIM))


def randomised(module) -> Any:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module.eval()


def untrained(split) -> Any:
    recipe: Any = RECIPES["blend"]
    settings = {**recipe.overrides, **SETTINGS}
    return randomised(recipe.build_model(recipe.statistics(split, settings), settings))


@torch.no_grad()
def test_training_starts_at_the_prior_with_the_same_weight_for_all_experts():
    learner = Blend(DIM, ordered=True, witnesses=3, first_trust=0.3).eval()
    assert_close(learner.adapt(support(), CANDIDATES), support().prior)
    assert_close(learner.expert_weights(support()), torch.full((3, 3), 0.3))


@torch.no_grad()
def test_without_an_order_it_reads_as_the_in_context_encoder_does():
    learner, alone = (
        randomised(Blend(DIM, hidden=7, width=6)),
        InContext(DIM, hidden=7, width=6).eval(),
    )
    alone.read.load_state_dict(learner.read.state_dict())
    assert_close(learner.adapt(support(), CANDIDATES), alone.adapt(support(), CANDIDATES))


@torch.no_grad()
def test_with_an_order_the_output_of_the_recurrent_network_is_added():
    learner, given = randomised(Blend(DIM, ordered=True)), support()
    found = learner.adapt(given, CANDIDATES)
    for t, count in enumerate(COUNTS):
        expected = learner.recurrence(given.x[t : t + 1, :count])[0, count]
        assert_close(found[t], given.prior[t] + learner.read(given)[t] + expected)


@torch.no_grad()
def test_expert_weights_depend_on_the_number_of_shots_and_their_spread():
    learner, given = randomised(Blend(DIM, witnesses=2)), support()
    found = learner.expert_weights(given)
    for t, count in enumerate(COUNTS):
        directions = [x / x.norm() for x in given.x[t, :count]]
        centre = sum(directions, torch.zeros(DIM)) / max(count, 1)
        facts = torch.tensor(
            [np.log1p(count), 1 / (1 + count), float(centre @ centre)], dtype=torch.float32
        )
        inside, outside = learner.gate[0], learner.gate[2]
        by_hand = outside.weight @ torch.tanh(inside.weight @ facts + inside.bias) + outside.bias
        assert_close(found[t], 10 * by_hand)


def test_the_focal_exponent_weights_an_example_by_a_power_of_its_probability():
    torch.manual_seed(0)
    x, pool, w = torch.randn(3, 4), torch.randn(6, 4), torch.randn(4)
    mask, offset = torch.tensor([True, True, False]), torch.tensor([0.5, -1.0, 9.0])
    found = ranking(
        lambda z: z @ w,
        x,
        torch.ones(3),
        mask,
        CandidateSet(pool, torch.zeros(6)),
        offset,
        focal_exponent=0.5,
    )
    probabilities = [
        float(
            (x[i] @ w + offset[i]).exp() / ((x[i] @ w + offset[i]).exp() + (pool @ w).exp().sum())
        )
        for i in (0, 1)
    ]
    assert float(found) == pytest.approx(
        np.mean([-np.log(p) * p**0.5 for p in probabilities]), rel=1e-5
    )


@torch.no_grad()
def test_a_score_is_that_of_the_network_plus_the_weighted_expert_scores(split, examples):
    model = untrained(split)
    given = examples([[4, 2, 9], [], [7]])
    scorer = FittedModel(model)
    state = scorer.adapt(given)
    assert isinstance(state, StateWithExperts)
    padded = given.padded()
    mask = torch.from_numpy(padded.mask)
    x = scorer.vectors[torch.from_numpy(padded.item)]
    prior = model.encoder.priors(None, 3)
    expert_weights = model.learner.expert_weights(Support(x, torch.ones(mask.shape), mask, prior))
    expert_scores = torch.from_numpy(model.experts.scores(given)) @ expert_weights.unsqueeze(-1)
    network = state.state @ scorer.vectors.mT
    network[:, torch.from_numpy(model.experts.kept_items)] += expert_scores.squeeze(-1)
    assert_close(torch.from_numpy(scorer.score(state, np.arange(30))), network)


@torch.no_grad()
def test_in_training_the_experts_leave_the_task_out(split):
    """The loss of a batch by hand: each task's own events left out of the experts."""
    model = untrained(split)
    batch = split.train.episodes(np.random.default_rng(0), 5, max_shots=4, queries=6)
    found = model(batch, np.random.default_rng(1))
    vectors = model.encoder()
    padded, query = batch.support.padded(), batch.query.padded()
    mask, query_mask = torch.from_numpy(padded.mask), torch.from_numpy(query.mask)
    x = vectors[torch.from_numpy(padded.item)]
    given = Support(x, torch.ones(mask.shape), mask, model.encoder.priors(batch.profile, 5))
    scores = model.learner.adapt(given, CANDIDATES) @ vectors.mT
    witnesses = torch.from_numpy(
        model.experts.scores(batch.support, batch.task_events, batch.profile)
    )
    scores[:, torch.from_numpy(model.experts.kept_items)] += (
        witnesses @ model.learner.expert_weights(given).unsqueeze(-1)
    ).squeeze(-1)
    losses, weights = [], []
    for t in range(5):
        seen = [*padded.item[t][padded.mask[t]], *query.item[t][query.mask[t]]]
        rest = scores[t].clone()
        rest[seen] = -torch.inf
        own = scores[t][query.item[t][query.mask[t]]]
        nll = torch.nn.functional.softplus(rest.logsumexp(0) - own)
        losses.append((nll * torch.exp(-0.25 * nll)).mean())
        weights.append(min(int(query_mask[t].sum()), 20))
    assert_close(
        found,
        torch.tensor([float(one) * w for one, w in zip(losses, weights, strict=True)]).sum()
        / sum(weights),
    )


def test_ratings_have_no_experts(split):
    recipe: Any = RECIPES["blend"]
    settings = {**recipe.overrides, **SETTINGS, "objective": "rating"}
    assert recipe.statistics(split, settings).experts is None
    assert recipe.build_model(recipe.statistics(split, settings), settings).learner.gate is None


def test_the_loss_adds_the_logit_offset():
    learner, given = Blend(DIM).eval(), support()
    query = Query(torch.randn(3, 2, DIM), torch.ones(3, 2), torch.ones(3, 2, dtype=torch.bool))
    negatives = CandidateSet(torch.randn(6, DIM), torch.zeros(6))
    offset = Query(query.x, query.y, query.mask, torch.full((3, 2), 2.0))
    shifted = CandidateSet(negatives.x, torch.full((3, 6), 2.0))
    assert_close(
        learner.loss(given, offset, CANDIDATES, shifted),
        learner.loss(given, query, CANDIDATES, negatives),
    )


def test_a_fixed_item_bias_is_not_trained(split):
    settings = {**SETTINGS, "steps": 5, "tasks": 8, "validate_every": 5}
    one = recipes.fit(
        "blend", FitRequest(split, settings={k: v for k, v in settings.items() if k != "objective"})
    )
    recipe: Any = RECIPES["blend"]
    start = recipe.statistics(split, {**recipe.overrides, **SETTINGS})
    np.testing.assert_array_equal(one.scorer.arrays()["encoder.appeal"], start.item_bias)
    assert one.curve is not None
    assert (
        one.scorer.arrays()["encoder.ids"] != start.initial_embeddings
    ).any() or one.curve.best_step == 0


@torch.no_grad()
def test_the_rate_of_the_profile_multiplies_its_shift():
    profile = sp.csr_array(np.array([[1.0, 0.0], [0.5, 2.0]], dtype=np.float32))
    slow, fast = (
        Encoder(np.zeros(3, dtype=np.float32), dim=6, profile_width=2, profile_rate=rate)
        for rate in (1.0, 3.0)
    )
    for one in (slow, fast):
        assert one.profile is not None
        one.eval()
        one.profile.weight.copy_(torch.arange(12.0).reshape(2, 6))
    assert_close(fast.priors(profile, 2) - fast.start, 3 * (slow.priors(profile, 2) - slow.start))
