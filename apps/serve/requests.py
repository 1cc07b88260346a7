"""Every request has a name: it is in the answer, in the log and in each sentence that says why something failed."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from apps.guard import App, Message, Receive, Refused, Send
from apps.serve.keys import WHO
from apps.serve.metrics import Metrics
from engine.errors import (
    BusyError,
    CorruptDataError,
    InputError,
    MissingExtraError,
    NotFoundError,
    StorageError,
    UnsupportedError,
    WorkbenchError,
)
from workbench.client.schema import problem_sentence

LOG = logging.getLogger("workbench.serve")
ID = "workbench.request"  # in the scope
ID_HEADER = b"x-request-id"
GIVEN = re.compile(rb"[\w.:-]{1,64}")
BUSY_WAIT = 1  # seconds until another writer may have finished
STATUS: tuple[tuple[type[WorkbenchError], int], ...] = (
    (InputError, 422), (NotFoundError, 404), (UnsupportedError, 422), (BusyError, 503), (MissingExtraError, 501),
    (StorageError, 507), (CorruptDataError, 500), (WorkbenchError, 500),
)  # fmt: skip


class Named:
    """The outermost layer: gives a request its name, counts it and writes it to the log when it is answered.

    Args:
        app: What answers.
        metrics: What counts.
    """

    def __init__(self, app: App, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == ID_HEADER), b"")
        name = given.decode() if GIVEN.fullmatch(given) else secrets.token_hex(8)
        scope[ID] = name
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (ID_HEADER, name.encode())]
            await send(message)

        start = time.perf_counter()
        self.metrics.began()
        try:
            await self.app(scope, receive, sent)
        except Exception:
            if not status:  # else it was answered, and is in the log
                raise
        finally:
            seconds = time.perf_counter() - start
            path = str(getattr(scope.get("route"), "path", "other"))
            method = scope["method"] if path != "other" else "any"
            self.metrics.ended(method, path, status or 500, seconds)
            who = f" by={scope[WHO]}" if WHO in scope else ""
            asked = f"{scope['method']} {scope['path'][:200]!r}"
            LOG.info("%s %s %d %.1f ms%s", name, asked, status or 500, seconds * 1e3, who)


def answers() -> dict[Any, Any]:
    """What is answered for each kind of error: one sentence, with the right status."""
    return {
        Refused: _answered, WorkbenchError: _answered, RequestValidationError: _answered, HTTPException: _answered,
        Exception: _answered,
    }  # fmt: skip


async def _answered(request: Request, error: Exception) -> JSONResponse:
    name, headers = request.scope.get(ID, ""), {}
    if isinstance(error, Refused):
        status, told, wait = error.status, error.sentence, error.wait
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        told = problem_sentence(first, skip=1)
        status, wait = 400 if first.get("type") == "json_invalid" else 422, 0
    elif isinstance(error, HTTPException):
        status, told, wait = error.status_code, _plain(error, request), 0
    elif isinstance(error, WorkbenchError):
        status = next(code for kind, code in STATUS if isinstance(error, kind))
        told, wait = str(error), BUSY_WAIT if status == 503 else 0
    else:
        status, told, wait = (
            500,
            f"This did not work ({type(error).__name__}): the log has the details under {name}.",
            0,
        )
    if status == 500:
        LOG.error("%s failed", name, exc_info=error)
    if wait:
        headers["retry-after"] = str(wait)
    return JSONResponse({"detail": told, "request": name}, status, headers)


def _plain(error: HTTPException, request: Request) -> str:
    if error.status_code == 404:
        return f"Nothing is at {request.url.path[:100]!r}: /docs lists what there is."
    if error.status_code == 405:
        return f"Expected another method than {request.method} for {request.url.path[:100]!r}: see /docs."
    return f"{error.detail}: see /docs."
