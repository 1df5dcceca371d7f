"""The recommender and its folder: the user's own ids in and out, and no damaged model is ever
used.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import warmstart as ws
from warmstart.durations import parse_duration
from warmstart.recommend.exploration import Policy
from warmstart.tasks.examples import Examples

SMALL = {"dim": 8, "steps": 60, "tasks": 16, "validate_every": 30, "rate": 0.02}


@pytest.fixture(scope="module")
def model(log) -> ws.Recommender:
    return ws.fit(log, learner="in-context", settings=SMALL)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    model.save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def ids(answer: ws.Answer) -> list:
    return [found.item for found in answer.items]


def test_ids_come_back_as_they_went_in_and_the_history_is_not_recommended(model):
    answer = model.recommend([100, 106, 112], 5)
    assert len(answer.items) == 5 and answer.used == 3
    assert all(isinstance(item, int) and (item - 100) % 3 == 0 for item in ids(answer))
    assert not set(ids(answer)) & {100, 106, 112}


def test_what_is_liked_decides_what_is_recommended(model):
    even = ids(model.recommend([100, 106, 112, 118], 8))
    odd = ids(model.recommend([103, 109, 115, 121], 8))
    share_of_even = [
        np.mean([(item - 100) // 3 % 2 == 0 for item in found]) for found in (even, odd)
    ]
    assert share_of_even[0] > 0.7 > 0.3 > share_of_even[1]


def test_scores_fall_and_titles_come_along(model):
    answer = model.recommend([100], 6)
    scores = [found.score for found in answer.items]
    assert scores == sorted(scores, reverse=True)
    first = answer.items[0]
    assert first.title.endswith(f"thing number {(first.item - 100) // 3}")
    assert first.properties["kind"] in ("even", "odd")


def test_ids_may_be_written_as_text(model):
    assert ids(model.recommend(["100", "106"], 5)) == ids(model.recommend([100, 106], 5))


def test_unknown_ids_are_reported_and_skipped(model):
    answer = model.recommend([100, 9999, "what"], 5)
    assert answer.unknown == (9999, "what") and answer.used == 1
    assert answer.warnings == (
        "2 of 3 items of the history are unknown and were skipped: 9999, what",
    )
    assert ids(answer) == ids(model.recommend([100], 5))


def test_no_history_is_answered_from_the_prior(model):
    answer = model.recommend()
    assert len(answer.items) == 10 and answer.used == 0 and answer.warnings == ()
    assert ids(model.recommend([9999])) == ids(answer)


def test_a_profile_counts_and_what_is_unknown_in_it_is_reported(model):
    plain, told = model.recommend(), model.recommend(profile={"hint": "odd"})
    assert [f.score for f in plain.items] != [f.score for f in told.items]
    answer = model.recommend(profile={"shoe": 42})
    assert answer.warnings == (
        'the model knows no profile column "shoe" and ignores it; it knows hint',
    )
    assert ids(answer) == ids(plain)


def test_many_requests_are_answered_as_each_alone(model):
    requests = [
        ws.Request([100, 106]),
        ws.Request([103], 3, profile={"hint": "odd"}, exclude=[109]),
        ws.Request(),
        ws.Request([9999, 112], 4, where={"kind": "odd"}, explain=True),
        ws.Request([100], 40, again=True),
        ws.Request([100], 5, policy=Policy(epsilon=0.5, seed=3)),
    ]
    for one, found in zip(requests, model.recommend_all(requests), strict=True):
        alone = model.recommend(
            one.history, one.n, profile=one.profile, exclude=one.exclude, explain=one.explain,
            again=one.again, where=one.where, policy=one.policy,
        )  # fmt: skip
        assert (
            ids(found) == ids(alone)
            and found.warnings == alone.warnings
            and found.used == alone.used
        )
        for near, exact in zip(found.items, alone.items, strict=True):
            assert near.score == pytest.approx(exact.score, abs=1e-5)
            assert near.probability == pytest.approx(exact.probability, abs=1e-6)
            assert near.propensity == exact.propensity and near.why() == exact.why()
    assert model.recommend_all([]) == []


def test_excluded_items_are_not_recommended(model):
    first = ids(model.recommend([100], 3))
    assert not set(first) & set(ids(model.recommend([100], 3, exclude=[*first, "unknown"])))


def test_a_catalogue_runs_out_without_an_error(model):
    assert len(model.recommend([100], 500).items) == 29
    assert model.recommend([100], 5, exclude=model.items.ids.to_list()).items == ()


def test_values_may_be_given(log):
    model = ws.fit(log, learner="ridge", objective="rating", settings=SMALL)
    happy, cross = (model.recommend({100: value, 106: value}, 29).items for value in (5.0, 1.0))
    assert [f.item for f in happy] != [f.item for f in cross]
    assert np.mean([f.score for f in happy]) > np.mean([f.score for f in cross])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n is the number of recommendations and at least 1, not 0"),
        ({"history": "100"}, "a history is a list of item ids or a mapping"),
        (
            {"history": {100: float("nan")}},
            "history item 100 has the value nan; expected a finite number",
        ),
    ],
)
def test_wrong_calls_are_refused(model, arguments, message):
    with pytest.raises(ws.UsageError, match=message):
        model.recommend(**arguments)


def test_a_saved_model_answers_as_before(model, saved):
    again = ws.load(saved)
    for history, profile in (([], None), ([100, 109], {"hint": "even"}), ({103: 2.0}, None)):
        assert again.recommend(history, profile=profile) == model.recommend(
            history, profile=profile
        )
    assert (again.learner, again.objective, again.facts) == (
        model.learner,
        model.objective,
        model.facts,
    )


@pytest.mark.parametrize(
    "learner", ["popularity", "bias", "item-knn", "ease", "als", "maml", "siamese"]
)
def test_every_kind_of_model_survives_its_folder(learner, log, tmp_path):
    settings = SMALL if learner in ("maml", "siamese") else None
    model = ws.fit(log, learner=learner, settings=settings)
    model.save(tmp_path / "m")
    assert ws.load(tmp_path / "m").recommend([100, 109]) == model.recommend([100, 109])


def test_saving_again_replaces_the_model_and_leaves_nothing_behind(model, folder):
    model.save(folder)
    assert ws.load(folder).recommend([100]) == model.recommend([100])
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_folder_that_is_no_model_is_never_overwritten(model, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("keep me")
    with pytest.raises(ws.UsageError, match="exists and is no model folder; name another place"):
        model.save(tmp_path / "letters")
    assert (tmp_path / "letters" / "dear.txt").read_text() == "keep me"


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ws.NotFitted, match="no such model folder; make one with `warmstart fit"):
        ws.load(tmp_path / "nowhere")


def test_a_folder_without_a_manifest_is_refused(folder):
    (folder / "model.json").unlink()
    with pytest.raises(ws.NotFitted, match=r"has no model\.json, so it is no model"):
        ws.load(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "vocabulary/items.parquet"])
def test_a_missing_altered_or_truncated_file_is_refused(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ws.NotFitted, match="was altered or cut short"):
        ws.load(folder)
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ws.NotFitted, match="was altered or cut short"):
        ws.load(folder)
    (folder / name).unlink()
    with pytest.raises(ws.NotFitted, match="is missing; restore it"):
        ws.load(folder)


def test_an_altered_manifest_is_refused(folder):
    manifest = json.loads((folder / "model.json").read_text())
    manifest["learner"] = "ease"
    (folder / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ws.NotFitted, match="was altered after it was saved"):
        ws.load(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 99}', "\x00\x01"])
def test_a_manifest_of_another_kind_is_refused(folder, content):
    (folder / "model.json").write_text(content)
    with pytest.raises(ws.NotFitted, match=r"cannot be read|has format"):
        ws.load(folder)


def test_a_pickle_in_the_folder_is_refused(folder):
    (folder / "extra.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(ws.NotFitted, match=r"holds extra\.pkl, which may be a pickle"):
        ws.load(folder)


def test_a_model_holds_nothing_but_json_safetensors_and_parquet(saved):
    files = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    assert files == {"model.json", "weights.safetensors", "vocabulary/items.parquet"}


def test_the_same_seed_fits_the_same_model(log, model):
    assert ws.fit(log, learner="in-context", settings=SMALL).recommend([100]) == model.recommend(
        [100]
    )


@pytest.mark.parametrize(
    ("text", "expected"), [("60s", 60), ("10m", 600), ("500ms", 0.5), ("1h", 3600), (5, 5)]
)
def test_budgets_are_read(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["soon", "-3s", "0", "inf", "nan"])
def test_budgets_that_are_none_are_refused(text):
    with pytest.raises(ws.UsageError, match="is no span of time; write it as 60s"):
        parse_duration(text)


def test_an_unknown_scenario_is_refused(log):
    with pytest.raises(ws.UsageError, match='there is no scenario "moon"'):
        ws.fit(log, scenario="moon")


def newcomers(**columns: list) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item_id": [901, 902],
            "kind": ["even", "odd"],
            "title": ["new even thing", "new odd thing"],
            **columns,
        }
    )


EVEN, ODD = [100, 106, 112, 118], [103, 109, 115, 121]


def places(model: ws.Recommender, history: list, *items: int) -> list[int]:
    """Where items stand among all that are recommended."""
    found = ids(model.recommend(history, len(model.items)))
    return [found.index(item) for item in items]


def test_a_new_item_is_recommended_at_once_to_those_who_like_its_kind(model):
    grown = model.add_items(newcomers())
    assert len(grown.items) == 32 and len(model.items) == 30
    even, odd = places(grown, EVEN, 901, 902)
    assert even < odd
    even, odd = places(grown, ODD, 901, 902)
    assert odd < even
    assert grown.recommend((), 40).items[0].item not in (901, 902), "nobody is a favourite at once"
    found = next(one for one in grown.recommend(EVEN, 40).items if one.item == 901)
    assert found.title == "new even thing" and found.properties["kind"] == "even"


def test_what_was_known_is_recommended_as_before(model):
    grown = model.add_items(newcomers())
    before = [(found.item, found.score) for found in model.recommend(EVEN, 40).items]
    after = [
        (found.item, found.score)
        for found in grown.recommend(EVEN, 40).items
        if found.item not in (901, 902)
    ]
    assert after == before


def test_who_met_a_new_item_moves_it_whatever_its_columns_say(model):
    """It calls itself even, but those who met it like odd things."""
    first = model.add_items(newcomers())
    later = first.add_items(newcomers().head(1), met_by={901: [ODD, [*ODD, 127], ODD[1:], ODD]})
    assert places(later, ODD, 901) < places(first, ODD, 901)
    assert places(later, EVEN, 901) > places(first, EVEN, 901)


def test_a_new_item_may_be_in_a_history(model):
    grown = model.add_items(newcomers())
    answer = grown.recommend([901, 100], 5)
    assert answer.used == 2 and 901 not in ids(answer)
    assert places(grown, [901], 112)[0] < places(grown, [902], 112)[0]


def test_new_items_are_saved_with_the_model(model, tmp_path):
    grown = model.add_items(newcomers(), met_by={902: [ODD]})
    grown.save(tmp_path / "grown")
    again = ws.load(tmp_path / "grown")
    assert again.recommend(ODD, 40) == grown.recommend(ODD, 40)
    assert len(again.add_items(newcomers().with_columns(item_id=pl.Series([903, 904]))).items) == 34


def test_an_item_that_is_like_no_other_is_like_all(model):
    odd_one = pl.DataFrame({"item_id": [990], "kind": [None], "title": [None]})
    grown = model.add_items(odd_one)
    scores = {found.item: found.score for found in grown.recommend(EVEN, 40).items}
    support = Examples.unweighted(grown.items.encode(EVEN), np.array([0, len(EVEN)]))
    everything = grown.scorer.score(grown.scorer.adapt(support), np.arange(30))[0]
    assert np.isclose(scores[990], everything.mean(), atol=1e-4)


@pytest.mark.parametrize(
    ("table", "met_by", "message"),
    [
        (
            newcomers(item_id=[100, 901]),
            {},
            "1 items of the table are known already: 100; leave them out",
        ),
        (
            newcomers(item_id=["a", "b"]),
            {},
            "have whole numbers as ids, and those of the table are text: 'a'",
        ),
        (newcomers(), {7: [EVEN]}, "met_by names items that are not in the table: 7"),
    ],
)
def test_new_items_that_make_no_sense_are_refused(model, table, met_by, message):
    with pytest.raises(ws.UsageError, match=message):
        model.add_items(table, met_by=met_by)


def test_without_a_table_of_items_none_can_be_added(log):
    bare = ws.fit(replace(log, item_table=None), learner="popularity")
    with pytest.raises(
        ws.UsageError,
        match="fitted without a table of items, so nothing says which items a new one is like",
    ):
        bare.add_items(newcomers())


def test_a_new_item_is_rated_like_its_kind_with_an_error_bar(log):
    model = ws.fit(log, learner="factors", objective="rating").add_items(newcomers())
    even, odd = model.predict(dict.fromkeys(EVEN, 5.0) | dict.fromkeys(ODD, 1.0), [901, 902]).items
    assert even.score > odd.score + 0.5 and even.low < even.score < even.high


def test_users_are_recommended_for_a_new_item(log):
    model = ws.fit(log, learner="blend", scenario="item", settings=SMALL)
    assert model.items is log.users
    even = ids(model.recommend((), 20, profile={"kind": "even"}))
    assert np.mean([(int(user[1:]) - 3) // 7 % 2 == 0 for user in even]) > 0.7


def test_in_the_target_domain_alone_is_recommended(clicks, tmp_path):
    options = ws.ScenarioOptions(target="films")
    model = ws.fit(
        clicks(), learner="blend", scenario="cross-domain", options=options, settings=SMALL
    )
    found = ids(model.recommend(["i0", "i1"], 12))
    assert sorted(found) == [f"i{number}" for number in (10, 11, 6, 7, 8, 9)]
    model.save(tmp_path / "model")
    assert ids(ws.load(tmp_path / "model").recommend(["i0", "i1"], 12)) == found
