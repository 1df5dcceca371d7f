"""Access: what a route is given of the service, and who may come that far."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException

from warmstart.service.answering import Answering
from warmstart.service.keys import Keys, Right
from warmstart.service.metrics import Metrics

KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="A key that allows to read, write or administer.")


def may(right: Right) -> Callable[[Request, str | None], None]:
    """A dependency that lets nobody through without a key that allows this; where there are no keys, everybody."""

    def check(request: Request, key: Annotated[str | None, Security(KEY)]) -> None:
        keys: Keys = request.app.state.keys
        if not keys:
            return
        if key is None or keys.right_of(key) is None:
            raise HTTPException(401, "send a key that is known in the header X-API-Key")
        if not keys.allows(key, right):
            raise HTTPException(403, f"this needs a key with the right {right}, and that of this one is smaller")

    return check


def _answering(request: Request) -> Answering:
    return request.app.state.answering


def _figures(request: Request) -> Metrics:
    return request.app.state.metrics


Service = Annotated[Answering, Depends(_answering)]
Figures = Annotated[Metrics, Depends(_figures)]
