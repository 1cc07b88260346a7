"""The fingerprint: every change that changes a vector changes it, and nothing else does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers.multi_vector_encoder.modules.token_pooling import HierarchicalTokenPooling

from engine import Encoder, create_index
from engine.errors import InputError
from tests.tiny_models import make_model, tokenizer_of, trained

BASE: dict[str, Any] = {"query_length": 24, "document_length": 48}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return Encoder(make_model(tmp_path_factory.mktemp("base"), **BASE)).fingerprint


def changed_tokenizer(change: Callable[[dict[str, Any]], None]) -> Any:
    whole = json.loads(trained("wordpiece"))
    change(whole)
    return tokenizer_of("wordpiece", whole)


def cased(whole: dict[str, Any]) -> None:
    whole["normalizer"]["lowercase"] = False


def accents_kept(whole: dict[str, Any]) -> None:
    whole["normalizer"]["strip_accents"] = False


def by_whitespace(whole: dict[str, Any]) -> None:
    whole["pre_tokenizer"] = {"type": "WhitespaceSplit"}


def without_end(whole: dict[str, Any]) -> None:
    whole["post_processor"]["processors"][-1]["single"].pop()


def shorter_words(whole: dict[str, Any]) -> None:
    whole["model"]["max_input_chars_per_word"] = 5


def added(whole: dict[str, Any]) -> None:
    token = {"content": "harbour lights", "single_word": False, "lstrip": False, "rstrip": False}
    whole["added_tokens"].append({"id": 400, "normalized": False, "special": False, **token})


@pytest.mark.parametrize("change", [cased, accents_kept, by_whitespace, without_end, shorter_words, added])
def test_the_way_a_tokenizer_works(tmp_path: Path, base: str, change: Callable[[dict[str, Any]], None]) -> None:
    changed = make_model(tmp_path, tokenizer=changed_tokenizer(change), **BASE)
    assert Encoder(changed).fingerprint != base


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"num_attention_heads": 8}},
        {"config": {"hidden_act": "relu"}},
        {"config": {"layer_norm_eps": 1e-5}},
        {"config": {"position_embedding_type": "relative_key"}},
        {"prompts": {"query": "q: "}},
        {"prompts": {"document": "d: "}},
        {"skiplist": [","]},
        {"document_length": 47},
        {"query_length": 23},
        {"query_expansion": {"strategy": "fixed", "length": 24, "attend": False}},
        {"query_expansion": {"strategy": "fixed", "length": 24, "attend": True}},
        {"query_expansion": {"strategy": "min", "length": 24, "attend": True}},
        {"extra": [HierarchicalTokenPooling(2)]},
        {"extra": [HierarchicalTokenPooling(3)]},
    ],
    ids=str,
)
def test_settings_of_the_model(tmp_path: Path, base: str, changes: dict[str, Any]) -> None:
    found = Encoder(make_model(tmp_path, **{**BASE, **changes})).fingerprint
    assert found != base
    again = Encoder(make_model(tmp_path / "again", **{**BASE, **changes})).fingerprint
    assert found == again


def test_settings_differ_from_each_other(tmp_path: Path) -> None:
    ways = [{"strategy": "fixed", "length": 24, "attend": attend} for attend in (False, True)]
    both = [Encoder(make_model(tmp_path / str(i), **BASE, query_expansion=way)) for i, way in enumerate(ways)]
    assert both[0].fingerprint != both[1].fingerprint


def test_the_last_bit_of_a_weight_counts(tmp_path: Path, base: str) -> None:
    model = make_model(tmp_path, **BASE)
    with torch.no_grad():
        head: Any = model[1]
        head.linear.weight.view(torch.int32)[0, 0] += 1  # a change that bfloat16 would round away
    assert Encoder(model).fingerprint != base


def test_the_dtype_is_part_of_it(tmp_path: Path, base: str) -> None:
    found = {
        dtype: Encoder(make_model(tmp_path / dtype, **BASE)).compute_in(dtype).fingerprint
        for dtype in ("float32", "bfloat16", "float16")
    }
    assert found == {dtype: base.replace("-float32", f"-{dtype}") for dtype in found}
    assert len(set(found.values())) == 3


def test_folder_use_threads_and_saving_do_not_enter(tmp_path: Path) -> None:
    from engine.simd import threads

    make_model(tmp_path / "backbone", **BASE, prompts={"query": "q: "}, skiplist=[","]).save(str(tmp_path / "one"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    encoder = Encoder.load(str(tmp_path / "one"), "cpu", "float32")
    encoder.encode_query(["seven clocks"])  # sets the length at which the tokenizer cuts
    with threads.use_threads(1):
        copied = Encoder.load(str(tmp_path / "two"), "cpu", "float32").fingerprint
    assert Encoder(encoder.model).fingerprint == encoder.fingerprint == copied
    encoder.model.save(str(tmp_path / "three"))
    assert Encoder.load(str(tmp_path / "three"), "cpu", "float32").fingerprint == copied


def test_a_new_major_version_of_a_library_counts(tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    model = make_model(tmp_path, **BASE)
    monkeypatch.setattr(transformers, "__version__", "5.99.0")
    assert Encoder(model).fingerprint == base
    monkeypatch.setattr(transformers, "__version__", "99.0.0")
    assert Encoder(model).fingerprint != base


def test_an_index_of_a_model_with_another_tokenizer_is_refused(tmp_path: Path) -> None:
    first = Encoder(make_model(tmp_path / "a", **BASE))
    second = Encoder(make_model(tmp_path / "b", tokenizer=changed_tokenizer(cased), **BASE))
    index = create_index("exact", tmp_path / "index")
    index.add(["one"], first.encode_document(["The harbour"]))
    with pytest.raises(InputError, match="built with model"):
        index.search(second.encode_query(["The harbour"]), k=1)
    assert index.search(first.encode_query(["The harbour"]), k=1)[0].ids == ["one"]
    with pytest.raises(InputError, match='dtype="float32"'):
        index.search(first.compute_in("bfloat16").encode_query(["The harbour"]), k=1)
