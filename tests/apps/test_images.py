"""Late interaction over patches: synthetic ones, words printed on a page, and a tiny ColPali made here."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
from PIL import Image

from apps.images import COLUMNS, Patches, image_patches, page_record, printed_page
from apps.pages.images import ImagePage
from benchmarks import vision_checkpoints
from engine import Encoder, TokenEmbeddings
from engine.errors import UnsupportedError
from engine.maxsim.reference import maxsim_reference
from tests.apps.conftest import QUESTIONS

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from apps.explorer import Server

TEXT = "Pause the program for seconds, then go on with the next line of the program."


def data_url(image: Image.Image, form: str = "PNG") -> str:
    target = io.BytesIO()
    image.save(target, form)
    return f"data:image/{form.lower()};base64," + base64.b64encode(target.getvalue()).decode()


@pytest.fixture(scope="module")
def colpali(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vision_checkpoints.colpali(tmp_path_factory.mktemp("colpali"))


def test_the_record_of_synthetic_patches_is_their_maxsim(embedded_encoder: Encoder) -> None:
    vectors = np.random.default_rng(0).normal(size=(12, embedded_encoder.dim)).astype(np.float32)
    record = page_record(embedded_encoder, QUESTIONS["wait"], Patches(Image.new("RGB", (40, 30)), vectors, 4, 3))
    query = embedded_encoder.encode_query([QUESTIONS["wait"]])[0]
    assert record["score"] == pytest.approx(
        maxsim_reference(*(TokenEmbeddings.from_list([part]) for part in (query, vectors)))[0, 0], abs=1e-3
    )
    assert sum(record["contribution"]) == pytest.approx(record["score"], abs=1e-3)
    assert np.shape(record["similarity"]) == (len(record["query"]), 12)
    assert record["image"].startswith("data:image/jpeg;base64,")


def test_printed_words_are_found_where_they_are_printed(embedded_encoder: Encoder) -> None:
    patches = printed_page(embedded_encoder, TEXT)
    record = page_record(embedded_encoder, "seconds", patches)
    row, column = divmod(record["best"][[unit["text"] for unit in record["query"]].index("seconds")][0], COLUMNS)
    size = patches.image.width // COLUMNS
    area = patches.image.crop((column * size, row * size, (column + 1) * size, (row + 1) * size))
    assert np.asarray(area).min() < 128, "the best patch has ink on it"
    empty = np.linalg.norm(patches.vectors, axis=1) == 0
    assert empty[:COLUMNS].all(), "the margin carries nothing"
    assert 0 < row < patches.rows


def test_patches_of_a_colpali_model_are_its_own_without_the_prompt(colpali: Path) -> None:
    encoder = Encoder.load(str(colpali), device="cpu", dtype="float32")
    picture = Image.new("RGB", (64, 48), "white")
    picture.paste("red", (0, 0, 16, 12))
    patches = image_patches(encoder, picture)
    assert (patches.columns, patches.rows, patches.vectors.shape) == (4, 4, (16, 8))
    whole = encoder.model.encode_document([picture], convert_to_numpy=True)[0]
    assert len(whole) > 16, "the prompt has vectors too"
    assert patches.vectors == pytest.approx(np.asarray(whole)[:16])
    record = page_record(encoder, "where is the total", patches)
    named = [unit["text"] for unit in record["query"] if unit["kind"] == "text"]
    assert named == ["where", "is", "the", "total"]
    assert sum(record["contribution"]) == pytest.approx(record["score"], abs=1e-3)


def test_a_text_model_says_that_it_reads_text_only(embedded_encoder: Encoder) -> None:
    with pytest.raises(UnsupportedError, match="text only"):
        image_patches(embedded_encoder, Image.new("RGB", (32, 32)))


def test_a_picture_for_a_text_model_is_never_decoded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.pages.images.read_page", lambda data, page: pytest.fail("it was decoded"))
    page = ImagePage(server.workspaces)
    for model, expected in (("", "Name a model"), ("embedded", "text only")):
        told = page.picture({"question": "a", "model": model, "image": data_url(Image.new("RGB", (64, 64)))})
        assert expected in told["error"]


@pytest.mark.slow
def test_ten_large_pictures_at_once_are_answered_within_bounded_memory(server: Server, colpali: Path) -> None:
    server.workspaces.models._loaded["own/colpali"] = Encoder.load(str(colpali), device="cpu", dtype="float32")
    number = next(key for key, block in server.blocks.blocks.items() if hasattr(block, "picture"))
    picture = data_url(Image.new("RGB", (6300, 6300), "#0b6e6e"))
    sent = {"question": "where is the total", "model": "own/colpali", "image": picture}
    body = json.dumps({"data": sent, "component_id": number, "session_hash": "x", "fn_name": "picture"}).encode()
    answers: list[dict[str, Any]] = []

    def post() -> None:
        asked = urllib.request.Request(
            f"{server.url}gradio_api/component_server", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=200) as answer:
            answers.append(json.load(answer))

    post()
    process, peak = psutil.Process(), 0
    before = process.memory_info().rss
    threads = [threading.Thread(target=post) for _ in range(10)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.01)
    assert len(answers) == 11
    assert all("score" in answer for answer in answers)
    assert peak - before < 500e6
    time.sleep(1)
    assert process.memory_info().rss - before < 150e6


@pytest.mark.browser
def test_the_page_is_tinted_for_a_token_and_read_by_keyboard(page: Page, server: Server, colpali: Path) -> None:
    from playwright.sync_api import expect

    page.goto(f"{server.url}images?q={QUESTIONS['wait']}&doc=time.sleep")
    expect(page.locator(".patches img")).to_be_visible()
    page.locator(".chip", has_text="seconds").click()
    expect(page.locator(".note", has_text="Outlined")).to_be_visible()
    page.locator(".patches").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".readout")).to_contain_text("row 2, column 1")
    page.get_by_text("A picture or a PDF of yours").click()
    server.workspaces.models._loaded["own/colpali"] = Encoder.load(str(colpali), device="cpu", dtype="float32")
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(picture, "PNG")
    chooser = page.locator("input[type=file]")
    chooser.set_input_files({"name": "page.png", "mimeType": "image/png", "buffer": picture.getvalue()})
    page.get_by_role("button", name="Match").click()
    expect(page.get_by_role("alert")).to_contain_text("Name a model")
    page.locator("input.model").fill("embedded")
    page.get_by_role("button", name="Match").click()
    expect(page.get_by_role("alert")).to_contain_text("text only")
    page.locator("input.model").fill("own/colpali")
    page.get_by_role("button", name="Match").click()
    expect(page.locator(".result h2")).to_contain_text("4 by 4 patches")
