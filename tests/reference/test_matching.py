"""The matching network against loops over tasks, items, examples and, with full context, the steps
of its LSTMs.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from warmstart.learners import Matching, matching
from warmstart.learners.base import Query, Support
from warmstart.learners.objectives import CandidateSet
from warmstart.training import registry as recipes
from warmstart.training.registry import RECIPES
from warmstart.training.requests import FitRequest

ITEMS, COUNTS = 4, (3, 0, 1, 5)
DIM, WIDTH = 6, 3


@pytest.fixture
def support():
    torch.manual_seed(0)
    mask = torch.arange(5) < torch.tensor(COUNTS)[:, None]
    return Support(_doubles(4, 5, DIM), _doubles(4, 5), mask, _doubles(4, DIM))


@pytest.fixture
def candidates():
    return CandidateSet(_doubles(7, DIM), torch.zeros(7, dtype=torch.float64))


@pytest.fixture
def items():
    torch.manual_seed(1)
    return _doubles(ITEMS, DIM)


def make(objective="ranking", **switches) -> Any:
    """In double precision, with every parameter away from where it starts."""
    torch.manual_seed(2)
    learner = Matching(DIM, objective=objective, width=WIDTH, **switches).double().eval()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return learner


def scores_of(learner, support, items):
    candidates = CandidateSet(items, torch.zeros(len(items), dtype=torch.float64))
    return learner.score(learner.adapt(support, candidates), items)


def by_hand(learner, support, t, item, keys, query):
    """The score of one item from its query, the keys of one task and its labels."""
    attention = [
        math.exp(learner.log_sharpness.exp() * torch.cosine_similarity(key, query, dim=0))
        for key in keys
    ]
    null, prior = math.exp(learner.null), item @ support.prior[t]
    if learner.is_ranking:
        return prior + learner.log_gain.exp() * math.log((null + sum(attention)) / null)
    residual = [support.y[t, s] - support.x[t, s] @ support.prior[t] for s in range(len(keys))]
    total = sum(weight * amount for weight, amount in zip(attention, residual, strict=True))
    return prior + learner.log_gain.exp() * total / (null + sum(attention))


@torch.no_grad()
@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_it_is_a_softmax_over_cosines_with_a_null_example(objective, support, items):
    learner = make(objective)
    scores = scores_of(learner, support, items)
    for t, count in enumerate(COUNTS):
        keys = [learner.key(support.x[t, s]) for s in range(count)]
        for q in range(ITEMS):
            expected = by_hand(learner, support, t, items[q], keys, learner.look_up(items[q]))
            assert_close(scores[t, q], expected)


@torch.no_grad()
@pytest.mark.parametrize("objective", ["ranking", "rating"])
@pytest.mark.parametrize("reads", [1, 3])
def test_full_context_is_the_loop_over_examples_and_reads(objective, reads, support, items):
    learner = make(objective, full_context=True, reads=reads)
    scores = scores_of(learner, support, items)
    for t, count in enumerate(COUNTS):
        plain = [learner.key(support.x[t, s]) for s in range(count)]
        keys = [
            sum(three)
            for three in zip(plain, *both_ways(learner.context.support, plain), strict=True)
        ]
        for q in range(ITEMS):
            query = look_around(learner, learner.look_up(items[q]), keys, reads)
            assert_close(scores[t, q], by_hand(learner, support, t, items[q], keys, query))


def both_ways(lstm, sequence):
    """What a bidirectional LSTM says of each element on its way forth, and on its way back."""
    back = one_way(lstm, sequence[::-1], "l0_reverse")
    return one_way(lstm, sequence, "l0"), back[::-1]


def one_way(lstm, sequence, which):
    hidden, cell, outputs = torch.zeros(WIDTH).double(), torch.zeros(WIDTH).double(), []
    for x in sequence:
        gates = getattr(lstm, f"weight_ih_{which}") @ x + getattr(lstm, f"bias_ih_{which}")
        gates = (
            gates + getattr(lstm, f"weight_hh_{which}") @ hidden + getattr(lstm, f"bias_hh_{which}")
        )
        admit, keep, new, show = (gates[n * WIDTH : (n + 1) * WIDTH] for n in range(4))
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(admit) * torch.tanh(new)
        hidden = torch.sigmoid(show) * torch.tanh(cell)
        outputs.append(hidden)
    return outputs


def look_around(learner, plain, keys, reads):
    """The attention LSTM of one query: torch's cell, whose state is the query and whose input is
    what it read.
    """
    reader = cell_of(learner.context)
    query, cell = plain, torch.zeros(WIDTH).double()
    for _ in range(reads):
        read = torch.zeros(WIDTH).double()
        total = sum(math.exp(query @ key) for key in keys)
        for key in keys:
            read = read + math.exp(query @ key) / total * key
        hidden, cell = reader(torch.cat([plain, read]), (query, cell))
        query = hidden + plain
    return query


def cell_of(context):
    cell = nn.LSTMCell(2 * WIDTH, WIDTH).double()
    admit, keep, show, new = range(4)
    rows = torch.cat(
        [torch.arange(WIDTH) + WIDTH * gate for gate in (admit, keep, new, show)]
    )  # torch's order
    cell.weight_ih.copy_(torch.cat([context.plain.weight, context.read.weight], dim=1)[rows])
    cell.weight_hh.copy_(context.query.weight[rows])
    cell.bias_ih.copy_(context.plain.bias[rows])
    cell.bias_hh.zero_()
    return cell


def test_it_starts_sharp_with_a_null_example_of_its_own_and_unit_gain():
    learner = Matching(DIM)
    values = torch.stack([learner.log_sharpness.exp(), learner.null, learner.log_gain.exp()])
    assert_close(values, torch.tensor([5.0, 2.0, 1.0]))
    assert learner.context is None and not learner.order_matters


def test_a_candidate_reads_the_support_twice_by_default():
    context = Matching(DIM, full_context=True).context
    assert context is not None and context.reads == 2


@torch.no_grad()
def test_order_matters_with_full_context_alone(support, items):
    turned = replace(support, x=support.x.clone())
    turned.x[3] = support.x[3].flip(0)
    plain, full = make(), make(full_context=True)
    assert full.order_matters and not plain.order_matters
    assert_close(scores_of(plain, turned, items), scores_of(plain, support, items))
    difference = (
        (scores_of(full, turned, items) - scores_of(full, support, items)).abs().amax(dim=1)
    )
    assert difference[3] > 1e-3 and difference[:3].max() < 1e-12


@torch.no_grad()
@pytest.mark.parametrize("full_context", [False, True])
def test_padding_never_reaches_a_score(full_context, support, items):
    learner = make("rating", full_context=full_context)
    blank = ~support.mask
    junk = replace(
        support,
        x=torch.where(blank.unsqueeze(-1), torch.nan, support.x),
        y=torch.where(blank, torch.nan, support.y),
    )
    wide = Support(
        torch.cat([junk.x, junk.x], dim=1),
        torch.cat([junk.y, junk.y], dim=1),
        torch.cat([support.mask, torch.zeros_like(support.mask)], dim=1),
        support.prior,
    )
    assert_close(scores_of(learner, junk, items), scores_of(learner, support, items))
    assert_close(scores_of(learner, wide, items), scores_of(learner, support, items))


@torch.no_grad()
def test_a_ragged_batch_with_full_context_equals_each_task_alone(support, items):
    learner = make(full_context=True)
    together = scores_of(learner, support, items)
    for t, count in enumerate(COUNTS):
        width = max(count, 1)
        alone = Support(
            support.x[t : t + 1, :width],
            support.y[t : t + 1, :width],
            support.mask[t : t + 1, :width],
            support.prior[[t]],
        )
        assert_close(scores_of(learner, alone, items), together[[t]])


@torch.no_grad()
def test_many_candidates_are_compared_in_parts_of_bounded_size(monkeypatch, support, items):
    monkeypatch.setattr(matching, "CHUNK_PAIRS", 14)
    learner, sizes = make(full_context=True), []
    learner.look_up.register_forward_hook(
        lambda module, args, output: sizes.append(output.shape[-2])
    )
    many = torch.cat([items, -items, 2 * items])
    in_parts, own = scores_of(learner, support, many), many.expand(4, -1, -1)
    assert sizes == [3, 3, 3, 3]  # 14 pairs are three candidates of four tasks
    monkeypatch.undo()
    assert_close(in_parts, scores_of(learner, support, many))
    assert sizes[4:] == [12]  # a small batch is one part
    assert_close(
        learner.score(learner.adapt(support, CandidateSet(many, many[:, 0])), own), in_parts
    )


@torch.no_grad()
def test_more_tasks_than_pairs_are_scored_one_candidate_at_a_time(monkeypatch, support, items):
    monkeypatch.setattr(matching, "CHUNK_PAIRS", 1)
    learner, sizes = make(), []
    learner.look_up.register_forward_hook(
        lambda module, args, output: sizes.append(output.shape[-2])
    )
    assert scores_of(learner, support, items).shape == (4, ITEMS)
    assert sizes == [1] * ITEMS


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_the_gradient_with_full_context_is_finite_and_reaches_every_parameter(
    objective, support, candidates
):
    learner = make(objective, full_context=True)
    query = Query(_doubles(4, 2, DIM), _doubles(4, 2), torch.ones(4, 2, dtype=torch.bool))
    learner.loss(support, query, candidates, candidates).sum().backward()
    sizes = {
        name: float(parameter.grad.abs().sum())
        for name, parameter in learner.named_parameters()
        if parameter.grad is not None
    }
    assert len(sizes) == len(list(learner.parameters()))
    assert all(0 < size < math.inf for size in sizes.values()), sizes


def test_full_context_is_a_setting_that_a_saved_model_keeps(split, examples):
    settings = {
        "full_context": True,
        "dim": 8,
        "width": 5,
        "steps": 4,
        "validate_every": 4,
        "tasks": 8,
    }
    fitted: Any = recipes.fit("matching", FitRequest(split, settings=settings))
    again = RECIPES["matching"].restore(fitted.scorer.arrays(), fitted.settings)
    assert fitted.scorer.model.learner.order_matters
    support = examples([[3, 8, 1], []])
    first, second = (one.score(one.adapt(support), np.arange(30)) for one in (fitted.scorer, again))
    np.testing.assert_array_equal(first, second)


def _doubles(*shape):
    return torch.randn(*shape, dtype=torch.float64)
