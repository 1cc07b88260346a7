"""What a run refuses before anything is written: values, lengths and trackers that cannot be, batches that are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.training import TrainingData, TrainSettings, fine_tune, read_training_data
from engine.training.model import cut_at, load_for_training
from engine.typed import yaml_value


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"report_to": ("nosuch",)}, "tracker 'nosuch' cannot be used"),
        ({"report_to": ("tensorboard", "dvclive")}, "tracker 'dvclive' cannot be used"),
    ],
)
def test_what_cannot_be_leaves_no_folder(
    settings: TrainSettings, pairs: TrainingData, changed: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        fine_tune(replace(settings, **changed), pairs)
    assert not Path(settings.output).exists()


def test_a_run_that_fails_before_its_first_checkpoint_leaves_what_was_there(
    settings: TrainSettings, tmp_path: Path
) -> None:
    alike = read_training_data([{"query": f"what is {name}", "positive": "one text"} for name in ("ka", "lo", "mi")])
    output = tmp_path / "new" / "model"
    with pytest.raises(InputError, match="no text comes twice"):
        fine_tune(replace(settings, output=str(output)), alike)
    assert not output.parent.exists()
    output.mkdir(parents=True)
    (output / "README.md").write_text("mine")
    with pytest.raises(InputError, match="no text comes twice"):
        fine_tune(replace(settings, output=str(output)), alike)
    assert (output / "README.md").read_text() == "mine"
    assert not (output / "checkpoints").exists()


def test_a_length_above_the_positions_of_the_model_cuts_there(settings: TrainSettings) -> None:
    long = read_training_data([{"query": f"what is {name}", "positive": f"{name} of " * 60} for name in ("ka", "lo")])
    assert fine_tune(replace(settings, max_steps=1, document_length=100_000), long).counts["over_long"] == 2


def test_what_training_cuts_is_counted_as_training_cuts_it(settings: TrainSettings) -> None:
    encoder = load_for_training(settings)
    rows = read_training_data([{"query": "ka", "positive": "of the ka"}, {"query": "lo", "positive": "a"}])
    assert rows.check(encoder).counts["over_long"] == 0
    for length, over in ((6, 0), (5, 1), (4, 1), (3, 3), (2, 4)):  # [CLS], [SEP] and k, ##a are tokens
        lengths = cut_at(encoder.model, replace(settings, document_length=length, query_length=length))
        assert rows.check(encoder, lengths=lengths).counts["over_long"] == over


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"gather": 2}, "gather as true or false, got 2"),
        ({"gradient_checkpointing": "no"}, "gradient_checkpointing as true or false, got 'no'"),
        ({"base": 5}, "base as a text, got 5"),
        ({"output": ""}, "output as a text, got ''"),
    ],
)
def test_settings_are_of_their_types(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        TrainSettings.from_dict(changed)


def test_numbers_in_lists_are_numbers() -> None:
    assert yaml_value("[1, 2e0, 1e-3, all]") == [1, 2.0, 0.001, "all"]
    assert TrainSettings(pool_factors=yaml_value("[1, 2e0]")).pool_factors == (1, 2.0)
