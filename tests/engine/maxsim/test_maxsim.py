"""Exact MaxSim against the float64 reference, on everything that has gone wrong elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import TokenEmbeddings, maxsim
from engine.errors import InputError
from engine.maxsim import maxsim_reference
from engine.maxsim.exact import score_chosen
from engine.simd import threads
from tests.conftest import ragged


def assert_close(queries: TokenEmbeddings, documents: TokenEmbeddings) -> np.ndarray:
    ours, reference = maxsim(queries, documents), maxsim_reference(queries, documents)
    assert ours.dtype == np.float32
    finite = np.isfinite(reference)
    assert np.array_equal(ours[~finite], reference[~finite])
    np.testing.assert_allclose(ours[finite], reference[finite], rtol=2e-6, atol=2e-5)
    return ours


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    dim=st.integers(1, 40),
    asked=st.lists(st.integers(0, 70), min_size=1, max_size=4),
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=9),
    half=st.booleans(),
)
def test_agrees_with_the_reference(seed, dim, asked, lengths, half):
    rng = np.random.default_rng(seed)
    assert_close(ragged(rng, asked, dim), ragged(rng, lengths, dim, np.float16 if half else np.float32))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_thread_count_blocking_and_company_change_nothing(dtype):
    rng = np.random.default_rng(1)
    queries = ragged(rng, [28, 0, 1, 33, 64], 96)
    documents = ragged(rng, [*rng.integers(0, 300, 120), 1500], 96, dtype)
    scores = maxsim(queries, documents)
    for count in (1, 2, 8):
        with threads.use_threads(count):
            assert np.array_equal(maxsim(queries, documents), scores)
    for i in range(len(queries)):
        assert np.array_equal(maxsim(queries.select([i]), documents)[0], scores[i])
    chosen = np.array([120, 3, 3, 77])
    assert np.array_equal(score_chosen(queries, documents, chosen), scores[:, chosen])


def test_negative_scores_are_not_beaten_by_padding():
    query = TokenEmbeddings.from_list([np.array([[1.0, 0.0]], np.float32)])
    documents = TokenEmbeddings.from_list([np.array([[-0.5, 0.0]], np.float32), np.full((9, 2), -0.25, np.float32)])
    assert maxsim(query, documents).tolist() == [[-0.5, -0.25]]


def test_empty_sides():
    rng = np.random.default_rng(2)
    nothing, some = TokenEmbeddings(np.empty((0, 8), np.float32), np.zeros(1, np.int64)), ragged(rng, [3, 0], 8)
    assert maxsim(nothing, some).shape == (0, 2)
    assert maxsim(some, nothing).shape == (2, 0)
    scores = maxsim(some, some)
    assert scores[0, 1] == scores[1, 1] == -np.inf
    assert scores[1, 0] == 0


def test_denormal_and_large_numbers():
    rng = np.random.default_rng(3)
    for scale in (1e-40, 1e-20, 1e15):
        queries, documents = ragged(rng, [5], 16), ragged(rng, [7, 4], 16)
        scaled = TokenEmbeddings((documents.values * scale).astype(np.float32), documents.offsets)
        np.testing.assert_allclose(
            maxsim(queries, scaled), maxsim_reference(queries, scaled), rtol=1e-5, atol=1e-43 if scale < 1e-30 else 0
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 5, 11])
def test_a_value_that_is_not_finite_is_named(bad, position):
    rng = np.random.default_rng(4)
    queries, documents = ragged(rng, [5, 9], 16), ragged(rng, [4, 4, 4], 16)
    values = documents.values.copy()
    values[position, 3] = bad
    with pytest.raises(InputError, match=f"token {position % 4} of 'document {position // 4}'"):
        maxsim(queries, TokenEmbeddings(values, documents.offsets))
    with pytest.raises(InputError, match="of 'query 0'"):
        maxsim(TokenEmbeddings(values, documents.offsets).select([position // 4]), queries)


def test_products_beyond_float32_are_an_error():
    huge = TokenEmbeddings.from_list([np.full((2, 4), 3e38, np.float32)])
    with pytest.raises(InputError, match="beyond the range of float32"):
        maxsim(huge, huge)


def test_dimensions_must_agree():
    rng = np.random.default_rng(5)
    with pytest.raises(InputError, match="got 4 and 5"):
        maxsim(ragged(rng, [2], 4), ragged(rng, [2], 5))


def test_read_only_memory_maps_score_the_same(tmp_path):
    rng = np.random.default_rng(6)
    queries, documents = ragged(rng, [5], 24), ragged(rng, [4, 200], 24, np.float16)
    documents.save(tmp_path / "documents")
    assert np.array_equal(maxsim(queries, TokenEmbeddings.open(tmp_path / "documents")), maxsim(queries, documents))
