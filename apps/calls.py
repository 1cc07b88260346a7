"""What a call of a Gradio application has to look like, and who still listens to its answers."""

from __future__ import annotations

import inspect
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from apps.guard import LOGIN, App, Message, Receive, Refused, Send

COMPONENT = "/gradio_api/component_server"
JOIN = "/gradio_api/queue/join"
NAMED = re.compile(r"/gradio_api/(?:call|run|api)/(v2/)?([^/]+)")
STREAMS = re.compile(r"/gradio_api/(?:queue/data|heartbeat/(?P<session>[^/]+))")
WORDS = {dict: "an object", list: "a list", str: "text", bool: "yes or no", int: "a number", float: "a number"}


class Calls:
    """Checks the bodies of calls, so that Gradio meets none that it fails on.

    Args:
        blocks: The application whose functions are called.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        self.blocks = blocks

    def check(self, path: str, body: bytes) -> None:
        """Check one call.

        Args:
            path: Path of the request's address.
            body: Bytes that came with it.

        Raises:
            Refused: it is no call of a function that is here, with what that function takes.
        """
        if path == LOGIN:
            return
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError):
            raise Refused(400, "Expected a body in JSON, got something else: correct it.") from None
        if not isinstance(sent, dict):
            raise Refused(400, f"Expected a JSON object, got {_word(sent)}: correct it.")
        named = NAMED.fullmatch(path)
        if named:
            self._named(named[2], sent, keywords=bool(named[1]))
        elif path == JOIN:
            self._joining(sent)
        elif path == COMPONENT:
            self._component(sent)

    def _component(self, sent: Mapping[str, Any]) -> None:
        number, name = _field(sent, "component_id", int), _field(sent, "fn_name", str)
        _field(sent, "session_hash", str)
        _field(sent, "data", object)
        function = getattr(self.blocks.blocks.get(number), name, None)
        if not getattr(function, "_is_server_fn", False):
            raise Refused(404, f"Component {number} has no function {name[:80]!r}: reload the page.")

    def _joining(self, sent: Mapping[str, Any]) -> None:
        number = _field(sent, "fn_index", int)
        _field(sent, "session_hash", str)
        if number not in self.blocks.fns:
            raise Refused(404, f"There is no function {number}: reload the page.")
        _values(sent, len(self.blocks.fns[number].inputs))

    def _named(self, name: str, sent: Mapping[str, Any], keywords: bool) -> None:
        public = {fn.api_name: fn for fn in self.blocks.fns.values() if fn.api_visibility == "public"}
        if name not in public:
            raise Refused(404, f"Expected one of {', '.join(map(str, public))}, got {name[:80]!r}: correct the name.")
        function = public[name]
        if not keywords:
            _values(sent, len(function.inputs))
            return
        known = inspect.signature(function.fn).parameters if function.fn else {}
        wrong = [key for key in sent if key not in known]
        absent = [key for key, value in known.items() if value.default is value.empty and key not in sent]
        if wrong or absent:
            raise Refused(
                422, f"Expected {', '.join(known)}, got {', '.join(map(str, sent))[:200] or 'nothing'}: correct them."
            )


def logged_in(app: Any) -> Callable[[Message], bool]:
    """Whether a request carries what Gradio gave out at a login.

    Args:
        app: Gradio's, which knows what it gave out; without a login everybody is in.

    Returns:
        The function that tells.
    """
    names = [f"access-token{kind}-{app.cookie_id}" for kind in ("", "-unsecure")]

    def known(scope: Message) -> bool:
        cookies = Request(scope).cookies
        return app.auth is None or any(cookies.get(name) in app.tokens for name in names)

    return known


async def unreadable(request: Request, error: Exception) -> JSONResponse:
    """Say in a sentence what FastAPI says as a list: which field of a request is wrong, and how.

    Args:
        request: That was refused.
        error: FastAPI's.

    Returns:
        The answer.
    """
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first.get("loc", ())[1:]) or "the body"
    told = f"{place}: {first.get('msg', 'it cannot be read')}"
    return JSONResponse({"detail": f"Expected another request ({told[:200]}): correct it."}, 422)


class Listeners:
    """Counts who listens to which session, and ends an answer properly that Gradio gives up in the middle.

    Args:
        app: Gradio's application.
        open: How many streams a session has open; shared with whoever asks `listening`.
    """

    def __init__(self, app: App, open: Counter[str]) -> None:
        self.app = app
        self.open = open

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on one request, and remember it while it lasts."""
        found = STREAMS.fullmatch(scope["path"].rstrip("/")) if scope["type"] == "http" else None
        session = ""
        if found:
            query = parse_qs(scope["query_string"].decode("latin-1"))
            session = found["session"] or (query.get("session_hash") or [""])[0]
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        self.open[session] += bool(session)
        try:
            await self.app(scope, receive, watched)
        except RuntimeError as error:  # a stream of a session that is unknown: said in the stream already
            if not begun or not isinstance(error.__cause__, HTTPException):
                raise
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.open[session] -= bool(session)
            if not self.open[session]:
                del self.open[session]


def _field(sent: Mapping[str, Any], name: str, kind: type) -> Any:
    if name not in sent:
        raise Refused(422, f"Expected {name} in the call, got none: add it.")
    value = sent[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise Refused(422, f"Expected {name} as {WORDS[kind]}, got {_word(value)}: correct it.")
    return value


def _values(sent: Mapping[str, Any], count: int) -> None:
    values = _field(sent, "data", list)
    if len(values) != count:
        raise Refused(422, f"Expected {count} values in data, got {len(values)}: correct it.")


def _word(value: Any) -> str:
    return "null" if value is None else WORDS[type(value)]
