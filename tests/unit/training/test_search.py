"""The race: honest, stopped early, within its budget; and the gate by number of events, on figures
made up.
"""

from dataclasses import replace

import numpy as np
import pytest

import warmstart as ws
from warmstart.ensemble.switching import ShotSwitch, arrays_of_scorer
from warmstart.errors import UsageError
from warmstart.evaluation.validation import by_task, overall
from warmstart.scorer import Capabilities
from warmstart.training import registry as recipes
from warmstart.training.registry import AUTO
from warmstart.training.search import SearchResult, Trial, TrialResult, assign_by_shots, search
from warmstart.training.tuning import Fitted, Order

SHOTS = (0, 1, 2, 5)
CLASSICS = ("popularity", "ease", "item-knn")


class Silent:
    items = 3
    capabilities = Capabilities()

    def adapt(self, support, profile=None):
        return len(support)

    def score(self, state, items):
        return np.zeros((state, items.shape[-1]), dtype=np.float32)

    def arrays(self):
        return {"silence": np.zeros(1)}


def entrant(
    learner: str, *levels: float, spread: float = 0.01, users: int = 100, seed: int = 0
) -> Trial:
    """An entrant with these means at 0, 1, 2 and 5 events, and noise of its own about them."""
    rng = np.random.default_rng(seed)
    values = {
        k: level + spread * rng.standard_normal(users)
        for k, level in zip(SHOTS, levels, strict=True)
    }
    valid = {k: float(one.mean()) for k, one in values.items()}
    fitted = Fitted(learner, "classic", Silent(), {}, valid, fit_seconds=1.0, tasks=50)
    return Trial(learner, {}, 1.0, valid, TrialResult(fitted, values))


def chosen(*entrants: Trial) -> list[tuple[int, str]]:
    return [(stretch.first, stretch.trial.learner) for stretch in assign_by_shots(entrants)]


def test_who_is_best_everywhere_serves_everywhere():
    assert chosen(
        entrant("ease", 0.1, 0.1, 0.1, 0.1), entrant("als", 0.2, 0.2, 0.2, 0.2, seed=1)
    ) == [(0, "als")]


def test_who_leads_at_many_events_serves_from_there_on():
    few, many = entrant("als", 0.3, 0.3, 0.3, 0.1), entrant("ease", 0.2, 0.2, 0.2, 0.2, seed=1)
    assert chosen(few, many) == [(0, "als"), (5, "ease")]


def test_three_may_share_the_numbers_of_events_but_no_more():
    one, two = entrant("als", 0.4, 0.1, 0.1, 0.1), entrant("ease", 0.1, 0.4, 0.1, 0.1, seed=1)
    three, four = (
        entrant("bias", 0.1, 0.1, 0.39, 0.1, seed=2),
        entrant("item-knn", 0.1, 0.1, 0.1, 0.38, seed=3),
    )
    assert chosen(one, two, three) == [(0, "als"), (1, "ease"), (2, "bias")]
    assert len(chosen(one, two, three, four)) == 3


def test_a_lead_that_may_be_chance_changes_nothing():
    steady = entrant("ease", 0.2, 0.2, 0.2, 0.2, spread=0.3)
    lucky = entrant("als", 0.1, 0.1, 0.1, 0.1, spread=0.3, seed=5)
    by_chance = lucky.finished.values[5] - lucky.valid[5] + steady.valid[5] + 0.01
    values = {**lucky.finished.values, 5: by_chance}
    lucky = replace(
        lucky, valid={**lucky.valid, 5: by_chance.mean()}, finish=lucky.finished._replace(values=values)
    )
    assert chosen(steady, lucky) == [(0, "ease")]


def test_the_one_that_serves_first_serves_those_of_whom_nothing_is_known():
    """Even where nobody was judged at 0 events."""
    late = entrant("ease", 0.1, 0.1, 0.1, 0.1)
    values = {k: late.finished.values[k] for k in (1, 2, 5)}
    valid = {k: late.valid[k] for k in (1, 2, 5)}
    late = Trial("ease", {}, 1.0, valid, TrialResult(late.finished.fitted, values))
    assert chosen(late) == [(0, "ease")]


def test_the_choice_is_explained_with_its_gain_over_the_best_classic_at_each_number():
    few, many = (
        entrant("in-context", 0.32, 0.32, 0.32, 0.1, spread=0),
        entrant("ease", 0.2, 0.2, 0.2, 0.2, spread=0),
    )
    race = SearchResult("ranking", (few, many), assign_by_shots((few, many)), seconds=9.0)
    assert race.summary == (
        "in-context below 5 known events, ease from 5 on: nDCG@10 +45 % ± 0 % against the best classic at each number "
        "on 100 looks at validation users"
    )
    assert (
        race.fitted.learner == AUTO
        and race.fitted.fit_seconds == 2.0
        and race.fitted.tune_seconds == 7.0
    )
    assert race.fitted.valid == pytest.approx({0: 0.32, 1: 0.32, 2: 0.32, 5: 0.2})


