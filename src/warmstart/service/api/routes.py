"""Routes: what the service answers under /v1, over HTTP and in JSON."""

import hashlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from pydantic_core import to_json

from warmstart.errors import UnknownItem, UsageError
from warmstart.service.answering.catalogue import search_titles
from warmstart.service.api.access import Figures, Recommending, Service, requires
from warmstart.service.api.schemas import (
    Accepted,
    Interaction,
    Interactions,
    ItemIn,
    ItemsIn,
    MergeInto,
    PageOut,
    Plain,
    Problem,
    RankRequest,
    Recommendations,
    RecommendRequest,
    Rejected,
    UserIn,
)
from warmstart.service.models.refit_log import reports
from warmstart.service.ops.statistics import item_activity as activity_of
from warmstart.service.ops.statistics import overview, recent_activity
from warmstart.service.store.records import Event
from warmstart.service.store.schema import ITEMS, USERS

NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "Not found"}}
Count = Annotated[int, Query(ge=1, le=200)]
UserId = Annotated[str, Path(min_length=1, max_length=200), Plain]

EVENTS = APIRouter(prefix="/v1", tags=["events"], dependencies=[Depends(requires("write"))])
ASKED = APIRouter(prefix="/v1", tags=["recommendations"], dependencies=[Depends(requires("read"))])
ITEM = APIRouter(prefix="/v1/items", tags=["items"])
USER = APIRouter(prefix="/v1/users", tags=["users"])
MODELS = APIRouter(prefix="/v1", tags=["models"])


@EVENTS.post("/interactions", response_model=Accepted)
def add_interactions(
    body: Interactions,
    service: Service,
    figures: Figures,
    idempotency_key: Annotated[str | None, Header(max_length=200, min_length=1)] = None,
) -> Any:
    """Keep events; what is counted as accepted is on disk. With the same Idempotency-Key they are
    kept once.
    """
    begun = time.perf_counter()
    taken, rejected = _sorted_out(body)
    found = {"accepted": len(taken), "rejected": [one.model_dump() for one in rejected]}
    if idempotency_key is None:
        service.store.add(taken)
    else:
        digest = hashlib.sha256(json.dumps(body.interactions, sort_keys=True).encode()).hexdigest()
        found = service.store.add_once(taken, idempotency_key, digest, found)
    figures.events.labels("accepted").inc(len(taken))
    figures.events.labels("rejected").inc(len(rejected))
    return {**found, "took_ms": 1000 * (time.perf_counter() - begun)}


def _sorted_out(body: Interactions) -> tuple[list[Event], list[Rejected]]:
    """The events that can be kept, and why the others cannot."""
    taken, rejected = [], []
    for index, row in enumerate(body.interactions):
        try:
            taken.append(_event(Interaction.model_validate(row)))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the event"
            rejected.append(Rejected(index=index, reason=f"{where}: {first['msg']}"))
    return taken, rejected


def _event(row: Interaction) -> Event:
    when = datetime.now(UTC) if row.timestamp is None else row.timestamp
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return Event(
        row.user_id, row.item_id, row.type, row.value, when.timestamp(), row.recommendation_id
    )


@ASKED.post("/recommend", response_model=Recommendations)
async def recommend(body: RecommendRequest, desk: Recommending, figures: Figures) -> Response:
    """The best items for a user by all that is known now; an unknown user or item is no mistake."""
    found = await desk.recommend(body)
    figures.recommended.labels(found["user"]["stage"]).inc()
    return Response(to_json(found), media_type="application/json")


@ASKED.get("/recommend/{user_id:path}", response_model=Recommendations)
async def recommend_to(
    user_id: UserId, desk: Recommending, figures: Figures, count: Count = 10, explain: bool = False
) -> Response:
    """The same for a user whose events are stored."""
    body = RecommendRequest.model_validate({"user_id": user_id, "count": count, "explain": explain})
    return await recommend(body, desk, figures)


