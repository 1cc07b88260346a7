"""The site as it is built: no link to nowhere, nothing asked of another host, and a search that works from a disk."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apps.conftest import browser  # noqa: F401, the fixture

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = re.compile(r"""<(?:script|img|iframe|source|video)\b[^>]*\b(?:src|srcset)=["']?(?:https?:)?//""")
LOADED = re.compile(r"""<link\b[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon)[^>]*href=["']?(?:https?:)?//""")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="needs mkdocs: pip install 'late-interaction-workbench[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "docs.tools", "--tutorials", "none", "--output", str(folder)]
    own = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=own)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not OUTSIDE.search(text), page
        assert not LOADED.search(text), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_the_reference_holds_docstrings(site: Path) -> None:
    engine = (site / "reference" / "engine.html").read_text(encoding="utf-8")
    for name in ("Encoder", "create_index", "load_collection", "explain"):
        assert re.search(rf'id="[\w.]*\.{name}"', engine), name
    assert "Load a model by name." in engine
    assert "workbench pool-study" in (site / "reference" / "commands.html").read_text(encoding="utf-8")


@pytest.mark.browser
def test_a_browser_asks_nobody_and_finds_what_is_sought(site: Path, browser) -> None:  # noqa: F811
    context = browser.new_context()
    tab = context.new_page()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    for page in ("index.html", "reference/commands.html", "tutorials/01_maxsim_by_hand.html"):
        tab.goto((site / page).as_uri())
        tab.wait_for_load_state("networkidle")
    tab.keyboard.press("s")
    tab.keyboard.type("centroids")
    tab.locator(".md-search-result__item a").first.wait_for(timeout=60_000)
    assert tab.locator(".md-search-result__item").count() > 1
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert errors == []
    context.close()
