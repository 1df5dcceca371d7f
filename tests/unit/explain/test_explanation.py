"""Explanations in the user's own ids: of lists and items, of models with content, profiles, ratings
and new items.
"""

import numpy as np
import polars as pl
import pytest

import warmstart as ws
from warmstart.data.features.table import Features
from warmstart.ensemble.switching import ShotSwitch
from warmstart.errors import UnknownItem
from warmstart.training import registry as recipes
from warmstart.training.requests import FitRequest

SMALL = {"dim": 8, "steps": 60, "tasks": 16, "validate_every": 30, "rate": 0.02}
EVEN, TOLD = [100, 106, 112], {"hint": "even"}


@pytest.fixture(scope="module")
def model(log) -> ws.Recommender:
    return ws.fit(log, learner="blend", settings=SMALL)


@pytest.fixture(scope="module")
def rated(log) -> ws.Recommender:
    return ws.fit(log, learner="factors", objective="rating")


def test_reasons_are_the_lead_in_all_and_their_sizes_are_one(model):
    answer = model.recommend(EVEN, 4, profile=TOLD, explain=True)
    for found in answer.items:
        assert sum(abs(reason.share) for reason in found.reasons) == pytest.approx(1)
        assert [reason.kind for reason in found.reasons].count("event") == 3
        told = [reason for reason in found.reasons if reason.kind == "profile"]
        assert [(reason.column, reason.value) for reason in told] == [("hint", "even")]
    one = model.explain(EVEN, answer.items[1].item, profile=TOLD)
    assert sum(reason.adds for reason in one.reasons) == pytest.approx(one.lead, abs=1e-5)
    assert one.rank == 2 and [r.adds for r in one.reasons] == pytest.approx(
        [r.adds for r in answer.items[1].reasons]
    )


def test_reasons_name_what_was_met(model):
    reasons = model.recommend(EVEN, 1, explain=True).items[0].reasons
    met = {reason.item: reason.title for reason in reasons if reason.kind == "event"}
    assert set(met) == set(EVEN) and met[100] == "even thing number 0"


def test_an_explained_list_is_the_same_list(model):
    plain, told = model.recommend(EVEN, 4), model.recommend(EVEN, 4, explain=True)
    assert [found.item for found in plain.items] == [found.item for found in told.items]
    assert plain.items[0].reasons == () and plain.sufficiency is None
    assert told.sufficiency is not None and told.comprehensiveness is not None


def test_without_a_history_the_prior_is_the_reason(model):
    first = model.recommend(n=1, explain=True).items[0]
    assert [reason.kind for reason in first.reasons if reason.share] == ["prior"]
    assert first.why() == "because many like it (100 %)"


def test_an_item_of_the_list_is_told_what_would_take_it_out(model):
    first = model.recommend(EVEN, 1).items[0].item
    found = model.explain(EVEN, first, n=1)
    assert found.with_ is None and found.without is not None
    left = [item for item in EVEN if item not in found.without.items]
    again = [one.item for one in model.recommend(left, 10, exclude=EVEN).items]
    assert again.index(first) + 1 == found.without.rank > 1


def test_an_item_beyond_the_list_is_told_what_would_bring_it_in(model):
    wanted = model.recommend(EVEN, 16).items[-1].item
    found = model.explain(EVEN, wanted, n=3)
    assert found.rank == 16 and found.without is None and found.with_ is not None
    grown = [one.item for one in model.recommend([*EVEN, *found.with_.items], 27).items]
    assert grown.index(wanted) + 1 == found.with_.rank < 16


def test_a_json_has_all_of_it(model):
    found = model.explain(EVEN, 118, profile=TOLD).to_dict()
    assert {
        "item",
        "rank",
        "lead",
        "why",
        "reasons",
        "content",
        "sufficiency",
        "without",
        "with",
    } <= set(found)
    answer = model.recommend(EVEN, 2, explain=True).to_dict("zh")
    assert answer["items"][0]["why"].startswith("因为") and set(answer["fidelity"]) == {
        "sufficiency",
        "comprehensiveness",
    }


