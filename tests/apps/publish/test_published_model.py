"""A site with the model in a real browser: what it finds and explains is what Python does, and nothing leaves it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("playwright", reason="page tests need Playwright: pip install 'late-interaction-workbench[dev]'")
pytest.importorskip("onnxruntime", reason="onnxruntime comes with the dev extra")

from playwright.sync_api import expect

from apps.publish import Published, publish, runtime
from engine import Collection, Encoder, maxsim
from engine.errors import CorruptDataError, MissingExtraError, NotFoundError

if TYPE_CHECKING:
    from playwright.sync_api import Page

ASKED = ["index of the largest value", "how do I wait, some seconds?", "naïve e\u0301te\u0301 你好"]


def test_without_npm_the_sentence_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match=r"npm is not on this machine.*--no-model"):
        runtime.runtime()


def test_an_archive_that_is_not_what_was_pinned_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.tgz").write_bytes(b"something else")
    with pytest.raises(CorruptDataError, match="got sha512-"):
        runtime.keep(tmp_path / "other.tgz", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.fixture(scope="module")
def site(web: tuple[Path, str], published_texts: Collection, embedded_encoder: Encoder) -> Published:
    if shutil.which("npm") is None:
        pytest.skip("needs npm, or the runtime that it fetched before")
    try:
        return publish(web[0], published_texts, embedded_encoder, questions=2, lessons=False)
    except NotFoundError as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.browser
def test_a_question_is_encoded_searched_and_explained_in_the_browser(
    reader: Page, web: tuple[Path, str], site: Published, published_texts: Collection, embedded_encoder: Encoder
) -> None:
    assert site.cosine is not None
    assert site.cosine > 0.999
    reader.goto(web[1])
    reader.locator(".hit").first.wait_for(timeout=120_000)
    documents = embedded_encoder.encode_document(list(published_texts.documents.values()))
    names = list(published_texts.documents)
    for question in ASKED:
        reader.get_by_role("searchbox").fill(question)
        reader.get_by_role("searchbox").press("Enter")
        query = embedded_encoder.encode_query([question])
        found = reader.evaluate("(text) => liwSite.call('vectors', { text, task: 'query' })", question)
        mine, theirs = np.array(found["vectors"]), np.asarray(query[0])
        assert ((mine * theirs).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(theirs, axis=1)).min() > 0.999
        answer = reader.evaluate("(question) => liwSite.call('search', { question, document: '' })", question)
        scores = dict(zip(names, maxsim(query, documents)[0].tolist(), strict=True))
        assert [hit["id"] for hit in answer["found"]["hits"]] == sorted(names, key=lambda name: -scores[name])
        for hit in answer["found"]["hits"]:
            assert hit["score"] == pytest.approx(scores[hit["id"]], abs=0.05)
            assert sum(hit["contribution"]) == pytest.approx(hit["score"], abs=1e-3)
        expect(reader.locator(".hit .title").first).to_have_text(max(names, key=lambda name: scores[name]))
    reader.get_by_role("button", name="Edit the text").click()
    reader.locator("textarea.edit").fill("naïve 你好")
    reader.get_by_role("button", name="Score this text").click()
    expect(reader.locator(".changed")).to_contain_text("the score went from")
    reader.get_by_role("searchbox").fill(" ")
    reader.get_by_role("searchbox").press("Enter")
    expect(reader.get_by_role("alert")).to_contain_text("Type a question first")
