"""Models that read images on the page Images: where the patches lie, pages of a PDF, and models without a grid."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from apps.images import image_patches
from apps.pages.images import ImagePage
from benchmarks import vision_checkpoints
from engine import Encoder
from engine.errors import UnsupportedError

if TYPE_CHECKING:
    from apps.explorer import Server


@pytest.fixture(scope="module")
def colpali(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vision_checkpoints.colpali(tmp_path_factory.mktemp("colpali"))


@pytest.fixture(scope="module")
def colqwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vision_checkpoints.colqwen(tmp_path_factory.mktemp("colqwen"))


@pytest.mark.parametrize(("columns", "rows"), [(5, 2), (2, 5), (3, 4)])
def test_the_heatmap_lies_on_the_right_patches_of_a_page_that_is_no_square(
    colqwen: Path, columns: int, rows: int
) -> None:
    encoder, size = Encoder.load(str(colqwen), device="cpu", dtype="float32"), vision_checkpoints.PATCH
    plain = Image.new("RGB", (columns * size, rows * size), "white")
    before = image_patches(encoder, plain)
    assert (before.columns, before.rows) == (columns, rows)
    for column, row in ((0, 0), (columns - 1, 0), (0, rows - 1), (columns - 1, rows - 1), (1, 1)):
        marked = plain.copy()
        marked.paste("black", (column * size, row * size, (column + 1) * size, (row + 1) * size))
        moved = np.linalg.norm(image_patches(encoder, marked).vectors - before.vectors, axis=1)
        assert divmod(int(moved.argmax()), columns) == (row, column), "the patch that was painted changes most"


def test_a_model_whose_patches_are_in_no_grid_says_so_in_a_sentence(
    colpali: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder.load(str(colpali), device="cpu", dtype="float32")
    monkeypatch.setattr(encoder.model.processor.image_processor, "do_image_splitting", True, raising=False)
    with pytest.raises(UnsupportedError, match="lie in no plain grid") as told:
        image_patches(encoder, Image.new("RGB", (32, 32)))
    assert len(str(told.value)) < 260


def test_a_page_of_a_pdf_is_a_picture_too(server: Server, colpali: Path) -> None:
    pytest.importorskip("pypdfium2")
    server.workspaces.models._loaded["own/colpali"] = Encoder.load(str(colpali), device="cpu", dtype="float32")
    target, page = io.BytesIO(), ImagePage(server.workspaces)
    pages = [Image.new("RGB", (200, 100), colour) for colour in ("white", "red")]
    pages[0].save(target, "PDF", save_all=True, append_images=pages[1:])
    sent = "data:application/pdf;base64," + base64.b64encode(target.getvalue()).decode()
    asked = {"question": "where is the total", "model": "own/colpali", "image": sent}
    seen = []
    for number in (1, 2):
        record = page.picture({**asked, "page": number})
        assert (record["page"], record["pages"], record["columns"], record["rows"]) == (number, 2, 4, 4)
        drawn = Image.open(io.BytesIO(base64.b64decode(record["image"].partition(",")[2])))
        assert drawn.width == pytest.approx(2 * drawn.height, abs=2)
        seen.append(drawn.getpixel((5, 5)))
    assert seen[0][1] > 200 > 60 > seen[1][1], "the first page is white, the second is red"
    assert "has no page 3, it has 2" in page.picture({**asked, "page": 3})["error"]
    assert "cannot be read" in page.picture({**asked, "image": sent[:60]})["error"]
