"""Gorse: the routes of a Gorse server, so that its clients work by a change of address.

What Gorse calls feedback are our events, its labels, categories and comments are properties.
Recommendations adapt to every event, as everywhere here; `write-back-type` keeps what was shown as
events that say nothing for an item.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Table

from warmstart.durations import parse_duration
from warmstart.errors import UnknownItem
from warmstart.service.answering.catalogue import HIDDEN
from warmstart.service.api.access import Service, check, requires
from warmstart.service.api.schemas import (
    MOST_COUNT,
    MOST_EVENTS,
    MOST_ITEMS,
    Amount,
    Id,
    Plain,
    RecommendRequest,
)
from warmstart.service.store.records import Event
from warmstart.service.store.schema import ITEMS, USERS

N = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=10_000)]
Moment = Annotated[str, Field(max_length=64)]


class Model(BaseModel):
    """Gorse writes its names in capitals."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class Feedback(Model):
    FeedbackType: Annotated[str, Field(min_length=1, max_length=40), Plain]
    UserId: Id
    ItemId: Id
    Timestamp: Moment | None = None
    Value: Amount | None = None
    Comment: str | None = None


class Item(Model):
    ItemId: Id
    IsHidden: bool | None = None
    Categories: list[str] | None = None
    Labels: Any = None
    Comment: str | None = None
    Timestamp: Moment | None = None


class ItemPatch(Model):
    IsHidden: bool | None = None
    Categories: list[str] | None = None
    Labels: Any = None
    Comment: str | None = None
    Timestamp: Moment | None = None


class User(Model):
    UserId: Id
    Labels: Any = None
    Comment: str | None = None


READ, WRITE = Depends(requires("read")), Depends(requires("write"))
GORSE = APIRouter(prefix="/api", tags=["gorse"])


@GORSE.post("/feedback", dependencies=[WRITE])
@GORSE.put("/feedback", dependencies=[WRITE])
def insert_feedback(
    body: Annotated[list[Feedback], Field(max_length=MOST_EVENTS)], service: Service
) -> dict[str, int]:
    service.store.add([_event(one) for one in body])
    return {"RowAffected": len(body)}


@GORSE.get("/feedback", dependencies=[READ])
def list_feedback(service: Service, n: N = 10, cursor: str = "") -> dict[str, Any]:
    events, after = service.store.events_page(int(cursor) if cursor.isdigit() else 0, n)
    return {
        "Cursor": "" if after is None else str(after),
        "Feedback": [_feedback(event) for event in events],
    }


@GORSE.delete("/feedback/{user_id}/{item_id}", dependencies=[WRITE])
def delete_feedback(user_id: str, item_id: str, service: Service) -> dict[str, int]:
    return {"RowAffected": service.store.remove_events(user_id, item_id)}


@GORSE.get("/user/{user_id}/feedback/{feedback_type}", dependencies=[READ])
def feedback_of_user(user_id: str, feedback_type: str, service: Service) -> list[dict[str, Any]]:
    events = service.store.history(user_id, MOST_EVENTS)
    return [_feedback(event) for event in events if event.type == feedback_type]


@GORSE.post("/item", dependencies=[WRITE])
def insert_item(body: Item, service: Service) -> dict[str, int]:
    return insert_items([body], service)


@GORSE.post("/items", dependencies=[WRITE])
def insert_items(
    body: Annotated[list[Item], Field(max_length=MOST_ITEMS)], service: Service
) -> dict[str, int]:
    _put(ITEMS, {one.ItemId: _properties(one) for one in body}, service)
    return {"RowAffected": len(body)}


@GORSE.get("/item/{item_id}", dependencies=[READ])
def get_item(item_id: str, service: Service) -> dict[str, Any]:
    return _item(item_id, _stored(ITEMS, item_id, service))


@GORSE.patch("/item/{item_id}", dependencies=[WRITE])
def update_item(item_id: str, body: ItemPatch, service: Service) -> dict[str, int]:
    known = _stored(ITEMS, item_id, service)
    changed = Item(ItemId=item_id, **body.model_dump(exclude_none=True))
    _put(ITEMS, {item_id: known | _properties(changed)}, service)
    return {"RowAffected": 1}


@GORSE.get("/items", dependencies=[READ])
def list_items(service: Service, n: N = 10, cursor: str = "", q: str = "") -> dict[str, Any]:
    if q:
        found = service.store.search(ITEMS, q, n)
        return {"Cursor": "", "Items": [_item(row["item_id"], row["properties"]) for row in found]}
    page = service.store.page(ITEMS, cursor or None, n)
    return {
        "Cursor": page.cursor or "",
        "Items": [_item(row["item_id"], row["properties"]) for row in page.rows],
    }


@GORSE.delete("/item/{item_id}", dependencies=[WRITE])
def delete_item(item_id: str, service: Service) -> dict[str, int]:
    found = service.store.remove_item(item_id)
    service.keeper.refresh()
    return {"RowAffected": int(found)}


@GORSE.get("/item/{item_id}/neighbors", dependencies=[READ])
def neighbours(
    item_id: str, service: Service, n: N = 10, offset: Offset = 0
) -> list[dict[str, Any]]:
    if service.keeper.current.model.items.encode([item_id])[0] < 0:
        raise UnknownItem(f'there is no item "{item_id}"')
    return _scores(service.similar(item_id, n + offset)["items"][offset:])


@GORSE.post("/user", dependencies=[WRITE])
def insert_user(body: User, service: Service) -> dict[str, int]:
    return insert_users([body], service)


