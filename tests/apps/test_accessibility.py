"""Accessibility: axe-core finds nothing on pages, empty and filled, in light and dark; focus in order; motion at rest.

axe-core is a development tool from package-lock.json: `make test-a11y` installs it and runs all of this. Without it the
tests are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("playwright", reason="page tests need Playwright: pip install 'late-interaction-workbench[dev]'")

from apps.registry import PAGES
from engine import Collection, Encoder, explain
from tests.apps.test_dashboard_page import dashboard  # noqa: F401, the fixture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from apps.dashboard import Server as Dashboard
    from apps.explorer import Server

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """async ([rules, context]) => {
    const wanted = { runOnly: { type: "tag", values: rules }, resultTypes: ["violations"] };
    const found = await axe.run(context || document, wanted);
    const place = (node) => node.target.join(" ") + ": " + node.html;
    return found.violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.slice(0, 5).map(place) }));
}"""
REACHED = """() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    const shown = style.outlineStyle !== "none" || style.boxShadow !== "none"
        || getComputedStyle(element.parentElement).outlineStyle !== "none";
    return {
        place: [...document.querySelectorAll("*")].indexOf(element), shown, name: element.outerHTML.slice(0, 120),
        inside: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight, index: element.tabIndex,
    };
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: make test-a11y"),
]


@pytest.fixture(params=["light", "dark"])
def tab(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme=request.param, reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


def violations(page: Page, context: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What axe-core finds on a page as it is now."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))  # no script tag: the page allows none but its own
    return page.evaluate(RUN, [RULES, context])


def told(found: list[dict[str, Any]]) -> str:
    return json.dumps(found, indent=1)


def opened(page: Page, server: Server, path: str) -> None:
    page.goto(f"{server.url}{path}")
    page.locator("h1").first.wait_for(state="attached")
    page.locator(".page.ready" if path else ".matrix canvas").first.wait_for()
    page.wait_for_timeout(500)


@pytest.mark.parametrize("path", [page.path for page in PAGES], ids=[page.name for page in PAGES])
def test_every_page_as_it_opens(page: Page, server: Server, path: str) -> None:
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    opened(page, server, path)
    found = violations(page)
    page.emulate_media(color_scheme="dark")  # while it stands there, as a person changes it
    page.wait_for_timeout(200)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    found += violations(page)
    assert not found, told(found)


def _search(page: Page, server: Server) -> None:
    page.locator(".matrix canvas").wait_for()
    page.locator(".chip").nth(2).click()
    page.locator(".as-table summary").first.click()


def _xray(page: Page, server: Server) -> None:
    page.goto(f"{server.url}xray?q=pause+the+program&doc=time.sleep")
    page.locator(".stage, .stages li, table").first.wait_for()


def _pool(page: Page, server: Server) -> None:
    page.locator(".start").first.click()
    page.get_by_text("factors measured in").wait_for(timeout=240_000)


def _indexes(page: Page, server: Server) -> None:
    for box in page.locator(".kinds input:not([disabled])").all():
        box.set_checked(box.get_attribute("value") in ("exact", "plaid"))
    page.locator(".start").first.click()
    page.locator("table.records").wait_for(timeout=240_000)


FILLED: dict[str, Callable[[Page, Server], None]] = {
    "": _search, "xray": _xray, "pool": _pool, "indexes": _indexes,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", FILLED, ids=[path or "search" for path in FILLED])
def test_pages_with_results_on_them(tab: Page, server: Server, path: str) -> None:
    opened(tab, server, path)
    FILLED[path](tab, server)
    tab.wait_for_timeout(300)
    found = violations(tab)
    assert not found, told(found)


def test_a_missing_name_is_found(tab: Page) -> None:
    tab.set_content("<html lang=en><title>x</title><main><h1>x</h1><button></button><img src=x></main></html>")
    assert {entry["id"] for entry in violations(tab)} == {"button-name", "image-alt"}


@pytest.mark.slow
@pytest.mark.parametrize("path", [page.path for page in PAGES], ids=[page.name for page in PAGES])
def test_focus_goes_in_the_order_of_the_page_and_is_seen(browser: Browser, server: Server, path: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(60_000)
    opened(page, server, path)
    seen: list[dict[str, Any]] = []
    for _ in range(80):
        page.keyboard.press("Tab")
        reached = page.evaluate(REACHED)
        if reached is None or (seen and reached["place"] <= seen[0]["place"]):
            break
        seen.append(reached)
    context.close()
    assert len(seen) > 5
    places = [entry["place"] for entry in seen]
    assert places == sorted(places), [entry["name"] for entry in seen]
    assert [entry["name"] for entry in seen if entry["index"] > 0] == []
    assert [entry["name"] for entry in seen if not entry["inside"]] == []
    assert [entry["name"] for entry in seen if not entry["shown"]] == []


@pytest.mark.slow
def test_nothing_moves_for_who_asks_for_rest(tab: Page, server: Server) -> None:
    opened(tab, server, "")
    tab.get_by_role("searchbox").fill("pause the program for a few seconds")
    tab.get_by_role("searchbox").press("Enter")
    tab.locator(".hit").first.wait_for()
    moving = tab.evaluate(
        "document.getAnimations().filter((each) => each.playState === 'running'"
        " && each.effect.getComputedTiming().duration > 10).map((each) => String(each.effect.target?.className))"
    )
    assert moving == []


@pytest.mark.slow
def test_the_dashboard(tab: Page, dashboard: Dashboard) -> None:  # noqa: F811
    tab.goto(dashboard.url)
    tab.locator('[data-testid="stDataFrame"], [data-testid="stTable"]').first.wait_for(timeout=120_000)
    tab.wait_for_timeout(1000)
    # The grid is Streamlit's own, and its column of boxes has no heading.
    found = violations(tab, {"exclude": [["[data-testid=stDataFrame] table"]]})
    assert not found, told(found)


def test_widgets_in_their_static_form(tab: Page, embedded_encoder: Encoder, tiny_collection: Collection) -> None:
    from workbench.widgets.static import alignment_html

    question, text = "index of the largest value", tiny_collection.documents["argmax"]
    alignment = explain(embedded_encoder, question, text)
    for theme in ("light", "dark"):
        shown = alignment_html(alignment, question, text, theme)
        tab.set_content(f"<!doctype html><html lang=en><title>Widget</title><main><h1>Widget</h1>{shown}</main></html>")
        found = violations(tab)
        assert not found, told(found)
