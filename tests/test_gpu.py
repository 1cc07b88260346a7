"""On a real card, by `make test-gpu`: what tests/device_checks.py holds to the CPU, and what only a card can show."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine import Collection, Encoder
from engine.parity import certify
from engine.training import TrainSettings, fine_tune, read_training_data
from tests.device_checks import CHECKS

ROOT = Path(__file__).resolve().parents[1]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.device_checks"]
    own = {**os.environ, "WORKBENCH_CHECK_DEVICE": "cuda", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=own)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("check", [check.__name__ for check in CHECKS])
def test_the_card_gives_what_the_processor_gives(found: dict[str, str], check: str) -> None:
    assert found[check] == ""


def test_the_certificate_holds_on_the_card() -> None:
    records = [record for record in certify("embedded") if record.device == "cuda"]
    assert {record.dtype for record in records} == {"float32", "bfloat16", "float16"}
    for record in records:
        assert record.error == "", record
        assert record.same_order, record
        least = {"float32": 0.99999, "float16": 0.999, "bfloat16": 0.99}[record.dtype]
        assert record.min_cosine is not None
        assert record.min_cosine > least, record


def test_auto_takes_the_card_and_its_own_dtype() -> None:
    encoder = Encoder.load("embedded")
    assert encoder.device.startswith("cuda")
    wanted = "bfloat16" if torch.cuda.get_device_capability() >= (8, 0) else "float32"
    assert encoder.dtype == wanted


def test_a_training_on_the_card_learns_and_resumes(tmp_path: Path, tiny_collection: Collection) -> None:
    words = ["sort", "join", "open", "sleep", "mean", "glob", "json", "argmax", "zip", "map"]
    rows = [{"query": f"how to {word}", "positive": f"{word}: does what its name says"} for word in words]
    settings = TrainSettings(
        device="cuda", batch=8, max_steps=6, save_every=3, learning_rate=1e-4, output=str(tmp_path / "model")
    )
    losses: list[float] = []
    report = fine_tune(
        settings, read_training_data(rows), lambda event: losses.append(getattr(event, "loss", 0.0)), tiny_collection
    )
    assert report.after is not None
    told = [loss for loss in losses if loss]
    assert told[-1] < told[0]
    again = fine_tune(settings, read_training_data(rows), resume=True)
    assert again.reason == "already complete"


def test_the_benchmark_ends_and_writes_its_record(tmp_path: Path) -> None:
    from benchmarks import gpu

    assert (
        gpu.main(["--small", "--output", str(tmp_path / "gpu.json"), "--parts", "encode", "maxsim", "gradcache"]) == 0
    )
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert record["parts"]["gradcache"]["ours"]["40"]["peak_bytes"] > 0
