"""What stands between a page and the network: who may ask, how much a request may hold, and what is never answered."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from engine.errors import InputError

AUTH_VARIABLE = "WORKBENCH_AUTH"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LARGEST_REQUEST = 32_000_000  # bytes: the largest collection that the pages take, and its JSON quotes
SHORTEST_PASSWORD = 8
CLOSED = ("/gradio_api/upload",)  # the pages send texts, never files

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def credentials(host: str, given: str | None = None) -> tuple[str, str] | None:
    """The login that a server asks for.

    Args:
        host: Where it will listen.
        given: "user:password"; the variable WORKBENCH_AUTH when None.

    Returns:
        User and password, or None on loopback when none is set.

    Raises:
        InputError: none for a host that others reach, or one that is not of this form.
    """
    text = given if given is not None else os.environ.get(AUTH_VARIABLE, "")
    if not text:
        if host in LOOPBACK:
            return None
        raise InputError(
            f"Expected a login for {host}, since others can reach it: set {AUTH_VARIABLE}=user:password, or use "
            "127.0.0.1."
        )
    user, colon, password = text.partition(":")
    if not user or not colon or len(password) < SHORTEST_PASSWORD:
        raise InputError(
            f"Expected {AUTH_VARIABLE} as user:password with {SHORTEST_PASSWORD} characters or more after the colon: "
            "correct it."
        )
    return user, password


class Limits:
    """Middleware: refuses requests that are too large, and the ways in that no page uses.

    Args:
        app: What it protects.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer or pass on one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if str(scope["path"]).rstrip("/").endswith(CLOSED):
            await _refuse(send, 404, "Nothing is taken here.")
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > LARGEST_REQUEST:
            await _refuse(send, 413, f"At most {LARGEST_REQUEST // 1_000_000} MB are taken at once.")
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > LARGEST_REQUEST:  # a request that did not say its length
                return {"type": "http.disconnect"}
            return message

        await self.app(scope, counted, send)


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
