"""Search and assignment by shots: stopped early, in time, and fair on made-up figures."""

from dataclasses import replace

import numpy as np
import pytest

import warmstart as ws
from warmstart.durations import Deadline
from warmstart.ensemble.switching import ShotSwitch, arrays_of_scorer
from warmstart.errors import UsageError
from warmstart.evaluation.validation import by_task, overall
from warmstart.scorer import Capabilities
from warmstart.training import registry as recipes
from warmstart.training.registry import AUTO
from warmstart.training.requests import FitRequest, Fitted
from warmstart.training.search import SearchResult, Trial, TrialResult, assign_by_shots, search

SHOTS = (0, 1, 2, 5)
BASELINES = ("popularity", "ease", "item-knn")


class Silent:
    items = 3
    capabilities = Capabilities()

    def adapt(self, support, profile=None):
        return len(support)

    def score(self, state, items):
        return np.zeros((state, items.shape[-1]), dtype=np.float32)

    def arrays(self):
        return {"silence": np.zeros(1)}


def trial(
    learner: str, *levels: float, spread: float = 0.01, users: int = 100, seed: int = 0
) -> Trial:
    """A trial with these means at 0, 1, 2 and 5 events, and noise of its own about them."""
    rng = np.random.default_rng(seed)
    values = {
        k: level + spread * rng.standard_normal(users)
        for k, level in zip(SHOTS, levels, strict=True)
    }
    valid = {k: float(one.mean()) for k, one in values.items()}
    fitted = Fitted(learner, "baseline", Silent(), {}, valid, fit_seconds=1.0, tasks=50)
    return Trial(learner, {}, 1.0, valid, TrialResult(fitted, values))


def chosen(*trials: Trial) -> list[tuple[int, str]]:
    return [(one.first, one.trial.learner) for one in assign_by_shots(trials)]


def test_who_is_best_everywhere_serves_everywhere():
    assert chosen(trial("ease", 0.1, 0.1, 0.1, 0.1), trial("als", 0.2, 0.2, 0.2, 0.2, seed=1)) == [
        (0, "als")
    ]


def test_who_leads_at_many_events_serves_from_there_on():
    few, many = trial("als", 0.3, 0.3, 0.3, 0.1), trial("ease", 0.2, 0.2, 0.2, 0.2, seed=1)
    assert chosen(few, many) == [(0, "als"), (5, "ease")]


def test_three_may_share_the_numbers_of_events_but_no_more():
    one, two = trial("als", 0.4, 0.1, 0.1, 0.1), trial("ease", 0.1, 0.4, 0.1, 0.1, seed=1)
    three, four = (
        trial("bias", 0.1, 0.1, 0.39, 0.1, seed=2),
        trial("item-knn", 0.1, 0.1, 0.1, 0.38, seed=3),
    )
    assert chosen(one, two, three) == [(0, "als"), (1, "ease"), (2, "bias")]
    assert len(chosen(one, two, three, four)) == 3


def test_a_lead_that_may_be_chance_changes_nothing():
    steady = trial("ease", 0.2, 0.2, 0.2, 0.2, spread=0.3)
    lucky = trial("als", 0.1, 0.1, 0.1, 0.1, spread=0.3, seed=5)
    by_chance = lucky.finished.values[5] - lucky.valid[5] + steady.valid[5] + 0.01
    values = {**lucky.finished.values, 5: by_chance}
    lucky = replace(
        lucky,
        valid={**lucky.valid, 5: by_chance.mean()},
        result=lucky.finished._replace(values=values),
    )
    assert chosen(steady, lucky) == [(0, "ease")]


def test_the_one_that_serves_first_serves_those_of_whom_nothing_is_known():
    """Also where nothing was measured at 0 events."""
    late = trial("ease", 0.1, 0.1, 0.1, 0.1)
    values = {k: late.finished.values[k] for k in (1, 2, 5)}
    valid = {k: late.valid[k] for k in (1, 2, 5)}
    late = Trial("ease", {}, 1.0, valid, TrialResult(late.finished.fitted, values))
    assert chosen(late) == [(0, "ease")]


