"""The label-free head: a fit that keeps MaxSim, and the one that comes with the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import Encoder, TokenEmbeddings, maxsim
from engine.errors import InputError
from engine.training.head import HeadSettings, fit_head, principal_head, save_head
from tests.conftest import ragged
from workbench.embedded.model import load
from workbench.embedded.training_texts import cut_spans, read_texts


def project(documents: TokenEmbeddings, weight: np.ndarray) -> TokenEmbeddings:
    values = documents.values.astype(np.float32) @ weight.T
    return TokenEmbeddings(values / np.linalg.norm(values, axis=1, keepdims=True), documents.offsets)


def error(documents: TokenEmbeddings, weight: np.ndarray) -> float:
    small = project(documents, weight)
    n = len(documents)
    apart = ~np.eye(n, dtype=bool)
    lengths = documents.lengths[:, None]
    return float(np.square((maxsim(small, small) - maxsim(documents, documents)) / lengths)[apart].mean())


def test_fitting_brings_scores_nearer_than_the_principal_axes() -> None:
    generator = np.random.default_rng(0)
    documents = ragged(generator, generator.integers(4, 12, 60).tolist(), 24)
    settings = HeadSettings(dim=8, steps=120, near=8, random=8, learning_rate=5e-3)
    losses: list[float] = []
    weight = fit_head(documents, settings, lambda step, loss: losses.append(loss))
    assert weight.shape == (8, 24)
    assert np.mean(losses[-20:]) < np.mean(losses[:20])
    assert error(documents, weight) < error(documents, principal_head(documents, 8))
    np.testing.assert_array_equal(weight, fit_head(documents, settings))


def test_principal_axes_keep_vectors_that_lie_in_a_plane() -> None:
    generator = np.random.default_rng(1)
    plane = generator.standard_normal((2, 16)).astype(np.float32)
    values = generator.standard_normal((50, 2)).astype(np.float32) @ plane
    documents = TokenEmbeddings(values, np.array([0, 20, 50]))
    weight = principal_head(documents, 2)
    np.testing.assert_allclose(weight @ weight.T, np.eye(2), atol=1e-5)
    np.testing.assert_allclose(values @ weight.T @ weight, values, atol=1e-3)
    with pytest.raises(InputError, match="1 to 16"):
        principal_head(documents, 17)


def test_settings_and_too_few_documents_are_refused() -> None:
    with pytest.raises(InputError):
        HeadSettings(steps=0)
    with pytest.raises(InputError, match="at least 24 documents"):
        fit_head(ragged(np.random.default_rng(0), [3, 3], 8), HeadSettings(dim=4))


def test_a_saved_head_loads_as_a_module(tmp_path: Path) -> None:
    from sentence_transformers.base.modules.dense import Dense

    weight = np.arange(12, dtype=np.float32).reshape(3, 4)
    save_head(weight, tmp_path)
    dense = Dense.load(str(tmp_path))
    np.testing.assert_array_equal(dense.linear.weight.detach().numpy(), weight)
    assert dense.module_input_name == "token_embeddings"


def test_the_embedded_model_takes_a_head(tmp_path: Path) -> None:
    weight = np.linalg.qr(np.random.default_rng(0).standard_normal((384, 96)))[0].T.astype(np.float32)
    save_head(weight, tmp_path)
    model, note = load(head=tmp_path)
    model.eval()
    small = Encoder(model).encode_query(["read a file line by line"])[0]
    whole, _ = load(head=None)
    whole.eval()
    vectors = Encoder(whole).encode_query(["read a file line by line"])[0]
    expected = vectors @ weight.T
    assert small.shape[1] == 96
    assert "96" in note
    np.testing.assert_allclose(small, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-4)


def test_texts_come_from_installed_packages_and_spans_from_texts() -> None:
    texts = read_texts(20, packages=("sentence_transformers",))
    assert len(set(texts)) == 20
    assert all(25 <= len(text.split()) <= 110 for text in texts)
    assert texts == read_texts(20, packages=("sentence_transformers",))
    assert all(span in text for span, text in zip(cut_spans(texts), texts, strict=True))
