"""Questions read in one compiled call: the transformer's vectors, whatever is asked beside them, or its own refusal."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from engine import Encoder
from engine.errors import InputError
from engine.precision import INT8_LEVELS, instructions
from engine.short_texts import ShortTexts, fits
from engine.simd.bert import attend
from engine.simd.choice import chosen
from engine.simd.jit import kernel
from engine.simd.layers import HIDDEN, gelu

pytestmark = pytest.mark.skipif(
    not instructions("cpu") & {*INT8_LEVELS, "amx"}, reason="no integer products on this processor"
)


def bert(seed: int = 0, **chosen: Any) -> BertModel:
    """A small BERT with weights of a usual size and norms that are not all alike."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": 90, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 160, "max_position_embeddings": 48}  # fmt: skip
    model = BertModel(BertConfig(**{**sizes, **chosen})).eval()
    for name, parameter in model.named_parameters():
        if "LayerNorm.weight" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
        elif "bias" in name:
            parameter.data = 0.2 * torch.randn_like(parameter)
        elif parameter.ndim == 2:
            parameter.data = torch.randn_like(parameter) / parameter.shape[1] ** 0.5
    return model


def rounded(model: BertModel, limit: int) -> BertModel:
    """The same with weights and activations on the steps of 8 bits, in torch's own arithmetic: the oracle."""

    def steps(_: Any, values: tuple[torch.Tensor]) -> torch.Tensor:
        low, high = values[0].amin(-1, keepdim=True), values[0].amax(-1, keepdim=True)
        step = torch.where(high > low, (high - low) / 255, 1)
        return low + step * torch.round((values[0] - low) / step)

    for layer in model.encoder.modules():
        if type(layer) is torch.nn.Linear:
            scale = layer.weight.data.abs().amax(1, keepdim=True) / limit
            layer.weight.data = torch.round(layer.weight.data / scale) * scale
            layer.register_forward_pre_hook(steps)
    return model


def limit_of(short: ShortTexts) -> int:
    return int(short.name.rpartition(" ")[2])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3), st.integers(1, 40), st.data())
def test_vectors_are_those_of_the_rounded_layers(seed: int, tokens: int, data: st.DataObject) -> None:
    model = bert(seed)
    ids = torch.tensor([data.draw(st.lists(st.integers(0, 89), min_size=tokens, max_size=tokens))])
    seen = data.draw(st.lists(st.integers(0, 1), min_size=tokens, max_size=tokens).filter(any))
    kinds = torch.tensor([data.draw(st.lists(st.integers(0, 1), min_size=tokens, max_size=tokens))])
    features = {"input_ids": ids, "attention_mask": torch.tensor([seen]), "token_type_ids": kinds}
    short = ShortTexts(model, True)
    found = short.read(dict(features))["token_embeddings"].numpy()[0]
    with torch.inference_mode():
        expected = rounded(model, limit_of(short))(**features).last_hidden_state.numpy()[0]
    error = np.abs(found - expected).max(axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 0.02  # a value on the edge between two steps may fall to either side, and others follow
    assert np.median(error) < 0.004


def test_what_lies_between_the_products() -> None:
    values = np.linspace(-12, 12, 4096, dtype=np.float32)
    expected = torch.nn.functional.gelu(torch.from_numpy(values.astype(np.float64))).numpy()
    found = values.copy()
    smooth(found)
    assert np.abs(found - expected).max() < 1e-6
    numbers = np.random.default_rng(0)
    for tokens, heads in ((1, 1), (5, 2), (16, 3), (33, 2)):
        width = 16 * heads
        qkv = numbers.normal(size=(tokens, 3, heads, 16)).astype(np.float32)
        seen = numbers.random(tokens) < 0.7
        seen[0] = True
        out = np.empty((tokens, width), np.float32)
        attended(qkv.reshape(-1), tokens, heads, seen, out.reshape(-1))
        query, key, value = (torch.from_numpy(qkv[:, k]).transpose(0, 1) for k in range(3))
        expected = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, torch.from_numpy(seen).expand(tokens, tokens)
        )
        assert np.abs(out - expected.transpose(0, 1).reshape(tokens, width).numpy()).max() < 1e-5


@kernel
def smooth(values):
    gelu(values, len(values))


