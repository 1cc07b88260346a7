"""The widgets in a real JupyterLab: an edit changes the score; a run starts, stops and keeps its model."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from engine import Encoder, explain
from tests.apps.conftest import browser  # noqa: F401, the fixture
from tests.notebooks.test_notebooks import read
from workbench.cli.browser import QUIET_LAB

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(900)]

TRAINING = """
from engine.training import TrainSettings, read_training_data
from workbench.widgets import TrainingControl

words = "sort join open sleep mean glob json argmax zip map".split()
data = read_training_data([{"query": f"how to {word}", "positive": f"{word}: does what it says"} for word in words])
control = TrainingControl(TrainSettings(batch=4, max_steps=1000, device="cpu", output="model"), data)
control
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A JupyterLab of its own: address and folder of the notebooks."""
    pytest.importorskip("jupyterlab", reason="needs JupyterLab: pip install 'late-interaction-workbench[notebooks]'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "notebooks"
    folder.mkdir()
    own = {name: str(tmp_path / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "WORKBENCH_HOME")}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        "--IdentityProvider.token=", f"--notebook-dir={folder}", *QUIET_LAB,
    ]  # fmt: skip
    log = (tmp_path / "log.txt").open("w")
    process = subprocess.Popen(command, env={**os.environ, **own, "WORKBENCH_FAST": "1"}, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=5)
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "log.txt").read_text()
                time.sleep(0.5)
        yield address, folder
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def opened(browser, lab: tuple[str, Path]) -> Iterator[Callable[[list[str]], object]]:  # noqa: F811
    """Opens a notebook of some cells, runs all of them, and gives the page."""
    address, folder = lab
    context = browser.new_context(viewport={"width": 1280, "height": 1400})

    def run(cells: list[str]):
        kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata=kernel), folder / "a.ipynb")
        page = context.new_page()
        page.set_default_timeout(240_000)
        page.goto(f"{address}/lab/tree/a.ipynb")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        page.get_by_text("| Idle").first.wait_for()  # cells that run before there is a kernel are dropped
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        return page

    yield run
    context.close()


def test_an_edit_changes_the_score(opened, embedded_encoder: Encoder) -> None:
    sources = [cell.source for cell in read("01_maxsim_by_hand").cells if cell.cell_type == "code"]
    wanted = ("encoder = Encoder.load", "question = ", "widget = ExplanationWidget")
    page = opened([next(source for source in sources if start in source) for start in wanted])
    score = page.locator(".workbench-score")
    score.wait_for()
    before = score.inner_text()
    question = page.locator(".widget-text input")
    question.fill("smallest element")
    text = page.locator(".widget-textarea textarea").input_value()
    page.wait_for_function(f"document.querySelector('.workbench-score')?.innerText != '{before}'")
    expected = explain(embedded_encoder, "smallest element", text).score
    assert abs(float(before) - expected) > 0.1
    assert float(score.inner_text()) == pytest.approx(expected, abs=0.05)  # the kernel's dtype is the machine's choice
    assert page.locator(".js-plotly-plot").count() >= 1


def test_a_run_starts_stops_and_keeps_its_model(opened, lab: tuple[str, Path]) -> None:
    page = opened([TRAINING, "print('cells', 'answer while it trains')"])
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_text(re.compile(r"Step \d+ of 1000")).first.wait_for()
    assert page.get_by_text("cells answer while it trains").count() == 1
    page.get_by_role("button", name="Stop and keep").click()
    page.get_by_text(re.compile(r"Stopped after \d+ steps")).wait_for()
    assert (lab[1] / "model" / "modules.json").exists()
