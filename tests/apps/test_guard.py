"""Which hosts, origins, content types and sizes are answered, with real requests; and how guesses wait."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")

from apps import logins
from apps.explorer import serve
from apps.guard import LARGEST_REQUEST, Guard
from apps.names import Names
from engine.errors import InputError
from tests.apps.conftest import QUESTIONS

if TYPE_CHECKING:
    from apps.explorer import Server

JSON = {"Content-Type": "application/json"}
NAME = "search.example.com"
SEARCH = json.dumps({"data": [QUESTIONS["wait"], 1]}).encode()
JOIN = json.dumps({"data": [], "fn_index": 0, "session_hash": "abc"}).encode()
LOGIN = b"username=ada&password="
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GETS = ["/", "/pool", "/config", "/gradio_api/info", "/gradio_api/queue/data?session_hash=x", "/theme.css", "/logout"]
POSTS = {
    "/gradio_api/component_server": json.dumps(
        {"data": {}, "component_id": 1, "session_hash": "x", "fn_name": "start"}
    ).encode(),
    "/gradio_api/queue/join": JOIN, "/gradio_api/call/search": SEARCH, "/gradio_api/run/search": SEARCH,
    "/login": LOGIN, "/gradio_api/cancel": b"{}",
}  # fmt: skip


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns, run in a thread: in this one a browser's loop may run already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def port_of(server: Any) -> int:
    return int(server.url.rstrip("/").rpartition(":")[2])


def ask(
    port: int, path: str, body: Any = None, method: str = "", **headers: str
) -> tuple[int, str, list[tuple[str, str]]]:
    """A request whose headers are exactly these, beside a Host of this server unless one is given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(
            method or ("GET" if body is None else "POST"), path, body, sent, encode_chunked="Transfer-Encoding" in sent
        )
        answer = connection.getresponse()
        return answer.status, answer.read(200_000).decode("utf-8", "replace"), answer.getheaders()
    finally:
        connection.close()