def attended(qkv: np.ndarray, tokens: int, heads: int, seen: np.ndarray, out: np.ndarray) -> None:
    lanes = chosen().lanes
    padded = -(-tokens // lanes) * lanes
    hidden = np.full(padded, np.float32(HIDDEN))
    hidden[:tokens][seen] = 0
    keys, shares = np.zeros(16 * padded, np.float32), np.empty(tokens * padded, np.float32)
    attend(qkv, tokens, lanes, 16 * heads, heads, hidden, keys, shares, out)


def test_a_text_has_one_vector_whatever_is_beside_it_and_behind_it() -> None:
    short = ShortTexts(bert(), True)
    ids = torch.tensor([[5, 6, 7, 8, 0, 0, 0], [9, 10, 11, 12, 13, 14, 15]])
    mask = (ids > 0).long()
    both = short.read({"input_ids": ids, "attention_mask": mask})["token_embeddings"]
    alone = short.read({"input_ids": ids[:1, :4], "attention_mask": mask[:1, :4]})["token_embeddings"]
    assert torch.equal(both[0, :4], alone[0])
    assert torch.equal(both[1:], short.read({"input_ids": ids[1:], "attention_mask": mask[1:]})["token_embeddings"])


def test_only_a_plain_bert_is_read_so() -> None:
    assert fits(bert())
    others: list[dict[str, Any]] = [{"hidden_act": "gelu_new"}, {"hidden_act": "relu"}, {"intermediate_size": 100},
                                    {"hidden_size": 48}, {"is_decoder": True}]  # fmt: skip
    for other in others:
        assert not fits(bert(**other)), other
    assert not fits(RobertaModel(RobertaConfig(vocab_size=20, hidden_size=32, num_hidden_layers=1,
                                               num_attention_heads=2, intermediate_size=32)))  # fmt: skip
    changed = bert()
    changed.encoder.layer[1].output.dense = torch.nn.Sequential(changed.encoder.layer[1].output.dense)  # type: ignore[assignment]
    assert not fits(changed)


def test_what_the_transformer_refuses_is_left_to_it() -> None:
    short = ShortTexts(bert(), True)
    ids = torch.arange(48).view(1, -1)
    assert short.takes({"input_ids": ids})
    for features in ({"input_ids": torch.zeros(1, 49, dtype=torch.int64)}, {"input_ids": ids + 43},
                     {"input_ids": ids - 1}, {"inputs_embeds": ids}, {"input_ids": ids[:0]},
                     {"input_ids": ids, "modality": "image"}, {"input_ids": ids, "token_type_ids": ids}):  # fmt: skip
        assert not short.takes(features), features


def test_questions_of_the_embedded_model_are_near_float32_and_the_same_alone_and_together() -> None:
    encoder, exact = (Encoder.load("embedded", device="cpu", dtype=dtype) for dtype in ("int8", "float32"))
    texts = ["how do I sort a list", "x", "numpy.linalg.svd of a very large matrix, without the full matrices",
             "stop a thread that waits for a file"]  # fmt: skip
    found, expected = encoder.encode_query(texts), exact.encode_query(texts)
    assert np.array_equal(found.lengths, expected.lengths)
    lengths = np.linalg.norm(found.values, axis=1) * np.linalg.norm(expected.values, axis=1)
    cosines = (found.values.astype(np.float32) * expected.values).sum(axis=1) / lengths
    assert cosines.mean() > (0.999 if limit_of(ShortTexts(bert(), True)) == 127 else 0.997)
    for number, text in enumerate(texts):
        assert np.allclose(encoder.encode_query([text])[0], found[number], atol=2e-3)  # the head is torch's, in float16
    assert encoder.describe()["questions"] == encoder.questions != ""
    assert exact.questions == ""
    by_library = [exact.model.encode_query([text], convert_to_numpy=True)[0] for text in texts]
    assert all(
        np.allclose(own, theirs, atol=2e-5) for own, theirs in zip(exact.encode_query(texts), by_library, strict=True)
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3), st.lists(st.integers(0, 1), min_size=1, max_size=48).filter(any))
def test_in_float32_vectors_are_the_transformers(seed: int, seen: list[int]) -> None:
    model = bert(seed)
    ids = torch.from_numpy(np.random.default_rng(seed).integers(0, 90, (2, len(seen))))
    features = {"input_ids": ids, "attention_mask": torch.tensor([seen, [1] * len(seen)])}
    found = ShortTexts(model, False).read(dict(features))["token_embeddings"]
    with torch.inference_mode():
        assert torch.allclose(found, model(**features).last_hidden_state, atol=2e-5)


@pytest.mark.slow
def test_every_level_reads_them() -> None:
    code = (
        "import numpy as np; from engine import Encoder; e = Encoder.load('embedded', 'cpu', 'int8'); "
        "print(e.questions); v = e.encode_query(['how do I sort a list']).values.astype(np.float32); "
        "print(*v[0, :4], len(v))"
    )
    from engine.simd.levels import available

    lines = {}
    for level in (level.name for level in available() if level.products not in ("", "generic")):  # half a minute each
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "WORKBENCH_SIMD": level}, text=True,
                              capture_output=True, check=True)  # fmt: skip
        lines[level] = done.stdout.splitlines()
    numbers = [np.array(line[1].split(), float) for line in lines.values()]
    assert all(np.allclose(numbers[0], other, atol=0.02) for other in numbers)
    assert all(("64" in line[0]) == (level == "avx2") for level, line in lines.items())


def test_a_model_that_changes_after_it_was_loaded_is_read_as_it_is_now() -> None:
    encoder = Encoder.load("embedded", device="cpu", dtype="float32")
    text, first = ["how do I sort a list"], encoder.model[0]
    transformer: Any = first.model

    def both() -> tuple[np.ndarray, np.ndarray]:
        return encoder.encode_query(text)[0], encoder.model.encode_query(text, convert_to_numpy=True)[0]

    before = both()[0]
    with torch.no_grad():
        transformer.encoder.layer[3].output.LayerNorm.weight.mul_(1.5)
        transformer.encoder.layer[0].intermediate.dense.weight.add_(0.01)
    own, expected = both()
    assert np.abs(own - before).max() > 1e-2
    assert np.allclose(own, expected, atol=2e-5)
    layer = transformer.encoder.layer[1].attention.self
    layer.query = torch.nn.Sequential(layer.query, torch.nn.Linear(384, 384))  # as an adapter does
    own, expected = both()
    assert np.allclose(own, expected, atol=2e-5)
    assert encoder._questions.reader() is None


def test_a_dtype_that_is_refused_leaves_questions_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder.load("embedded", device="cpu", dtype="float32")
    before = encoder.encode_query(["how do I sort a list"])[0]

    def refuse(*_: Any) -> None:
        raise InputError("no integers here")

    monkeypatch.setattr("engine.encoder.round_weights", refuse)
    with pytest.raises(InputError):
        encoder.compute_in("int8")
    assert encoder.questions == ""
    assert np.array_equal(encoder.encode_query(["how do I sort a list"])[0], before)
