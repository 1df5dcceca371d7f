"""GRU4Rec and SASRec against their formulas written out, one task, one event and one number at a
time.
"""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from warmstart.learners import GRU4Rec, SASRec
from warmstart.learners.base import Query, Support
from warmstart.learners.blocks.recurrent import (
    EventSequences,
    earliest_events,
    last_state,
    latest_events,
    next_event_loss,
)
from warmstart.learners.objectives import CandidateSet, ranking
from warmstart.learners.sasrec import Block, Norm

DIM, RIVALS, LENGTH = 5, 8, 4
CLASSES = (GRU4Rec, SASRec)
both = pytest.mark.parametrize("cls", CLASSES)


def world() -> tuple[Support, Query, CandidateSet]:
    """Three tasks of 3 + 3, 0 + 2 and 2 + 0 events, with gaps; padding is not a number."""
    torch.manual_seed(0)
    known = torch.tensor([[True, True, False, True], [False] * 4, [False, True, True, False]])
    asked = torch.tensor([[True, True, True], [False, True, True], [False] * 3])
    x, y = torch.randn(3, 4, DIM), torch.randn(3, 3, DIM)
    x[~known], y[~asked] = torch.nan, torch.nan
    support = Support(x, torch.ones(3, 4), known, torch.randn(3, DIM))
    log_weight = torch.randn(3, RIVALS)
    log_weight[0, 2] = -1e9
    return (
        support,
        Query(y, torch.ones(3, 3), asked),
        CandidateSet(torch.randn(RIVALS, DIM), log_weight),
    )


def made(cls, **settings) -> Any:
    """A learner in use of which no parameter is where it starts."""
    torch.manual_seed(1)
    sizes = {"units": 3} if cls is GRU4Rec else {}
    learner = cls(DIM, max_length=LENGTH, **sizes, **settings).eval()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return learner


