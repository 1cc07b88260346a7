"""Rankings: one order, ties by id, and reranking by exact MaxSim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import TokenEmbeddings, maxsim, rerank
from engine.errors import InputError
from engine.retrieval import id_order, top_positions
from tests.conftest import ragged


@given(st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]), max_size=30), st.integers(0, 35), st.randoms())
def test_best_first_ties_by_id(values: list[float], k: int, random) -> None:
    names = [f"d{i}" for i in range(len(values))]
    random.shuffle(names)
    scores = np.array(values, np.float32)
    expected = sorted((i for i in range(len(names)) if values[i] > -np.inf), key=lambda i: (-values[i], names[i]))[:k]
    assert top_positions(scores, id_order(names), k).tolist() == expected


def test_rerank_orders_candidates_by_maxsim() -> None:
    rng = np.random.default_rng(0)
    queries, documents = ragged(rng, [3, 2], 8), ragged(rng, [4, 1, 6, 2], 8)
    names = ["a", "b", "c", "d"]
    rankings = rerank(queries, [["d", "a", "c", "a"], []], names, documents, k=2)
    scores = maxsim(queries, documents)[0]
    expected = sorted(["a", "c", "d"], key=lambda name: -scores[names.index(name)])[:2]
    assert rankings[0].ids == expected
    np.testing.assert_allclose(rankings[0].scores, [scores[names.index(name)] for name in expected], rtol=1e-6)
    assert rankings[1].ids == []


def test_rerank_names_a_candidate_that_is_no_document() -> None:
    one = TokenEmbeddings(np.ones((1, 2), np.float32), np.array([0, 1]))
    with pytest.raises(InputError, match="'x' of query 0"):
        rerank(one, [["x"]], ["a"], one, k=1)


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_k_must_be_a_positive_integer(k: object) -> None:
    one = TokenEmbeddings(np.ones((1, 2), np.float32), np.array([0, 1]))
    with pytest.raises(InputError, match="k of 1 or more"):
        rerank(one, [["a"]], ["a"], one, k=k)  # type: ignore[arg-type]
