"""The client against a real server process: one number whichever door, errors as they are here, and an end in peace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from engine.errors import BusyError, InputError, NotFoundError
from tests.conftest import finished
from tests.workbench.typed import run
from workbench.client import Client, schema

KEY = "a-key-that-is-long-enough"
TEXTS = {
    "tide": "The spring tide comes two days after the full moon.",
    "dues": "Harbour dues are paid by the length of a boat.",
    "sail": "A sail is reefed when the wind grows stronger.",
    "rope": "A bowline makes a loop that does not slip.",
    "moon": "The moon pulls the water of the sea towards it.",
}
QUESTION = "when is the water high"


class Served:
    """A server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.collection = folder / "boats.jsonl"
        rows = [{"id": name, "text": text, "year": 2019 + n} for n, (name, text) in enumerate(TEXTS.items())]
        self.collection.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "keys").write_text(f"tests {KEY}\n")
        self.log = folder / "log"
        self.home = folder / "home"
        command = [
            sys.executable, "-m", "workbench", "serve", "--collection", str(self.collection), "--index", "plaid:bits=4",
            "--store", str(folder / "store"), "--key-file", str(folder / "keys"), "--port", "0",
            *(["--mcp"] if find_spec("mcp") else []),
        ]  # fmt: skip
        with self.log.open("wb") as log:
            environment = {**os.environ, "WORKBENCH_HOME": str(self.home)}
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
        self.url = ""
        end = time.monotonic() + 180
        while not self.url and time.monotonic() < end and self.process.poll() is None:
            told = self.log.read_text().partition("answered at ")[2]
            self.url = told.partition(",")[0] if "," in told else ""
            time.sleep(0.1)
        self.wait()

    def wait(self) -> None:
        """Until it answers; it said where a moment before."""
        for _ in range(100):
            try:
                httpx.get(f"{self.url}/health")
                return
            except httpx.HTTPError:
                time.sleep(0.1)
        pytest.fail(self.log.read_text())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(tmp_path_factory.mktemp("served"))
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    with Client(served.url, KEY) as asked:
        yield asked


