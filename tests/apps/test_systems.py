"""The page Systems in a real browser: systems are chosen, compared, put side by side and explained."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

pytest.importorskip("playwright", reason="page tests need Playwright: pip install 'late-interaction-workbench[dev]'")

from playwright.sync_api import expect

from tests.apps.conftest import QUESTIONS

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from apps.explorer import Server

pytestmark = pytest.mark.browser
expect.set_options(timeout=60_000)
CHOSEN = ("bm25", "single", "bm25:k=20 > maxsim")


def opened(page: Page, server: Server, **state: str) -> None:
    query = "&".join(f"{name}={quote(value)}" for name, value in state.items())
    page.goto(f"{server.url}systems" + (f"?{query}" if query else ""))
    page.locator(".page.ready").wait_for()


@pytest.fixture
def compared(page: Page, server: Server) -> Page:
    """The page with three systems measured; kept by the workbench from the second time on."""
    opened(page, server, systems="|".join(CHOSEN))
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator(".stop")).to_be_hidden(timeout=120_000)
    expect(page.locator("table.records tbody tr")).to_have_count(3)
    return page


def test_systems_are_compared_and_the_question_is_answered(compared: Page) -> None:
    page = compared
    expect(page.locator(".verdict .lead")).to_contain_text("over 3 questions bm25:k=20 > maxsim")
    expect(page.locator(".verdict .lead")).to_contain_text("95%")
    expect(page.locator(".added li").first).to_contain_text("maxsim behind bm25:k=20 adds")
    expect(page.locator(".plot .scatterlayer .points path").first).to_be_visible()
    row = page.locator("table.records tbody tr", has=page.get_by_role("button", name="bm25:k=20 > maxsim"))
    expect(row.locator("td")).to_contain_text(["C", "to", "+", "s"])
    row.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".facts-of li")).to_have_count(2)
    expect(page.locator(".facts-of li").first).to_contain_text("sends on")
    assert "system=bm25" in page.url
    page.get_by_label("Quality and cost").select_option("ndcg@10 bytes")
    expect(page.locator(".plot").first).to_have_attribute("aria-label", "nDCG@10 against size of what is searched; "
                                                          "the table below holds the numbers")  # fmt: skip


def test_a_cross_encoder_that_is_not_there_gets_one_sentence_and_no_run(compared: Page) -> None:
    page = compared
    page.get_by_label("Name of a cross-encoder").fill("../secret/model")
    page.get_by_role("button", name="Measure it on the best 50").click()
    expect(page.get_by_role("alert")).to_contain_text("owner/name on the hub")
    expect(page.locator("table.records tbody tr")).to_have_count(3)
    page.get_by_label("Name of a cross-encoder").fill("nobody/no-such-model")
    page.get_by_role("button", name="Measure it on the best 50").click()
    expect(page.get_by_role("alert")).to_contain_text("no-such-model")


def test_a_question_that_one_system_wins_is_one_click_from_its_reasons(compared: Page) -> None:
    page = compared
    page.get_by_label("First system").select_option("bm25")
    page.get_by_label("Second system").select_option("bm25:k=20 > maxsim")
    expect(page.locator(".pair")).to_contain_text("bm25:k=20 > maxsim against bm25")
    expect(page.locator(".pair .plot .bars path").first).to_be_attached()
    question = page.locator(".pair .asked button").first
    text = question.text_content()
    assert text in QUESTIONS.values()
    question.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".why h2")).to_have_text(text or "")
    expect(page.locator(".why h2")).to_be_focused()
    expect(page.locator(".reasons > li").first).to_contain_text("relevant, grade")
    expect(page.locator(".word-bars li").first).to_be_visible()
    link = page.locator(".reasons a", has_text="See which tokens match").first.get_attribute("href") or ""
    assert "doc=" in link
    page.locator(".reasons button", has_text="Follow it through the stages").last.click()
    expect(page.locator(".followed ol.stages li").first).to_contain_text("go on")


def test_a_link_reopens_the_pair_and_the_question(compared: Page, server: Server) -> None:
    opened(compared, server, a="single", b="bm25", query="wait")
    expect(compared.get_by_label("First system")).to_have_value("single")
    expect(compared.locator(".why h2")).to_have_text(QUESTIONS["wait"])
    expect(compared.locator(".why")).to_contain_text("One vector for each text")


def test_a_system_is_put_together_with_menus_or_typed(page: Page, server: Server) -> None:
    opened(page, server)
    before = page.locator(".picked input").count()
    page.get_by_label("What finds documents").select_option("plaid")
    page.get_by_label("What also finds documents").select_option("bm25")
    page.get_by_label("What reranks them").select_option("maxsim")
    expect(page.locator(".typed")).to_have_value("plaid + bm25 > maxsim")
    page.get_by_role("button", name="Add").click()
    expect(page.locator(".picked input")).to_have_count(before + 1)
    page.locator(".typed").fill("bm25 : k=7")
    page.get_by_role("button", name="Add").click()
    expect(page.locator(".picked .check").last).to_have_text("bm25:k=7")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("magic > maxsim", "Unknown stage 'magic'"),
        ("maxsim", "there is none"),
        ("bm25 >", "at the end"),
        ("bm25:colour=1", "no option 'colour'"),
        ("<img src=x onerror='window.hacked=1'>", "Unknown stage"),
    ],
)
def test_a_mistake_gets_one_sentence_before_anything_runs(page: Page, server: Server, text: str, words: str) -> None:
    opened(page, server)
    page.locator(".typed").fill(text)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.locator(".stop")).to_be_hidden()


def test_the_page_is_never_wider_than_its_window(compared: Page) -> None:
    for width in (1920, 1280, 860, 375):
        compared.set_viewport_size({"width": width, "height": 800})
        compared.wait_for_timeout(150)
        assert compared.evaluate("document.documentElement.scrollWidth") <= width