@GORSE.post("/users", dependencies=[WRITE])
def insert_users(
    body: Annotated[list[User], Field(max_length=MOST_ITEMS)], service: Service
) -> dict[str, int]:
    _put(USERS, {one.UserId: _labels(one.Labels, one.Comment) for one in body}, service)
    return {"RowAffected": len(body)}


@GORSE.get("/user/{user_id}", dependencies=[READ])
def get_user(user_id: str, service: Service) -> dict[str, Any]:
    return _user(user_id, _stored(USERS, user_id, service))


@GORSE.get("/users", dependencies=[READ])
def list_users(service: Service, n: N = 10, cursor: str = "") -> dict[str, Any]:
    page = service.store.page(USERS, cursor or None, n)
    return {
        "Cursor": page.cursor or "",
        "Users": [_user(row["user_id"], row["profile"]) for row in page.rows],
    }


@GORSE.delete("/user/{user_id}", dependencies=[WRITE])
def delete_user(user_id: str, service: Service) -> dict[str, int]:
    return {"RowAffected": sum(service.forget(user_id)["forgotten"].values())}


@GORSE.get("/recommend/{user_id}", dependencies=[READ])
@GORSE.get("/recommend/{user_id}/", dependencies=[READ], include_in_schema=False)
@GORSE.get("/recommend/{user_id}/{category}", dependencies=[READ])
def recommend(
    request: Request,
    user_id: str,
    service: Service,
    category: str = "",
    n: N = 10,
    offset: Offset = 0,
    write_back_type: Annotated[str | None, Query(alias="write-back-type", max_length=40)] = None,
    write_back_delay: Annotated[str | None, Query(alias="write-back-delay", max_length=20)] = None,
    x_api_version: Annotated[str, Header()] = "1",
) -> list[Any]:
    found = _recommended(
        service, {"user_id": user_id, "count": min(n + offset, MOST_COUNT)}, category
    )[offset:]
    if write_back_type:
        check(request, request.headers.get("X-API-Key"), "write")
        later = time.time() + (parse_duration(write_back_delay, "write-back-delay") or 0)
        service.store.add(
            [Event(user_id, one["item_id"], write_back_type, None, later) for one in found]
        )
    return _scores(found) if x_api_version == "2" else [one["item_id"] for one in found]


@GORSE.post("/session/recommend", dependencies=[READ])
@GORSE.post("/session/recommend/{category}", dependencies=[READ])
def session_recommend(
    body: Annotated[list[Feedback], Field(max_length=1000)],
    service: Service,
    category: str = "",
    n: N = 10,
) -> list[dict[str, Any]]:
    events = sorted((_event(one) for one in body), key=lambda event: event.time)
    history = [{"item_id": event.item_id, "value": event.value} for event in events]
    return _scores(_recommended(service, {"history": history, "count": n}, category))


def _recommended(service: Service, asked: dict[str, Any], category: str) -> list[dict[str, Any]]:
    wanted = {"filter": {"categories": category}} if category else {}
    return service.recommend(RecommendRequest.model_validate({**asked, **wanted}))["items"]


def _scores(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"Id": one["item_id"], "Score": one["score"]} for one in items]


def _event(one: Feedback) -> Event:
    return Event(
        one.UserId, one.ItemId, one.FeedbackType, one.Value or None, _seconds(one.Timestamp)
    )


def _seconds(text: str | None) -> float:
    """When something happened, in Gorse's many ways to write it; now, where nothing is said or
    nothing can be read.
    """
    if not text:
        return time.time()
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return time.time()
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _feedback(event: Event) -> dict[str, Any]:
    return {
        "FeedbackType": event.type,
        "UserId": event.user_id,
        "ItemId": event.item_id,
        "Value": event.value or 0,
        "Timestamp": _written(event.time),
        "Comment": "",
    }


def _written(at: float) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)
    return moment.isoformat().replace("+00:00", "Z")


def _properties(item: Item) -> dict[str, Any]:
    """What Gorse knows of an item, as properties."""
    found = _labels(item.Labels, item.Comment)
    named = {HIDDEN: item.IsHidden, "categories": item.Categories, "timestamp": item.Timestamp}
    return {**found, **{name: value for name, value in named.items() if value is not None}}


def _labels(labels: Any, comment: str | None) -> dict[str, Any]:
    """Labels are a list of words, or an object of them."""
    found: dict[str, Any] = (
        {} if labels is None else labels if isinstance(labels, dict) else {"labels": labels}
    )
    return found if comment is None else {**found, "comment": comment}


def _item(item_id: str, known: dict[str, Any]) -> dict[str, Any]:
    rest = {
        name: value
        for name, value in known.items()
        if name not in (HIDDEN, "categories", "timestamp", "comment")
    }
    return {
        "ItemId": item_id,
        "IsHidden": bool(known.get(HIDDEN, False)),
        "Categories": known.get("categories") or [],
        "Timestamp": known.get("timestamp", ""),
        "Labels": rest.get("labels", []) if set(rest) <= {"labels"} else rest,
        "Comment": known.get("comment", ""),
    }


def _user(user_id: str, known: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in known.items() if name != "comment"}
    labels = rest.get("labels", []) if set(rest) <= {"labels"} else rest
    return {"UserId": user_id, "Labels": labels, "Comment": known.get("comment", "")}


def _put(table: Table, rows: dict[str, dict[str, Any]], service: Service) -> None:
    if rows:
        service.store.put_many(table, rows)
        service.keeper.refresh()


def _stored(table: Table, key: str, service: Service) -> dict[str, Any]:
    found = service.store.get(table, key)
    if found is None:
        raise UnknownItem(f'nothing is stored of "{key}"')
    return found
