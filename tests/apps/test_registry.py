"""One list of pages: the explorer, the bar, links and pictures follow it, and other packages add to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")

import httpx

from apps.registry import PAGES, pages
from workbench.links import page_address

if TYPE_CHECKING:
    from apps.explorer import Server

MODULE = """
from apps.registry import Page

PAGE = Page("Greetings", "greetings", "other_package:page")
TWICE = Page("Search again", "pool", "other_package:page")
NO_FUNCTION = Page("Nothing", "nothing", "other_package:nothing")


def page(workspaces):
    import gradio as gr

    from apps.pages import bar

    bar()
    gr.Markdown(f"Hello {workspaces.first.collection.name}")
"""
ENTRIES = """[late_interaction.apps]
a_page = other_package:PAGE
b_page = other_package:TWICE
c_page = other_package:NO_FUNCTION
d_page = no_such_package:PAGE
e_page = other_package:MODULE_THAT_IS_NO_PAGE
"""


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "other_package.py").write_text(MODULE)
    metadata = tmp_path / "other_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    pages.cache_clear()
    yield
    pages.cache_clear()


def test_every_page_is_built_by_a_function_of_its_own() -> None:
    builders = [page.builder() for page in PAGES]
    assert all(map(callable, builders))
    assert len({id(builder) for builder in builders}) == len(PAGES) == len({page.path for page in PAGES})


def test_a_page_of_another_package_is_served_linked_and_in_the_bar(
    other_package: None, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    from apps.explorer import serve

    assert [page.name for page in pages()] == [*(page.name for page in PAGES), "greetings"]
    for name in ("b_page", "c_page", "d_page", "e_page"):
        assert f"The page {name} of another package is left out" in caplog.text
    assert page_address("greetings") == "http://127.0.0.1:7860/greetings"
    second = serve(server.workspaces.first)
    try:
        answer = httpx.get(f"{second.url}greetings")
        assert answer.status_code == 200
        assert "Hello embedded, a part" in answer.text
        assert re.search('"title": ?"Greetings"|"name": ?"Greetings"', answer.text)
        assert httpx.get(f"{second.url}pool").status_code == 200
    finally:
        second.stop()