@ASKED.post("/rank")
def rank(body: RankRequest, service: Service) -> Any:
    """Items in the order in which they suit a user."""
    return service.rank(body)


@ASKED.get("/explain/{user_id}/{item_id:path}", responses=NOT_FOUND)
def explain(
    user_id: str, item_id: str, service: Service, count: Count = 10, language: str = "en"
) -> Any:
    """Why an item stands where it does for a user, and what would change it."""
    return service.explain(user_id, item_id, count, language)


@ASKED.get("/items/{item_id:path}/similar", responses=NOT_FOUND)
def similar(item_id: str, service: Service, count: Count = 10) -> Any:
    """What those are recommended who met this item alone."""
    if service.keeper.current.model.items.encode([item_id])[0] < 0:
        raise UnknownItem(f'there is no item "{item_id}"')
    return service.similar(item_id, count)


@ITEM.get("", response_model=PageOut, dependencies=[Depends(requires("read"))])
def list_items(service: Service, cursor: str | None = None, count: Count = 100) -> Any:
    """The items that were stored, in the order of their ids."""
    return service.store.page(ITEMS, cursor, count)._asdict()


@ITEM.get("/{item_id:path}/activity", responses=NOT_FOUND, dependencies=[Depends(requires("read"))])
def item_activity(item_id: str, service: Service) -> dict[str, Any]:
    """How often an item was met and recommended since it came."""
    service.journal.flush()
    return activity_of(service.store, service.keeper.current, item_id)


@ITEM.get("/{item_id:path}", responses=NOT_FOUND, dependencies=[Depends(requires("read"))])
def get_item(item_id: str, service: Service) -> Any:
    """What is known of an item."""
    found = service.store.get(ITEMS, item_id)
    code = int(service.keeper.current.model.items.encode([item_id])[0])
    if found is None and code < 0:
        raise UnknownItem(f'there is no item "{item_id}"')
    known = service.keeper.current.model.properties(item_id) if code >= 0 else {}
    return {
        "item_id": item_id,
        "properties": {**known, **(found or {})},
        "recommendable": code >= 0,
    }


@ITEM.put("/{item_id:path}", dependencies=[Depends(requires("write"))])
def put_item(item_id: str, body: ItemIn, service: Service) -> JSONResponse:
    """Say what an item is; a new one is recommendable at once."""
    _checked(item_id)
    new = service.store.put(ITEMS, item_id, body.properties)
    service.keeper.refresh()
    return JSONResponse({"item_id": item_id, "created": new}, 201 if new else 200)


@ITEM.delete("/{item_id:path}", responses=NOT_FOUND, dependencies=[Depends(requires("write"))])
def delete_item(item_id: str, service: Service) -> dict[str, Any]:
    """Forget what was said of an item. One that the model was fitted on stays recommendable;
    exclude it by a filter.
    """
    if not service.store.remove_item(item_id):
        raise UnknownItem(f'nothing is stored of an item "{item_id}"')
    service.keeper.refresh()
    return {"item_id": item_id, "deleted": True}


@MODELS.post("/items:batch", tags=["items"], dependencies=[Depends(requires("write"))])
def put_items(body: ItemsIn, service: Service) -> dict[str, Any]:
    """Say what many items are."""
    created = service.store.put_many(ITEMS, body.items) if body.items else 0
    service.keeper.refresh()
    return {"stored": len(body.items), "created": created}


@USER.get("", response_model=PageOut, dependencies=[Depends(requires("read"))])
def list_users(service: Service, cursor: str | None = None, count: Count = 100) -> Any:
    """The users of whom a profile is stored, in the order of their ids."""
    return service.store.page(USERS, cursor, count)._asdict()


@USER.post("/{user_id:path}/merge", dependencies=[Depends(requires("write"))])
def merge_user(user_id: str, body: MergeInto, service: Service) -> dict[str, Any]:
    """Make the events of one user those of another, as when a guest signs in."""
    if user_id == body.into:
        raise UsageError("a user cannot be merged into the same user")
    return {"user_id": body.into, "moved": service.store.merge(user_id, body.into)}