def test_where_a_classic_wins_the_sentence_says_so():
    one, other = entrant("ease", 0.2, 0.2, 0.2, 0.2), entrant("in-context", 0.1, 0.1, 0.1, 0.1)
    race = SearchResult("ranking", (one, other), assign_by_shots((one, other)), seconds=1.0)
    assert race.summary.startswith(
        "ease at any number of known events: the best classics themselves on 100 looks"
    )
    assert race.fitted.learner == "ease"


def test_the_race_takes_the_entrant_that_is_best_on_validation(split):
    race = search(Order(split), learners=CLASSICS)
    figures = {name: overall(recipes.fit(name, Order(split)).valid) for name in CLASSICS}
    assert [one.learner for one in race.trials] == list(CLASSICS)
    assert overall(race.fitted.valid) >= max(figures.values())
    row = next(one for one in race.to_list() if one["learner"] == "ease")
    assert (
        row["mean"] == pytest.approx(figures["ease"]) and row["error"] > 0 and row["stopped"] == ""
    )


def test_with_no_time_left_there_is_still_an_answer(split):
    assert search(Order(split, seconds=1e-6)).fitted.learner == "popularity"


def test_with_no_time_and_no_classic_one_learner_is_still_trained(split):
    race = search(Order(split, seconds=1e-6), learners=("ridge",))
    assert race.fitted.learner == "ridge" and len(race.trials) == 1


def test_settings_without_a_learner_are_refused(split):
    with pytest.raises(UsageError, match="settings belong to one learner"):
        search(Order(split, settings={"dim": 8}))


@pytest.mark.slow
def test_learners_race_with_their_own_settings_first_and_losers_are_stopped(split, monkeypatch):
    monkeypatch.setattr("warmstart.training.search.OTHERS", 3)
    race = search(Order(split), learners=("popularity", "ridge", "prototype"))
    trained = [one for one in race.trials if one.learner != "popularity"]
    assert len(trained) == 5
    assert {one.learner for one in trained[:2]} == {"ridge", "prototype"}
    assert all(one.settings == {} for one in trained[:2]) and all(
        "rate" in one.settings for one in trained[2:]
    )
    assert any(one.stopped.startswith("stopped at step") and one.result is None for one in trained)
    best = max((one for one in race.trials if one.result), key=lambda one: overall(one.valid))
    assert overall(race.fitted.valid) >= overall(best.valid)


def test_what_the_race_reports_is_what_its_scorer_reaches(split):
    race = search(Order(split), learners=CLASSICS)
    again = by_task(race.fitted.scorer, split.valid, "ranking")
    assert {k: values.mean() for k, values in again.items()} == pytest.approx(
        dict(race.fitted.valid)
    )


def test_by_shots_asks_each_scorer_for_its_own_tasks(split, examples):
    scorers = [recipes.fit(name, Order(split)).scorer for name in CLASSICS]
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
    scorers = [recipes.fit(name, Order(split)) for name in CLASSICS]
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
        AssertionError, match="begins at a number of events of its own, the first at 0"
    ):
        ShotSwitch([Silent()] * len(first), first)


def test_a_model_chosen_by_the_race_says_why_and_is_the_same_after_saving(log, tmp_path):
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
    monkeypatch.setattr("warmstart.training.search.OTHERS", 0)
    ready = {
        "popularity": recipes.fit("popularity", Order(split)),
        "ridge": recipes.fit("ridge", Order(split, settings=small)),
    }
    monkeypatch.setattr(
        "warmstart.training.search.fit", lambda name, order: pytest.fail(f"{name} is fitted again")
    )
    race = search(Order(split), learners=names, prefitted=ready)
    assert [one.learner for one in race.trials] == list(names)
    assert all(one.finished.fitted is ready[one.learner] for one in race.trials)
    assert race.seconds >= sum(one.fit_seconds + one.tune_seconds for one in ready.values())


@pytest.mark.slow
def test_a_comparison_without_a_time_limit_chooses_among_its_own_rows(log, monkeypatch):
    fitted = []
    monkeypatch.setattr("warmstart.training.search.ENTRANTS", {"ranking": ("popularity", "ease")})
    monkeypatch.setattr(
        "warmstart.training.search.fit",
        lambda name, order: fitted.append(name) or recipes.fit(name, order),
    )
    report = ws.evaluate(log, ["auto", "popularity"], shots=[0, 2])
    assert fitted == [] and [row.learner for row in report.rows][:1] == ["popularity"]
    ws.evaluate(log, ["auto"], shots=[0, 2], budget="30s")
    assert fitted == ["popularity", "ease"]  # a share of the time is its own