def printed(served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command prints as JSON about the same collection."""
    monkeypatch.setenv("WORKBENCH_HOME", str(served.home))
    options = ("--collection", str(served.collection), "--index", "plaid:bits=4", "--json")
    assert run(*words, *options) == 0
    return json.loads(capsys.readouterr().out)


def test_one_number_whichever_door(
    served: Served, client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = "year > 2019"
    expected = printed(served, monkeypatch, capsys, "search", QUESTION, "--k", "3", "--where", where)
    found = client.search(QUESTION, 3, where=where, contributions=True).model_dump()
    assert found | {"seconds": 0} == expected | {"seconds": 0}
    assert [len(found["hits"]), found["among"]["documents"]] == [3, 4]
    expected = printed(served, monkeypatch, capsys, "explain", QUESTION, "--document", "tide")
    assert json.loads(client.explain(QUESTION, "tide").model_dump_json()) == expected
    expected = printed(served, monkeypatch, capsys, "trace", QUESTION, "rope", "--k", "2")
    assert client.trace(QUESTION, "rope", 2).model_dump() == expected


def test_a_number_does_not_depend_on_who_else_asks(client: Client) -> None:
    questions = [f"{word} {QUESTION} {word}" for word in ("a", "the long and windy", "of", "boats", "ropes and sails")]
    alone = [client.search(question, 3).hits for question in questions]
    found: dict[int, Any] = {}

    def ask(place: int) -> None:
        found[place] = client.search(questions[place % len(questions)], 3).hits

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(4 * len(questions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[place] == alone[place % len(questions)] for place in range(len(threads)))


def test_vectors_are_those_of_the_engine(client: Client) -> None:
    found = client.encode([QUESTION, "tide"])
    lists = client._post(
        "/encode", schema.EncodeRequest(texts=[QUESTION, "tide"]), schema.EncodeAnswer
    )  # fmt: skip
    assert lists.vectors is not None
    assert np.array_equal(np.concatenate([np.asarray(one) for one in lists.vectors]), found.values)
    assert found.lengths.tolist() == lists.lengths
    cut = client.encode(["word " * 1000, "a"], "document")
    assert cut.truncated == 1
    assert cut.unread[0] > 700
    assert cut.unread[1] > 1000


def test_a_collection_is_made_and_grows(client: Client) -> None:
    made = client.create("log", [{"id": "a", "text": "red apple"}, schema.Document(id="b", text="green pear")], "exact")
    assert (made.documents, made.index) == (2, "exact")
    assert client.add("log", [{"id": "c", "text": "yellow lemon", "fields": {"n": 3}}]).documents == 3
    assert client.search("lemon", 1, collection="log", where="n = 3").hits[0].id == "c"
    assert client.remove("log", ["a"]).documents == 2
    assert [entry.name for entry in client.collections()] == ["boats", "log"]
    client.delete("log")
    assert client.health().collections == 1


def test_reranking_finds_the_answer(client: Client) -> None:
    found = client.rerank(QUESTION, ["ropes and sails", "high water comes with the full moon"])
    assert [one.index for one in found.results] == [1, 0]
    assert client.rerank(QUESTION, ids=["rope", "tide"], k=1).results[0].id == "tide"


def test_errors_are_those_of_this_project(served: Served, client: Client) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        client.explain(QUESTION, "nobody")
    with pytest.raises(InputError, match="k"):
        client.search(QUESTION, 0)  # refused before it is sent
    with pytest.raises(InputError, match="Expected a question"):
        client.search("  ")
    with pytest.raises(InputError, match="key"):
        Client(served.url, "another").collections()
    with pytest.raises(InputError, match="address"):
        Client("boats")
    with pytest.raises(NotFoundError, match="workbench serve"):
        Client("http://127.0.0.1:9", retries=0).health()


def test_language_models_are_answered_over_http(served: Served, client: Client) -> None:
    mcp = pytest.importorskip("mcp", reason="needs pip install 'late-interaction-workbench[mcp]'")
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    async def asked() -> Any:
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as http:
            over_http = streamable_http_client(f"{served.url}/mcp", http_client=http)
            async with mcp.Client(over_http) as model:
                return await model.call_tool("search", {"question": QUESTION, "k": 2})

    expected = client.search(QUESTION, 2).model_dump()
    found = finished(asked()).structured_content
    assert found | {"seconds": 0} == expected | {"seconds": 0}


@pytest.mark.slow
def test_language_models_are_answered_over_standard_input(served: Served, client: Client) -> None:
    mcp = pytest.importorskip("mcp", reason="needs pip install 'late-interaction-workbench[mcp]'")
    from mcp.client.stdio import StdioServerParameters

    command = ["-m", "workbench", "mcp", "--collection", str(served.collection), "--index", "plaid:bits=4"]
    started = StdioServerParameters(
        command=sys.executable, args=command, env={**os.environ, "WORKBENCH_HOME": str(served.home)}
    )

    async def asked() -> Any:
        async with mcp.Client(started) as model:
            return await model.call_tool("search", {"question": QUESTION, "k": 2})

    found = finished(asked()).structured_content
    assert found["hits"] == client.search(QUESTION, 2).model_dump()["hits"]


def test_a_server_without_room_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [httpx.Response(503, headers={"retry-after": "7"}, json={"detail": "full"})] * 2
    answers.append(httpx.Response(200, json=[]))
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    client = Client("http://127.0.0.1:9")
    client._http = httpx.Client(
        base_url="http://127.0.0.1:9", transport=httpx.MockTransport(lambda request: answers.pop(0))
    )
    assert client.collections() == []
    assert waited == [7.0, 7.0]
    answers += [httpx.Response(503, json={"detail": "full"})] * 4
    with pytest.raises(BusyError, match="full"):
        client.collections()


def test_it_ends_in_peace_when_it_is_asked_to(served: Served, client: Client) -> None:
    """The last test of this file: what runs is finished, and the status is that of a good end."""
    found: dict[str, Any] = {}
    texts = [f"{number} " + "the tide and the moon and the boats " * 30 for number in range(48)]

    def ask() -> None:
        found["vectors"] = client.encode(texts, "document")

    asking = threading.Thread(target=ask)
    asking.start()
    metrics = httpx.Client(headers={"authorization": f"Bearer {KEY}"})
    while 'lane="encoding"} 1.0' not in metrics.get(f"{served.url}/metrics").text:
        time.sleep(0.01)
    served.process.send_signal(signal.SIGTERM)
    asking.join(120)
    assert len(found["vectors"]) == 48
    assert served.process.wait(60) == 0
    assert "Traceback" not in served.log.read_text()
