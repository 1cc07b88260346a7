"""A site without a model in a real browser, and the scripts of a site held to Python."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("playwright", reason="page tests need Playwright: pip install 'late-interaction-workbench[dev]'")
pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")

from playwright.sync_api import expect

from apps.lessons import lessons
from apps.publish import Published, publish
from apps.publish.codec import pack
from apps.publish.documents import utf16
from apps.publish.model import browser_tokenizer
from apps.publish.site import is_site
from apps.records import explanation, matched, snippet
from engine import Collection, Encoder
from engine.errors import InputError, UnsupportedError
from engine.explain import Alignment, explain
from engine.tokens import Token, merged

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

TRICKY = (
    "Remove SPACES at both ends", "naïve café, e\u0301te\u0301!", "你好 world", "don't-stop (now) [MASK] x_y",
    "a\u200bb\tc\nd",     "İstanbul ΣΊΣΥΦΟΣ", "👩‍👩‍👧 family 𝒳", "x" * 120, "unaffable electroencephalographically",
    "\u202eabc\ufeff", "100%² ½ №5", "   ",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(web: tuple[Path, str], published_texts: Collection, fake_encoder: Any) -> Published:
    return publish(web[0], published_texts, fake_encoder, with_model=False, questions=3)


@pytest.fixture
def opened(reader: Page, web: tuple[Path, str], site: Published) -> Page:
    reader.goto(web[1])
    reader.locator("body[data-ready]").wait_for()
    return reader


def test_finished_searches_work_from_a_subfolder_and_other_questions_are_refused(opened: Page, site: Published) -> None:
    assert site.pages == ("search", "learn", "xray")
    expect(opened.locator(".hit")).to_have_count(5)
    expect(opened.locator(".hit [class=title]").first).to_have_text("argmax")
    opened.locator(".hit").nth(1).click()
    expect(opened.locator(".hit").nth(1)).to_have_attribute("aria-current", "true")
    expect(opened.locator(".against")).to_contain_text("outranks")
    opened.get_by_role("button", name="Step through").click()
    opened.keyboard.press("ArrowRight")
    expect(opened.locator(".step")).to_contain_text("is most similar to")
    opened.get_by_role("searchbox").fill("something else")
    opened.get_by_role("searchbox").press("Enter")
    expect(opened.get_by_role("alert")).to_contain_text("finished answers only")


def test_the_site_fits_a_phone_and_keeps_the_theme(opened: Page) -> None:
    opened.set_viewport_size({"width": 375, "height": 720})
    assert opened.evaluate("document.documentElement.scrollWidth") <= 375
    opened.locator(".theme").click()
    expect(opened.locator("body.dark")).to_be_visible()


def test_traces_of_chosen_questions(opened: Page, web: tuple[Path, str]) -> None:
    opened.goto(f"{web[1]}xray.html")
    expect(opened.locator("ol.stages")).to_be_visible()
    expect(opened.locator(".survey table")).to_be_visible()
    opened.locator(".chosen summary").click()
    opened.locator(".chosen a").last.click()
    expect(opened.locator("ol.stages")).to_be_visible()
    assert "q=" in opened.url


def test_lessons_are_read_and_presented(opened: Page, web: tuple[Path, str]) -> None:
    opened.goto(f"{web[1]}learn.html")
    expect(opened.locator(".lessons li")).to_have_count(len(lessons()))
    expect(opened.locator(".demo canvas")).to_be_visible()
    opened.locator(".lessons button").last.click()
    expect(opened.locator(".demo tbody tr").first).to_contain_text("negation")
    expect(opened.locator(".demo .vs")).to_be_visible()
    opened.get_by_role("button", name="Present").click()
    expect(opened.locator(".part:visible")).to_have_count(1)
    expect(opened.locator(".bar-top")).to_be_hidden()
    before = opened.locator(".part:visible").inner_text()
    opened.keyboard.press("ArrowRight")
    expect(opened.locator(".part:visible")).not_to_have_text(before)
    opened.keyboard.press("Escape")
    expect(opened.locator(".bar-top")).to_be_visible()
    with opened.expect_download() as saved:
        opened.locator(".deeper button").click()
    assert saved.value.suggested_filename == lessons()[-1]["notebook"]


def test_the_browser_cuts_words_as_python_does(opened: Page, web: tuple[Path, str], embedded_encoder: Encoder) -> None:
    config = browser_tokenizer(embedded_encoder)
    texts = [text for text in TRICKY if text.strip()]
    found = opened.evaluate(
        """async ([base, config, texts]) => {
             const { tokenizer } = await import(base + "browser/tokenizer.js");
             const cut = tokenizer(config), task = { prompt: "", length: 64, expansion: null };
             return texts.map((text) => cut.encode(text, task));
           }""",
        [web[1], config, texts],
    )
    for text, entry in zip(texts, found, strict=True):
        expected = embedded_encoder.tokens(text, "query")[: -embedded_encoder.added]
        features = embedded_encoder.model.preprocess([text], task="query")
        assert entry["ids"] == features["input_ids"][0].tolist(), text
        units = utf16(text)
        spans = [
            (t.text, units(t.start) if t.start >= 0 else -1, units(t.end) if t.end >= 0 else -1, t.kind)
            for t in expected
        ]
        assert [(t["text"], t["start"], t["end"], t["kind"]) for t in entry["tokens"]] == spans, text


def test_the_browser_finds_the_same_maxima_with_and_without_simd(opened: Page, web: tuple[Path, str]) -> None:
    rng = np.random.default_rng(5)
    lengths, width = [3, 0, 1, 7, 40], 24
    codes, query = rng.integers(-600, 600, (sum(lengths), width)), rng.integers(-32767, 32768, (8, width))
    found = opened.evaluate(
        """async ([base, codes, offsets, query, width]) => {
             const { kernel } = await import(base + "browser/kernel.js");
             return [false, true].map((plain) => {
               const core = kernel(codes.length / width, offsets.length - 1, width, 4, plain);
               core.codes.set(codes); core.offsets.set(offsets);
               return [core.simd, [...core.scan(Int16Array.from(query), 2)]];
             });
           }""",
        [web[1], codes.reshape(-1).tolist(), np.cumsum([0, *lengths]).tolist(), query.reshape(-1).tolist(), width],
    )
    (simd, fast), (plain, slow) = found
    assert (simd, plain) == (True, False)
    starts = np.cumsum([0, *lengths])
    products = codes @ query.T
    expected = [products[a:b].max(axis=0) if b > a else np.full(8, -(2**31)) for a, b in itertools.pairwise(starts)]
    np.testing.assert_array_equal(np.reshape(fast, (5, 8)), expected)
    assert fast == slow


def test_the_browser_unpacks_what_python_packed(opened: Page, web: tuple[Path, str]) -> None:
    values = np.random.default_rng(1).integers(-32768, 32768, (1100, 3))
    (web[0] / "numbers.bin.gz").write_bytes(pack(values))
    found = opened.evaluate(
        """async (base) => {
             const { bytesOf, unpack } = await import(base + "browser/codec.js");
             const out = new Int16Array(1100 * 4);
             return [...unpack(await bytesOf(base + "numbers.bin.gz"), 1100, 3, out, 4)];
           }""",
        web[1],
    )
    (web[0] / "numbers.bin.gz").unlink()
    np.testing.assert_array_equal(np.reshape(found, (1100, 4))[:, :3], values)


@pytest.mark.parametrize("pooled", [False, True])
def test_the_browser_explains_as_python_does(
    opened: Page, web: tuple[Path, str], fake_encoder: Any, published_texts: Collection, pooled: bool
) -> None:
    question, long = (
        "Index of the wait, naïve 你好 e\u0301te\u0301",
        " ".join(["filler words here"] * 30) + " index of naïve",
    )
    for text in [*published_texts.documents.values(), "👩‍👩‍👧 snake_case index", long]:
        alignment = explain(fake_encoder, question, text)
        if pooled and len(alignment.document_tokens) > 3:
            alignment = _pooled(alignment)
        weight = matched(alignment)
        expected = [
            explanation(question, "name", "A title", text, alignment),
            snippet(text, *_single(alignment, weight)),
        ]
        expected[0] |= {"place": None, "read": utf16(text)(expected[0]["read"]), "length": utf16(text)(len(text))}
        found = opened.evaluate(
            """async ([base, question, text, pair]) => {
                 const { align, explanation, snippet } = await import(base + "browser/alignment.js");
                 const found = align(pair.query, pair.document, pair.queryTokens, pair.documentTokens);
                 return [explanation(question, "name", "A title", text, found), snippet(text, found)];
               }""",
            [web[1], question, text, _pair(alignment, question, text)],
        )
        assert _near(found, expected), f"{text}\n{json.dumps(found)[:800]}\n{json.dumps(expected)[:800]}"


def _pooled(alignment: Alignment) -> Alignment:
    """The same with the first and the third token merged."""
    own = alignment.document_tokens
    tokens = [merged([own[0], own[2]]), own[1], *own[3:]]
    keep = [0, 1, *range(3, len(own))]
    similarity = alignment.similarity[:, keep]
    best = similarity.argmax(axis=1)
    contribution = similarity[np.arange(len(best)), best]
    return Alignment(alignment.query_tokens, tokens, similarity, best, contribution, float(contribution.sum()))


def _single(alignment: Alignment, weight: np.ndarray) -> tuple[list[Token], np.ndarray]:
    from engine.tokens import single_tokens

    placed = single_tokens(alignment.document_tokens)
    return [token for _, token in placed], np.array([weight[position] for position, _ in placed], np.float32)


def _pair(alignment: Alignment, question: str, text: str) -> dict[str, Any]:
    """Tokens as a site has them, and vectors whose products are the similarities."""

    def told(token: Token, units: Any) -> dict[str, Any]:
        start, end = (units(token.start), units(token.end)) if token.start >= 0 else (-1, -1)
        parts = [told(part, units) for part in token.parts]
        return {"text": token.text, "start": start, "end": end, "kind": token.kind, "parts": parts}

    n = len(alignment.document_tokens)
    return {
        "query": alignment.similarity.astype(float).tolist(), "document": np.eye(n).tolist(),
        "queryTokens": [told(token, utf16(question)) for token in alignment.query_tokens],
        "documentTokens": [told(token, utf16(text)) for token in alignment.document_tokens],
    }  # fmt: skip


def _near(one: Any, two: Any) -> bool:
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_near(one[name], two[name]) for name in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(_near(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, (int, float)) and isinstance(two, (int, float)):
        return abs(one - two) < 1.1e-3
    return one == two


def test_the_same_site_is_written_twice_and_a_foreign_folder_is_kept(
    tmp_path: Path, published_texts: Collection, fake_encoder: Any
) -> None:
    options: dict[str, Any] = {"with_model": False, "questions": 1, "lessons": False}
    publish(tmp_path / "site", published_texts, fake_encoder, **options)
    first = _content(tmp_path / "site")
    publish(tmp_path / "site", published_texts, fake_encoder, **options)  # a site of ours may be replaced
    assert _content(tmp_path / "site") == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]
    shorter = publish(tmp_path / "once", published_texts, fake_encoder, pool="once,factor=2", **options)
    assert 0 < shorter.tokens < publish(tmp_path / "once", published_texts, fake_encoder, pool=2, **options).tokens
    shutil.rmtree(tmp_path / "once")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "site.json").write_text('{"format": "another"}')
    with pytest.raises(InputError, match="holds other things than a site"):
        publish(tmp_path / "photos", published_texts, fake_encoder, **options)
    assert not is_site(tmp_path / "photos")
    with pytest.raises(InputError, match="--bits from 2 to 12"):
        publish(tmp_path / "new", published_texts, fake_encoder, bits=1)
    assert not (tmp_path / "new").exists()


def test_a_tokenizer_that_the_browser_does_not_know_is_refused(fake_encoder: Any) -> None:
    class Model:
        tokenizer = None

    fake = type(fake_encoder)()
    fake.model = Model()
    with pytest.raises(UnsupportedError, match="--no-model"):
        browser_tokenizer(fake)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
