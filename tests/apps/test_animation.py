"""Pictures of an explained pair: what is refused beforehand, and a step-through that moves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="page tests need Playwright: pip install 'late-interaction-workbench[dev]'")
pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")

from PIL import Image

from apps import animation
from engine import Collection
from engine.errors import InputError, NotFoundError
from workbench.workspace import open_workspace


def test_a_picture_that_cannot_be_made_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"ends with .html, .svg, .png, .gif, .webm"):
        animation.check_picture(tmp_path / "steps.mp4", 1000)
    with pytest.raises(InputError, match="width from 320"):
        animation.check_picture(tmp_path / "steps.gif", 10)
    monkeypatch.delenv("WORKBENCH_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFoundError, match="No Chromium was found"):
        animation.check_picture(tmp_path / "steps.gif", 1000)


@pytest.mark.browser
@pytest.mark.parametrize("suffix", ["gif", "svg", pytest.param("webm", marks=pytest.mark.slow)])
def test_an_explanation_becomes_a_picture(
    browser: Any, tmp_path: Path, fake_encoder: Any, tiny_collection: Collection, suffix: str, monkeypatch: Any
) -> None:
    """`browser` says whether there is one; it lives in this thread, so that the picture is made in another."""
    monkeypatch.setattr(animation, "STEP", 200)
    monkeypatch.setattr(animation, "LAST", 200)
    workspace = open_workspace(tiny_collection, fake_encoder, "exact")
    question, path = "index of the largest value", tmp_path / f"steps.{suffix}"
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(animation.save_explained, workspace, path, question, "argmax", "words", suffix == "gif", 700)
        assert made.result(timeout=120) == path
    content = path.read_bytes()
    if suffix == "gif":
        picture: Any = Image.open(path)
        with picture:
            assert picture.n_frames == len(question.split()) + 1
            assert picture.width > 400
            first = picture.convert("RGB").tobytes()
            picture.seek(picture.n_frames - 1)
            assert picture.convert("RGB").tobytes() != first
            assert picture.convert("RGB").getpixel((5, picture.height // 2))[0] < 80  # the dark theme
    elif suffix == "svg":
        assert content.startswith(b"<svg")
        assert b"largest" in content
        assert b"http" not in content.replace(b"http://www.w3.org/", b"")
    else:
        assert content.startswith(b"\x1a\x45\xdf\xa3")
        assert len(content) > 2000
