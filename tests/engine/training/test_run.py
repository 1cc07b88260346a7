"""Runs: what is reported, stopped, resumed, refused and saved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import MultiVectorEncoder

from engine import Collection, Encoder
from engine.errors import InputError, NotFoundError, TrainingError
from engine.training import (
    Evaluated,
    Event,
    Finished,
    Pinned,
    Started,
    Step,
    Stop,
    TrainingData,
    TrainSettings,
    fine_tune,
    push_to_hub,
    read_training_data,
)
from engine.training.recipes import load_recipe, recipe_values, recipes
from engine.training.watch import Guard
from tests.engine.training.conftest import weights


def test_a_run_learns_reports_and_saves(settings: TrainSettings, pairs: TrainingData, development: Collection) -> None:
    events: list[Event] = []
    settings = replace(settings, max_steps=40, evaluate_every=20)
    report = fine_tune(settings, pairs, events.append, development, pinned=[("what is kaba", "kaba is the")])
    assert report.before is not None
    assert report.after is not None
    assert report.after.ndcg > report.before.ndcg + 0.05
    assert report.p_value is not None
    assert len(report.better) + len(report.worse) + len(report.same) == len(development.queries)
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, 41))
    assert all(event.tokens_per_second > 0 and event.gradient_norm > 0 for event in events if isinstance(event, Step))
    assert [event.step for event in events if isinstance(event, Evaluated)] == [0, 20, 40]
    assert len(next(event for event in events if isinstance(event, Pinned)).alignments) == 1
    started = next(event for event in events if isinstance(event, Started))
    assert started.preflight["seconds_per_step"] > 0
    assert started.preflight["graph_bytes"] > 0
    assert isinstance(events[-1], Finished)
    for event in events:
        json.dumps(event.as_dict())
    again = MultiVectorEncoder(settings.output, device="cpu").encode_document(["kaba is the lofi"])[0]
    own = report.encoder.encode_document(["kaba is the lofi"])[0]
    np.testing.assert_allclose(np.asarray(again), own, atol=1e-4)
    assert Encoder.load(settings.output, device="cpu", dtype="float32").fingerprint == report.encoder.fingerprint
    card = (Path(settings.output) / "README.md").read_text()
    assert f"{report.after.ndcg:.4f}" in card
    program = card.partition("## Train again")[2].partition("```python\n")[2].partition("```")[0]
    asked: dict[str, Any] = {}
    names = {"fine_tune": lambda settings, data, development: asked.update(settings=settings, data=data)}
    lines = [line for line in program.splitlines() if "import" not in line]
    known = {"TrainSettings": TrainSettings, "read_training_data": str, "load_collection": str}
    exec("\n".join(lines), {**known, **names})
    assert asked == {"settings": settings, "data": pairs.name}
    query, document, before, after = report.changed[0]
    assert document in development.qrels[query]
    assert before.similarity.shape == after.similarity.shape
    assert not np.allclose(before.similarity, after.similarity)


def test_trackers_get_what_the_events_tell(
    settings: TrainSettings,
    pairs: TrainingData,
    development: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    events: list[Event] = []
    fine_tune(replace(settings, evaluate_every=3, report_to=("tensorboard",)), pairs, events.append, development)
    found = EventAccumulator(str(tmp_path / "logs"))
    found.Reload()
    steps = [event for event in events if isinstance(event, Step)]
    for tag, values in (
        ("train/loss", [event.loss for event in steps]),
        ("train/learning_rate", [event.learning_rate for event in steps]),
        ("train/grad_norm", [event.gradient_norm for event in steps]),
        ("train/tokens_per_second", [event.tokens_per_second for event in steps]),
        ("train/memory_bytes", [event.memory_bytes for event in steps]),
        ("eval/ndcg@10", [event.ndcg for event in events if isinstance(event, Evaluated)][1:]),
    ):
        assert [entry.value for entry in found.Scalars(tag)] == pytest.approx(values), tag
    assert [entry.step for entry in found.Scalars("eval/ndcg@10")] == [3, 6]


def test_negatives_are_mined_again_and_a_resumed_run_sees_the_same(
    settings: TrainSettings, pairs: TrainingData, tmp_path: Path
) -> None:
    settings = replace(settings, mine_every=3, max_steps=8, learning_rate=1e-2, batch=4)
    whole = fine_tune(replace(settings, output=str(tmp_path / "whole")), pairs)
    assert whole.steps == len(whole.losses) == 8
    mined = [read_training_data(tmp_path / "whole" / "checkpoints" / f"negatives-{step}.jsonl") for step in (0, 3, 6)]
    assert all(list(rows.columns) == ["query", "positive", "negative_1"] for rows in mined)
    first, last = (dict(zip(rows.columns["query"], rows.columns["negative_1"], strict=True)) for rows in mined[::2])
    assert any(first[query] != last[query] for query in first.keys() & last.keys())

    def kill(event: Event) -> None:
        if isinstance(event, Step) and event.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(settings, pairs, kill)
    assert fine_tune(settings, pairs, resume=True).steps == 8
    expected = weights(str(tmp_path / "whole"))
    for name, value in weights(settings.output).items():
        assert torch.equal(value, expected[name]), name


def test_stop_ends_within_a_step_and_keeps_the_model(settings: TrainSettings, pairs: TrainingData) -> None:
    stop, seen = Stop(), []

    def on_event(event: Event) -> None:
        if isinstance(event, Step):
            seen.append(event.step)
            if event.step == 2:
                stop.set()

    report = fine_tune(replace(settings, save_every=100), pairs, on_event, stop=stop)
    assert report.reason == "stopped"
    assert report.steps == seen[-1] <= 3
    assert weights(settings.output)
    assert fine_tune(settings, pairs, resume=True).steps == 6


@pytest.mark.parametrize(
    ("values", "sentence"),
    [([float("nan")], "nan"), ([0.0, 0.0, 0.0], "exactly 0"), ([1.0] * 5 + [500.0], "500")],
)
def test_losses_that_cannot_recover_name_the_batch(values: list[float], sentence: str) -> None:
    guard = Guard(lambda columns: "the batch that starts with 'what is kaba'")
    columns = [{"attention_mask": torch.ones(2, 3)}]
    for value in values[:-1]:
        guard(columns, value)
    guard.step = len(values) - 1
    with pytest.raises(TrainingError, match=f"Step {len(values)}.*what is kaba.*{sentence}"):
        guard(columns, values[-1])
    assert guard.tokens == 6 * len(values)


def test_a_run_on_weights_that_are_not_numbers_stops(
    settings: TrainSettings, pairs: TrainingData, backbone: Path, tmp_path: Path
) -> None:
    broken = Encoder.load(str(backbone), device="cpu", dtype="float32").model
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    broken.save_pretrained(str(tmp_path / "broken"))
    with pytest.raises(TrainingError, match="first question is 'what is"):
        fine_tune(replace(settings, base=str(tmp_path / "broken")), pairs)


@pytest.mark.parametrize("loss", ["contrastive", "distillation", "margin-mse"])
def test_every_loss_trains(settings: TrainSettings, rows: list[dict[str, Any]], loss: str) -> None:
    scored = [{**row, "scores": [2.0, 0.0]} for row in rows]
    data = read_training_data(scored if loss != "contrastive" else rows)
    report = fine_tune(replace(settings, loss=loss, max_steps=10), data)
    assert np.mean(report.losses[-3:]) < np.mean(report.losses[:3])


def test_training_the_head_leaves_the_backbone(settings: TrainSettings, pairs: TrainingData, backbone: Path) -> None:
    report = fine_tune(replace(settings, train_only="head"), pairs)
    before = Encoder.load(str(backbone), device="cpu", dtype="float32").model[0].state_dict()
    for name, value in report.encoder.model[0].state_dict().items():
        assert torch.equal(value, before[name]), name


def test_what_cannot_work_is_refused_before_anything_is_written(
    settings: TrainSettings, pairs: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="needs scores"):
        fine_tune(replace(settings, loss="distillation"), pairs)
    with pytest.raises(NotFoundError, match="no checkpoint"):
        fine_tune(settings, pairs, resume=True)
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        fine_tune(replace(settings, output=str(full)), pairs)
    unjudged = Collection({"d": "a text"}, {"q": "a question"}, notes=("no judgements were read: there is dev",))
    with pytest.raises(InputError, match="there is dev"):
        fine_tune(settings, pairs, development=unjudged)
    with pytest.raises(InputError, match="choose another place"):
        fine_tune(replace(settings, output=str(full / "notes.txt" / "model")), pairs)
    assert not Path(settings.output).exists()
    for wrong in ({"batch": 1}, {"learning_rate": 0.0}, {"loss": "hinge"}, {"warmup": 1.5}, {"temperature": "hot"}):
        with pytest.raises(InputError):
            TrainSettings.from_dict(wrong)
    with pytest.raises(InputError, match="Unknown training setting 'speed'"):
        TrainSettings.from_dict({"speed": 3})


@pytest.mark.parametrize("data", [b"\xff\xfe\x00\x80", b"x: " + b"[" * 3000, b"\x00"])
def test_a_recipe_that_is_no_text_or_no_yaml_is_a_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "r.yaml").write_bytes(data)
    with pytest.raises(InputError, match="is not YAML"):
        recipe_values(str(tmp_path / "r.yaml"))


def test_recipes_are_settings(tmp_path: Path) -> None:
    for name, about in recipes().items():
        assert about
        assert load_recipe(name, batch=4).batch == 4
    with pytest.raises(NotFoundError, match="no recipe"):
        load_recipe("sourdough")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="no mapping"):
        load_recipe(tmp_path / "list.yaml")


@pytest.mark.parametrize("name", sorted(recipes()))
def test_every_recipe_runs_on_tiny_data(name: str, backbone: Path, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    recipe = load_recipe(name, base=str(backbone), batch=4, max_steps=2, projection=16, device="cpu",
                         mini_batch_tokens=256, output=str(tmp_path / "model"))  # fmt: skip
    scored = [{**row, "scores": [2.0, 0.0]} for row in rows[:12]]
    report = fine_tune(recipe, read_training_data(scored if recipe.loss == "distillation" else rows[:12]))
    assert report.steps == 2
    assert np.isfinite(report.losses).all()


def test_an_upload_leaves_checkpoints_out_and_a_failed_one_gets_a_sentence(
    settings: TrainSettings, pairs: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = fine_tune(replace(settings, max_steps=1), pairs)
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", lambda self, name, **given: calls.append(given))
    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", lambda self, **given: calls.append(given) or "done")
    assert push_to_hub(report.folder, "someone/model") == "done"
    assert calls[0]["private"] is True
    assert calls[1]["folder_path"] == settings.output
    assert "checkpoints/*" in calls[1]["ignore_patterns"]

    def refuse(self: Any, name: str, **given: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", refuse)
    with pytest.raises(NotFoundError, match="no network"):
        push_to_hub(report.folder, "someone/model")
