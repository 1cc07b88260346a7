"""The training control: it trains in the background, Stop keeps the model, a failure is a sentence and an error."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from engine import Encoder
from engine.errors import InputError, WorkbenchError
from engine.training import Step, TrainingData, TrainSettings, read_training_data
from workbench.widgets import TrainingControl

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
