"""The page Search and explain beyond a first search: two documents, two models, added tokens, steps, saved copies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="page tests need Playwright: pip install 'late-interaction-workbench[dev]'")

from PIL import Image
from playwright.sync_api import expect

from engine import Collection, Encoder
from engine.model_names import Windows
from tests.apps.conftest import HOSTILE, QUESTIONS
from tests.apps.test_pages import number, open_page
from workbench.embedded.model import load
from workbench.workspace import open_workspace

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from apps.explorer import Server

pytestmark = pytest.mark.browser


def saved(page: Page, choice: str, target: Path) -> Path:
    page.locator(".menu > summary").click()
    with page.expect_download() as download:
        page.locator(f".menu {choice}").click()
    download.value.save_as(target)
    return target


def test_the_difference_of_two_documents_adds_up(page: Page, server: Server) -> None:
    open_page(page, server, q=QUESTIONS["wait"], doc="time.sleep")
    card = page.locator(".against")
    expect(card.locator("h2")).to_contain_text("time.sleep")
    rows = [number(text) for text in card.locator(".vs .n").all_text_contents() if text[:1] in "+−"]
    assert sum(rows[:-1]) == pytest.approx(rows[-1], abs=0.005 * len(rows) + 0.001)
    choice = card.locator("select")
    other = choice.locator("option").nth(3).get_attribute("value") or ""
    choice.select_option(other)
    expect(card.locator("h2")).to_contain_text(other)
    assert f"vs={other}" in page.url
    page.reload()
    expect(page.locator(".against h2")).to_contain_text(other)


def test_a_scorer_ranks_and_the_page_says_that_its_parts_are_others(
    page: Page, server: Server, pages_collection: Collection, embedded_encoder: Encoder
) -> None:
    scorer = "xtr:retrieved=50"
    key = server.workspaces.add(open_workspace(pages_collection, embedded_encoder, "exact", scorer=scorer))
    open_page(page, server, q=QUESTIONS["wait"], on=key)
    expect(page.locator(".count")).to_contain_text(f"scored on the original vectors by {scorer}")
    expect(page.locator(".pair .name + .note")).to_contain_text(f"Ranked by {scorer}, whose score is no such sum")
    page.get_by_role("button", name="Edit the text").click()
    page.get_by_role("button", name="Score this text").click()
    expect(page.locator(".changed")).to_contain_text("MaxSim went from")
    expect(page.locator(".changed")).not_to_contain_text("rank")


def test_the_menu_of_scorers_ranks_anew_and_is_part_of_the_link(page: Page, server: Server) -> None:
    open_page(page, server, q=QUESTIONS["wait"], doc="time.sleep")
    menu = page.locator("select.scorer")
    expect(menu).to_have_value("index")
    assert menu.locator("option").all_text_contents() == list(server.workspaces.first.scorers())
    expect(page.locator(".scorer-line")).to_contain_text("the index ranks")
    menu.select_option("mean-maxsim")
    expect(page.locator(".count")).to_contain_text("scored on the original vectors by mean-maxsim")
    expect(page.locator(".scorer-line")).to_contain_text("the mean instead of the sum")
    best = server.workspaces.first.ranked_by("mean-maxsim").search(QUESTIONS["wait"]).hits[0]
    expect(page.locator(".hit").first).to_contain_text(f"{best.score:.2f}")
    assert "scorer=mean-maxsim" in page.url
    page.reload()
    expect(menu).to_have_value("mean-maxsim")
    expect(page.locator(".pair .name + .note")).to_contain_text("Ranked by mean-maxsim")
    menu.select_option("index")
    expect(page.locator(".count")).not_to_contain_text("mean-maxsim")
    assert "scorer=" not in page.url


def test_tokens_that_the_model_adds_are_switched_off(page: Page, server: Server) -> None:
    open_page(page, server, q=QUESTIONS["wait"], doc="time.sleep")
    every = page.locator(".chip")
    expect(every.first).to_have_text("[CLS]+" + (every.first.locator("em").text_content() or "")[1:])
    before = every.count()
    page.get_by_label("Tokens that the model adds").uncheck()
    expect(every).to_have_count(before - 4)  # [CLS], [SEP] and both halves of the mean
    assert "added=no" in page.url
    page.get_by_role("button", name="Word pieces").click()
    assert "[CLS]" not in page.locator(".chips").inner_text()


def test_two_models_explain_the_same_pair(page: Page, server: Server) -> None:
    model, note = load(head=None)
    server.workspaces.models._loaded["trained/own-384"] = Encoder(model, "trained/own-384", note)
    open_page(page, server, q=QUESTIONS["wait"], doc="time.sleep", model="trained/own-384")
    card = page.locator(".models")
    expect(card).to_contain_text("agree on the best match")
    ours, theirs = (number(card.locator("tfoot td").nth(i).text_content()) for i in (1, 3))
    assert ours == pytest.approx(number(page.locator(".score").text_content()), abs=0.001)
    assert theirs != ours
    parts = [number(text) for text in card.locator("tbody td:nth-of-type(4)").all_text_contents()]
    assert sum(parts) == pytest.approx(theirs, abs=0.005 * len(parts) + 0.001)


@pytest.mark.parametrize(
    "name", ["/etc", "/etc?windows=64:8", "../../etc", "C:\\models", "trained/../../x", "no model"]
)
def test_a_browser_names_no_path_as_a_model(server: Server, name: str) -> None:
    from engine.errors import InputError

    with pytest.raises(InputError, match="from the list"):
        server.workspaces.models.get(name)


def test_a_step_is_part_of_the_link(page: Page, server: Server) -> None:
    open_page(page, server, q=QUESTIONS["wait"], doc="time.sleep", step="2")
    expect(page.locator(".step")).to_contain_text("3 of")
    page.locator(".steps").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".step")).to_contain_text("2 of")
    assert "step=1" in page.url
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    expect(page.locator(".step")).to_contain_text("4 of")
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".steps")).to_have_count(0)
    assert "step=" not in page.url


@pytest.mark.parametrize("doc", ["time.sleep", "markup"])
def test_a_saved_page_opens_offline_and_still_reacts(
    page: Page, browser: Browser, server: Server, tmp_path: Path, doc: str
) -> None:
    question = QUESTIONS["wait"] if doc == "time.sleep" else HOSTILE[doc]
    open_page(page, server, q=question, doc=doc)
    score = page.locator(".score").text_content() or ""
    file = saved(page, ".as-page", tmp_path / "page.html")
    context = browser.new_context(offline=True)
    copy = context.new_page()
    problems: list[str] = []
    copy.on("pageerror", lambda error: problems.append(str(error)))
    copy.on("request", lambda request: problems.append(request.url) if not request.url.startswith("file:") else None)
    copy.goto(file.as_uri())
    expect(copy.locator(".name")).to_have_text(doc)
    expect(copy.locator(".score")).to_have_text(score)
    copy.locator(".chip").nth(2).click()
    expect(copy.locator(".chip").nth(2)).to_have_attribute("aria-pressed", "true")
    copy.get_by_role("button", name="Word pieces").click()
    copy.locator(".hit").nth(4).click()
    expect(copy.locator(".score")).not_to_have_text(score)
    expect(copy.locator(".against h2")).to_contain_text("outranks")
    assert copy.evaluate("window.hacked") is None
    context.close()
    assert problems == []


def test_a_page_is_saved_as_a_picture(page: Page, server: Server, tmp_path: Path) -> None:
    open_page(page, server, q=QUESTIONS["wait"], doc="time.sleep")
    expect(page.locator(".vs")).to_be_visible()
    picture = Image.open(saved(page, ".as-picture", tmp_path / "page.png")).convert("RGB")
    assert picture.width > 1500
    colours = {colour for _, colour in picture.getcolors(1 << 24) or []}
    assert (180, 83, 26) in colours, "the mark of a best match is drawn"
    assert len(colours) > 50


def test_a_long_document_is_an_overview_and_one_passage(page: Page, server: Server, embedded_encoder: Encoder) -> None:
    filler = "Ships wait for wind and water at the northern mole. " * 160
    told = "Sourdough bread needs flour, water, salt and a whole night to rise. "
    collection = Collection({"log": filler + told + filler, "note": "Bread is baked in the morning."}, name="logs")
    encoder = Encoder(embedded_encoder.model, "embedded?windows=256:32", windows=Windows(256, 32))
    cut = server.workspaces.add(open_workspace(collection, embedded_encoder, "exact"))
    key = server.workspaces.add(open_workspace(collection, encoder, "exact"))
    open_page(page, server, q="how long does bread rise", doc="log", on=cut)
    expect(page.locator(".about")).to_contain_text("1 of 2 documents were cut at 256 tokens")
    expect(page.locator(".about")).to_contain_text("read long documents in windows. Back to the collection")
    expect(page.locator(".strip")).to_have_count(0)
    open_page(page, server, q="how long does bread rise", doc="log", on=key)
    expect(page.locator(".about")).not_to_contain_text("cut")
    expect(page.locator(".pair .text")).to_contain_text("a whole night to rise")
    bars = page.locator(".strip button")
    assert bars.count() > 20
    score = number(page.locator(".pair .score").text_content() or "")
    bars.nth(0).click()
    expect(bars.nth(0)).to_have_attribute("aria-current", "true")
    expect(page.locator(".pair .text")).not_to_contain_text("night")
    assert "passage=0" in page.url
    assert number(page.locator(".pair .score").text_content() or "") == score
    page.locator(".chip", has_text="rise").first.click()
    page.locator(".pair button.inline").click()  # to the passage that its best match stands in
    expect(page.locator(".pair .text")).to_contain_text("a whole night to rise")
    page.reload()
    expect(page.locator(".pair .text")).to_contain_text("a whole night to rise")
