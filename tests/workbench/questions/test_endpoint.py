"""Questions by a model behind an address, against a real server on loopback: what is sent, and every way to fail."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine import Collection, load_collection
from engine.errors import InputError
from workbench.cli import main
from workbench.questions import endpoint as module
from workbench.questions.endpoint import KEY, Endpoint, EndpointError, from_endpoint

Reply = Callable[[int, dict[str, Any]], tuple[int, dict[str, str], bytes]]


def said(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


def ask_about(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    text = body["messages"][0]["content"].rpartition("\n\n")[2]
    return 200, {}, said(f'Sure!\n"what is {text.split()[0].lower()}?"\n')


class Server:
    """An OpenAI-compatible server that answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.reply: Reply = ask_about
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                owner.asked.append((self.path, dict(self.headers.items()), body))
                status, headers, content = owner.reply(len(owner.asked), body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        setattr(self.server, "handle_error", lambda request, client: None)  # noqa: B010 - who asked may have gone
        self.address = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.01)
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def collection() -> Collection:
    return Collection({"a": "Tides come twice", "b": "Bread is flour", "c": "Tea is leaves " * 1000}, name="papers")


def test_a_model_makes_a_question_of_each_text(
    server: Server, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "secret")
    monkeypatch.setenv("OPENAI_API_KEY", "of another service")
    done: list[tuple[int, int]] = []
    found, notes = from_endpoint(
        collection, Endpoint(server.address, "tiny"), 9, 0, lambda n, total: done.append((n, total))
    )
    assert [(question.text, question.documents, question.how) for question in found] == [
        ("what is tides?", ("a",), "model tiny"), ("what is bread?", ("b",), "model tiny"),
        ("what is tea?", ("c",), "model tiny"),
    ]  # fmt: skip
    assert notes == []
    assert done[-1] == (3, 3)
    path, headers, body = server.asked[0]
    assert (path, body["model"], body["temperature"]) == ("/v1/chat/completions", "tiny", 0)
    assert {value for name, value in headers.items() if name.lower() == "authorization"} == {"Bearer secret"}
    assert "of another service" not in json.dumps(server.asked)
    assert max(len(asked["messages"][0]["content"]) for _, _, asked in server.asked) < 4500
    server.reply = lambda number, body: (500, {}, b"")
    assert from_endpoint(collection, Endpoint(server.address, "tiny"), 9, 0)[0] == found  # kept from the last time


def test_it_is_asked_again_where_that_makes_sense(server: Server, collection: Collection) -> None:
    def stumbles(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        return (429, {"retry-after": "0"}, b"slow down") if number % 2 else ask_about(number, body)

    server.reply = stumbles
    assert len(from_endpoint(collection, Endpoint(server.address), 1)[0]) == 1
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("reply", "sentence", "times"),
    [
        (
            (401, {}, b'{"error": {"message": "no key"}}'),
            rf"refuses \(status 401, no key\): put the key .* into {KEY}",
            1,
        ),
        ((404, {}, b"nothing here"), r"refuses \(status 404, nothing here\): check the address", 1),
        ((400, {}, b'{"error": "unknown model"}'), r"status 400, unknown model", 1),
        ((302, {"location": "http://127.0.0.1:1/"}, b""), r"give the address that it sends to", 1),
        ((503, {}, b"down"), r"did not answer in 3 tries \(status 503, down\)", 3),
        ((200, {}, b"<html>hello</html>"), r"something else than OpenAI's format \(<html>hello</html>\)", 1),
        ((200, {}, b'{"choices": []}'), r"something else than OpenAI's format", 1),
        ((200, {}, b"x" * 1_100_000), r"answers without end", 1),
        ((200, {}, said("  ")), r"made no question of 1 texts", 1),
        ((200, {}, said("x" * 500)), r"made no question of 1 texts", 1),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    server: Server, collection: Collection, reply: Any, sentence: str, times: int
) -> None:
    server.reply = lambda number, body: reply
    with pytest.raises(EndpointError, match=sentence) as raised:
        from_endpoint(collection, Endpoint(server.address, tries=3), 1)
    assert "\n" not in str(raised.value)
    assert len(server.asked) == times


def test_a_server_that_is_silent_or_absent_is_given_up(server: Server, collection: Collection) -> None:
    def silent(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.5)
        return 200, {}, said("late?")

    server.reply = silent
    with pytest.raises(EndpointError, match=r"in 1 tries \(no answer within 0.1 seconds\)"):
        from_endpoint(collection, Endpoint(server.address, timeout=0.1, tries=1), 1)
    with pytest.raises(EndpointError, match=r"127.0.0.1:9/v1/chat/completions did not answer in 2 tries"):
        from_endpoint(collection, Endpoint("http://127.0.0.1:9/v1", tries=2), 1)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost:8000",
        "ftp://x/",
        "http://",
        "file:///etc/passwd",
        "http://me:pass@x/",
        "http://x:99999/",
        "http://x/?k=1",
    ],
)
def test_what_is_no_address_is_refused_before_anything_is_sent(address: str) -> None:
    with pytest.raises(InputError, match="Expected an address such as"):
        Endpoint(address)


def test_the_command_says_what_it_sends_before_it_does(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("id,text\na,Tides come twice a day\nb,Bread is made of flour\n")
    asked = ["questions", "--collection", str(tmp_path / "t.csv"), "--output", str(tmp_path / "asked")]

    def run(*more: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*asked, *more])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), " ".join((printed.out + printed.err).split())

    code, told = run("--questions-from", server.address, "--questions-model", "tiny", "--dry-run")
    assert (code, server.asked) == (0, [])
    assert f"2 texts of 't', 44 characters, go to {server.address}/chat/completions (on this machine)" in told
    assert not (tmp_path / "asked").exists()
    code, told = run("--questions-from", server.address, "--questions-model", "tiny")
    assert (code, len(server.asked)) == (0, 2)
    assert "2 of 2 questions were made (2 by model tiny); a person has confirmed 0% of them" in told
    assert load_collection(tmp_path / "asked").made == {"made 1": "model tiny", "made 2": "model tiny"}
    assert run()[0] == 2  # the folder is not empty
    asked[-1] = str(tmp_path / "plain")
    code, told = run()
    assert (code, len(server.asked)) == (0, 2)  # without an address nothing is sent
    assert "2 by first sentence" in told
    (tmp_path / "judged.tsv").write_text("query-id\tcorpus-id\tscore\nmade 1\ta\t2\nmade 2\tb\t0\n")
    check = ["check-questions", "--collection", str(tmp_path / "plain"), "--judged", str(tmp_path / "judged.tsv")]
    asked[:] = [*check, "--output", str(tmp_path / "confirmed")]
    code, told = run()
    assert "confirmed 50% of their documents" in told
    assert load_collection(tmp_path / "confirmed").confirmed == {"made 1"}
