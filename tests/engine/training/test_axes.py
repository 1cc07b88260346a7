"""Where a new projection begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine import Encoder
from engine.training import TrainSettings
from engine.training.axes import begin_projection, principal_axes
from engine.training.model import has_new_projection, load_for_training

TEXTS = [f"number {i} of the words that a small model reads, {'again ' * (i % 5)}" for i in range(40)]


def weight(encoder: Encoder) -> np.ndarray:
    dense: Any = encoder.model[1]
    return dense.linear.weight.detach().numpy().copy()


def test_axes_are_those_that_keep_most_of_the_vectors():
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((500, 12)) * np.arange(1, 13)).astype(np.float16)
    axes = principal_axes(vectors, 4)
    np.testing.assert_allclose(axes @ axes.T, np.eye(4), atol=1e-6)
    unit = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    best = np.linalg.svd(unit, full_matrices=False)[1][:4]
    np.testing.assert_allclose(np.linalg.norm(unit @ axes.T, axis=0), best, rtol=1e-5)


def test_a_new_projection_begins_at_the_axes_of_its_texts(backbone: Path):
    settings = TrainSettings(base=str(backbone), projection=8, device="cpu")
    plain = Encoder.load(str(backbone), device="cpu", dtype="float32")
    vectors = plain.encode_document(TEXTS).values.astype(np.float64)

    def lost(encoder: Encoder) -> float:
        small = vectors @ weight(encoder).T.astype(np.float64)
        return float(np.abs(vectors @ vectors.T - small @ small.T).mean())

    drawn = load_for_training(settings)
    assert has_new_projection(drawn)
    before, name = lost(drawn), drawn.fingerprint
    begun = begin_projection(drawn, TEXTS, seed=0)
    assert lost(begun) < before / 2
    assert begun.fingerprint != name
    again = begin_projection(load_for_training(settings), TEXTS, seed=0)
    assert again.fingerprint == begun.fingerprint
    assert not has_new_projection(Encoder.load("embedded", device="cpu", dtype="float32"))


def test_what_the_backbone_has_no_axes_for_stays_as_it_was_drawn(backbone: Path):
    width = Encoder.load(str(backbone), device="cpu", dtype="float32").dim
    settings = TrainSettings(base=str(backbone), projection=width + 3, device="cpu")
    drawn = weight(load_for_training(settings))
    begun = weight(begin_projection(load_for_training(settings), TEXTS, seed=0))
    assert np.array_equal(begun[width:], drawn[width:])
    assert not np.allclose(begun[:width], drawn[:width])
