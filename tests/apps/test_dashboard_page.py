"""The dashboard in a real browser: the leaderboard, a pair of runs, and one click from a regression to its reasons."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("streamlit", reason="needs Streamlit: pip install 'late-interaction-workbench[apps]'")

from apps.dashboard import Server, serve
from engine import Collection, Encoder
from tests.apps.conftest import HOSTILE
from workbench import Experiment, run

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def dashboard(
    tiny_collection: Collection, embedded_encoder: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    home, folder = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("tiny")
    queries = {**tiny_collection.queries, "q4": HOSTILE["markup"]}
    grades = {**tiny_collection.qrels, "q4": {"json": 1}}
    rows = [{"_id": name, "text": text} for name, text in tiny_collection.documents.items()]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    rows = [{"_id": name, "text": text} for name, text in queries.items()]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "qrels").mkdir()
    lines = [f"{query}\t{document}\t{grade}" for query in grades for document, grade in grades[query].items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(home))
        for factor in (1.0, 8.0):
            made = run(
                Experiment(collection=str(folder), dtype="float32", pool_factor=factor), encoder=embedded_encoder
            )
            assert made.status == "complete"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = serve(port=port)
    yield server
    server.stop()
    assert server.process.poll() is not None
    assert "WORKBENCH_HOME" not in os.environ or os.environ["WORKBENCH_HOME"] != str(home)


def test_a_regression_leads_to_its_matrix_and_its_trace(browser: Browser, dashboard: Server, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    context = browser.new_context(viewport={"width": 1280, "height": 1600})
    page = context.new_page()
    page.set_default_timeout(60_000)
    foreign: list[str] = []
    hosts = (dashboard.url, dashboard.url.replace("http", "ws"), "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(hosts) else foreign.append(request.url))
    page.goto(dashboard.url)
    expect(page.get_by_text("Every question as a point")).to_be_visible(timeout=60_000)
    assert "baseline=" in page.url
    assert "after=" in page.url
    with page.expect_download() as download:
        page.get_by_role("button", name="as LaTeX").click()
    download.value.save_as(tmp_path / "runs.tex")
    assert (tmp_path / "runs.tex").read_text().startswith(r"\begin{tabular}")
    unsafe = page.locator('[data-testid="stElementToolbarButton"]:has([aria-label^="Download as CSV"])')
    expect(unsafe.first).to_be_attached()
    assert (
        unsafe.evaluate_all("nodes => nodes.map(node => getComputedStyle(node).display)") == ["none"] * unsafe.count()
    )
    page.goto(f"{page.url}&question=q4")
    expect(page.get_by_role("heading", name="hostile markup")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("heading", name="json in")).to_be_visible(timeout=120_000)
    expect(page.locator(".heatmaplayer image, .heatmaplayer .hm").first).to_be_attached(timeout=120_000)
    expect(page.get_by_text("result", exact=False).first).to_be_visible()
    assert page.evaluate("window.hacked") is None
    context.close()
    assert foreign == []