@USER.get("/{user_id:path}", responses=NOT_FOUND, dependencies=[Depends(requires("read"))])
def get_user(user_id: str, service: Service, count: Count = 100) -> Any:
    """The profile and the latest events of a user."""
    histories, profiles = service.store.histories_and_profiles([user_id], count)
    profile, events = profiles.get(user_id), histories[user_id]
    if profile is None and not events:
        raise UnknownItem(f'nothing is stored of a user "{user_id}"')
    titles = service.keeper.current.titles({event.item_id for event in events})
    told = [{**event._asdict(), "title": titles.get(event.item_id)} for event in events]
    return {"user_id": user_id, "profile": profile or {}, "events": told}


@USER.put("/{user_id:path}", dependencies=[Depends(requires("write"))])
def put_user(user_id: str, body: UserIn, service: Service) -> JSONResponse:
    """Say what is known of a user."""
    _checked(user_id)
    new = service.store.put(USERS, user_id, body.profile)
    return JSONResponse({"user_id": user_id, "created": new}, 201 if new else 200)


@USER.delete("/{user_id:path}", dependencies=[Depends(requires("write"))])
def forget_user(user_id: str, service: Service) -> Mapping[str, Any]:
    """Forget all of a user, and give a receipt."""
    return service.forget(user_id)


@MODELS.get("/models", dependencies=[Depends(requires("read"))])
def list_models(service: Service) -> dict[str, Any]:
    """The versions there are."""
    return {"models": service.models.listed()}


@MODELS.post(
    "/models/{version}:promote", responses=NOT_FOUND, dependencies=[Depends(requires("admin"))]
)
def promote(version: str, service: Service) -> dict[str, str]:
    """Let a version answer from now on."""
    found = service.models.promote(version)
    service.keeper.refresh()
    return {"current": found}


@MODELS.post("/models:rollback", dependencies=[Depends(requires("admin"))])
def rollback(service: Service) -> dict[str, str]:
    """Let the version answer that did before."""
    found = service.models.rollback()
    service.keeper.refresh()
    return {"current": found}


@MODELS.get(
    "/models/{version}/report", responses=NOT_FOUND, dependencies=[Depends(requires("read"))]
)
def report(version: str, service: Service) -> dict[str, Any]:
    """How good a version is by the number of known events."""
    return service.models.report(version)


@MODELS.get("/refits", dependencies=[Depends(requires("read"))])
def list_refits(service: Service) -> dict[str, Any]:
    """What came of each refit, the latest last."""
    return {"refits": reports(service.models.versions.folder)}


@MODELS.get("/stats", dependencies=[Depends(requires("read"))])
def stats(
    service: Service, window: Annotated[int, Query(ge=60, le=30 * 86_400)] = 3600
) -> dict[str, Any]:
    """How much is stored, and what went on in the last seconds."""
    service.journal.flush()
    catalogue = service.keeper.current
    found = overview(service.store, catalogue, window)
    return {
        "stored": service.store.counts(),
        "model": catalogue.serving.version,
        "items": found["model"]["items"],
        "window": found,
    }


@MODELS.get("/activity", dependencies=[Depends(requires("read"))])
def activity(service: Service) -> dict[str, Any]:
    """The users and the items of the latest events."""
    return recent_activity(service.store)


@ASKED.get("/search", tags=["items"])
def search(
    service: Service, q: Annotated[str, Query(max_length=100)] = "", count: Count = 20
) -> dict[str, Any]:
    """Items whose id or title holds a text; without one, the most popular."""
    return {"items": search_titles(service.keeper.current, q, count)}


def _checked(identifier: str) -> None:
    if len(identifier) > 200:
        raise UsageError(f"an id has at most 200 letters, not {len(identifier)}")
