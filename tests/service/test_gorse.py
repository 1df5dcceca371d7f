"""The routes of Gorse, asked by its own client."""

import httpx
import pytest
from gorse import Gorse, GorseException

from warmstart.service.answering.catalogue import HIDDEN


@pytest.fixture
def gorse(client: httpx.Client) -> Gorse:
    return Gorse(str(client.base_url).rstrip("/"), "no key")


def feedback(
    user: str, item: str, kind: str = "like", at: str = "2026-11-27T12:00:00Z"
) -> dict[str, str]:
    return {"FeedbackType": kind, "UserId": user, "ItemId": item, "Timestamp": at}


def test_feedback_changes_what_is_recommended(gorse):
    before = [score.id for score in gorse.get_recommend("g1", n=5)]
    assert gorse.insert_feedback("like", "g1", "i17", "2026-11-27T12:00:00Z") == {"RowAffected": 1}
    assert (
        gorse.insert_feedbacks(
            [feedback("g1", "i4"), feedback("g1", "i9", at="2026-11-27 12:00:01")]
        )["RowAffected"]
        == 2
    )
    after = gorse.get_recommend("g1", n=5)
    assert [score.id for score in after] != before and not {"i17", "i4", "i9"} & {
        score.id for score in after
    }
    assert [score.score for score in after] == sorted(
        (score.score for score in after), reverse=True
    )
    assert [score.id for score in gorse.get_recommend("g1", n=3, offset=2)] == [
        score.id for score in after[2:]
    ]


def test_the_first_version_of_the_api_answers_with_ids_alone(gorse, client):
    ids = [score.id for score in gorse.get_recommend("g2", n=4)]
    assert client.get("/api/recommend/g2", params={"n": 4}).json() == ids


def test_feedback_is_listed_and_deleted(gorse):
    gorse.insert_feedbacks([feedback("g3", "i1"), feedback("g3", "i2", "star")])
    assert [one["ItemId"] for one in gorse.list_feedbacks("like", "g3")] == ["i1"]
    assert gorse.list_feedbacks("like", "g3")[0]["Timestamp"] == "2026-11-27T12:00:00Z"
    seen, cursor = [], ""
    while True:
        page, cursor = gorse.get_feedbacks(2, cursor)
        seen += [(one["UserId"], one["ItemId"]) for one in page]
        if not cursor:
            break
    assert {("g3", "i1"), ("g3", "i2")} <= set(seen) and len(seen) == len(set(seen))
    assert gorse.delete_feedback("g3", "i1") == {"RowAffected": 1}
    assert gorse.list_feedbacks("like", "g3") == []


def test_items_come_back_as_they_went_in(gorse):
    item = {
        "ItemId": "gi1", "IsHidden": False, "Categories": ["Garden", "Sale"],
        "Labels": ["oak", "eco"],
        "Comment": "Oak hammock", "Timestamp": "2026-11-27T12:00:00Z",
    }  # fmt: skip
    assert gorse.insert_item(item) == {"RowAffected": 1}
    assert gorse.get_item("gi1") == item
    gorse.update_item("gi1", comment="Oak bench")
    assert gorse.get_item("gi1") == {**item, "Comment": "Oak bench"}
    assert [one["ItemId"] for one in gorse.get_items(10)[0]] == ["gi1"]
    assert [one["ItemId"] for one in gorse.search_items("BENCH")] == ["gi1"]
    assert [score.id for score in gorse.get_recommend("g4", category="Garden", n=5)] == ["gi1"]
    gorse.update_item("gi1", is_hidden=True)
    assert (
        gorse.get_item("gi1")["IsHidden"]
        and gorse.get_recommend("g4", category="Garden", n=5) == []
    )
    assert gorse.delete_item("gi1") == {"RowAffected": 1}
    with pytest.raises(GorseException) as refused:
        gorse.get_item("gi1")
    assert refused.value.status_code == 404
    assert HIDDEN == "is_hidden"


def test_users_come_back_as_they_went_in(gorse):
    assert (
        gorse.insert_user({"UserId": "gu1", "Labels": {"country": "France"}, "Comment": "x"})[
            "RowAffected"
        ]
        == 1
    )
    assert (
        gorse.insert_users([{"UserId": "gu2", "Labels": ["a"]}, {"UserId": "gu3"}])["RowAffected"]
        == 2
    )
    assert gorse.get_user("gu1") == {
        "UserId": "gu1",
        "Labels": {"country": "France"},
        "Comment": "x",
    }
    assert gorse.get_user("gu2")["Labels"] == ["a"] and gorse.get_user("gu3")["Labels"] == []
    page, cursor = gorse.get_users(2)
    assert [one["UserId"] for one in page] == ["gu1", "gu2"] and cursor == "gu2"
    assert gorse.delete_user("gu2")["RowAffected"] == 1
    with pytest.raises(GorseException):
        gorse.get_user("gu2")


def test_sessions_and_neighbours(gorse, client):
    found = gorse.session_recommend([feedback("s", "i17"), feedback("s", "i4")], n=4)
    inline = client.post("/v1/recommend", json={"history": ["i17", "i4"], "count": 4}).json()[
        "items"
    ]
    assert [one["Id"] for one in found] == [one["item_id"] for one in inline]
    assert len(gorse.get_neighbors("i17", n=3)) == 3 and "i17" not in [
        one["Id"] for one in gorse.get_neighbors("i17")
    ]


def test_what_was_written_back_is_not_shown_again_and_says_nothing(gorse, client):
    first = [score.id for score in gorse.get_recommend("g5", n=3, write_back_type="read")]
    again = [score.id for score in gorse.get_recommend("g5", n=3)]
    assert not set(first) & set(again)
    assert client.get("/v1/recommend/g5").json()["user"]["stage"] == "prior"
