"""One server and one browser for all page tests: real text, the embedded model, a real Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from engine import Collection, Encoder, load_collection

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from apps.explorer import Server

QUESTIONS = {
    "largest": "how do I find where the biggest number in a list is",
    "wait": "pause the program for a few seconds",
    "parse": "turn text in JSON into objects",
}
ANSWERS = {"largest": {"numpy.argmax": 2, "max": 1}, "wait": {"time.sleep": 2}, "parse": {"json.loads": 2}}
HOSTILE = {
    "markup": '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script> &lt;b&gt; hostile markup',
    "template": "hostile template ${window.hacked=1} {{value}} `${window.hacked=1}` </script>",
    "direction": "hostile direction \u202egnirts desrever\u202c, control \x00\x07\x1b and \u2028 and \ufeff marks",
    "scripts": "hostile scripts مرحبا بالعالم שלום 你好世界 नमस्ते 👩‍👩‍👧‍👦 🏳️‍🌈 é n̈",
}
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
HOW = "install one (Debian: apt-get install chromium) or name it in WORKBENCH_CHROMIUM"


@pytest.fixture(scope="package")
def pages_collection() -> Collection:
    documents = load_collection("embedded").documents
    names = ("json.", "time.", "max", "heapq.", "random.", "numpy.arg", "bisect.", "csv.", "str.s")
    chosen = {name: text for name, text in documents.items() if name.startswith(names)}
    return Collection({**chosen, **HOSTILE}, QUESTIONS, ANSWERS, "embedded, a part")


@pytest.fixture(scope="package")
def server(
    pages_collection: Collection, embedded_encoder: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")
    from apps.explorer import serve
    from workbench.workspace import open_workspace

    before = os.environ.get("WORKBENCH_HOME")
    os.environ["WORKBENCH_HOME"] = str(tmp_path_factory.mktemp("home"))
    try:
        running = serve(open_workspace(pages_collection, embedded_encoder, "exact"))
        yield running
        running.stop()
    finally:
        if before is None:
            del os.environ["WORKBENCH_HOME"]
        else:
            os.environ["WORKBENCH_HOME"] = before


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    def without(reason: str) -> None:
        if os.environ.get("WORKBENCH_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)

    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without("page tests need Playwright: pip install 'late-interaction-workbench[dev]'")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = os.environ.get("WORKBENCH_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        without(f"page tests need a Chromium: {HOW}")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A fresh tab; the test fails on a script error or a request to any other host."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    tab.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((server.url, "data:", "blob:"))
            else problems.append(f"request to {request.url}")
        ),
    )
    yield tab
    assert tab.evaluate("window.hacked") is None, "text of a document ran as a script"
    context.close()
    assert problems == []
