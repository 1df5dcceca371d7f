"""The laws that hold for every scorer, classic or learned, for both objectives."""

from dataclasses import replace

import numpy as np
import pytest
from _pytest.mark.structures import ParameterSet

from warmstart.evaluation.evaluate import evaluate
from warmstart.explain.attribution import UserContext, influences
from warmstart.scorer import Scorer
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import batches
from warmstart.testing.scorer_laws import SCORER_LAWS, ScorerCase
from warmstart.training import registry as recipes
from warmstart.training.registry import RECIPES
from warmstart.training.requests import FitRequest, Fitted

SMALL = {
    "dim": 16,
    "steps": 120,
    "tasks": 32,
    "validate_every": 40,
    "rate": 0.01,
    "most_shots": 8,
    "queries": 6,
}
MANY_STEPS_INSIDE = {"reptile", "imaml"}  # which take as long for half of the steps
JUDGE = {"judge_cases": 300, "judge_steps": 50}
ONE_A_FAMILY = {
    "maml",
    "matching",
    "mann",
    "ridge",
    "in-context",
    "blend",
    "fine-tune",
    "stacked-bridge",
}
"""Learners by gradient steps, distances, a memory, a closed form, one pass, and so on."""
IMPERSONAL = {"popularity", "bias"}
CASES = [(name, objective) for name, recipe in RECIPES.items() for objective in recipe.objectives]
PERSONAL = [case for case in CASES if case[0] not in IMPERSONAL]


def small(name: str) -> dict[str, object]:
    options = RECIPES[name].options
    fewer = {"steps": 60, "validate_every": 60} if name in MANY_STEPS_INSIDE else {}
    return {
        **(SMALL if "steps" in options else {}),
        **fewer,
        **(JUDGE if "judge_steps" in options else {}),
    }


@pytest.fixture(scope="module")
def fitted(split):
    """Each case fitted once."""
    made: dict[tuple[str, str], Fitted] = {}

    def fit(name: str, objective: str) -> Fitted:
        if (name, objective) not in made:
            made[name, objective] = recipes.fit(
                name, FitRequest(split, objective, settings=small(name))
            )
        return made[name, objective]

    return fit


@pytest.fixture(params=CASES, ids="-".join)
def scorer(request, fitted) -> Scorer:
    return fitted(*request.param).scorer


@pytest.fixture
def support(examples) -> Examples:
    rows = [[3, 8, 1, 5], [], [7], [2, 9, 4]]
    return examples(rows, [[5.0, 1.0, 3.0, 2.0], [], [4.0], [2.0, 4.5, 1.0]])


def scores_of(scorer: Scorer, support: Examples, items=None, profile=None) -> np.ndarray:
    return scorer.score(
        scorer.adapt(support, profile), np.arange(scorer.items) if items is None else items
    )


@pytest.mark.parametrize("law", SCORER_LAWS, ids=lambda law: law.__name__)
def test_the_law_holds(law, scorer):
    parts = scorer.base_scorers.scorers.values() if hasattr(scorer, "base_scorers") else [scorer]
    learners = [getattr(getattr(part, "model", None), "learner", None) for part in parts]
    law(
        ScorerCase.of(
            scorer, order_matters=any(getattr(one, "order_matters", False) for one in learners)
        )
    )


@pytest.mark.parametrize(("name", "objective"), CASES)
def test_saved_and_restored_it_scores_the_same(name, objective, fitted, split, support):
    one = fitted(name, objective)
    again = RECIPES[name].restore(one.scorer.arrays(), one.settings)
    profile = split.test.profile[:4]
    np.testing.assert_array_equal(
        scores_of(again, support, profile=profile), scores_of(one.scorer, support, profile=profile)
    )


@pytest.mark.parametrize(("name", "objective"), PERSONAL)
def test_five_examples_beat_none(name, objective, fitted, split):
    tasks = replace(split.test, profile=None)
    outcome = evaluate(
        fitted(name, objective).scorer, tasks, objective=objective, shots=[0, 5], queries=4
    )
    if objective == "ranking":
        before, after = (outcome.values["ndcg@10"][k].mean() for k in (0, 5))
        assert after > before + 0.05
    else:
        before, after = (outcome.values["mae"][k].mean() for k in (0, 5))
        # Transfer learning never trained its adaptation, so as little training as here takes it
        # less far.
        assert after < before - (0.03 if RECIPES[name].kind == "transfer" else 0.05)


def checkerboard_cases() -> list[ParameterSet]:
    """All that rank, those slow of which a relative is among the quick ones."""
    names = [name for name, objective in PERSONAL if objective == "ranking"]
    quick = {name for name in names if RECIPES[name].kind == "baseline"} | ONE_A_FAMILY
    return [pytest.param(name, marks=[] if name in quick else [pytest.mark.slow]) for name in names]


@pytest.mark.parametrize("name", checkerboard_cases())
def test_a_checkerboard_gives_back_the_withheld_items(name, board):
    scorer = recipes.fit(name, FitRequest(board, settings=small(name))).scorer
    recovered = []
    for part in batches(board.test.cut(6), 50):
        scores = scores_of(scorer, part.support).copy()
        scores[part.support.task, part.support.item] = -np.inf
        best = np.argsort(-scores, axis=1)[:, :4]  # ten of a kind: six were shown, four are left
        recovered.append(
            (best % 2 == part.support.item[part.support.offsets[:-1]][:, None] % 2).mean()
        )
    assert np.mean(recovered) > 0.97


def test_the_influence_of_an_event_is_what_is_lost_without_it(scorer, support, split):
    one, profile = support.take(np.array([0])), split.test.profile[:1]
    items, rivals = np.array([11, 2, 29]), np.array([[2, 7], [29, 0], [11, 13]])

    def leads(of: Examples, row) -> np.ndarray:
        scores = scores_of(scorer, of, profile=row)[0].astype(np.float64)
        return scores[items] - scores[rivals].mean(axis=1)

    found = influences(scorer, UserContext(one, profile, 0 * profile), items, rivals)
    for place in range(4):
        without = leads(one.where(np.arange(4) != place), profile)
        np.testing.assert_allclose(
            found.events[:, place], leads(one, profile) - without, atol=1e-5 * scale(scorer)
        )
    nothing = leads(one.where(np.zeros(4, dtype=bool)), 0 * profile)
    np.testing.assert_allclose(found.prior, nothing, atol=1e-5 * scale(scorer))
    np.testing.assert_allclose(
        found.columns[:, 0],
        leads(one, profile) - leads(one, 0 * profile),
        atol=1e-5 * scale(scorer),
    )
    parts = found.prior + found.events.sum(axis=1) + found.columns.sum(axis=1) + found.interaction
    np.testing.assert_allclose(parts, found.margin, atol=1e-5 * scale(scorer))


def scale(scorer: Scorer) -> float:
    """How large scores are, where they are larger than one: the precision of a number is
    relative.
    """
    return max(
        1.0,
        float(
            np.abs(
                scorer.score(
                    scorer.adapt(Examples.unweighted(np.array([3]), np.array([0, 1]))),
                    np.arange(30),
                )
            ).max()
        ),
    )
