"""Who may ask, and what is answered: logins, endpoints, limits."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")

from apps.explorer import serve
from apps.guard import LARGEST_REQUEST, credentials
from engine.errors import InputError
from tests.apps.conftest import QUESTIONS
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from apps.explorer import Server

PUBLIC = {"/search", "/explain"}  # meant as API; everything else serves the pages


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example"])
def test_a_host_that_others_reach_asks_for_a_login(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKBENCH_AUTH", raising=False)
    with pytest.raises(InputError, match="Expected a login"):
        credentials(host)
    monkeypatch.setenv("WORKBENCH_AUTH", "ada:correct horse")
    assert credentials(host) == ("ada", "correct horse")


def test_loopback_needs_no_login_but_takes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKBENCH_AUTH", raising=False)
    assert credentials("127.0.0.1") is None
    assert credentials("127.0.0.1", "ada:with:colons") == ("ada", "with:colons")


@pytest.mark.parametrize("text", ["ada", ":longenough", "ada:short", "ada:"])
def test_a_login_that_protects_nothing_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="user:password"):
        credentials("127.0.0.1", text)


def test_the_command_listens_beyond_loopback_only_with_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.cli.browser import page_port

    monkeypatch.setenv("WORKBENCH_AUTH", "ada:correct horse")
    assert page_port("0.0.0.0", 0, login=True) > 0
    with pytest.raises(InputError, match="no login"):
        page_port("0.0.0.0", 0)  # the dashboard asks for none
    monkeypatch.delenv("WORKBENCH_AUTH")
    with pytest.raises(InputError, match="WORKBENCH_AUTH"):
        page_port("0.0.0.0", 0, login=True)


def test_serving_others_without_a_login_never_starts(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKBENCH_AUTH", raising=False)
    with pytest.raises(InputError, match="Expected a login"):
        serve(server.workspaces.first, host="0.0.0.0")


@pytest.fixture(scope="module")
def locked(server: Server) -> Iterator[Server]:
    workspace: Workspace = server.workspaces.first
    running = serve(workspace, auth="ada:correct horse")
    yield running
    running.stop()


def test_without_the_login_nothing_of_the_collection_is_told(locked: Server) -> None:
    body = {"data": {"question": "json"}, "component_id": 3, "session_hash": "x", "fn_name": "search"}
    sent = json.dumps(body).encode()
    status, _ = ask(f"{locked.url}gradio_api/component_server", sent, **{"Content-Type": "application/json"})
    assert status == 401
    status, _ = ask(f"{locked.url}gradio_api/info")
    assert status == 401
    status, page = ask(locked.url)
    assert status == 200
    assert "numpy.argmax" not in page


@pytest.mark.browser
def test_the_login_opens_the_page(page: Page, locked: Server) -> None:
    context = page.context.browser.new_context()  # type: ignore[union-attr]
    tab = context.new_page()
    tab.goto(locked.url)
    tab.locator("input").first.fill("ada")
    tab.locator("input[type=password]").fill("correct horse")
    tab.get_by_role("button", name="Login").click()
    tab.locator(".matrix canvas").wait_for(timeout=60_000)
    context.close()


def test_only_what_is_meant_as_api_is_listed(server: Server) -> None:
    listed = json.loads(ask(f"{server.url}gradio_api/info")[1])
    assert set(listed["named_endpoints"]) == PUBLIC
    assert listed["unnamed_endpoints"] == {}


def test_the_api_searches_and_explains(server: Server) -> None:
    from gradio_client import Client

    client = Client(server.url, verbose=False)
    found = client.predict(QUESTIONS["wait"], 3, api_name="/search")
    assert len(found["hits"]) == 3
    first = found["hits"][0]
    told = client.predict(QUESTIONS["wait"], first["id"], api_name="/explain")
    assert told["score"] == pytest.approx(first["score"], abs=1e-3)
    assert sum(row["contribution"] for row in told["matches"]) == pytest.approx(told["score"], abs=1e-3)


def test_files_are_never_taken(server: Server) -> None:
    body = '--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nhello\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert ask(f"{server.url}gradio_api/upload", body.encode(), **kind)[0] == 404


@pytest.mark.parametrize("path", ["/etc/passwd", "README.md", "../README.md"])
def test_files_are_never_handed_out(server: Server, path: str) -> None:
    status, text = ask(f"{server.url}gradio_api/file={path}")
    assert status in (403, 404)
    assert "root:" not in text


def test_a_request_that_is_too_large_is_refused_unread(server: Server) -> None:
    request = urllib.request.Request(
        f"{server.url}gradio_api/component_server", b"", {"Content-Length": str(LARGEST_REQUEST + 1)}
    )
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=20)
    assert raised.value.code == 413
