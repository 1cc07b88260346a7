"""The page Lessons in the explorer: live numbers by the functions of the other pages, and the presenter's view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="page tests need Playwright: pip install 'late-interaction-workbench[dev]'")

from playwright.sync_api import expect

from apps.lessons import lessons, parse
from apps.pages.learn import LearnPage
from engine.explain import explain
from tests.apps.test_pages import open_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from apps.explorer import Server

browser = pytest.mark.browser


def test_every_lesson_has_its_parts_and_a_notebook() -> None:
    from importlib.resources import files

    assert 6 <= len(lessons()) <= 8
    assert len({lesson["demo"] for lesson in lessons()}) == len(lessons())
    for lesson in lessons():
        assert all(lesson[name] for name in ("title", "text", "try", "ask", "answer"))
        assert (files("notebooks") / lesson["notebook"]).is_file()
    with pytest.raises(AssertionError, match="lacks one of"):
        parse("09-x", "# Title\ndemo: words\nnotebook: n\n\nText.\n\n## Try\n\nSomething.")


def test_texts_are_scored_with_one_vector_and_with_all(server: Server) -> None:
    page, question = LearnPage(server.workspaces), "wait some seconds"
    texts = ["Suspend execution for some seconds.", "Parse JSON into objects."]
    rows = page.compare({"question": question, "texts": texts})["rows"]
    encoder = server.workspaces.first.encoder
    for text, row in zip(texts, rows, strict=True):
        alignment = explain(encoder, question, text)
        assert row["many"] == pytest.approx(float(alignment.score), abs=1e-5)
        assert row["pair"]["score"] == row["many"]
        assert -1 <= row["single"] <= 1
    assert rows[0]["many"] > rows[1]["many"]
    assert "at least" not in str(page.compare({"question": question, "texts": [" "]})["error"])
    assert "from 1 to 6 texts" in page.compare({"question": question, "texts": []})["error"]
    assert "No lesson has the notebook" in page.notebook({"name": "../secret"})["error"]


@browser
def test_a_lesson_answers_what_is_typed(page: Page, server: Server) -> None:
    open_page(page, server, "learn")
    canvas = page.locator(".demo canvas")
    expect(canvas).to_be_visible()
    rows = page.locator(".demo .matrix .rows > div")
    before = rows.count()
    page.get_by_label("Question").fill("bank")
    expect(rows).not_to_have_count(before)
    page.get_by_label("Question").fill(" ")
    expect(page.locator(".demo [role=alert]")).to_contain_text("Type a question first")


@browser
def test_lessons_follow_the_collection_and_are_presented(page: Page, server: Server) -> None:
    open_page(page, server, "learn", lesson="pooling")
    expect(page.locator(".demo .merged")).to_be_visible()
    page.get_by_label("Pool factor").fill("6")
    expect(page.locator(".demo h2")).to_contain_text("at factor 8")
    page.get_by_role("button", name="Centroids, residuals and probing").click()
    expect(page.locator(".demo ol.stages")).to_be_visible()
    assert "lesson=inside-an-index" in page.url
    page.get_by_role("button", name="Present").click()
    expect(page.locator(".part:visible")).to_have_count(1)
    for _ in range(7):  # past the last part: the next lesson
        page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text("Where a document gets lost")
    page.keyboard.press("Escape")
    expect(page.locator(".lessons")).to_be_visible()
    open_page(page, server, "learn", present="yes")
    expect(page.locator(".part:visible")).to_have_count(1)
    for _ in range(3):  # past the paragraphs, to the matrix
        page.keyboard.press("ArrowRight")
    expect(page.locator(".matrix canvas")).to_be_visible()
    name = page.locator(".matrix .rows div").first.bounding_box()
    assert name is not None
    assert name["height"] > 30, "read from the last row of a room"
    box = page.locator(".matrix canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 40)
    expect(page.locator(".readout")).to_contain_text("similarity")
    cursor = page.locator(".matrix .cursor").bounding_box()
    assert cursor is not None
    assert cursor["x"] <= box["x"] + 60 <= cursor["x"] + cursor["width"]
