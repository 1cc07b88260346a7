"""A page with figures, saved: the copy draws them offline, the picture holds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="page tests need Playwright: pip install 'late-interaction-workbench[dev]'")

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from tests.apps.test_pages import open_page
from tests.apps.test_search_page import saved

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from apps.explorer import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_saved_study_is_drawn_offline_and_in_a_picture(
    page: Page, browser: Browser, server: Server, tmp_path: Path
) -> None:
    open_page(page, server, "pool")
    expect(page.locator(".merged sub").first).to_be_visible()
    if not page.locator(".plot .main-svg").count():  # another test of this server may have measured already
        page.get_by_role("button", name="Measure").click()
        expect(page.locator(".progress")).to_contain_text("measured in", timeout=120_000)
    page.locator(".plot .main-svg").first.wait_for()
    picture = np.asarray(Image.open(saved(page, ".as-picture", tmp_path / "page.png")).convert("RGB"))
    bars = np.all(picture == (180, 83, 26), axis=-1)  # questions that got worse, in the colour of the light theme
    assert bars.sum() > 500
    page.locator(".menu > summary").wait_for()
    expect(page.locator(".menu")).not_to_have_attribute("open", "")
    file = saved(page, ".as-page", tmp_path / "page.html")
    context = browser.new_context(offline=True)
    copy = context.new_page()
    problems: list[str] = []
    copy.on("pageerror", lambda error: problems.append(str(error)))
    copy.on("request", lambda request: problems.append(request.url) if not request.url.startswith("file:") else None)
    copy.goto(file.as_uri())
    expect(copy.locator(".plot .scatterlayer .points path").first).to_be_visible()
    copy.get_by_role("slider").press("ArrowRight")
    expect(copy.locator(".merged sub").first).to_be_visible()
    copy.get_by_role("button", name="Dark").click()
    expect(copy.locator(".plot .main-svg").first).to_have_css("background-color", "rgb(27, 33, 41)")
    context.close()
    assert problems == []