def test_the_choice_is_explained_with_its_gain_over_the_best_baseline_at_each_number():
    few, many = (
        trial("in-context", 0.32, 0.32, 0.32, 0.1, spread=0),
        trial("ease", 0.2, 0.2, 0.2, 0.2, spread=0),
    )
    result = SearchResult("ranking", (few, many), assign_by_shots((few, many)), seconds=9.0)
    assert result.summary == (
        "in-context below 5 known events, ease from 5 on: nDCG@10 +45 % ± 0 % against the best "
        "baseline of each number, on 100 cuts of validation users"
    )
    assert (
        result.fitted.learner == AUTO
        and result.fitted.fit_seconds == 2.0
        and result.fitted.tune_seconds == 7.0
    )
    assert result.fitted.valid == pytest.approx({0: 0.32, 1: 0.32, 2: 0.32, 5: 0.2})


def test_where_a_baseline_wins_the_sentence_says_so():
    one, other = trial("ease", 0.2, 0.2, 0.2, 0.2), trial("in-context", 0.1, 0.1, 0.1, 0.1)
    result = SearchResult("ranking", (one, other), assign_by_shots((one, other)), seconds=1.0)
    assert result.summary.startswith(
        "ease at any number of known events: the best baselines themselves, on 100 cuts"
    )
    assert result.fitted.learner == "ease"


def test_the_search_takes_the_trial_that_is_best_on_validation(split):
    result = search(FitRequest(split), fit=recipes.fit, learners=BASELINES)
    figures = {name: overall(recipes.fit(name, FitRequest(split)).valid) for name in BASELINES}
    assert [one.learner for one in result.trials] == list(BASELINES)
    assert overall(result.fitted.valid) >= max(figures.values())
    row = next(one for one in result.to_list() if one["learner"] == "ease")
    assert (
        row["mean"] == pytest.approx(figures["ease"]) and row["error"] > 0 and row["stopped"] == ""
    )


def test_with_no_time_left_there_is_still_an_answer(split):
    assert (
        search(FitRequest(split, deadline=Deadline(1e-6)), fit=recipes.fit).fitted.learner
        == "popularity"
    )


def test_with_no_time_and_no_baseline_one_learner_is_still_trained(split):
    result = search(
        FitRequest(split, deadline=Deadline(1e-6)), fit=recipes.fit, learners=("ridge",)
    )
    assert result.fitted.learner == "ridge" and len(result.trials) == 1


def test_settings_without_a_learner_are_refused(split):
    with pytest.raises(UsageError, match="settings belong to one learner"):
        search(FitRequest(split, settings={"dim": 8}), fit=recipes.fit)


@pytest.mark.slow
def test_learners_are_tried_with_their_own_settings_first_and_losers_are_stopped(
    split, monkeypatch
):
    monkeypatch.setattr("warmstart.training.search.MAX_PROPOSED_TRIALS", 3)
    result = search(
        FitRequest(split), fit=recipes.fit, learners=("popularity", "ridge", "prototype")
    )
    trained = [one for one in result.trials if one.learner != "popularity"]
    assert len(trained) == 5
    assert {one.learner for one in trained[:2]} == {"ridge", "prototype"}
    assert all(one.settings == {} for one in trained[:2]) and all(
        "rate" in one.settings for one in trained[2:]
    )
    assert any(one.stopped.startswith("stopped at step") and one.result is None for one in trained)
    best = max((one for one in result.trials if one.result), key=lambda one: overall(one.valid))
    assert overall(result.fitted.valid) >= overall(best.valid)


def test_what_the_result_reports_is_what_its_scorer_reaches(split):
    result = search(FitRequest(split), fit=recipes.fit, learners=BASELINES)
    again = by_task(result.fitted.scorer, split.valid, "ranking")
    assert {k: values.mean() for k, values in again.items()} == pytest.approx(
        dict(result.fitted.valid)
    )


