"""The API over HTTP: what is kept, what is recommended, and what is refused, each as it is
documented.
"""

import shutil
from urllib.parse import quote

import pytest


def met(user: str, *items: str, **more: object) -> dict[str, object]:
    return {"interactions": [{"user_id": user, "item_id": item, **more} for item in items]}


def ids(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


def refused(answer, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status and found["title"]
    return found["detail"]


def test_two_events_of_a_new_user_change_the_list_and_say_why(client):
    before = client.post("/v1/recommend", json={"user_id": "two", "count": 5}).json()
    assert before["user"] == {"events_used": 0, "stage": "prior"} and before["model"] == "b"
    kept = client.post("/v1/interactions", json=met("two", "i17", "i4")).json()
    assert kept["accepted"] == 2 and kept["rejected"] == []
    after = client.post(
        "/v1/recommend", json={"user_id": "two", "count": 5, "explain": True}
    ).json()
    assert after["user"] == {"events_used": 2, "stage": "few-shot"}
    assert [item["item_id"] for item in after["items"]] != [
        item["item_id"] for item in before["items"]
    ]
    first = after["items"][0]
    assert {reason["kind"] for reason in first["reasons"]} == {"event", "prior", "together"}
    assert first["why"] and 0 < first["probability"] < 1 and first["propensity"] == 1
    assert set(after["fidelity"]) == {"sufficiency", "comprehensiveness"}


def test_events_of_a_request_count_like_stored_ones(client):
    client.post("/v1/interactions", json=met("stored", "i17", "i4"))
    stored = client.post("/v1/recommend", json={"user_id": "stored"})
    inline = client.post("/v1/recommend", json={"history": ["i17", {"item_id": "i4"}]})
    assert ids(stored) == ids(inline) == ids(client.get("/v1/recommend/stored"))
    both = client.post("/v1/recommend", json={"user_id": "stored", "history": ["i9"]})
    assert both.json()["user"]["events_used"] == 3


def test_what_was_disliked_is_not_heard_as_liked(client):
    client.post("/v1/interactions", json=met("picky", "i17", type="dislike"))
    assert client.get("/v1/recommend/picky").json()["user"]["stage"] == "prior"


def test_a_batch_keeps_what_is_right_and_says_what_is_wrong(client):
    rows = [
        {"user_id": "batch", "item_id": "i1"},
        {"user_id": "batch"},
        {"user_id": "batch", "item_id": "i2", "value": "x"},
    ]
    found = client.post("/v1/interactions", json={"interactions": rows}).json()
    assert found["accepted"] == 1
    assert [one["index"] for one in found["rejected"]] == [1, 2]
    assert found["rejected"][0]["reason"] == "item_id: Field required"
    assert [event["item_id"] for event in client.get("/v1/users/batch").json()["events"]] == ["i1"]


def test_a_key_is_answered_once_and_refused_for_something_else(client):
    headers = {"Idempotency-Key": "order-7"}
    first = client.post("/v1/interactions", json=met("once", "i1"), headers=headers).json()
    again = client.post("/v1/interactions", json=met("once", "i1"), headers=headers).json()
    assert first["accepted"] == again["accepted"] == 1
    assert len(client.get("/v1/users/once").json()["events"]) == 1
    assert "take a new one" in refused(
        client.post("/v1/interactions", json=met("once", "i2"), headers=headers), 422
    )


def test_unknown_users_and_items_are_no_mistake_but_a_warning(client):
    answer = client.post(
        "/v1/recommend", json={"user_id": "nobody", "history": ["no such item"], "count": 3}
    ).json()
    assert len(answer["items"]) == 3 and answer["user"]["stage"] == "prior"
    assert "unknown and were skipped: no such item" in answer["warnings"][0]


def test_what_was_seen_or_excluded_is_left_out(client):
    first = ids(client.post("/v1/recommend", json={"history": ["i17"], "count": 3}))
    assert "i17" not in first
    without = ids(
        client.post(
            "/v1/recommend", json={"history": ["i17"], "count": 3, "exclude_ids": first[:1]}
        )
    )
    assert without[:2] == first[1:3]
    assert (
        len(
            ids(
                client.post(
                    "/v1/recommend", json={"history": ["i17"], "count": 80, "exclude_seen": False}
                )
            )
        )
        == 80
    )


def test_a_filter_holds_before_the_best_are_taken(client):
    one = client.post("/v1/recommend", json={"count": 10, "filter": {"category": "Garden"}}).json()
    assert {item["properties"]["category"] for item in one["items"]} == {"Garden"}
    two = client.post(
        "/v1/recommend", json={"count": 80, "filter": {"category": ["Garden", "Toys"]}}
    ).json()
    assert {item["properties"]["category"] for item in two["items"]} == {"Garden", "Toys"}
    assert 'no property "colour"' in refused(
        client.post("/v1/recommend", json={"filter": {"colour": "red"}}), 422
    )


def test_a_new_item_is_recommended_at_once_and_filtered_by_what_was_said_of_it(client):
    properties = {
        "title": "Oak hammock",
        "category": "Garden",
        "in_stock": True,
        "tags": ["eco", "outdoor"],
    }
    assert client.put("/v1/items/new-1", json={"properties": properties}).status_code == 201
    assert client.put("/v1/items/new-1", json={"properties": properties}).status_code == 200
    found = client.post("/v1/recommend", json={"filter": {"in_stock": True}}).json()["items"]
    assert [item["item_id"] for item in found] == ["new-1"] and found[0]["title"] == "Oak hammock"
    assert client.get("/v1/items/new-1").json()["recommendable"]
    listed = client.get("/v1/items", params={"count": 1}).json()
    assert listed["rows"][0]["item_id"] == "new-1"
    assert client.delete("/v1/items/new-1").json()["deleted"]
    assert "no item" in refused(client.get("/v1/items/new-1"), 404)


def test_lists_go_on_behind_their_cursor(client):
    items = {f"list-{number}": {"title": f"thing {number}"} for number in range(5)}
    assert client.post("/v1/items:batch", json={"items": items}).json() == {
        "stored": 5,
        "created": 5,
    }
    seen, cursor = [], None
    while True:
        page = client.get(
            "/v1/items", params={"count": 2, **({"cursor": cursor} if cursor else {})}
        ).json()
        seen += [row["item_id"] for row in page["rows"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == sorted(items)
    for item in items:
        client.delete(f"/v1/items/{item}")


def test_a_stored_profile_counts(client):
    plain = client.post("/v1/recommend", json={"user_id": "french"}).json()["items"]
    assert (
        client.put("/v1/users/french", json={"profile": {"country": "France"}}).status_code == 201
    )
    told = client.post("/v1/recommend", json={"user_id": "french"}).json()["items"]
    assert [item["score"] for item in told] != [item["score"] for item in plain]


def test_forgetting_a_user_leaves_nothing_but_a_receipt(client):
    client.post("/v1/interactions", json=met("gone", "i17", "i4"))
    client.put("/v1/users/gone", json={"profile": {"country": "Kenya"}})
    client.get("/v1/recommend/gone")
    receipt = client.delete("/v1/users/gone").json()
    assert receipt["forgotten"] == {"interactions": 2, "recommendations": 1, "users": 1}
    assert len(receipt["receipt"]) == 32 and "gone" not in str(receipt)
    assert "nothing is stored" in refused(client.get("/v1/users/gone"), 404)
    assert client.get("/v1/recommend/gone").json()["user"]["stage"] == "prior"


def test_a_guest_becomes_a_user_with_all_events(client):
    client.post("/v1/interactions", json=met("guest", "i1", "i2"))
    client.put("/v1/users/guest", json={"profile": {"country": "Spain", "age": 30}})
    client.put("/v1/users/member", json={"profile": {"country": "France"}})
    assert client.post("/v1/users/guest/merge", json={"into": "member"}).json() == {
        "user_id": "member",
        "moved": 2,
    }
    member = client.get("/v1/users/member").json()
    assert member["profile"] == {"country": "France", "age": 30} and len(member["events"]) == 2
    assert "same user" in refused(
        client.post("/v1/users/member/merge", json={"into": "member"}), 422
    )


def test_ranking_brings_items_in_order_and_names_unknown_ones(client):
    found = client.post(
        "/v1/rank", json={"history": ["i17"], "item_ids": ["i9", "i3", "nothing", "i17"]}
    ).json()
    assert found["unknown"] == ["nothing"] and {item["item_id"] for item in found["items"]} == {
        "i9",
        "i3",
        "i17",
    }
    scores = [item["score"] for item in found["items"]]
    assert scores == sorted(scores, reverse=True)


def test_similar_items_and_an_explanation(client):
    assert len(client.get("/v1/items/i17/similar", params={"count": 4}).json()["items"]) == 4
    assert "no item" in refused(client.get("/v1/items/nothing/similar"), 404)
    client.post("/v1/interactions", json=met("asks", "i17", "i4"))
    found = client.get("/v1/explain/asks/i9").json()
    assert found["item"] == "i9" and found["why"] and {"without", "with", "reasons"} <= set(found)
    assert "no item" in refused(client.get("/v1/explain/asks/nothing"), 404)
    assert "in the history" in refused(client.get("/v1/explain/asks/i17"), 422)


def test_exploring_tells_the_chance_of_what_is_shown(client):
    asked = {"count": 5, "explore": {"strategy": "epsilon-greedy", "epsilon": 0.5, "seed": 1}}
    first, again = (client.post("/v1/recommend", json=asked).json() for _ in range(2))
    assert [i["item_id"] for i in first["items"]] == [i["item_id"] for i in again["items"]]
    assert all(0 < item["propensity"] < 1 for item in first["items"])
    asked["explore"]["strategy"] = "thompson"
    assert "use epsilon-greedy" in refused(client.post("/v1/recommend", json=asked), 422)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/recommend", {"histroy": []}, "body.histroy"),
        ("/v1/recommend", {"count": 0}, "body.count"),
        ("/v1/recommend", {"count": 1000}, "body.count"),
        ("/v1/recommend", {"history": ["x" * 201]}, "body.history"),
        ("/v1/interactions", {"interactions": [{}] * 10_001}, "at most 10000"),
        ("/v1/rank", {"item_ids": []}, "body.item_ids"),
        ("/v1/recommend", ["no object"], "body"),
    ],
)
def test_what_is_not_valid_is_told_where(client, path, body, said):
    assert said in refused(client.post(path, json=body), 422)


def test_a_request_that_is_too_large_is_refused_unread(client):
    assert "at most" in refused(
        client.post("/v1/recommend", content=b"{" + b" " * 9_000_000 + b"}"), 413
    )


def test_an_unknown_path_is_a_problem_document(client):
    assert refused(client.get("/v2/recommend"), 404) == "Not Found"


def test_every_answer_has_the_id_of_its_request(client):
    assert (
        client.get("/health/live", headers={"X-Request-ID": "mine"}).headers["x-request-id"]
        == "mine"
    )
    assert len(client.get("/health/live").headers["x-request-id"]) == 32


def test_it_says_how_it_is(client):
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready", "model": "b"}
    assert client.get("/v1/stats").json()["model"] == "b"
    assert client.get("/openapi.json").json()["info"]["title"] == "warmstart"


def test_metrics_count_requests_events_and_stages(start):
    with start() as client:
        client.post(
            "/v1/interactions",
            json={"interactions": [{"user_id": "m", "item_id": "i1"}, {"user_id": "m"}]},
        )
        client.get("/v1/recommend/m")
        client.get("/made/up")
        text = client.get("/metrics").text
    assert 'warmstart_events_total{outcome="accepted"} 1.0' in text
    assert 'warmstart_events_total{outcome="rejected"} 1.0' in text
    assert 'warmstart_recommendations_total{stage="few-shot"} 1.0' in text
    assert (
        'warmstart_requests_total{method="GET",route="/v1/recommend/{user_id:path}",'
        'status="200"} 1.0' in text
    )
    assert 'route="unknown",status="404"} 1.0' in text and "/made/up" not in text
    assert "warmstart_items 80.0" in text


def test_each_request_is_logged_once_with_its_id(start, caplog):
    with start() as client, caplog.at_level("INFO", logger="warmstart.service.ops.middleware"):
        client.get("/health/live", headers={"X-Request-ID": "req-1"})
    mine = [
        record
        for record in caplog.records
        if getattr(record, "facts", {}).get("path") == "/health/live"
    ]
    assert len(mine) == 1 and mine[0].facts["status"] == 200


def test_a_version_is_promoted_and_taken_back(start, within, models, tmp_path):
    folder = shutil.copytree(models, tmp_path / "models")
    with start(folder=folder) as client, start("other.db", folder=folder) as other:
        assert "nothing was promoted" in refused(client.post("/v1/models:rollback"), 422)
        assert client.post("/v1/models/a:promote").json() == {"current": "a"}
        assert client.post("/v1/recommend", json={}).json()["model"] == "a"
        within(
            5, lambda: other.post("/v1/recommend", json={}).json()["model"] == "a"
        )  # another worker follows
        assert "no version" in refused(client.post("/v1/models/c:promote"), 404)
        assert client.post("/v1/models:rollback").json() == {"current": "b"}
        assert [one["current"] for one in client.get("/v1/models").json()["models"]] == [
            False,
            True,
        ]


def test_a_damaged_version_is_named(start, models, tmp_path):
    folder = shutil.copytree(models, tmp_path / "models")
    with start(folder=folder) as client:
        (folder / "a" / "model.json").write_text("{")
        assert "a/model.json cannot be read" in refused(client.get("/v1/models"), 503)
        assert "cannot be read" in refused(client.post("/v1/models/a:promote"), 503)
        assert client.post("/v1/recommend", json={}).json()["model"] == "b"


def test_keys_allow_to_read_to_write_or_to_administer(start):
    read, write, admin = ("r" * 20, "w" * 20, "a" * 20)
    with start(keys=f"read:{read},write:{write},admin:{admin}") as client:

        def status(method: str, path: str, key: str | None, body: object = None) -> int:
            return client.request(
                method, path, json=body, headers={"X-API-Key": key} if key else {}
            ).status_code

        assert status("POST", "/v1/recommend", None, {}) == 401
        assert status("POST", "/v1/recommend", "wrong" * 5, {}) == 401
        assert status("POST", "/v1/recommend", read, {}) == 200
        assert status("POST", "/v1/interactions", read, met("u", "i1")) == 403
        assert status("POST", "/v1/interactions", write, met("u", "i1")) == 200
        assert status("POST", "/v1/models:rollback", write) == 403
        assert status("POST", "/v1/models:rollback", admin) == 422  # nothing was promoted
        assert status("GET", "/health/ready", None) == 200


def test_text_that_no_database_keeps_is_refused_row_by_row(client):
    rows = [{"user_id": "nul", "item_id": "a\0b"}, {"user_id": "nul", "item_id": "i1"}]
    found = client.post("/v1/interactions", json={"interactions": rows}).json()
    assert found["accepted"] == 1 and "NUL" in found["rejected"][0]["reason"]
    assert "NUL" in refused(client.post("/v1/recommend", json={"history": ["a\0b"]}), 422)


def test_ids_may_hold_slashes_and_anything_else(client):
    odd = "a/b?c=d&e #f%"
    client.post("/v1/interactions", json=met(odd, "i17"))
    path = "/v1/users/" + quote(odd, safe="")
    assert client.get(path).json()["user_id"] == odd
    assert client.get("/v1/recommend/" + quote(odd, safe="")).json()["user"]["events_used"] == 1
    assert client.delete(path).json()["forgotten"]["interactions"] == 1


def test_the_activity_of_an_item_is_told_by_day_whatever_the_year(client):
    moments = (
        "0001-01-01T00:00:00+02:00",
        "2026-11-27T23:30:00-01:00",
        "9999-12-31T23:59:59-02:00",
    )
    rows = [{"user_id": f"when-{at}", "item_id": "i23", "timestamp": at} for at in moments]
    assert client.post("/v1/interactions", json={"interactions": rows}).json()["accepted"] == 3
    told = client.get("/v1/items/i23/activity").json()
    assert told["events"] == told["users"] == 3
    days = {one["day"]: one["events"] for one in told["series"] if one["events"]}
    assert days == {"0000-12-31": 1, "2026-11-28": 1, "10000-01-01": 1}


def test_a_property_may_be_called_anything(start):
    with start() as client:
        for item, name in (("odd-1", "*"), ("odd-2", "^.*$")):
            assert client.put(
                f"/v1/items/{item}", json={"properties": {name: "felt", "category": "Garden"}}
            ).is_success
            assert client.get(f"/v1/items/{item}").json()["recommendable"]
            found = client.post("/v1/recommend", json={"filter": {name: "felt"}}).json()
            assert [one["item_id"] for one in found["items"]] == [item]
