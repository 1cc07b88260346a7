"""The folder of a run: what is resumed, with what it was started with, and what is never lost unasked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import Collection, Encoder
from engine.errors import BusyError, InputError, StorageError
from engine.training import Event, Step, TrainingData, TrainSettings, fine_tune, read_training_data, run
from tests.engine.training.conftest import Killed, contents, killed_after, weights


@pytest.mark.parametrize("lora_rank", [pytest.param(0, marks=pytest.mark.slow), 4])
def test_killed_and_resumed_ends_with_the_same_weights(
    settings: TrainSettings, pairs: TrainingData, tmp_path: Path, lora_rank: int
) -> None:
    settings = replace(settings, save_every=2, lora_rank=lora_rank)
    whole = fine_tune(replace(settings, output=str(tmp_path / "whole")), pairs)
    with pytest.raises(Killed):
        fine_tune(settings, pairs, killed_after(5))
    steps: list[int] = []
    resumed = fine_tune(
        settings, pairs, lambda event: steps.append(event.step) if isinstance(event, Step) else None, resume=True
    )
    assert steps == [5, 6]  # the last checkpoint before the kill was that of step 4
    assert resumed.steps == whole.steps == 6
    expected = weights(str(tmp_path / "whole"))
    for name, value in weights(settings.output).items():
        assert torch.equal(value, expected[name]), name


def test_a_finished_run_that_is_resumed_says_so_and_changes_nothing(
    settings: TrainSettings, pairs: TrainingData, development: Collection
) -> None:
    first = fine_tune(settings, pairs, development=development)
    before, events = contents(settings.output), list[Event]()
    again = fine_tune(settings, pairs, events.append, development, resume=True)
    assert contents(settings.output) == before
    assert [event.kind for event in events] == ["finished"]
    assert again.reason == "already complete"
    assert (again.steps, again.losses, again.after, again.parts) == (6, first.losses, first.after, first.parts)
    assert again.encoder.fingerprint == first.encoder.fingerprint
    with pytest.raises(InputError, match=r"learning_rate 0.002 is now 0.001"):
        fine_tune(replace(settings, learning_rate=1e-3), pairs, resume=True)
    assert contents(settings.output) == before


@pytest.mark.parametrize("lora_rank", [0, pytest.param(4, marks=pytest.mark.slow)])
def test_a_run_killed_after_its_last_checkpoint_keeps_that_checkpoints_weights(
    settings: TrainSettings, pairs: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lora_rank: int
) -> None:
    settings = replace(settings, lora_rank=lora_rank)
    whole = fine_tune(replace(settings, output=str(tmp_path / "whole")), pairs)

    def kill(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(run, "save_report", kill)
        with pytest.raises(Killed):
            fine_tune(settings, pairs)
    assert not (Path(settings.output) / "report.json").exists()
    resumed = fine_tune(settings, pairs, resume=True)
    assert (resumed.reason, resumed.steps, resumed.losses) == ("complete", 6, whole.losses)
    expected = weights(str(tmp_path / "whole"))
    for name, value in weights(settings.output).items():
        assert torch.equal(value, expected[name]), name


def test_resuming_with_something_else_is_refused_with_what_changed(
    settings: TrainSettings, pairs: TrainingData, rows: list[dict[str, str]], tmp_path: Path
) -> None:
    settings = replace(settings, save_every=2)
    with pytest.raises(Killed):
        fine_tune(settings, pairs, killed_after(5))
    before = contents(settings.output)
    other = read_training_data([{"query": row["query"], "positive": row["negative"]} for row in rows])
    swapped = pairs.select([1, 0, *range(2, len(pairs))])
    changed = Encoder.load(settings.base, device="cpu", dtype="float32").model
    with torch.no_grad():
        next(changed.parameters()).mul_(1.01)
    changed.save_pretrained(str(tmp_path / "changed"))
    for asked, data, sentence in (
        (replace(settings, learning_rate=1e-4), pairs, "learning_rate 0.002 is now 0.0001"),
        (replace(settings, max_steps=8, seed=3), pairs, "max_steps 6 is now 8; seed 0 is now 3"),
        (replace(settings, scorer="top-mean:m=2"), pairs, "scorer 'maxsim' is now 'top-mean:m=2'"),
        (settings, other, "the rows differ"),
        (settings, swapped, "the rows differ"),
        (settings, pairs.select(range(40)), f"{len(pairs)} then, 40 now"),
        (replace(settings, base=str(tmp_path / "changed")), pairs, "base model has other weights"),
    ):
        with pytest.raises(InputError, match=sentence):
            fine_tune(asked, data, resume=True)
    assert contents(settings.output) == before
    moved = tmp_path / "moved"
    Path(settings.output).rename(moved)
    free = replace(settings, output=str(moved), evaluate_every=0, save_every=3)
    report = fine_tune(free, pairs, resume=True)
    assert report.steps == 6
    assert [part["step"] for part in report.parts] == [0, 4]
    assert all(part["device"] == "cpu" and part["versions"]["torch"] for part in report.parts)


def test_a_new_start_never_takes_up_or_replaces_another_run_unasked(
    settings: TrainSettings, pairs: TrainingData, tmp_path: Path
) -> None:
    settings = replace(settings, save_every=2, mine_every=3, batch=4)
    with pytest.raises(Killed):
        fine_tune(settings, pairs, killed_after(5))
    with pytest.raises(InputError, match=r"the checkpoints of a run.*replace"):
        fine_tune(settings, pairs)
    anew = replace(settings, max_steps=3, seed=1)
    expected = fine_tune(replace(anew, output=str(tmp_path / "clean")), pairs)
    report = fine_tune(anew, pairs, replace=True)
    assert (report.steps, report.losses) == (3, expected.losses)  # not the negatives of the run before either
    assert sorted(path.name for path in (Path(settings.output) / "checkpoints").glob("checkpoint-*"))[-1].endswith("-3")
    before = contents(settings.output)
    with pytest.raises(InputError, match=r"holds a model.*replace"):
        fine_tune(settings, pairs)
    with pytest.raises(Killed):
        fine_tune(settings, pairs, killed_after(1), replace=True)
    kept = {name: value for name, value in before.items() if "checkpoints" not in name}
    assert kept.items() <= contents(settings.output).items()  # the model stays until the new one is there


def test_a_full_disk_is_a_sentence_and_the_checkpoint_before_goes_on(
    settings: TrainSettings, pairs: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, save_every=2)
    whole = fine_tune(replace(settings, output=str(tmp_path / "whole")), pairs)
    save, calls = torch.save, []

    def full(value: Any, path: Any, *arguments: Any, **options: Any) -> None:
        calls.append(path)
        save(value, path, *arguments, **options)
        if "checkpoint-4" in str(path):
            raise RuntimeError("[enforce fail at inline_container.cc:664] PytorchStreamWriter failed writing file")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(StorageError, match=r"checkpoint-4 cannot be written .*: free some room"):
            fine_tune(settings, pairs)
    assert calls
    checkpoints = [path.name for path in (Path(settings.output) / "checkpoints").glob("checkpoint-*")]
    assert checkpoints == ["checkpoint-2"]
    assert fine_tune(settings, pairs, resume=True).losses == whole.losses


def test_two_runs_do_not_share_a_folder(settings: TrainSettings, pairs: TrainingData) -> None:
    refused: list[str] = []

    def again(event: Event) -> None:
        if isinstance(event, Step) and event.step == 1:
            with pytest.raises(BusyError, match="written by another"):
                fine_tune(settings, pairs)
            refused.append("yes")

    fine_tune(replace(settings, max_steps=2), pairs, again)
    assert refused == ["yes"]
