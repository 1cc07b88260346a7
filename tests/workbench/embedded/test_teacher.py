"""The teacher of the embedded model: its scores are what its formula says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine import TokenEmbeddings
from engine.errors import InputError
from workbench.embedded.teacher import EVERY_TOKEN, SINGLE, Teacher

QUERIES = [[101, 7, 8, 102], [101, 9, 102]]
DOCUMENTS = [[101, 7, 5, 6, 102], [101, 8, 8, 102], [101, 5, 102]]


def unit(lengths: list[int], seed: int) -> TokenEmbeddings:
    generator = np.random.default_rng(seed)
    parts = [generator.normal(size=(length, 16)).astype(np.float32) for length in lengths]
    return TokenEmbeddings.from_list([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts])


def rarity(token: int) -> float:
    return max(math.log((3 + 1) / (sum(token in row for row in DOCUMENTS) + 0.5)), 0.0)


def by_hand(queries: TokenEmbeddings, documents: TokenEmbeddings) -> np.ndarray:
    late, single = np.zeros((2, 3)), np.zeros((2, 3))
    for i, (ids, query) in enumerate(zip(QUERIES, queries, strict=True)):
        inner = [rarity(token) for token in ids[1:-1]]
        weights = np.array([1.0, *(value / np.mean(inner) for value in inner), 1.0]) + EVERY_TOKEN
        mean = weights @ query
        for j, (tokens, document) in enumerate(zip(DOCUMENTS, documents, strict=True)):
            late[i, j] = weights @ (query @ document.T).max(1)
            other = np.array([rarity(token) + 2 for token in tokens]) @ document
            single[i, j] = mean @ other / np.linalg.norm(mean) / np.linalg.norm(other)
    return late / late.std(1, keepdims=True) + SINGLE * single / single.std(1, keepdims=True)


def test_scores_follow_the_formula() -> None:
    queries, documents = unit([4, 3], 0), unit([5, 4, 3], 1)
    teacher = Teacher(QUERIES, DOCUMENTS, queries, documents)
    expected = by_hand(queries, documents)
    np.testing.assert_allclose(teacher.scores(), expected, rtol=1e-4)
    np.testing.assert_allclose(teacher.scores([1, 0]), expected[[1, 0]][:, [1, 0]], rtol=1e-4)


def test_ids_must_belong_to_the_vectors() -> None:
    with pytest.raises(InputError, match="same texts"):
        Teacher(QUERIES, DOCUMENTS, unit([4, 4], 0), unit([5, 4, 3], 1))
