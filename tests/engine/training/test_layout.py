"""One folder for sentence-transformers and PyLate: the same vectors, and nothing lost where PyLate cannot follow."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import MultiVectorEncoder

from engine import Encoder
from engine.models import backbone_model
from engine.training import TrainSettings
from engine.training.layout import use_shared_layout
from engine.training.losses import ContrastiveLoss
from engine.training.model import load_for_training
from workbench.embedded.model import load

TEXTS = ["what is kaba?", "kaba, lofi and miru are with the kaden."]


def saved(model: Any, folder: Path) -> tuple[Encoder, bool]:
    model.eval()
    model.save_pretrained(str(folder), create_model_card=False)
    return Encoder(model), use_shared_layout(model, folder)


def test_a_model_in_the_shared_layout_loads_as_the_same_model(backbone: Path, tmp_path: Path) -> None:
    trained = load_for_training(TrainSettings(base=str(backbone), projection=16, device="cpu")).model
    encoder, shared = saved(trained, tmp_path / "model")
    assert shared
    again = Encoder.load(str(tmp_path / "model"), device="cpu", dtype="float32")
    assert again.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(again.encode_query(TEXTS).values, encoder.encode_query(TEXTS).values)
    np.testing.assert_array_equal(again.encode_document(TEXTS).values, encoder.encode_document(TEXTS).values)


def test_a_model_that_pylate_has_no_words_for_keeps_its_layout(backbone: Path, tmp_path: Path) -> None:
    bare, shared = saved(backbone_model(str(backbone), "cpu"), tmp_path / "bare")
    assert not shared
    assert Encoder.load(str(tmp_path / "bare"), "cpu", "float32").fingerprint == bare.fingerprint
    prompted = load_for_training(TrainSettings(base=str(backbone), projection=16, device="cpu")).model
    prompted.prompts["query"] = "search: "  # several tokens: PyLate would insert one
    assert not saved(prompted, tmp_path / "prompted")[1]
    assert MultiVectorEncoder(str(tmp_path / "prompted"), device="cpu").prompts["query"] == "search: "


PROGRAM = """
import json, sys
from pylate import models
model = models.ColBERT(sys.argv[1], device="cpu")
texts = json.loads(sys.argv[2])
found = {task: [x.tolist() for x in model.encode(texts, is_query=task == "query")] for task in ("query", "document")}
from pylate import losses
features = [model.tokenize(texts, is_query=True), model.tokenize(texts[::-1], is_query=False, pad=True)]
value = losses.Contrastive(model)(features)
value.backward()
found["loss"], found["gradient"] = value.item(), model[1].linear.weight.grad.tolist()
print(json.dumps(found))
"""


@pytest.mark.skipif("PYLATE_PYTHON" not in os.environ, reason="PYLATE_PYTHON names no interpreter that has pylate")
def test_pylate_gives_the_same_vectors_loss_and_gradient(tmp_path: Path) -> None:
    encoder, shared = saved(load("cpu")[0], tmp_path / "model")
    assert shared
    command = [os.environ["PYLATE_PYTHON"], "-c", PROGRAM, str(tmp_path / "model"), json.dumps(TEXTS)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    theirs = json.loads(printed.splitlines()[-1])
    for task, ours in (("query", encoder.encode_query(TEXTS)), ("document", encoder.encode_document(TEXTS))):
        for mine, other in zip(ours, theirs[task], strict=True):
            np.testing.assert_allclose(mine, np.array(other), atol=1e-4)
    model = encoder.model
    columns = [
        {**model.preprocess(texts, task=task), "task": task}
        for texts, task in ((TEXTS, "query"), (TEXTS[::-1], "document"))
    ]
    value = ContrastiveLoss(model)(columns)
    value.backward()
    dense: Any = model[1]
    assert value.item() == pytest.approx(theirs["loss"], abs=1e-4)
    np.testing.assert_allclose(dense.linear.weight.grad.numpy(), np.array(theirs["gradient"]), atol=1e-4)
