"""Access: what a route is given of the service, and who may come that far."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException

from warmstart.service.answering.answering import RecommendationService
from warmstart.service.answering.request_batcher import RequestBatcher
from warmstart.service.api.keys import Keys, Right
from warmstart.service.ops.metrics import Metrics

KEY = APIKeyHeader(
    name="X-API-Key",
    auto_error=False,
    description="A key that allows to read, write or administer.",
)


def requires(right: Right) -> Callable[[Request, str | None], Awaitable[None]]:
    """A dependency that lets nobody through without a key that allows this; where there are no
    keys, everybody.

    It and those below are coroutines, since others would each wait for a thread.
    """

    async def checked(request: Request, key: Annotated[str | None, Security(KEY)]) -> None:
        check(request, key, right)

    return checked


def check(request: Request, key: str | None, right: Right) -> None:
    """Refuse a request without a key that allows this."""
    keys: Keys = request.app.state.keys
    if not keys:
        return
    if key is None or keys.right(key) is None:
        raise HTTPException(401, "send a key that is known in the header X-API-Key")
    if not keys.allows(key, right):
        raise HTTPException(
            403, f"this needs a key with the right {right}, and that of this one is smaller"
        )


async def _answering(request: Request) -> RecommendationService:
    return request.app.state.answering


async def _desk(request: Request) -> RequestBatcher:
    return request.app.state.desk


async def _figures(request: Request) -> Metrics:
    return request.app.state.metrics


Service = Annotated[RecommendationService, Depends(_answering)]
Recommending = Annotated[RequestBatcher, Depends(_desk)]
Figures = Annotated[Metrics, Depends(_figures)]
