"""Every page in a real browser: it opens, it does its job, text stays text, and nothing else is contacted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest

pytest.importorskip("playwright", reason="page tests need Playwright: pip install 'late-interaction-workbench[dev]'")

from playwright.sync_api import expect

from engine import Collection
from tests.apps.conftest import HOSTILE, QUESTIONS

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from apps.explorer import Server

pytestmark = pytest.mark.browser
expect.set_options(timeout=60_000)

CELL = """canvas => {
    const pixel = canvas.getContext('2d').getImageData(4, 4, 1, 1).data;
    return canvas.width > 100 && pixel[3] > 0;
}"""


def open_page(page: Page, server: Server, path: str = "", **state: str) -> None:
    page.goto(f"{server.url}{path}" + (f"?{urlencode(state)}" if state else ""))


def number(text: str | None) -> float:
    return float((text or "").replace("−", "-").replace("+", ""))


def test_the_first_visit_answers_an_example_with_a_heatmap(page: Page, server: Server) -> None:
    open_page(page, server)
    expect(page.locator(".hit").first).to_be_visible()
    assert page.locator("input[type=search]").input_value() in QUESTIONS.values()
    expect(page.locator(".hit").first.locator(".grade")).to_be_visible()  # an example that is answered rightly
    assert page.locator(".matrix canvas").evaluate(CELL)
    score = number(page.locator(".score").text_content())
    parts = [number(text) for text in page.locator(".chip em").all_text_contents()]
    assert sum(parts) == pytest.approx(score, abs=0.005 * len(parts) + 0.001)


def test_a_question_is_answered_and_a_document_explained(page: Page, server: Server) -> None:
    open_page(page, server)
    expect(page.locator(".score")).to_be_visible()
    page.get_by_role("searchbox").fill(QUESTIONS["wait"])
    page.get_by_role("searchbox").press("Enter")
    hit = page.locator(".hit", has_text="time.sleep").first
    expect(hit).to_be_visible()
    hit.click()
    expect(page.locator(".name")).to_have_text("time.sleep")
    assert "doc=time.sleep" in page.url
    page.locator(".chip", has_text="seconds").hover()
    expect(page.locator(".text .best").first).to_be_visible()
    page.locator(".matrix .pane").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".readout")).to_contain_text("similarity")
    page.locator(".as-table summary").click()
    total = page.locator(".as-table tfoot td").text_content()
    assert total == f"{number(total):.4f}"
    expect(page.locator(".against h2")).to_contain_text("outranks")


def test_a_link_reopens_question_document_token_and_level(page: Page, server: Server) -> None:
    open_page(page, server, q=QUESTIONS["parse"], doc="json.loads", token="2", level="pieces")
    expect(page.locator(".name")).to_have_text("json.loads")
    expect(page.locator(".switch [aria-pressed=true]")).to_have_text("Word pieces")
    expect(page.locator(".chip").nth(2)).to_have_attribute("aria-pressed", "true")


def test_an_empty_question_gets_one_sentence(page: Page, server: Server) -> None:
    open_page(page, server)
    expect(page.locator(".score")).to_be_visible()
    page.get_by_role("searchbox").fill("   ")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Type a question")


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_text_of_documents_and_questions_is_never_markup(page: Page, server: Server, name: str) -> None:
    open_page(page, server, q=HOSTILE[name], doc=name)
    expect(page.locator(".name")).to_have_text(name)
    shown = page.locator(".text").text_content() or ""
    for character in ("\u202e", "\u2028", "\x00", "\x1b", "\ufeff"):
        assert character not in shown
        if character in HOSTILE[name]:
            assert f"[U+{ord(character):04X}]" in shown
    plain = re.sub(r"\[U\+[0-9A-F]{4}\]", "", shown)
    assert plain == re.sub("[\u202a-\u202e\u2028\x00-\x08\x1b\ufeff]", "", HOSTILE[name])
    assert page.locator(".liw img, .liw .text script, .liw .hits script").count() == 0


def test_the_pool_factor_moves_a_point_through_a_study(page: Page, server: Server) -> None:
    open_page(page, server, "pool")
    expect(page.locator(".merged sub").first).to_be_visible()
    page.get_by_role("button", name="Measure").click()
    expect(page.locator(".progress")).to_contain_text("measured in", timeout=120_000)
    slider = page.get_by_role("slider")
    before = slider.get_attribute("aria-valuetext") or ""
    expect(page.locator(".plot .shapelayer path")).to_have_count(1)
    band = page.locator(".plot .shapelayer path").bounding_box()
    slider.focus()
    slider.press("ArrowRight")
    expect(slider).not_to_have_attribute("aria-valuetext", before)
    assert f"factor={slider.get_attribute('aria-valuetext')}" in page.url
    page.wait_for_timeout(300)
    moved = page.locator(".plot .shapelayer path").bounding_box()
    handle = slider.bounding_box()
    assert band
    assert moved
    assert handle
    assert moved["x"] > band["x"] + 10
    assert handle["x"] < moved["x"] + moved["width"] / 2 < handle["x"] + handle["width"]  # it lies under its columns
    expect(page.locator(".lead")).to_contain_text("of the vectors")
    expect(page.locator(".asked, .moved .note").first).to_be_visible()


def test_the_explorer_marks_the_best_measured_point_under_a_line(
    page: Page, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, few in (("BITS", (16, 1)), ("GRID_FACTORS", (1.0, 8.0)), ("QUARTERS", 2)):
        monkeypatch.setattr(f"apps.budget_records.{name}", few)
    open_page(page, server, "pool", pools="once")
    page.get_by_role("button", name="Explore").click()
    expect(page.locator(".grid-progress")).to_contain_text("points measured in", timeout=120_000)
    page.locator(".explorer summary").click()
    rows = [row.locator("td").all_text_contents() for row in page.locator(".explorer tbody tr").all()]
    assert len(rows) == len({row[0] for row in rows}) * 2 * len({row[1] for row in rows}) >= 3 * 2 * 2
    sizes = sorted(number(row[3].replace(",", "")) for row in rows)
    most = sizes[len(sizes) // 2] + 1
    page.get_by_label("Amount of the budget").fill(str(most))
    best = max((row for row in rows if number(row[3].replace(",", "")) <= most), key=lambda row: number(row[5]))
    expect(page.locator(".best")).to_contain_text(f"{best[1]} dimensions, {best[2]} bit")
    expect(page.locator(".best")).to_contain_text("to all vectors (")
    expect(page.locator(".explorer .plot .shapelayer path")).to_have_count(1)
    assert "budget=" in page.url
    slider = page.get_by_role("slider", name="Dimensions")
    before = slider.get_attribute("aria-valuetext")
    slider.focus()
    slider.press("ArrowLeft")
    expect(page.get_by_role("slider", name="Dimensions")).not_to_have_attribute("aria-valuetext", before or "")
    page.get_by_role("slider", name="Factor or budget").press("End")
    expect(page.locator(".here")).to_contain_text("once, ")
    expect(page.locator(".merged s").first).to_be_visible()
    url = page.url
    page.goto(url)  # the link reopens what was explored
    expect(page.locator(".here")).to_contain_text("once, ")
    expect(page.locator(".best")).to_contain_text(f"{best[1]} dimensions, {best[2]} bit")


def test_the_comparison_of_indexes_fills_in_its_rows(page: Page, server: Server) -> None:
    open_page(page, server, "indexes")
    expect(page.locator(".kinds input").first).to_be_visible()
    for box in page.locator(".kinds input:not([value=exact]):not([disabled])").all():
        box.uncheck()
    page.locator(".extra").fill("plaid:bits=2")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("table.records tbody tr")).to_have_count(2, timeout=120_000)
    marks = page.locator(".plot .scatterlayer .points path")
    expect(marks).to_have_count(2)
    marks.nth(1).click(force=True)
    expect(page.locator("tr.on button")).to_have_text("plaid:bits=2")
    row = page.locator("table.records tbody tr", has=page.get_by_role("button", name="exact", exact=True))
    assert row.locator("td").first.text_content() == "1.000"
    row.get_by_role("button").click()
    expect(page.locator(".facts")).to_contain_text("Settings")


def test_a_mistake_on_the_index_page_gets_one_sentence(page: Page, server: Server) -> None:
    open_page(page, server, "indexes")
    page.locator(".extra").fill("plaid:nonsense=1")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("alert")).to_contain_text("nonsense")


def test_the_xray_follows_a_document_and_maps_the_losses(page: Page, server: Server) -> None:
    open_page(page, server, "xray", q=QUESTIONS["wait"], doc="time.sleep")
    expect(page.locator(".lead").first).to_contain_text("result")
    expect(page.locator("ol.stages li").first).to_contain_text("go on")
    page.get_by_role("button", name="Trace all judged questions").click()
    expect(page.locator(".survey .lead")).to_contain_text("relevant documents", timeout=120_000)


def test_a_text_is_edited_and_rescored(page: Page, server: Server) -> None:
    open_page(page, server, q=QUESTIONS["wait"], doc="time.sleep")
    before = number(page.locator(".score").text_content())
    page.get_by_role("button", name="Edit the text").click()
    page.locator("textarea").fill("<b>bananas</b> are yellow")
    page.get_by_role("button", name="Score this text").click()
    expect(page.locator(".changed")).to_contain_text("the score went from")
    assert number(page.locator(".score").text_content()) < before
    expect(page.locator(".text")).to_have_text("<b>bananas</b> are yellow")


def test_maxsim_is_stepped_through_with_the_keyboard(page: Page, server: Server) -> None:
    open_page(page, server)
    page.get_by_role("button", name="Step through").click()
    count = page.locator(".chip").count()
    for _ in range(count):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".step")).to_contain_text("All added up")
    expect(page.locator(".steps .num")).to_have_text(page.locator(".score").text_content() or "")


@pytest.mark.parametrize("path", ["", "pool", "indexes", "xray", "learn"])
def test_no_page_is_wider_than_its_window(page: Page, server: Server, path: str) -> None:
    open_page(page, server, path)
    expect(page.locator(".score, h1").first).to_be_visible()
    for width in (2200, 1280, 860, 375):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_light_and_dark_are_a_choice_that_stays(page: Page, server: Server) -> None:
    open_page(page, server)
    page.get_by_role("button", name="Switch between light and dark").click()
    dark = page.evaluate("document.body.classList.contains('dark')")
    open_page(page, server, "pool")
    expect(page.locator("h1")).to_be_visible()
    assert page.evaluate("document.body.classList.contains('dark')") == dark


def test_pages_find_documents_whose_names_need_quoting(
    page: Page, server: Server, pages_collection: Collection
) -> None:
    name = next(iter(pages_collection.documents))
    page.goto(f"{server.url}?q={quote('json & text = #1?')}&doc={quote(name)}")
    expect(page.locator(".name")).to_have_text(name)
    assert page.get_by_role("searchbox").input_value() == "json & text = #1?"
