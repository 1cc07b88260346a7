"""Calls that are none, and values of another type: one sentence each, no traceback, no answer that breaks off."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")

from apps.calls import Listeners
from apps.text import asked
from engine.errors import InputError
from tests.apps.conftest import QUESTIONS
from tests.apps.test_guard import JSON, ask, finish, port_of

if TYPE_CHECKING:
    from apps.explorer import Server

COMPONENT = {"data": {}, "component_id": 1, "session_hash": "x", "fn_name": "start"}
JOIN = {"data": ["a", 1], "fn_index": 0, "session_hash": "x"}
FIELDS = ["question", "document", "text", "model", "image", "on", "kind", "method", "factor", "index"]


@pytest.fixture
def quiet(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing of what the test asks for ends as a traceback in the terminal."""
    yield
    printed = capfd.readouterr()
    assert "Traceback" not in printed.err + printed.out + caplog.text


def call(server: Server, path: str, sent: Any) -> tuple[int, str]:
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    return ask(port_of(server), path, body, **JSON)[:2]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("change", [
    {"component_id": {}}, {"component_id": 10**6}, {"component_id": "1"}, {"component_id": True}, {"fn_name": {}},
    {"fn_name": "__class__"}, {"fn_name": "nothing"}, {"fn_name": None}, {"session_hash": {}}, {"session_hash": None},
])  # fmt: skip
def test_a_component_is_only_called_by_a_function_that_it_has(server: Server, change: dict[str, Any]) -> None:
    status, text = call(server, "/gradio_api/component_server", {**COMPONENT, **change})
    assert status in (404, 422)
    assert json.loads(text)["detail"].endswith(("correct it.", "reload the page."))


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("change", [
    {"fn_index": {}}, {"fn_index": -1}, {"fn_index": 10**6}, {"fn_index": None}, {"session_hash": {}}, {"data": {}},
    {"data": None}, {"data": []}, {"data": ["a"] * 9}, {"trigger_id": {}}, {"event_id": {}},
])  # fmt: skip
def test_the_queue_is_only_joined_with_what_a_function_takes(server: Server, change: dict[str, Any]) -> None:
    status, text = call(server, "/gradio_api/queue/join", {**JOIN, **change})
    assert status in (404, 422)
    assert json.loads(text)["detail"].endswith(("correct it.", "reload the page."))


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("path", ["component_server", "queue/join", "call/search", "run/search", "cancel"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"{}", b"[" * 100_000, b'{"data": "\xff"}', b"null"])
def test_a_body_that_is_no_call_gets_a_sentence(server: Server, path: str, body: bytes) -> None:
    status, text = call(server, f"/gradio_api/{path}", body)
    assert status in (400, 422)
    assert json.loads(text)["detail"].startswith("Expected")


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("path", ["call/nothing", "run/begin", "api/halt", "call/v2/nothing", "run/predict"])
def test_only_public_functions_are_called_by_name(server: Server, path: str) -> None:
    status, text = call(server, f"/gradio_api/{path}", {"data": []})
    assert status == 404
    assert "search, explain" in json.loads(text)["detail"]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("name", "values", "expected"), [
    ("search", ["a", "a"], "k as a whole number"), ("search", ["a", 2.7], "k as a whole number"),
    ("search", ["a", True], "k as a whole number"), ("search", ["a", None], "k as a whole number"),
    ("search", ["a", {}], "k as a whole number"), ("search", ["a", 0], "from 1 to 100"),
    ("search", ["a", 1e999], "k as a whole number"), ("search", [["a"], 3], "question as text"),
    ("search", [{}, 3], "question as text"), ("search", [7, 3], "question as text"),
    ("search", [None, 3], "Type a question"), ("explain", ["a", 3], "document as text"),
    ("explain", ["a", {}], "document as text"), ("explain", [["a"], "b"], "question as text"),
    ("explain", ["a", "no such"], "no document"),
])  # fmt: skip
def test_public_functions_check_the_types_that_they_get(
    server: Server, name: str, values: list[Any], expected: str
) -> None:
    status, text = call(server, f"/gradio_api/call/{name}", {"data": values})
    assert status == 200
    told = ask(port_of(server), f"/gradio_api/call/{name}/{json.loads(text)['event_id']}")[1]
    assert told.startswith("event: error")
    assert expected in told
    assert expected in call(server, f"/gradio_api/run/{name}", {"data": values})[1]


def test_a_whole_number_may_be_written_as_a_fraction(server: Server) -> None:
    found = json.loads(call(server, "/gradio_api/run/search", {"data": [QUESTIONS["wait"], 3.0]})[1])
    assert len(found["data"][0]["hits"]) == 3
    status, text = call(server, "/gradio_api/call/v2/search", {"question": QUESTIONS["wait"]})
    assert status == 200, "what has a default may be left out when values are named"
    assert "event_id" in text
    assert call(server, "/gradio_api/call/v2/search", {"quest": "a"})[0] == 422


@pytest.mark.parametrize("odd", [{}, [], [1], 7, 0, 2.5, True, False, {"name": "x"}], ids=str)
def test_a_text_is_a_text(odd: Any) -> None:
    with pytest.raises(InputError, match="question as text"):
        asked({"question": odd}, "question")
    assert asked({"question": None}, "question", "default") == asked({}, "question", "default") == "default"
    assert asked({"question": "q"}, "question") == "q"


@pytest.mark.usefixtures("quiet")
def test_functions_of_pages_say_what_is_of_another_type(server: Server) -> None:
    functions = [
        (number, name) for number, block in server.blocks.blocks.items()
        for name in dir(block) if getattr(getattr(block, name, None), "_is_server_fn", False)
    ]  # fmt: skip
    assert len(functions) > 15
    base = {"question": "wait", "document": "time.sleep", "factor": "2", "method": "ward", "kind": "exact"}
    refused = 0
    for number, name in functions:
        for field in (*FIELDS, None):
            sent = [1] if field is None else {**base, field: {}}
            body = {"data": sent, "component_id": number, "session_hash": "x", "fn_name": name}
            status, text = call(server, "/gradio_api/component_server", body)
            assert status == 200
            error = json.loads(text).get("error", "")
            assert "did not work" not in error
            refused += bool(error)
    assert refused > len(functions)


@pytest.mark.usefixtures("quiet")
def test_an_answer_for_an_unknown_visitor_ends_properly(server: Server) -> None:
    for path in ("/gradio_api/queue/data?session_hash=nobody", "/gradio_api/call/search/nothing"):
        assert "404" in ask(port_of(server), path)[1]


def test_whoever_listens_is_counted_while_the_stream_is_open() -> None:
    seen: list[Counter[str]] = []
    open_streams: Counter[str] = Counter()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(Counter(open_streams))

    async def nothing(*_: Any) -> Any:
        return {}

    for path, query in (("/gradio_api/queue/data", b"session_hash=me"), ("/gradio_api/heartbeat/me", b""), ("/x", b"")):
        scope = {"type": "http", "path": path, "query_string": query}
        finish(Listeners(app, open_streams)(scope, nothing, nothing))
    assert [count["me"] for count in seen] == [1, 1, 0]
    assert not open_streams
