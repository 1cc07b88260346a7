"""ONNX: what the exported file computes is what the model computes, padding included."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from engine import Encoder
from engine.encoder import Task
from engine.errors import InputError
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
    found, mask = runtime.InferenceSession(str(path)).run(None, inputs)
    for row, expected in enumerate(report.encoder.encode_document(TEXTS)):
        np.testing.assert_allclose(found[row][mask[row] == 1], expected, atol=1e-5)


@pytest.mark.parametrize("task", ["query", "document"])
def test_both_sides_of_a_model_with_mean_tokens(task: Task, embedded_encoder: Encoder, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime comes with the dev extra")
    path = export_onnx(embedded_encoder, tmp_path / "model.onnx", task)
    features = embedded_encoder.model.preprocess(TEXTS, task=task)
    inputs = {name: features[name].numpy() for name in ("input_ids", "attention_mask")}
    found, mask = runtime.InferenceSession(str(path)).run(None, inputs)
    encode = embedded_encoder.encode_query if task == "query" else embedded_encoder.encode_document
    for row, expected in enumerate(encode(TEXTS)):
        np.testing.assert_allclose(found[row][mask[row] == 1], expected, atol=1e-4)


def test_both_sides_of_one_file_take_any_number_of_texts(embedded_encoder: Encoder, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime comes with the dev extra")
    session = runtime.InferenceSession(str(export_onnx(embedded_encoder, tmp_path / "model.onnx", "both")))
    assert [entry.name for entry in session.get_inputs()] == ["input_ids", "attention_mask"]
    for texts in (TEXTS[:1], [*TEXTS, "lofi"]):  # other numbers than that of the export
        features = embedded_encoder.model.preprocess(texts, task="query")
        found = session.run(None, {name: features[name].numpy() for name in ("input_ids", "attention_mask")})
        for encode, vectors, mask in (
            (embedded_encoder.encode_query, *found[:2]),
            (embedded_encoder.encode_document, *found[2:]),
        ):
            for row, expected in enumerate(encode(texts)):
                np.testing.assert_allclose(vectors[row][mask[row] == 1], expected, atol=1e-4)


def test_another_task_is_refused(embedded_encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="query, document or both"):
        export_onnx(embedded_encoder, tmp_path / "model.onnx", cast(Task, "passage"))
    assert not list(tmp_path.iterdir())
