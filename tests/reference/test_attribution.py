"""Influences in closed form against adaptation without an event, on data made to be awkward."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from warmstart.baselines import EASE, Bias, ItemKNN, Popularity
from warmstart.ensemble.switching import ShotSwitch
from warmstart.explain.attribution import UserContext, copies, influences, top_competitors
from warmstart.learners import Ridge
from warmstart.learners.base import Support
from warmstart.learners.objectives import CandidateSet
from warmstart.scorer import delegate
from warmstart.tasks.examples import Examples
from warmstart.training import registry as recipes
from warmstart.training.requests import FitRequest

CLOSED = [(Popularity, {}), (Bias, {}), (ItemKNN, {"shrink": 2.0}), (EASE, {"l2": 30.0})]
NOBODY = np.zeros((5, 0), dtype=np.int64)


@pytest.mark.parametrize(("kind", "settings"), CLOSED, ids=lambda one: getattr(one, "__name__", ""))
def test_a_closed_form_is_what_adapting_without_the_event_says(kind, settings, split, examples):
    scorer = kind.fit(split.train, items=split.n_items, **settings)
    attribution = scorer.capabilities.attribution
    assert attribution is not None
    support = examples(
        [[3, 8, 1, 5, 8], [], [7]], [[5.0, 1.0, 3.0, 2.0, 4.0], [], [4.0]]
    )  # an item comes twice
    items = np.arange(30)
    found = attribution(support, None, items)
    for row, task in enumerate(support.task):
        fewer = support.where(np.arange(len(support.item)) != row)
        lost = (
            scorer.score(scorer.adapt(support), items)[task]
            - scorer.score(scorer.adapt(fewer), items)[task]
        )
        assert_allclose(found[row], lost, atol=1e-5)


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_the_ridge_head_knows_what_each_example_adds(objective):
    torch.manual_seed(0)
    learner = Ridge(5, objective=objective).double()
    mask = torch.tensor([[True] * 4, [True, True, False, False], [False] * 4])
    support = Support(
        torch.randn(3, 4, 5).double(), torch.randn(3, 4).double(), mask, torch.randn(3, 5).double()
    )
    catalogue = CandidateSet(torch.randn(7, 5).double(), torch.randn(7).double())
    added = learner.leave_one_out_differences(support, catalogue)
    for place in range(4):
        fewer = replace(support, mask=mask & (torch.arange(4) != place))
        lost = learner.adapt(support, catalogue).mean - learner.adapt(fewer, catalogue).mean
        assert_allclose(
            (added[:, place] * mask[:, place, None]).detach(), lost.detach(), atol=1e-10
        )


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_a_trained_ridge_is_additive_in_the_units_of_its_scores(objective, split, examples):
    settings = {"dim": 8, "steps": 20, "tasks": 16, "validate_every": 20}
    scorer = recipes.fit("ridge", FitRequest(split, objective, settings=settings)).scorer
    attribution = scorer.capabilities.attribution
    assert attribution is not None
    support, items = examples([[3, 8, 1], [7, 2]], [[5.0, 1.0, 3.0], [2.0, 4.0]]), np.arange(30)
    found, profile = (
        attribution(support, split.test.profile[:2], items),
        split.test.profile[:2],
    )
    whole = scorer.score(scorer.adapt(support, profile), items)
    for row, task in enumerate(support.task):
        fewer = support.where(np.arange(5) != row)
        assert_allclose(
            found[row], (whole - scorer.score(scorer.adapt(fewer, profile), items))[task], atol=1e-5
        )


def test_copies_keep_what_they_are_told_in_its_order(examples):
    kept = np.array([[True, False, True], [False, False, False], [True, True, True]])
    found = copies(examples([[4, 9, 2]], [[1.0, 2.0, 3.0]]), kept)
    assert found.offsets.tolist() == [0, 2, 2, 5]
    assert found.item.tolist() == [4, 2, 4, 9, 2] and found.value.tolist() == [1, 3, 1, 2, 3]


def test_the_scorer_that_serves_a_history_answers_for_its_copies(split, examples):
    few, many = Popularity.fit(split.train, items=30), EASE.fit(split.train, items=30, l2=30.0)
    both = ShotSwitch([few, many], [0, 3])
    assert delegate(both, 2) is few and delegate(both, 3) is many and delegate(many, 7) is many
    support, items, rivals = examples([[3, 8, 1]]), np.array([5, 6]), np.array([[2, 9], [2, 9]])
    alone, found = (influences(one, UserContext(support), items, rivals) for one in (many, both))
    assert_allclose(found.events, alone.events)
    assert (
        np.abs(found.events).max() > 0
    )  # with popularity for two events they would be compared in its units


def test_rivals_are_the_ten_best_others_that_may_be_recommended():
    scores, excluded = np.arange(30, dtype=np.float32), np.zeros(30, dtype=bool)
    excluded[[29, 27]] = True
    found = top_competitors(scores, excluded, np.array([28, 3]))
    assert found[0].tolist() == [26, 25, 24, 23, 22, 21, 20, 19, 18, 17]
    assert found[1].tolist() == [28, 26, 25, 24, 23, 22, 21, 20, 19, 18]


def test_few_items_have_few_rivals():
    excluded = np.array([False, True, False, False])
    found = top_competitors(
        np.array([1.0, 9.0, 3.0, 2.0], dtype=np.float32), excluded, np.array([2])
    )
    assert found.tolist() == [[3, 0]]


def test_without_rivals_the_score_is_explained(split, examples):
    scorer = Bias.fit(split.train, items=30)
    support = examples([[3, 8]], [[5.0, 1.0]])
    found = influences(scorer, UserContext(support), np.arange(5), NOBODY)
    assert_allclose(found.margin, scorer.score(scorer.adapt(support), np.arange(5))[0], rtol=1e-6)


def test_events_without_values_are_heard_alike_by_any_order_of_the_support(split):
    scorer = EASE.fit(split.train, items=30, l2=30.0)
    one, turned = (
        UserContext(Examples.unweighted(np.array(items), np.array([0, 3])))
        for items in ([3, 8, 1], [1, 3, 8])
    )
    items, rivals = np.array([5]), np.array([[2, 9]])
    first, second = (influences(scorer, known, items, rivals).events[0] for known in (one, turned))
    assert_allclose(first[[2, 0, 1]], second, atol=1e-6)
