"""Folders that are no model, or not all of one: a sentence each, never a traceback and never another model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import Encoder
from engine.errors import CorruptDataError, NotFoundError, UnsupportedError, WorkbenchError
from tests.tiny_models import make_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_model(folder / "backbone", prompts={"query": "q: "}).save(str(folder / "model"))
    return folder / "model"


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved, tmp_path / "model")
    return tmp_path / "model"


def load(folder: Path) -> Encoder:
    return Encoder.load(str(folder), "cpu", "float32")


def cut(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return change


def empty(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(b"")

    return change


def without(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def test_the_whole_folder_loads(model: Path) -> None:
    assert load(model).dim == 16


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (cut("model.safetensors"), "cut short"),
        (empty("model.safetensors"), "cut short"),
        (cut("1_Dense/model.safetensors"), "cut short"),
        (cut("config.json"), "config.json cannot be read"),
        (cut("modules.json"), "modules.json cannot be read"),
        (empty("modules.json"), "modules.json cannot be read"),
        (cut("tokenizer.json"), "tokenizer.json cannot be read"),
        (without("modules.json"), "no modules.json"),
        (without("tokenizer.json"), "no tokenizer.json"),
        (without("modules.json", "config_sentence_transformers.json"), "1_Dense and no modules.json"),
    ],
)
def test_damage_is_one_sentence(model: Path, change: Callable[[Path], None], said: str) -> None:
    change(model)
    with pytest.raises(CorruptDataError, match=said) as caught:
        load(model)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("name", ["model.safetensors", "1_Dense/model.safetensors", "1_Dense/config.json"])
def test_a_missing_part_is_one_sentence(model: Path, name: str) -> None:
    (model / name).unlink()
    with pytest.raises(WorkbenchError) as caught:
        load(model)
    assert "\n" not in str(caught.value)
    assert str(model) in str(caught.value)


@pytest.mark.parametrize("listed", ["{}", "[]", "[1]", '"text"', "null"])
def test_a_list_of_modules_that_is_none(model: Path, listed: str) -> None:
    (model / "modules.json").write_text(listed)
    with pytest.raises(CorruptDataError, match=r"modules\.json"):
        load(model)


def test_weights_of_another_size_are_refused(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))
    with pytest.raises(WorkbenchError) as caught:
        load(model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lost", ["encoder.layer.1.output.dense.weight", "embeddings.word_embeddings.weight"])
def test_weights_that_would_be_random_are_refused(model: Path, lost: str) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(str(model / "model.safetensors"))
    save_file(
        {name: value for name, value in weights.items() if name != lost}, str(model / "model.safetensors"),
        {"format": "pt"},
    )  # fmt: skip
    with pytest.raises(CorruptDataError, match="lacks weights, such as"):
        load(model)


def test_a_pooler_may_be_missing_and_loading_stays_silent(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(str(model / "model.safetensors"))
    kept = {name: value for name, value in weights.items() if "pooler" not in name}
    assert len(kept) < len(weights)
    save_file(kept, str(model / "model.safetensors"), {"format": "pt"})
    found = load(model).encode_document(["the clocks"]).values
    assert found.shape[1] == 16
    assert "REPORT" not in capfd.readouterr().err


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(NotFoundError, match="no model folder"):
        load(tmp_path)
    with pytest.raises(NotFoundError, match="no model folder"):
        load(tmp_path / "manifest.json")


def test_an_architecture_of_its_own_code_says_that_it_is_not_run(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    own = {"model_type": "never-heard-of", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (model / "config.json").write_text(json.dumps(config | own))
    (model / "own.py").write_text("raise SystemExit('this code ran')")
    with pytest.raises(UnsupportedError, match=r"needs code of its own, which is not run.*trust_remote_code=True"):
        load(model)


def test_a_module_of_its_own_code_says_that_it_is_not_run(model: Path) -> None:
    modules = json.loads((model / "modules.json").read_text())
    modules[0]["type"] = "own_code.Transformer"
    (model / "modules.json").write_text(json.dumps(modules))
    (model / "own_code.py").write_text("raise SystemExit('this code ran')")
    with pytest.raises(UnsupportedError, match="needs code of its own, which is not run"):
        load(model)
