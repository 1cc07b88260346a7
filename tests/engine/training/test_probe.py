"""The mini-batch of a run: from texts, settings and memory alone, recorded, and repeated from the record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from threading import Thread

import pytest
import torch

from engine.training import Event, Started, TrainingData, TrainSettings, fine_tune, probe
from engine.training.model import build_loss, load_for_training
from tests.engine.training.conftest import weights


def test_the_mini_batch_follows_from_the_run_and_its_record_repeats_it(
    settings: TrainSettings, pairs: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, mini_batch_tokens=0, max_steps=1)
    running, found = [True], []

    def busy() -> None:
        while running:
            sum(range(1000))

    thread = Thread(target=busy)
    thread.start()
    try:
        for number in range(2):
            started = list[Started]()
            listen = lambda event, into=started: into.append(event) if isinstance(event, Started) else None  # noqa: E731
            clock = Random(number)
            with monkeypatch.context() as patch:
                patch.setattr(probe.time, "perf_counter", lambda clock=clock: clock.random())
                report = fine_tune(replace(settings, output=str(tmp_path / f"{number}")), pairs, listen)
            record = json.loads((tmp_path / f"{number}" / "report.json").read_text())
            assert record["mini_batch_tokens"] == started[0].preflight["mini_batch_tokens"] > 0
            found.append((record["mini_batch_tokens"], report.losses, weights(report.folder)))
    finally:
        running.clear()
        thread.join()
    again = TrainSettings.from_dict({**record["settings"], "output": str(tmp_path / "again")})
    report = fine_tune(again, pairs)
    found.append((again.mini_batch_tokens, report.losses, weights(report.folder)))
    for size, losses, values in found[1:]:
        assert (size, losses) == found[0][:2]
        assert all(torch.equal(value, values[name]) for name, value in found[0][2].items())


def test_a_mini_batch_whose_graph_is_too_large_is_halved(settings: TrainSettings, pairs: TrainingData) -> None:
    events: list[Event] = []
    fine_tune(replace(settings, mini_batch_tokens=0, max_steps=1), pairs, events.append)
    usual = next(event for event in events if isinstance(event, Started)).preflight
    model = load_for_training(settings).model
    columns = [{**model.preprocess(pairs.columns[name], task=task), "task": task}
               for name, task in (("query", "query"), ("positive", "document"))]  # fmt: skip
    loss = build_loss(model, settings)
    small = probe.preflight(loss, columns, 1, memory=int(usual["graph_bytes"]))
    assert 64 <= small.mini_batch_tokens < usual["mini_batch_tokens"]
    assert small.graph_bytes <= usual["graph_bytes"] / 4 or small.mini_batch_tokens == 64
    assert probe.preflight(loss, columns, 1, 512, memory=1).mini_batch_tokens == 512
