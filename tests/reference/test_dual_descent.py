"""The dual form of descent: which tasks go together, and its gradient against finite differences;
see test_maml too.
"""

import gc
import weakref

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from warmstart.learners.base import Support
from warmstart.learners.blocks import dual_descent as dual
from warmstart.learners.blocks.dual_descent import (
    RATE_NAMES,
    DualDescent,
    GatherGroups,
    group_by_length,
    scores_after_descent,
)
from warmstart.learners.blocks.head import init_head

TASKS, SHOTS, ITEMS, DIM, HIDDEN = 3, 4, 5, 6, 2


def doubles(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def test_tasks_are_grouped_by_the_position_of_their_last_example(monkeypatch):
    monkeypatch.setattr(dual, "MIN_GROUP_ROWS", 8)
    mask = torch.zeros(7, 4, dtype=torch.bool)
    for task, places in enumerate([[0, 1, 2], [], [0], [0, 3], [0, 1], [0, 1, 2, 3], [1]]):
        mask[task, places] = True
    groups = group_by_length(mask)  # of 28 rows
    assert [(sorted(group.tasks.tolist()), group.length) for group in groups] == [
        ([1, 2, 4], 2),
        ([0, 6], 3),
        ([3, 5], 4),
    ]


def test_small_batches_stay_together_and_large_ones_are_cut_into_no_more_than_five():
    assert (dual.MIN_GROUP_ROWS, dual.MAX_GROUPS) == (1000, 5)
    assert [
        len(group_by_length(torch.ones(tasks, 100, dtype=torch.bool)))
        for tasks in (1, 10, 19, 20, 49, 300)
    ] == [
        1,
        1,
        1,
        2,
        4,
        5,
    ]
    assert (
        len(group_by_length(torch.ones(2, 9000, dtype=torch.bool))) == 2
    )  # no more groups than tasks
    (group,) = group_by_length(torch.zeros(3, 0, dtype=torch.bool))
    assert (len(group.tasks), group.length) == (3, 0)


def test_the_examples_of_the_groups_send_their_gradient_back_to_their_rows(monkeypatch):
    monkeypatch.setattr(dual, "MIN_GROUP_ROWS", 6)
    torch.manual_seed(0)
    mask = torch.arange(SHOTS) < torch.tensor([4, 1, 2])[:, None]
    x = doubles(TASKS, SHOTS, DIM).requires_grad_()
    parts = GatherGroups.apply(x, group_by_length(mask))
    assert [tuple(part.shape) for part in parts] == [(2, 2, DIM), (1, 4, DIM)]
    assert_close(parts[0], x[[1, 2], :2])
    weights = [doubles(*part.shape) for part in parts]
    totals = [(part * weight).sum() for part, weight in zip(parts, weights, strict=True)]
    torch.stack(totals).sum().backward()
    expected = torch.zeros_like(x)
    expected[[1, 2], :2] = weights[0]
    expected[[0]] = weights[1]
    assert_close(x.grad, expected)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_the_gradient_of_the_descent_is_that_of_finite_differences(steps):
    torch.manual_seed(1)
    rows = [doubles(TASKS, SHOTS, HIDDEN), doubles(TASKS, SHOTS), doubles(TASKS, SHOTS, SHOTS)]
    items = [doubles(TASKS, ITEMS, HIDDEN), doubles(TASKS, ITEMS), doubles(TASKS, ITEMS, SHOTS)]
    above = [
        doubles(HIDDEN, HIDDEN),
        doubles(3, HIDDEN),
        0.1 + 0.2 * torch.rand(6, dtype=torch.float64),
    ]
    rows[2] = rows[2] @ rows[2].mT  # overlaps of examples with each other are the same both ways
    y, share = doubles(TASKS, SHOTS), torch.rand(TASKS, SHOTS, dtype=torch.float64)

    def descend(*parts):
        symmetric = (parts[2] + parts[2].mT) / 2
        return DualDescent.apply(*parts[:2], symmetric, *parts[3:], y, share, steps, False)

    assert gradcheck(descend, [part.requires_grad_() for part in (*rows, *items, *above)])


def test_what_the_way_back_needs_is_freed_without_the_garbage_collector(monkeypatch):
    held, moved = [], dual.next_state

    def watched(step, rates):
        held.append(weakref.ref(step.activations.first))
        return moved(step, rates)

    monkeypatch.setattr(dual, "next_state", watched)
    head, rates = init_head(DIM, HIDDEN), torch.full((len(RATE_NAMES),), 0.1)
    support = Support(
        torch.randn(2, 3, DIM),
        torch.randn(2, 3),
        torch.ones(2, 3, dtype=torch.bool),
        torch.randn(2, DIM),
    )
    gc.disable()
    try:
        scores = scores_after_descent(
            head, rates, support, torch.randn(2, 2, DIM), steps=2, first_order=False
        )
        assert all(tensor() is not None for tensor in held)
        del scores
        assert [tensor() for tensor in held] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("first_order", [False, True])
def test_padding_may_hold_anything(first_order):
    torch.manual_seed(2)
    head, rates = init_head(DIM, HIDDEN), torch.full((len(RATE_NAMES),), 0.1)
    mask = torch.tensor([[True, False, True, False], [False] * 4, [True] * 4])
    x, y, prior, items = (
        torch.randn(3, 4, DIM),
        torch.randn(3, 4),
        torch.randn(3, DIM),
        torch.randn(3, ITEMS, DIM),
    )
    junk = Support(x.masked_fill(~mask.unsqueeze(-1), 1e3), y.masked_fill(~mask, -1e3), mask, prior)
    expected = scores_after_descent(
        head, rates, Support(x, y, mask, prior), items, steps=3, first_order=first_order
    )
    found = scores_after_descent(head, rates, junk, items, steps=3, first_order=first_order)
    assert_close(found, expected)
    gradients = [
        torch.autograd.grad(scores.sum(), list(head.values())) for scores in (found, expected)
    ]
    assert_close(*gradients)
