"""Embeddings, pooled embeddings and scores of three checkpoints, against values of the reference implementations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers.multi_vector_encoder.modules.token_pooling import HierarchicalTokenPooling

from engine import Encoder, TokenEmbeddings, maxsim, pool

CHECKPOINTS = ["pylate-checkpoint", "pylate-no-expansion", "stanford-checkpoint"]
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=CHECKPOINTS)
def encoded(request: pytest.FixtureRequest):
    folder = Path(__file__).resolve().parents[3] / "shared" / "golden"
    if not folder.exists():
        pytest.skip("needs the reference values in ../shared/golden, which are not part of the repository")
    encoder = Encoder.load(str(folder / request.param), device="cpu", dtype="float32")
    texts = json.loads((folder / f"{request.param}.json").read_text())
    expected = np.load(folder / f"{request.param}.npz")
    return expected, encoder.encode_query(texts["queries"]), encoder.encode_document(texts["documents"])


def rows(vectors: np.ndarray) -> np.ndarray:
    """Vectors in an order of their own: merged tokens have no order that two implementations share."""
    return vectors[np.lexsort(np.round(vectors, 3).T)]


def test_embeddings(encoded) -> None:
    expected, queries, documents = encoded
    for name, embeddings in (("query", queries), ("document", documents)):
        for i, vectors in enumerate(embeddings):
            assert vectors.dtype == np.float32
            np.testing.assert_allclose(vectors, expected[f"{name}_{i}"], atol=TOLERANCE)
    assert (queries.truncated, documents.truncated) == (1, 1)


def test_scores(encoded) -> None:
    expected, queries, documents = encoded
    np.testing.assert_allclose(maxsim(queries, documents), expected["maxsim"], atol=TOLERANCE)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_pooled_means(encoded, factor: int) -> None:
    expected, _, documents = encoded
    pooled = pool(documents, factor, normalize=False)
    for i, vectors in enumerate(pooled):
        np.testing.assert_allclose(rows(vectors), rows(expected[f"pool{factor}_{i}"]), atol=TOLERANCE)


@pytest.mark.parametrize("factor", [1.5, 2, 5])
def test_pooled_and_normalised_as_in_sentence_transformers(encoded, factor: float) -> None:
    _, _, documents = encoded
    theirs = HierarchicalTokenPooling(pool_factor=factor).pool([torch.tensor(vectors) for vectors in documents])
    ours: TokenEmbeddings = pool(documents, factor)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(rows(mine), rows(other.numpy()), atol=TOLERANCE)
