"""Keys: nobody is let in without one where others can reach the server."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from apps.names import Names
from apps.serve import guarded
from apps.serve.app import Functions
from apps.serve.keys import Keys, read_keys
from engine.errors import InputError
from tests.apps.serve.conftest import ADDRESS

KEY, OTHER = "correct-horse-battery", "staple-of-the-other-one"


@pytest.fixture(scope="module")
def client(functions: Functions) -> TestClient:
    return TestClient(guarded(functions, Keys({"ada": KEY, "bob": OTHER}), Names()), ADDRESS)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"}, {"authorization": f"bearer  {OTHER}"}, {"x-api-key": KEY},
    ],
)  # fmt: skip
def test_a_key_opens(client: TestClient, headers: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "workbench.serve"):
        assert client.get("/collections", headers=headers).status_code == 200
    who = "bob" if OTHER in str(headers) else "ada"
    assert caplog.messages[-1].endswith(f" by={who}")
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"authorization": KEY}, {"authorization": "Bearer"}, {"authorization": f"Basic {KEY}"},
        {"authorization": f"Bearer {KEY}x"}, {"x-api-key": KEY[:-1]}, {"x-api-key": ""},
        {"authorization": f"Bearer {KEY}", "x-api-key": OTHER}, {"authorization": b"Bearer \xff\xfe"},
    ],
)  # fmt: skip
def test_anything_else_does_not(client: TestClient, headers: dict[str, str]) -> None:
    for path in ("/collections", "/metrics", "/nothing", "/docsx", "/health/"):
        assert client.get(path, headers=headers, follow_redirects=False).status_code == 401
    found = client.post("/search", json={"question": "value"}, headers=headers)
    assert found.status_code == 401
    assert "Authorization: Bearer KEY" in found.json()["detail"]


def test_the_page_and_the_health_are_open(client: TestClient) -> None:
    for path in ("/health", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200
    found = client.get("/docs/files/%2e%2e/%2e%2e/core.py")
    assert found.status_code in (401, 404)


def test_a_server_that_others_reach_needs_keys(tmp_path: Path) -> None:
    assert not read_keys(None, "127.0.0.1")
    for host, public in (("0.0.0.0", ()), ("192.168.1.5", ()), ("127.0.0.1", ("search.example",))):
        with pytest.raises(InputError, match="--key-file"):
            read_keys(None, host, public)
    path = tmp_path / "keys"
    path.write_text(f"# who may ask\nada {KEY}\n\n{OTHER}  # the other\n")
    keys = read_keys(path, "0.0.0.0")
    assert [keys.who(text) for text in (KEY.encode(), OTHER.encode(), b"", b"ada")] == ["ada", "key 4", None, None]


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "short\n", "a b c-long-enough-for-a-key\n", f"a {KEY}\na {OTHER}\n"]
)
def test_a_file_without_proper_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(InputError):
        read_keys(path, "127.0.0.1")
    with pytest.raises(InputError, match="cannot be read"):
        read_keys(tmp_path / "nobody", "127.0.0.1")
