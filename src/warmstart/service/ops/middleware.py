"""Watched: what happens to every request: it gets an id and a limit, is timed, counted and logged,
and never raises.
"""

import logging
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from warmstart.service.api.problems import problem
from warmstart.service.ops.logging import REQUEST
from warmstart.service.ops.metrics import Metrics

LOG = logging.getLogger(__name__)
LARGEST = 8 * 1024 * 1024  # bytes of a request
TOO_LARGE = f"a request has at most {LARGEST:,} bytes; send less at a time"
OURS = "this is a mistake of ours; the log has the details under the request's id"


class RequestMiddleware:
    """This stands before the app, where it costs a request less than a tenth of a millisecond."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, headers = time.perf_counter(), Headers(scope=scope)
        sender = _Sender(send, headers.get("x-request-id", uuid.uuid4().hex)[:64])
        REQUEST.set(sender.identifier)
        length = headers.get("content-length", "0")
        try:
            if not length.isdigit() or int(length) > LARGEST:
                await problem(413, TOO_LARGE)(scope, receive, sender)
            else:
                await self.app(scope, _Receiver(receive), sender)
        except Exception:
            LOG.exception("%s %s", scope["method"], scope["path"])
            if not sender.status:
                await problem(500, OURS)(scope, receive, sender)
        took = time.perf_counter() - begun
        self.metrics.count(
            getattr(scope.get("route"), "path", None), scope["method"], sender.status, took
        )
        facts = {"method": scope["method"], "path": scope["path"], "status": sender.status}
        facts["took_ms"] = round(1000 * took, 3)
        LOG.info("%s %s %s", scope["method"], scope["path"], sender.status, extra={"facts": facts})


class _Receiver:
    """This refuses a body that grows too large, whatever was said of its length."""

    def __init__(self, receive: Receive) -> None:
        self.receive, self.length = receive, 0

    async def __call__(self) -> Message:
        message = await self.receive()
        self.length += len(message.get("body", b""))
        if self.length > LARGEST:
            raise HTTPException(413, TOO_LARGE)
        return message


class _Sender:
    """This puts the id of the request on its answer, and remembers the status."""

    def __init__(self, send: Send, identifier: str) -> None:
        self.send, self.identifier, self.status = send, identifier, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = self.identifier
        await self.send(message)
