"""ONNX: what the exported file computes is what the model computes, padding included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.training import TrainingData, TrainSettings, export_onnx, fine_tune

TEXTS = ["what is kaba?", "kaba, lofi and miru are with the kaden."]


def test_the_exported_model_gives_the_same_vectors(backbone: Path, pairs: TrainingData, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime comes with the dev extra")
    settings = TrainSettings(base=str(backbone), batch=8, max_steps=1, projection=16, device="cpu",
                             mini_batch_tokens=256, output=str(tmp_path / "model"))  # fmt: skip
    report = fine_tune(settings, pairs)
    path = export_onnx(report.encoder, tmp_path / "model.onnx")
    features = report.encoder.model.preprocess(TEXTS, task="document")
    inputs = {name: features[name].numpy() for name in ("input_ids", "attention_mask")}
    assert inputs["attention_mask"].min() == 0  # one text is padded, and other lengths than those of the export
    (found,) = runtime.InferenceSession(str(path)).run(None, inputs)
    for row, expected in enumerate(report.encoder.encode_document(TEXTS)):
        np.testing.assert_allclose(found[row, : len(expected)], expected, atol=1e-5)
