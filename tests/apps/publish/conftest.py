"""A site in a subfolder of a small web server, and pages that may ask nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine import Collection

pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PLACE = "some/where"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Folder for a site, and its address."""
    root = tmp_path_factory.mktemp("web")
    (root / "some").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield root / PLACE, f"http://127.0.0.1:{server.server_address[1]}/{PLACE}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def published_texts() -> Collection:
    documents = {
        "argmax": "Return the index of the largest value along an axis.",
        "sleep": "Suspend the thread for some seconds.",
        "hostile": '<img src=x onerror="window.hacked=1"> </script> \u202egnirts desrever',
        "scripts": "مرحبا بالعالم 你好世界 e\u0301te\u0301 👩‍👩‍👧 naïve",
        "strip": "Return a copy of the string with leading and trailing whitespace removed.",
    }
    queries = {"q1": "index of the largest value", "q2": "wait for some seconds", "q3": "remove spaces at both ends"}
    qrels = {"q1": {"argmax": 2}, "q2": {"sleep": 2, "argmax": 1}, "q3": {"strip": 2}}
    return Collection(documents, queries, qrels, "a few texts")


@pytest.fixture
def reader(browser: Browser, web: tuple[Path, str]) -> Iterator[Page]:
    """A fresh tab; the test fails on a script error, a blocked part, or a request to anywhere but the site."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    tab.on("console", lambda line: problems.append(line.text) if "Content Security" in line.text else None)
    tab.route(
        lambda url: not url.startswith((web[1], "data:", "blob:")),
        lambda route: (problems.append(f"request to {route.request.url}"), route.abort())[1],
    )
    yield tab
    assert tab.evaluate("window.hacked") is None, "text of a document ran as a script"
    context.close()
    assert problems == []
