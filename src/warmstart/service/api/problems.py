"""Problems: what went wrong, as a problem document (RFC 9457), and never as a traceback."""

from typing import Any

import sqlalchemy.exc
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from warmstart.errors import DataError, NotFitted, UnknownItem, UsageError

TITLES = {
    400: "Bad request",
    401: "No key",
    403: "Not allowed",
    404: "Not found",
    405: "No such method",
    413: "Too large",
    422: "Not valid",
    500: "Our fault",
    503: "Not ready",
}
UNSTORABLE = (sqlalchemy.exc.DataError, UnicodeEncodeError, OverflowError)
"""What a database or its driver makes of a value that it cannot keep."""
STATUS = {DataError: 422, UsageError: 422, UnknownItem: 404, NotFitted: 503}
MEDIA = "application/problem+json"


def problem(status: int, detail: str, errors: list[dict[str, Any]] | None = None) -> JSONResponse:
    """A problem document."""
    body = {
        "type": "about:blank",
        "title": TITLES.get(status, "Problem"),
        "status": status,
        "detail": detail,
    }
    return JSONResponse(
        body if errors is None else {**body, "errors": errors}, status, media_type=MEDIA
    )


def catch(app: FastAPI) -> None:
    """Make every error that somebody can mend a problem document."""
    for kind, status in STATUS.items():
        app.add_exception_handler(kind, _as(status))
    for kind in UNSTORABLE:
        app.add_exception_handler(kind, _unstorable)
    app.add_exception_handler(RequestValidationError, _invalid)  # pyright: ignore[reportArgumentType]  # a narrower error
    app.add_exception_handler(HTTPException, _http)  # pyright: ignore[reportArgumentType]  # a narrower error


def _as(status: int) -> Any:
    async def handle(request: Request, error: Exception) -> JSONResponse:
        return problem(status, str(error))

    return handle


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """Each mistake with its place in the request."""
    errors = [
        {"at": ".".join(str(part) for part in one["loc"]), "expected": one["msg"]}
        for one in error.errors()
    ]
    first = errors[0]
    return problem(422, f"{first['at']}: {first['expected']}", errors)


async def _unstorable(request: Request, error: Exception) -> JSONResponse:
    return problem(
        422,
        "the store cannot keep a value of this request; text with a NUL in it, or too large a "
        "number?",
    )


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    found = problem(error.status_code, str(error.detail))
    found.headers.update(error.headers or {})
    return found
