"""App: the service as it is put together, and how it says that it is well."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from warmstart.service.answering.answering import RecommendationService
from warmstart.service.answering.request_batcher import RequestBatcher
from warmstart.service.api.access import Service
from warmstart.service.api.gorse import GORSE
from warmstart.service.api.keys import Keys
from warmstart.service.api.problems import catch, problem
from warmstart.service.api.routes import ASKED, EVENTS, ITEM, MODELS, USER
from warmstart.service.api.schemas import Problem
from warmstart.service.dashboard.dashboard import add_dashboard
from warmstart.service.models.active import ActiveModel
from warmstart.service.ops.metrics import Metrics
from warmstart.service.ops.middleware import RequestMiddleware
from warmstart.service.store.store import Store

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in (
        (401, "No key"),
        (403, "Not allowed"),
        (413, "Too large"),
        (422, "Not valid"),
    )
}
HEALTH = APIRouter(tags=["health"])


def create_app(models: Path, store: str, *, keys: str = "") -> FastAPI:
    """The service of a folder of models and a store; `keys` as RIGHT:KEY,RIGHT:KEY, none allow
    everybody everything.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        answering = RecommendationService(ActiveModel(models), Store.open(store))
        app.state.answering, app.state.desk = answering, RequestBatcher(answering)
        gc.collect()
        # what is loaded stays: a look at all of it, now and then, would make somebody wait
        gc.freeze()
        yield
        app.state.desk.close()
        answering.close()

    app = FastAPI(
        title="warmstart",
        summary="Recommendations that are good from the first click.",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # that of FastAPI takes its scripts from another host
        redoc_url=None,
        responses=PROBLEMS,
    )
    app.state.keys, app.state.metrics = Keys.read(keys), Metrics()
    app.add_middleware(RequestMiddleware, metrics=app.state.metrics)
    catch(app)
    for router in (HEALTH, EVENTS, ASKED, ITEM, USER, MODELS, GORSE):
        app.include_router(router)
    add_dashboard(app)
    return app


@HEALTH.get("/health/live")
def live() -> dict[str, str]:
    """Whether the process runs."""
    return {"status": "live"}


@HEALTH.get("/health/ready", responses={503: {"model": Problem}})
def ready(service: Service) -> Any:
    """Whether model and store answer."""
    if not service.store.is_ready():
        return problem(503, "the store does not answer")
    return {"status": "ready", "model": service.keeper.current.serving.version}


@HEALTH.get("/metrics", include_in_schema=False)
def metrics(request: Request, service: Service) -> Response:
    """Figures of this process for Prometheus."""
    found: Metrics = request.app.state.metrics
    found.items.set(len(service.keeper.current.model.items))
    return found.shown()