def handshake(port: int, path: str, host: str, origin: str = "") -> str:
    """The status line that a websocket's opening is answered with."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket",
             "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]  # fmt: skip
    lines += [f"Origin: {origin}"] if origin else []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return connection.recv(4096).decode("latin-1").splitlines()[0]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil", "x@localhost", ""]
)
@pytest.mark.parametrize("path", [GETS[0], GETS[2], GETS[3], GETS[4], *POSTS])
def test_a_foreign_host_gets_nothing(server: Server, path: str, host: str) -> None:
    status, text, _ = ask(port_of(server), path, POSTS.get(path), Host=host, **(JSON if path in POSTS else {}))
    assert status == 403
    assert "public-name" in text
    assert QUESTIONS["wait"] not in text


@pytest.mark.parametrize("path", GETS)
def test_every_page_asks_for_the_host(server: Server, path: str) -> None:
    assert ask(port_of(server), path, Host="evil.example")[0] == 403
    assert ask(port_of(server), path, Host="localhost", X_Forwarded_Host="evil.example")[0] == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST:9", "[::1]:7860", "[0:0:0:0:0:0:0:1]"])
def test_loopback_names_are_this_server(server: Server, host: str) -> None:
    assert ask(port_of(server), "/gradio_api/info", Host=host)[0] == 200


def test_a_request_without_a_host_or_with_two_gets_nothing(server: Server) -> None:
    for lines in ("", "Host: localhost\r\nHost: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", port_of(server)), timeout=30) as connection:
            connection.sendall(f"GET /config HTTP/1.1\r\n{lines}\r\n".encode())
            assert connection.recv(4096).decode().split()[1] in ("400", "403")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "file://", "http://localhost@evil.example"]
)
def test_pages_of_other_origins_run_nothing(server: Server, path: str, origin: str) -> None:
    status, text, headers = ask(port_of(server), path, POSTS[path], Host="localhost", Origin=origin, **JSON)
    assert status == 403
    assert "own pages" in text
    assert "access-control-allow-origin" not in {name.lower() for name, _ in headers}


def test_a_preflight_of_another_origin_is_refused(server: Server) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    status, _, _ = ask(port_of(server), "/gradio_api/call/search", method="OPTIONS", **asked)
    assert status == 403


def test_what_a_browser_marks_as_cross_site_is_refused_but_a_link_opens(server: Server) -> None:
    site = {"Sec-Fetch-Site": "cross-site"}
    assert ask(port_of(server), "/config", **site, **{"Sec-Fetch-Mode": "no-cors"})[0] == 403
    assert ask(port_of(server), "/", **site, **{"Sec-Fetch-Mode": "navigate"})[0] == 200


def test_a_page_of_its_own_runs_a_function(server: Server) -> None:
    port = port_of(server)
    for host in (f"localhost:{port}", "localhost:9999"):  # the second through a tunnel
        status, text, _ = ask(port, "/gradio_api/call/search", SEARCH, Host=host, Origin=f"http://{host}", **JSON)
        assert status == 200
        assert "event_id" in text


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "text/plain; application/json",
        "application/json, text/plain",
    ],
)
@pytest.mark.parametrize("path", [path for path in POSTS if path != "/login"])
def test_functions_take_json_only(server: Server, path: str, kind: str) -> None:
    status, text, _ = ask(port_of(server), path, POSTS[path], **({"Content-Type": kind} if kind else {}))
    assert status == 415
    assert "application/json" in text


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_above_the_limit_gets_a_sentence_and_no_reset(server: Server, chunked: bool) -> None:
    block = b"x" * 1_000_000
    blocks = LARGEST_REQUEST // len(block) + 3
    length = {} if chunked else {"Content-Length": str(blocks * len(block))}
    body = (block for _ in range(blocks))
    status, text, _ = ask(port_of(server), "/gradio_api/call/search", body, **JSON, **length,
                          **({"Transfer-Encoding": "chunked"} if chunked else {}))  # fmt: skip
    assert status == 413
    assert "send less" in json.loads(text)["detail"]


def test_a_refused_call_that_has_arrived_is_answered_and_closed_at_once(server: Server) -> None:
    body = b'{"data": []}'
    head = (
        f"POST /gradio_api/call/search HTTP/1.1\r\nHost: 127.0.0.1:{port_of(server)}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        with connection.makefile("rb") as stream:
            answer = stream.read()  # until the server closes, which it once did after 20 seconds
    assert b" 422 " in answer.partition(b"\r\n")[0]
    assert b"Expected 2 values" in answer


def test_names_of_a_server() -> None:
    names = Names("192.0.2.7", [NAME, "other.example:8443"])
    local = "192.0.2.7"
    assert all(names.hosts(host, local) for host in ("192.0.2.7:7860", NAME, "Other.Example", "localhost"))
    assert not any(names.hosts(host, local) for host in ("192.0.2.8", "evil.example", f"{NAME}.evil.example", "a b"))
    assert names.origins(f"https://{NAME}", "127.0.0.1:7860")  # a proxy that asks under its own name
    assert names.origins("https://other.example:8443", "127.0.0.1:7860")
    assert not names.origins("https://other.example", "127.0.0.1:7860")
    assert not names.origins(f"ftp://{NAME}", NAME)
    everywhere = Names("0.0.0.0")
    assert everywhere.hosts("192.0.2.7:80", "192.0.2.7")
    assert everywhere.hosts("192.0.2.7", "::ffff:192.0.2.7")
    assert not everywhere.hosts("evil.example", "192.0.2.7")
    assert not everywhere.hosts("192.0.2.8", "192.0.2.7")
    with pytest.raises(InputError, match=r"search\.example\.com"):
        Names(public=["https://search.example.com/"])


@pytest.mark.parametrize("host", ["evil.example", "localhost"])
def test_a_websocket_is_guarded_like_a_request(host: str) -> None:
    reached, sent = [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/", "headers": [(b"host", host.encode())], "server": ("127.0.0.1", 1)}
    finish(Guard(app, Names())(scope, receive, send))
    assert (reached, sent) == (([], ["websocket.close"]) if host == "evil.example" else (["websocket"], []))


@pytest.fixture(scope="module")
def locked(server: Server) -> Iterator[Server]:
    running = serve(server.workspaces.first, auth="ada:correct horse", public=[NAME])
    yield running
    running.stop()


@pytest.fixture
def forgiving(locked: Server) -> Iterator[Server]:
    """The locked server, which has forgotten whoever failed before."""
    guard = locked.blocks.app.middleware_stack
    assert isinstance(guard, Guard)
    guard.logins = logins.Logins()
    yield locked
    guard.logins = logins.Logins()


def guess(server: Server, password: str, **headers: str) -> tuple[int, str, list[tuple[str, str]]]:
    return ask(port_of(server), "/login", LOGIN + password.encode(), **{**FORM, **headers})


def test_behind_a_proxy_a_public_name_is_answered_and_no_other(forgiving: Server) -> None:
    port = port_of(forgiving)
    for host in (NAME, f"127.0.0.1:{port}"):
        assert ask(port, "/gradio_api/info", Host=host, Origin=f"https://{NAME}")[0] == 401
        assert ask(port, "/gradio_api/info", Host=host, Origin="https://evil.example")[0] == 403
    assert ask(port, "/gradio_api/info", Host="evil.example")[0] == 403
    status, _, headers = guess(
        forgiving, "correct horse", Host=NAME, Origin=f"https://{NAME}", X_Forwarded_Proto="https"
    )
    cookies = [value for name, value in headers if name.lower() == "set-cookie"]
    assert status == 200
    assert len(cookies) == 2
    assert all("samesite=lax" in cookie.lower() and "none" not in cookie.lower() for cookie in cookies)
    assert all("; secure" in cookie.lower() for cookie in cookies)
    kept = "; ".join(cookie.partition(";")[0] for cookie in cookies)
    assert ask(port, "/gradio_api/info", Host=NAME, Cookie=kept)[0] == 200
    assert ask(port, "/gradio_api/info", Host=NAME, Cookie=kept, Origin="https://evil.example")[0] == 403


def test_guesses_wait_and_the_right_password_does_not_cut_the_line(forgiving: Server) -> None:
    statuses: list[int] = []

    def guesses() -> None:
        statuses.extend(guess(forgiving, f"wrong horse {i}")[0] for i in range(10))

    begin = time.monotonic()
    threads = [threading.Thread(target=guesses) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begin
    assert len(statuses) == 40
    assert statuses.count(400) <= 1 + seconds / logins.PAUSE
    assert statuses.count(429) == 40 - statuses.count(400)
    status, text, headers = guess(forgiving, "correct horse")
    assert status == 429
    assert "try again in" in text
    assert int(dict(headers)["retry-after"]) >= 1


def test_addresses_that_fail_wait_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(logins.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(logins, "PAUSE", 0.0)

    async def tries() -> list[int]:
        waits, book = [], logins.Logins()
        for _ in range(12):
            wait = await book.enter("192.0.2.7")
            waits.append(wait)
            now[0] += wait
            if not wait or not await book.enter("192.0.2.7"):
                await book.leave("192.0.2.7", passed=False)
        assert await book.enter("192.0.2.8") == 0
        await book.leave("192.0.2.8", passed=True)
        assert await book.enter("192.0.2.7") == logins.LONGEST
        now[0] += logins.FORGOTTEN + 1
        assert await book.enter("192.0.2.7") == 0
        return waits

    assert finish(tries()) == [0, 0, 0, 2, 4, 8, 16, 32, 60, 60, 60, 60]


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("streamlit", reason="needs Streamlit: pip install 'late-interaction-workbench[apps]'")
    from apps import dashboard as served

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(tmp_path_factory.mktemp("dashboard")))
        running = served.serve(port=port, public=[NAME])
    yield running
    running.stop()


def test_the_dashboard_answers_its_own_names_only(dashboard: Any) -> None:
    port = port_of(dashboard)
    for host in ("localhost", f"127.0.0.1:{port}", NAME):
        assert ask(port, "/", Host=host)[0] == 200
        assert ask(port, "/_stcore/health", Host=host)[0] == 200
        origin = f"https://{NAME}" if host == NAME else f"http://{host}"
        assert handshake(port, "/_stcore/stream", host, origin).split()[1] == "101"
    for path in ("/", "/_stcore/health", "/_stcore/host-config"):
        assert ask(port, path, Host="evil.example")[0] == 403
        assert ask(port, path, Host="localhost", Origin="https://evil.example")[0] == 403
    for host, origin in (("evil.example", "http://evil.example"), ("localhost", "https://evil.example"),
                         ("localhost", "null"), ("evil.example", "")):  # fmt: skip
        assert handshake(port, "/_stcore/stream", host, origin).split()[1] == "403"
    assert ask(port, "/_stcore/upload_file/x/y", b"text", "PUT")[0] == 404