def test_by_shots_asks_each_scorer_for_its_own_tasks(split, examples):
    scorers = [recipes.fit(name, FitRequest(split)).scorer for name in BASELINES]
    both = ShotSwitch(scorers, [0, 1, 3])
    rows = [[4, 2, 9], [], [7], [1, 2, 3, 4, 5], [8, 9]]
    support, items = examples(rows), np.arange(30)
    found = both.score(both.adapt(support), items)
    for t, row in enumerate(rows):
        one = scorers[0 if not row else 1 if len(row) < 3 else 2]
        alone = support.take(np.array([t]))
        np.testing.assert_array_equal(found[t : t + 1], one.score(one.adapt(alone), items))
    own = np.stack([np.roll(items, t)[:4] for t in range(5)])
    np.testing.assert_array_equal(
        both.score(both.adapt(support), own), np.take_along_axis(found, own, axis=1)
    )


def test_saved_and_restored_a_choice_scores_the_same(split, examples):
    scorers = [recipes.fit(name, FitRequest(split)) for name in BASELINES]
    both = ShotSwitch([one.scorer for one in scorers], [0, 1, 3])
    members = [
        {"learner": one.learner, "settings": dict(one.settings), "first": first}
        for one, first in zip(scorers, both.first, strict=True)
    ]
    again = recipes.restore(AUTO, both.arrays(), {"members": members})
    support = examples([[4, 2, 9], [], [7]])
    np.testing.assert_array_equal(
        again.score(again.adapt(support), np.arange(30)),
        both.score(both.adapt(support), np.arange(30)),
    )
    assert set(arrays_of_scorer(both.arrays(), 1)) == set(scorers[1].scorer.arrays())


@pytest.mark.parametrize("first", [[1, 3], [0, 0], [0, 3, 1]])
def test_scorers_that_begin_nowhere_are_refused(first):
    with pytest.raises(
        AssertionError, match="begins at a number of shots of its own, the first at 0"
    ):
        ShotSwitch([Silent()] * len(first), first)


def test_a_model_chosen_by_a_search_says_why_and_is_the_same_after_saving(log, tmp_path):
    model = ws.fit(log, budget="15s")
    assert "known events" in model.facts["choice"]
    assert model.facts["valid_mean"] > ws.fit(log, learner="popularity").facts["valid_mean"]
    learners = [one["learner"] for one in model.facts["race"]]
    assert {"popularity", "item-knn", "ease", "als", "blend"} <= set(learners)
    model.save(tmp_path / "model")
    again = ws.load(tmp_path / "model")
    assert again.recommend([100, 103]) == model.recommend([100, 103])
    assert again.facts["choice"] == model.facts["choice"]


def test_what_is_fitted_already_is_not_fitted_again(split, monkeypatch):
    names, small = (
        ("popularity", "ridge"),
        {"steps": 40, "validate_every": 20, "tasks": 8, "dim": 8},
    )
    monkeypatch.setattr("warmstart.training.search.MAX_PROPOSED_TRIALS", 0)
    ready = {
        "popularity": recipes.fit("popularity", FitRequest(split)),
        "ridge": recipes.fit("ridge", FitRequest(split, settings=small)),
    }
    result = search(
        FitRequest(split),
        fit=lambda learner, request: pytest.fail(f"{learner} is fitted again"),
        learners=names,
        prefitted=ready,
    )
    assert [one.learner for one in result.trials] == list(names)
    assert all(one.finished.fitted is ready[one.learner] for one in result.trials)
    assert result.seconds >= sum(one.fit_seconds + one.tune_seconds for one in ready.values())


@pytest.mark.slow
def test_a_comparison_without_a_time_limit_chooses_among_its_own_rows(log, monkeypatch):
    fitted = []
    monkeypatch.setattr("warmstart.training.search.SEARCHED", {"ranking": ("popularity", "ease")})
    fit = recipes.fit
    monkeypatch.setattr(
        "warmstart.experiments.compare.fit",
        lambda learner, request: fitted.append(learner) or fit(learner, request),
    )
    report = ws.evaluate(log, ["auto", "popularity"], shots=[0, 2])
    assert fitted == ["popularity"] and [row.learner for row in report.rows][:1] == ["popularity"]
    ws.evaluate(log, ["auto"], shots=[0, 2], budget="30s")
    assert fitted == ["popularity", "popularity", "ease"]  # a share of the time is its own