def rows(x: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    """The events of one task, in their order."""
    return [row for row, real in zip(x, mask, strict=True) if real]


def alone(events: list[torch.Tensor], prior: torch.Tensor) -> Support:
    """One task with these events and no padding."""
    x = torch.stack(events)[None] if events else torch.zeros(1, 0, DIM)
    return Support(
        x, torch.ones(x.shape[:2]), torch.ones(x.shape[:2], dtype=torch.bool), prior[None]
    )


def story(support: Support, query: Query, task: int) -> list[torch.Tensor]:
    return rows(support.x[task], support.mask[task]) + rows(query.x[task], query.mask[task])


def gru(learner: GRU4Rec, events: list[torch.Tensor], drop: float = 1.0) -> torch.Tensor:
    """The gates written out (Cho et al., EMNLP 2014), then the linear layer: the state after the
    last event.
    """
    look, recall, look_bias, recall_bias = (
        part.chunk(3) for part in learner.recurrence.cells.parameters()
    )
    hidden = torch.zeros(3)
    for x in [learner.recurrence.start, *events]:
        seen = [look[i] @ (drop * x) + look_bias[i] for i in range(3)]
        known = [recall[i] @ hidden + recall_bias[i] for i in range(3)]
        reset, update = (1 / (1 + torch.exp(-(seen[i] + known[i]))) for i in range(2))
        hidden = (1 - update) * torch.tanh(seen[2] + reset * known[2]) + update * hidden
    return learner.recurrence.output.weight @ (drop * hidden) + learner.recurrence.output.bias


def normal(norm: Norm, x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean()
    return centred / ((centred**2).mean() + 1e-5).sqrt() * norm.weight + norm.bias


def attended(block: Block, positions: list[torch.Tensor], drop: float) -> list[torch.Tensor]:
    """One block, position by position: a weighted mean of the positions up to it, then two small
    layers.
    """
    query_weight, key_weight, value_weight = block.attention.weight.chunk(3)
    inner, bias, outer, shift = block.layer.parameters()
    calm = [normal(block.attention_norm, x) for x in positions]
    found = []
    for i, x in enumerate(positions):
        weight = [
            math.exp((query_weight @ calm[i]) @ (key_weight @ calm[j]) / math.sqrt(DIM))
            for j in range(i + 1)
        ]
        x = x + drop * sum(weight[j] / sum(weight) * (value_weight @ calm[j]) for j in range(i + 1))
        hidden_layer = (inner @ normal(block.layer_norm, x) + bias).clamp(min=0)
        found.append(x + drop * (outer @ (drop * hidden_layer) + shift))
    return found


def transformer(learner: SASRec, events: list[torch.Tensor], drop: float = 1.0) -> torch.Tensor:
    """The state after the last event: a token and the events, each with its position, through every
    block.
    """
    positions = [drop * (x + learner.place[i]) for i, x in enumerate([torch.zeros(DIM), *events])]
    for block in learner.blocks:
        assert isinstance(block, Block)
        positions = attended(block, positions, drop)
    return normal(learner.norm, positions[-1])


FORMULAS = {GRU4Rec: gru, SASRec: transformer}


class Double(nn.Module):
    """This stands where a dropout was, and shows that it was there."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def doubled(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout):
            setattr(module, name, Double())
        doubled(child)


@both
@torch.no_grad()
def test_the_scores_are_those_of_the_formula_after_the_last_event(cls):
    support, _, negatives = world()
    learner = made(cls)
    scores = learner.score(learner.adapt(support, negatives), negatives.x)
    for task in range(3):
        state = support.prior[task] + FORMULAS[cls](
            learner, rows(support.x[task], support.mask[task])
        )
        assert_close(scores[task], negatives.x @ state, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_every_block_counts():
    support, _, negatives = world()
    learner = made(SASRec, blocks=3)
    found = learner.adapt(support, negatives)[0] - support.prior[0]
    assert len(learner.blocks) == 3
    assert_close(
        found, transformer(learner, rows(support.x[0], support.mask[0])), rtol=1e-4, atol=1e-5
    )


@both
@torch.no_grad()
def test_the_loss_is_the_weighted_cross_entropy_of_each_event_after_those_before_it(cls):
    """Task 0 has six events, of which the learner trains on five: the longest history it reads has
    four.
    """
    support, query, negatives = world()
    learner = made(cls)
    found = learner.loss(support, query, negatives, negatives)
    for task, count in enumerate((5, 2, 2)):
        events, nll = story(support, query, task), []
        for i in range(count):
            state = support.prior[task] + FORMULAS[cls](learner, events[:i])
            own = math.exp(state @ events[i])
            rest = [
                math.exp(state @ negatives.x[c] + negatives.log_weight[task, c])
                for c in range(RIVALS)
            ]
            nll.append(-math.log(own / (own + sum(rest))))
        weights = [1 / math.sqrt(n) for n in range(1, count + 1)]
        expected = sum(w * s for w, s in zip(weights, nll, strict=True)) / sum(weights)
        assert_close(found[task].item(), expected, rtol=1e-4, atol=1e-5)


@both
@torch.no_grad()
def test_training_predicts_each_event_as_adapting_to_those_before_it_would(cls):
    support, query, negatives = world()
    learner = made(cls)
    found = learner.loss(support, query, negatives, negatives)
    for task, count in enumerate((5, 2, 2)):
        events, losses = story(support, query, task), []
        own = CandidateSet(negatives.x, negatives.log_weight[task : task + 1])
        for i in range(count):
            state = learner.adapt(alone(events[:i], support.prior[task]), negatives)
            truth = Query(
                events[i][None, None], torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool)
            )
            losses.append(
                ranking(lambda x, s=state: learner.score(s, x), truth.x, truth.y, truth.mask, own)
            )
        weights = torch.arange(1, count + 1) ** -0.5
        assert_close(
            found[task], (torch.cat(losses) * weights).sum() / weights.sum(), rtol=1e-4, atol=1e-5
        )


@both
@torch.no_grad()
def test_a_later_event_never_changes_an_earlier_state(cls):
    learner = made(cls)
    x = torch.randn(2, 4, DIM)
    states = learner.recurrence if cls is GRU4Rec else learner._states
    before = states(x)
    for i in range(4):
        changed = x.clone()
        changed[:, i] += torch.randn(DIM)
        after = states(changed)
        assert torch.equal(after[:, : i + 1], before[:, : i + 1])
        assert (after[:, i + 1 :] - before[:, i + 1 :]).abs().amax(dim=(0, 2)).min() > 1e-4


@both
@torch.no_grad()
def test_the_order_of_the_events_matters_wherever_they_stand(cls):
    learner = made(cls)
    assert learner.order_matters
    events = list(torch.randn(3, DIM))
    before = learner.adapt(alone(events, torch.zeros(DIM)), world()[2])
    for i, j in ((0, 1), (1, 2), (0, 2)):
        turned = list(events)
        turned[i], turned[j] = turned[j], turned[i]
        assert (
            learner.adapt(alone(turned, torch.zeros(DIM)), world()[2]) - before
        ).abs().max() > 1e-3


@both
@torch.no_grad()
def test_of_a_long_history_the_last_events_count(cls):
    learner, prior = made(cls), torch.randn(DIM)
    events = list(torch.randn(7, DIM))
    whole = learner.adapt(alone(events, prior), world()[2])
    assert_close(whole, learner.adapt(alone(events[-LENGTH:], prior), world()[2]))
    assert (
        whole - learner.adapt(alone(events[1 - LENGTH :], prior), world()[2])
    ).abs().max() > 1e-3


@both
@torch.no_grad()
def test_dropout_is_where_the_formula_has_it(cls):
    support, _, negatives = world()
    learner = made(cls)
    doubled(learner)
    events = rows(support.x[0], support.mask[0])
    found = learner.adapt(support, negatives)[0] - support.prior[0]
    assert_close(found, FORMULAS[cls](learner, events, drop=2.0), rtol=1e-4, atol=1e-5)


@both
def test_the_share_that_is_dropped_is_a_setting(cls):
    rates = {
        module.p for module in made(cls, dropout=0.3).modules() if isinstance(module, nn.Dropout)
    }
    assert rates == {0.3}


@both
@torch.no_grad()
def test_training_starts_at_the_prior(cls):
    support, _, negatives = world()
    assert_close(cls(DIM).eval().adapt(support, negatives), support.prior)


def test_the_token_before_all_events_starts_as_none():
    assert GRU4Rec(DIM).recurrence.start.tolist() == [0.0] * DIM


@torch.no_grad()
def test_inside_a_block_normalised_events_start_as_they_are():
    x = torch.randn(2, 3, DIM)
    norms = [module for module in SASRec(DIM).blocks.modules() if isinstance(module, Norm)]
    assert len(norms) == 4
    for norm in norms:
        assert_close(norm(x), nn.functional.layer_norm(x, (DIM,)))


@torch.no_grad()
def test_the_position_embeddings_start_small_beside_the_items():
    torch.manual_seed(2)
    position = SASRec(64).place
    assert position.shape == (51, 64)
    assert_close(position.std().item(), 0.02, rtol=0.05, atol=0.0)


@pytest.mark.parametrize("length", [1, 3, 5, 9])
def test_support_and_query_become_one_sequence_of_the_first_events(length):
    support, query, _ = world()
    expected = [story(support, query, task)[:length] for task in range(3)]
    check(earliest_events(support, query, length), expected, min(length, 7))


@pytest.mark.parametrize("length", [1, 2, 3, 9])
def test_the_latest_events_of_a_support_keep_their_order(length):
    support, _, _ = world()
    expected = [rows(support.x[task], support.mask[task])[-length:] for task in range(3)]
    check(latest_events(support, length), expected, min(length, 4))


def check(events: EventSequences, expected: list[list[torch.Tensor]], width: int) -> None:
    """Whether these are the expected rows from the left, and zeros after them."""
    assert events.x.shape == (3, width, DIM)
    for task, wanted in enumerate(expected):
        assert events.mask[task].tolist() == [i < len(wanted) for i in range(width)]
        for i in range(width):
            assert torch.equal(
                events.x[task, i], wanted[i] if i < len(wanted) else torch.zeros(DIM)
            )


def test_the_last_state_is_the_one_after_the_last_event():
    states = torch.randn(3, 5, DIM)
    events = EventSequences(
        torch.randn(3, 4, DIM), torch.arange(4) < torch.tensor([4, 0, 2])[:, None]
    )
    assert torch.equal(
        last_state(states, events), torch.stack([states[0, 4], states[1, 0], states[2, 2]])
    )


def loss_of(negatives: CandidateSet) -> torch.Tensor:
    torch.manual_seed(3)
    states, x = torch.randn(3, 4, DIM), torch.randn(3, 4, DIM)
    return next_event_loss(
        states, EventSequences(x, torch.arange(4) < torch.tensor([4, 0, 2])[:, None]), negatives
    )


def test_negatives_may_be_the_same_for_all_tasks():
    _, _, negatives = world()
    shared = negatives.log_weight[1]
    assert_close(
        loss_of(CandidateSet(negatives.x, shared)),
        loss_of(CandidateSet(negatives.x, shared.expand(3, RIVALS))),
    )


def test_a_sample_that_draws_every_item_once_is_the_full_softmax():
    _, _, negatives = world()
    order = torch.randperm(RIVALS)
    assert_close(
        loss_of(CandidateSet(negatives.x[order], negatives.log_weight[:, order])),
        loss_of(negatives),
    )


def test_an_item_drawn_twice_at_half_the_weight_counts_once():
    _, _, negatives = world()
    twice = CandidateSet(negatives.x.repeat(2, 1), negatives.log_weight.repeat(1, 2) - math.log(2))
    assert_close(loss_of(twice), loss_of(negatives))


def test_a_task_without_events_has_no_loss():
    support, query, negatives = world()
    learner = made(GRU4Rec)
    empty = replace(support, mask=torch.zeros_like(support.mask))
    silent = Query(query.x, query.y, torch.zeros_like(query.mask))
    assert learner.loss(empty, silent, negatives, negatives).tolist() == [0.0, 0.0, 0.0]