def test_ratings_are_explained_in_their_own_units(rated):
    found = rated.explain({100: 5.0, 103: 1.0}, 106)
    predicted = rated.predict({100: 5.0, 103: 1.0}, [106]).items[0].score
    assert found.lead == pytest.approx(predicted, abs=1e-4)
    assert sum(reason.adds for reason in found.reasons) == pytest.approx(predicted, abs=1e-4)
    kinds = {reason.item: reason.adds for reason in found.reasons if reason.kind == "event"}
    assert kinds[100] > 0


def test_content_adds_what_is_lost_where_the_item_lacks_it(split, log):
    fitted = recipes.fit("in-context", FitRequest(split, settings=SMALL)).scorer
    content = fitted.capabilities.content
    assert content is not None
    support = split.test.cut(3).support.take(np.array([0]))
    places, item = Features.fit(log.item_table).places, 5
    assert content.width == len(places["kind"])
    added = content.contributions(support, None, item, list(places.values()))
    for (column, marked), part in zip(places.items(), added, strict=True):
        rows = split.item_features.toarray()
        rows[item, marked] = 0.0
        weight = fitted.model.encoder.content.weight.detach().numpy()
        vector = fitted.vectors[item].numpy().copy()
        vector[2:] = fitted.model.encoder.ids[item].detach().numpy() + rows[item] @ weight
        state = fitted.adapt(support)
        lost = (fitted.vectors[item].numpy() - vector) @ state[0].numpy()
        assert part == pytest.approx(lost, abs=1e-5), column


def test_what_content_says_beside_the_vectors_counts_too(model):
    found = model.explain(EVEN, 118)
    assert set(found.content) == {"title", "kind"} or set(found.content) == {"kind"}
    assert found.content["kind"] > 0 > model.explain(EVEN, 103).content["kind"]


def test_an_added_item_is_explained_like_any_other(model):
    grown = model.add_items(
        pl.DataFrame({"item_id": [1000], "title": ["even thing"], "kind": ["even"]})
    )
    found = grown.explain(EVEN, 1000)
    assert found.title == "even thing" and found.content["kind"] > 0
    assert sum(reason.adds for reason in found.reasons) == pytest.approx(found.lead, abs=1e-5)


def test_what_is_unknown_or_was_met_cannot_be_explained(model):
    with pytest.raises(UnknownItem, match="no item 7 in the model's catalogue of 30"):
        model.explain(EVEN, 7)
    with pytest.raises(ws.UsageError, match="item 100 is in the history"):
        model.explain(EVEN, 100)


def test_insight_shows_groups_the_prior_and_each_step(model, tmp_path):
    found = model.insight(EVEN, n=5)
    assert found.prototypes and all(taste.tasks >= 10 for taste in found.prototypes)
    nearest = [(one.item - 100) // 3 % 2 for one in found.prototypes[0].items]
    assert np.mean(nearest) < 0.5  # even items, as in the history
    assert set(found.prior) == {"hint=even", "hint=odd"}
    raised = {
        value: np.mean([(one.item - 100) // 3 % 2 for one in items])
        for value, items in found.prior.items()
    }
    assert raised["hint=even"] < 0.5 < raised["hint=odd"]
    assert [step.item for step in found.steps] == EVEN and found.steps[0].moved > 0
    model.save(tmp_path / "model")
    assert ws.load(tmp_path / "model").insight(EVEN, n=5) == found


def test_a_model_with_a_memory_shows_whom_it_reads_together(log):
    found = ws.fit(log, learner="session-knn").insight(EVEN)
    assert found.read is not None and found.read.tasks >= 10
    assert np.mean([(one.item - 100) // 3 % 2 for one in found.read.items]) < 0.5


def test_a_choice_by_shots_explains_with_the_learner_that_serves(log):
    one, two = (ws.fit(log, learner=name) for name in ("popularity", "ease"))
    both = ws.Recommender(**{**vars(two), "scorer": ShotSwitch([one.scorer, two.scorer], [0, 2])})
    expected = two.explain(EVEN, 118)
    assert both.explain(EVEN, 118).reasons == expected.reasons
    assert {r.kind for r in both.explain([100], 118).reasons if r.share} == {"prior"}
