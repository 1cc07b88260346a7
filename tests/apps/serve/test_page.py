"""The page /docs in a real browser: it draws, a function can be tried on it, and no other host is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from apps.names import Names
from apps.serve import guarded
from apps.serve.app import Functions
from apps.serve.keys import Keys

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(functions: Functions) -> Iterator[str]:
    uvicorn = pytest.importorskip("uvicorn")
    config = uvicorn.Config(guarded(functions, Keys({}), Names()), port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def test_a_function_is_tried_and_no_other_host_is_asked(address: str, browser: Browser) -> None:
    pytest.importorskip("fastapi_offline", reason="needs pip install 'late-interaction-workbench[serve]'")
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda told: problems.append(told.text) if told.type == "error" else None)
    page.goto(f"{address}/docs")
    page.locator("#operations-server-health_health_get").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    page.locator(".live-responses-table").get_by_text('"documents": 8').first.wait_for()
    assert all(url.startswith((address, "data:")) for url in asked)
    assert any(url.endswith("/health") for url in asked)
    assert problems == []
    context.close()
