"""Embeddings, scores and pooling of models made here, against a transformer written out in NumPy and the library."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers.multi_vector_encoder.modules.token_pooling import HierarchicalTokenPooling

from engine import Encoder, maxsim, pool
from tests.tiny_models import make_model

DOCUMENTS = [
    "the harbour lights, seven clocks; bread in a cold kitchen",
    "a map of rivers, bridges and ferries, unfolded on the table before the storm was seen from the tower twice",
    "clocks",
    "nobody agrees: 東京 and café",
]
QUERIES = [
    "which clocks agree?",
    "rivers and ferries, bridges and a map of the harbour lights before the storm",
    "bread",
]
WAYS: dict[str, dict[str, Any]] = {
    "plain": {"query_length": 20, "document_length": 24},
    "prompts": {"prompts": {"query": "[Q] ", "document": "d: "}, "skiplist": [",", ";", ":"], "document_length": 24},
    "masks": {"prompts": {"query": "q "}, "query_expansion": {"strategy": "fixed", "length": 16, "attend": False}},
    "attended": {"skiplist": [","], "query_expansion": {"strategy": "fixed", "length": 16, "attend": True}},
    "min": {"query_length": 24, "query_expansion": {"strategy": "min", "length": 12, "attend": False}},
}


@pytest.fixture(scope="module", params=sorted(WAYS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Encoder, dict[str, Any]]:
    way = WAYS[request.param]
    return Encoder(make_model(tmp_path_factory.mktemp(request.param), **way), batch_tokens=64), way


def written_out(model: Any, ids: list[int], attended: np.ndarray) -> np.ndarray:
    """Vectors [tokens, 16] of one text: BERT (Devlin and others, 2019), a projection, length 1; all in float64."""
    weights = {name: value.double().numpy() for name, value in model[0].auto_model.state_dict().items()}

    def linear(values: np.ndarray, name: str) -> np.ndarray:
        return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(values: np.ndarray, name: str) -> np.ndarray:
        centred = values - values.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    table = "embeddings.{}_embeddings.weight"
    hidden = weights[table.format("word")][ids] + weights[table.format("position")][: len(ids)]
    hidden = norm(hidden + weights[table.format("token_type")][0], "embeddings.LayerNorm")
    for number in range(2):
        layer = f"encoder.layer.{number}"
        parts = [linear(hidden, f"{layer}.attention.self.{part}") for part in ("query", "key", "value")]
        query, key, value = (part.reshape(len(ids), 4, 8).transpose(1, 0, 2) for part in parts)
        logits = np.where(attended, query @ key.transpose(0, 2, 1) / np.sqrt(8), -np.inf)
        share = np.exp(logits - logits.max(-1, keepdims=True))
        mixed = (share / share.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(len(ids), 32)
        hidden = norm(hidden + linear(mixed, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
        inner = linear(hidden, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        hidden = norm(hidden + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    vectors = hidden @ model[1].linear.weight.detach().double().numpy().T
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def expected(encoder: Encoder, way: dict[str, Any], text: str, task: str) -> np.ndarray:
    """The vectors of one text by the rules of the models: prompt, cut, expansion, skiplist."""
    tokenizer: Any = encoder.model.tokenizer
    prompt = way.get("prompts", {}).get(task, "")
    expansion = way.get("query_expansion") if task == "query" else None
    limit = way.get(f"{task}_length", 64)
    if expansion and expansion["strategy"] == "fixed":
        limit = expansion["length"]
    ids = tokenizer(prompt + text, truncation=False)["input_ids"]
    ids = ids if len(ids) <= limit else [*ids[: limit - 1], tokenizer.sep_token_id]
    real = len(ids)
    if expansion:
        ids += [tokenizer.mask_token_id] * (expansion["length"] - real)
    attended = np.arange(len(ids)) < (len(ids) if expansion and expansion["attend"] else real)
    skipped = [tokenizer.convert_tokens_to_ids(word) for word in way.get("skiplist", ())] if task == "document" else []
    return written_out(encoder.model, ids, attended)[~np.isin(ids, skipped)]


@pytest.mark.parametrize("task", ["query", "document"])
def test_embeddings(made: tuple[Encoder, dict[str, Any]], task: str) -> None:
    encoder, way = made
    texts, encode = (QUERIES, encoder.encode_query) if task == "query" else (DOCUMENTS, encoder.encode_document)
    found = encode(texts)
    theirs = (encoder.model.encode_query if task == "query" else encoder.model.encode_document)(texts)
    for text, ours, library in zip(texts, found, theirs, strict=True):
        np.testing.assert_allclose(ours, expected(encoder, way, text, task), atol=2e-5)
        np.testing.assert_allclose(ours, library.numpy(), atol=1e-5)


def test_scores(made: tuple[Encoder, dict[str, Any]]) -> None:
    encoder, way = made
    asked = [expected(encoder, way, text, "query") for text in QUERIES]
    given = [expected(encoder, way, text, "document") for text in DOCUMENTS]
    by_hand = np.array([[(q @ d.T).max(axis=1).sum() for d in given] for q in asked])
    queries, documents = encoder.encode_query(QUERIES), encoder.encode_document(DOCUMENTS)
    np.testing.assert_allclose(maxsim(queries, documents), by_hand, atol=2e-4)


@pytest.mark.parametrize("factor", [1.5, 2, 5])
def test_pooling(made: tuple[Encoder, dict[str, Any]], factor: float) -> None:
    encoder, _ = made
    documents = encoder.encode_document(DOCUMENTS)
    theirs = HierarchicalTokenPooling(pool_factor=factor).pool([torch.tensor(vectors) for vectors in documents])
    for ours, library in zip(pool(documents, factor), theirs, strict=True):
        assert sorted_rows(ours).shape == library.shape
        np.testing.assert_allclose(sorted_rows(ours), sorted_rows(library.numpy()), atol=1e-5)


def sorted_rows(vectors: np.ndarray) -> np.ndarray:
    """Vectors in an order of their own: merged tokens have no order that two implementations share."""
    return vectors[np.lexsort(np.round(vectors, 3).T)]


def test_the_written_out_transformer_notices_a_changed_weight(tmp_path: Path) -> None:
    encoder = Encoder(make_model(tmp_path, **WAYS["plain"]))
    before = expected(encoder, WAYS["plain"], DOCUMENTS[0], "document")
    with torch.no_grad():
        weights: Any = encoder.model[0]
        weights.auto_model.encoder.layer[1].output.dense.weight[0, 0] += 1
    assert np.abs(expected(encoder, WAYS["plain"], DOCUMENTS[0], "document") - before).max() > 1e-3
