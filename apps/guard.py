"""What stands between a page and the network: which hosts and origins are answered, what a request may hold, logins.

Every request and every websocket of the explorer and of the dashboard passes here before anything else sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from apps.logins import Logins
from apps.names import LOOPBACK, Names, plain_address
from engine.errors import InputError

AUTH_VARIABLE = "WORKBENCH_AUTH"
LARGEST_REQUEST = 32_000_000  # bytes: the largest collection that the pages take, and its JSON quotes
LARGEST_FORM = 10_000  # bytes of a login
SHORTEST_PASSWORD = 8
LOGIN = "/login"  # the one form; everything else is JSON
DRAINED = 20  # seconds that the rest of a refused request is read for, so that its sender sees the answer
BODIES = ("POST", "PUT", "PATCH", "DELETE")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]


class Refused(Exception):
    """A request that is not passed on.

    Args:
        status: Status of HTTP, such as 403.
        sentence: Why, and what to do.
        wait: Seconds after which asking again makes sense, or 0.
    """

    def __init__(self, status: int, sentence: str, wait: int = 0) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.wait = wait


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


class Guard:
    """The outermost layer of a server: refuses with one sentence what the application should never see.

    Args:
        app: What it protects, an ASGI application.
        names: Under which it answers.
        closed: Paths, or how they begin, that are never answered.
        check: Looks at the body of a request (path, bytes); raises `Refused`.
        known: Whether a request comes from somebody who may send one; everybody may log in.
    """

    def __init__(
        self, app: App, names: Names, closed: tuple[str, ...] = (),
        check: Callable[[str, bytes], None] | None = None, known: Callable[[Message], bool] | None = None,
    ) -> None:  # fmt: skip
        self.app = app
        self.names = names
        self.closed = closed
        self.check = check
        self.known = known
        self.logins = Logins()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse or pass on one request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        unread = scope["type"] == "http" and _carries(scope)

        async def arriving() -> Message:
            nonlocal unread
            message = await receive()
            unread = message["type"] == "http.request" and message.get("more_body", False)
            return message

        passed = receive
        try:
            self._asked(scope)
            if unread:
                passed = await self._body(scope, arriving)
            send = _same_site(scope, send)
            if scope["type"] == "http" and scope["method"] == "POST" and _path(scope) == LOGIN:
                await self._login(scope, passed, send)
            else:
                await self.app(scope, passed, send)
        except Refused as refused:
            await refuse(scope, receive if unread else None, send, refused)

    def _asked(self, scope: Message) -> None:
        """Who asks, under which name, for what."""
        local = str((scope.get("server") or ("",))[0])
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or not all(self.names.hosts(host, local) for host in hosts + _forwarded(scope)):
            asked = (_forwarded(scope) or hosts or ["nobody"])[-1][:100]
            raise Refused(
                403, f"This server does not answer as {asked!r}: use its own address, or start it with --public-name."
            )
        origins = _values(scope, b"origin")
        site, mode = _values(scope, b"sec-fetch-site"), _values(scope, b"sec-fetch-mode")
        foreign = site in (["cross-site"], ["same-site"]) and mode != ["navigate"]
        if foreign or not all(self.names.origins(origin, hosts[0]) for origin in origins):
            raise Refused(403, "Only this server's own pages may ask it: open it by its own address.")
        if _path(scope).startswith(self.closed):
            raise Refused(404, "Nothing is here.")

    async def _body(self, scope: Message, receive: Receive) -> Receive:
        """The whole body, checked, to be read again by the application."""
        path = _path(scope)
        most = LARGEST_FORM if path == LOGIN else LARGEST_REQUEST
        too_large = Refused(413, f"Expected a request of at most {most:,} bytes: send less at once.")
        declared = "".join(_values(scope, b"content-length"))
        if declared and (not declared.isdecimal() or int(declared) > most):
            raise too_large
        kind = ",".join(_values(scope, b"content-type")).partition(";")[0].strip().lower()
        if path != LOGIN and kind != "application/json":
            raise Refused(415, f"Expected application/json, got {kind[:60] or 'nothing'!r}: send JSON.")
        if path != LOGIN and self.known is not None and not self.known(scope):
            raise Refused(401, "Expected a login: open the page and log in.")
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "The request ended early: send it again.")
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), message.get("more_body", False)
            if size > most:  # a request that did not say its length
                raise too_large
        body = b"".join(parts)
        if self.check is not None:
            self.check(path, body)
        return _again(body, receive)

    async def _login(self, scope: Message, receive: Receive, send: Send) -> None:
        """One guess at a time, and a while after a wrong one: whoever guesses waits longer each time."""
        address = plain_address(str((scope.get("client") or ("",))[0]))
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        wait = await self.logins.enter(address)
        if wait:
            raise Refused(429, f"Too many failed logins: try again in {wait} seconds.", wait)
        try:
            await self.app(scope, receive, watched)
        finally:
            await self.logins.leave(address, passed=200 <= status < 400)


def _carries(scope: Message) -> bool:
    """Whether a request has a body; a DELETE may have none, and no page of another site can send one unasked."""
    told = any(_values(scope, name) not in ([], ["0"]) for name in (b"content-length", b"transfer-encoding"))
    return scope["method"] in BODIES and (told or scope["method"] != "DELETE")


def _values(scope: Message, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key == name]


def _forwarded(scope: Message) -> list[str]:
    """Names that a proxy says it was asked under; the pages would build their addresses from them."""
    return [name.strip() for value in _values(scope, b"x-forwarded-host") for name in value.split(",")]


def _path(scope: Message) -> str:
    return "/" + str(scope["path"]).strip("/")


def _again(body: bytes, receive: Receive) -> Receive:
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def once() -> Message:
        return left.pop() if left else await receive()

    return once


def _same_site(scope: Message, send: Send) -> Send:
    """Cookies that other sites' requests do not carry, and over TLS none that travels without it."""
    secure = scope.get("scheme") in ("https", "wss")

    def mended(cookie: str) -> str:
        kept = [part.strip() for part in cookie.split(";") if not part.strip().lower().startswith("samesite")]
        if secure and "secure" not in (part.lower() for part in kept):
            kept.append("Secure")
        return "; ".join([*kept, "SameSite=Lax"])

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                (name, mended(value.decode("latin-1")).encode("latin-1") if name.lower() == b"set-cookie" else value)
                for name, value in message.get("headers", [])
            ]
        await send(message)

    return sent


async def refuse(scope: Message, receive: Receive | None, send: Send, refused: Refused) -> None:
    """Answer with the sentence; `receive` gives the rest of the request, None where it has arrived wholly."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": refused.sentence})
        return
    body = json.dumps({"detail": refused.sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
               (b"connection", b"close")]  # fmt: skip
    if refused.wait:
        headers.append((b"retry-after", str(refused.wait).encode()))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if receive is not None:  # a connection that closes on what was not read is reset, and the answer lost
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_drain(receive), DRAINED)
    await send({"type": "http.response.body", "body": b""})


async def _drain(receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
