"""The training control: it trains in the background, Stop keeps the model, a failure is a sentence and an error."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from engine import Encoder
from engine.errors import InputError, WorkbenchError
from engine.training import Step, TrainingData, TrainSettings, read_training_data
from workbench import figures
from workbench.widgets import TrainingControl
from workbench.widgets.training import _redraw

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def rows() -> TrainingData:
    words = ("sort", "join", "open", "sleep", "mean", "glob", "json", "argmax", "zip", "map")
    return read_training_data([{"query": f"how to {word}", "positive": f"{word}: does what it says"} for word in words])


def settings(folder: Path, steps: int) -> TrainSettings:
    return TrainSettings(batch=4, max_steps=steps, device="cpu", output=str(folder / "model"), mini_batch_tokens=256)


def test_stop_ends_a_running_run_and_keeps_its_model(rows: TrainingData, tmp_path: Path) -> None:
    control = TrainingControl(settings(tmp_path, 1000), rows)
    control.start_button.click()
    assert control.running
    assert control.start_button.disabled
    while not any(isinstance(event, Step) for event in control.events):
        assert control.running, control.status.value
        time.sleep(0.05)
    control.stop_button.click()
    report = control.wait()
    assert report.reason == "stopped"
    assert 1 <= report.steps < 1000
    assert len(control.figure().to_dict()["data"][0]["x"]) == report.steps == control.progress.value
    assert "Stopped" in control.status.value
    assert Encoder.load(report.folder, device="cpu").encode_query(["zip"]).n_tokens > 0
    assert control.static_html().count("<tr>") == report.steps + 1
    assert control.stop_button.disabled
    with pytest.raises(InputError, match="started before"):
        control.start()


def test_a_failure_is_shown_and_raised(rows: TrainingData, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("mine")
    control = TrainingControl(settings(tmp_path, 2), rows)
    control.start()
    with pytest.raises(WorkbenchError) as raised:
        control.wait()
    shown = re.sub(r"<[^>]+>", "", control.status.value)
    assert shown[:30] == str(raised.value)[:30]
    assert not control.running


def test_waiting_for_nothing_is_an_error(rows: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not started"):
        TrainingControl(settings(tmp_path, 2), rows).wait()


def test_a_figure_is_drawn_into_the_widget_that_is_shown() -> None:
    points: list[dict[str, Any]] = [{"step": step, "loss": 1 / step, "learning_rate": 0.1} for step in range(1, 6)]
    shown: Any = go.FigureWidget(figures.training_curves(points[:2]))
    widget = shown.model_id
    for more in (points, [*points, {"step": 5, "ndcg@10": 0.5}], [*points, {"step": 5, "ndcg@10": 0.5}]):
        figure: Any = figures.training_curves(more)
        _redraw(shown, figure)
        drawn: Any = go.Figure(shown)
        assert [(trace.name, len(trace.x)) for trace in drawn.data] == [(t.name, len(t.x)) for t in figure.data]
        assert drawn.layout.to_plotly_json() == figure.layout.to_plotly_json()
    assert shown.model_id == widget
