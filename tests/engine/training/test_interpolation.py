"""Between a base and its training: both ends exactly, the straight line between them, and folders that load."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import Collection, Encoder
from engine.errors import InputError, NotFoundError
from engine.late_head import LateHead
from engine.training import TrainingData, TrainSettings, fine_tune
from engine.training.interpolation import Interpolation, base_of, check_shares
from workbench import runs
from workbench.experiments.execute import run
from workbench.experiments.experiment import Experiment
from workbench.experiments.merging import merge_curve


def weights(folder: str) -> dict[str, torch.Tensor]:
    return Encoder.load(folder, "cpu", "float32").model.state_dict()


@pytest.fixture(params=["dense", "late"])
def trained(request: pytest.FixtureRequest, settings: TrainSettings, pairs: TrainingData, tmp_path: Path) -> str:
    """A model trained from a checkpoint with a projection, or with a head of mean tokens."""
    from sentence_transformers import MultiVectorEncoder

    if request.param == "dense":
        base = fine_tune(replace(settings, max_steps=1, output=str(tmp_path / "base")), pairs).folder
    else:
        plain = Encoder.load(settings.base, "cpu").model
        torch.manual_seed(0)
        modules = [plain[0], plain[1], LateHead(32, 16, len(plain.tokenizer), nested=(8, 16))]
        MultiVectorEncoder(modules=modules).save_pretrained(str(tmp_path / "base"), create_model_card=False)
        base = str(tmp_path / "base")
    return fine_tune(replace(settings, base=base, lora_rank=2), pairs).folder


def test_ends_are_the_two_models_and_between_them_is_a_line(
    trained: str, development: Collection, tmp_path: Path
) -> None:
    between = Interpolation(trained, device="cpu")
    assert between.base == base_of(trained) == str(tmp_path / "base")
    first, last = weights(between.base), weights(trained)
    for share in (1, 0, 0.25):
        kept = between.save(share, tmp_path / f"at-{share}")
        for name, value in weights(str(kept)).items():
            if value.is_floating_point():
                expected = first[name] + share * (last[name] - first[name])
                torch.testing.assert_close(value, last[name] if share == 1 else expected, atol=0, rtol=0)
        texts = list(development.documents.values())[:3]
        loaded = Encoder.load(str(kept), "cpu", "float32").encode_document(texts).values
        np.testing.assert_allclose(between.at(share).encode_document(texts).values, loaded, atol=1e-6)
    points = merge_curve(between, [development], (0.5, 1.0))
    assert [point.share for point in points] == [0.0, 0.5, 1.0]
    name = development.name
    assert points[0].p_values[name] == 1.0
    for point in points:
        change = point.scores[name].ndcg - points[0].scores[name].ndcg
        assert point.differences[name].mean == pytest.approx(change)
        assert runs.find(point.scores[name].run).mean["ndcg@10"] == point.scores[name].ndcg
    assert points[2].differences[name].mean != 0
    for model, point in ((between.base, points[0]), (trained, points[2])):  # as `evaluate` measures the two
        asked = Experiment(collection=name, model=model, dtype="float32")
        found = run(asked, collection=development, encoder=Encoder.load(model, "cpu", "float32"))
        assert found.mean["ndcg@10"] == point.scores[name].ndcg
        assert (
            found.id == point.scores[name].run or model != trained
        )  # the base is kept with the trained one's settings


def test_mistakes_are_named(settings: TrainSettings, pairs: TrainingData, tmp_path: Path) -> None:
    found = fine_tune(settings, pairs).folder
    with pytest.raises(InputError, match="merge a model with the one that it was trained from"):
        Interpolation(found, device="cpu")  # its base is a plain backbone, without the projection
    with pytest.raises(InputError, match="does not say what it was trained from"):
        base_of(tmp_path)
    own = Interpolation(found, found, "cpu")
    for share in (-0.1, 1.5, True, float("nan")):
        with pytest.raises(InputError, match="share from 0"):
            own.at(share)
    with pytest.raises(InputError, match="is the trained model itself"):
        own.save(0.5, found)
    own.base = settings.base
    with pytest.raises(InputError, match="is the base itself"):
        own.save(0.5, settings.base, replace=True)
    with pytest.raises(NotFoundError, match="There is no folder"):
        base_of(tmp_path / "nosuch")
    with pytest.raises(InputError, match="'one' twice"):
        merge_curve(own, [Collection({"a": "x"}, {"q": text}, {"q": {"a": 1}}, "one") for text in ("y", "z")])
    with pytest.raises(InputError, match="replace puts a new one in its place"):
        own.save(0.5, Path(shutil.copytree(found, tmp_path / "again")))
    words = tmp_path / "again" / "tokenizer.json"
    words.write_text(words.read_text().replace('"find"', '"seek"'))
    with pytest.raises(InputError, match="a base with the tokens of"):
        Interpolation(found, str(tmp_path / "again"), "cpu")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else than a model"):
        own.save(0.5, tmp_path / "other")
    for shares in ([], [0.5, 2]):
        with pytest.raises(InputError, match="shares from 0 to 1"):
            check_shares(shares)
