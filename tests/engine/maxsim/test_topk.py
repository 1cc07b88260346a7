"""The proven top k equals the full computation: positions, scores and ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import TokenEmbeddings, maxsim
from engine.errors import InputError
from engine.maxsim import QuantizedDocuments, maxsim_topk
from engine.retrieval import top_positions
from engine.simd import choice, levels
from tests.conftest import ragged


def assert_same(queries, documents, k, tie_order=None):
    order = np.arange(len(documents)) if tie_order is None else tie_order
    full = maxsim(queries, documents)
    for source in (documents, QuantizedDocuments.build(documents)):
        positions, scores = maxsim_topk(queries, source, k, tie_order)
        for row, (found, values) in enumerate(zip(positions, scores, strict=True)):
            expected = top_positions(full[row], order, k)
            assert np.array_equal(found, expected)
            assert np.array_equal(values, full[row][expected])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    dim=st.sampled_from([1, 3, 4, 16, 33]),
    asked=st.lists(st.integers(0, 40), min_size=1, max_size=9),
    n=st.integers(1, 60),
    k=st.integers(1, 70),
    half=st.booleans(),
)
def test_equals_the_full_computation(seed, dim, asked, n, k, half):
    rng = np.random.default_rng(seed)
    documents = ragged(rng, rng.integers(0, 9, n), dim, np.float16 if half else np.float32, unit=bool(seed % 2))
    assert_same(ragged(rng, asked, dim), documents, k)


def test_ties_follow_the_order_given():
    rng = np.random.default_rng(0)
    one = ragged(rng, [4], 8)
    documents = TokenEmbeddings.from_list([one[0]] * 30)
    assert_same(ragged(rng, [6], 8), documents, 7)
    assert_same(ragged(rng, [6], 8), documents, 7, rng.permutation(30))


def test_outliers_loosen_the_bound_and_change_nothing():
    rng = np.random.default_rng(1)
    documents = ragged(rng, rng.integers(1, 20, 200).tolist(), 32)
    values = documents.values.copy()
    values[17] *= 1000
    assert_same(ragged(rng, [20, 31], 32), TokenEmbeddings(values, documents.offsets), 10)


def test_near_ties_are_decided_in_float32():
    rng = np.random.default_rng(2)
    base = ragged(rng, [3], 64)[0]
    copies = [(base + 1e-6 * rng.standard_normal(base.shape)).astype(np.float32) for _ in range(300)]
    assert_same(ragged(rng, [12], 64), TokenEmbeddings.from_list(copies), 25)


def test_the_bound_holds_for_every_document():
    from engine.maxsim.topk import _scan

    rng = np.random.default_rng(3)
    queries, documents = ragged(rng, [9, 40], 96), ragged(rng, rng.integers(1, 50, 400).tolist(), 96, unit=False)
    full, codes = maxsim(queries, documents), QuantizedDocuments.build(documents)
    for row, (approximate, bound) in enumerate(_scan(queries, slice(0, 2), codes, np.arange(400))):
        error = np.abs(approximate - full[row])
        assert (error <= bound).all()
        assert bound.max() < 0.2 * np.abs(full[row]).max()  # and it is of use


def test_many_dimensions_fall_back_to_float32(monkeypatch):
    rng = np.random.default_rng(4)
    documents = TokenEmbeddings.from_list([np.sign(rng.standard_normal((3, 4096))).astype(np.float32)] * 9)
    codes = QuantizedDocuments.build(documents)
    assert codes.provable == (not choice.chosen().short)
    with monkeypatch.context() as patch:
        patch.setattr(choice, "chosen", lambda: levels.named("avx2"))  # whose sums are held in 16 bits
        assert not codes.provable
    monkeypatch.setattr(QuantizedDocuments, "provable", False)
    assert_same(ragged(rng, [3], 4096), documents, 4)


def test_k_must_be_positive():
    rng = np.random.default_rng(5)
    with pytest.raises(InputError, match="k of 1 or more"):
        maxsim_topk(ragged(rng, [2], 4), ragged(rng, [2], 4), 0)


def test_nan_is_named_when_quantising():
    documents = TokenEmbeddings.from_list([np.ones((2, 4), np.float32), np.full((1, 4), np.nan, np.float32)])
    with pytest.raises(InputError, match="NaN or infinity"):
        QuantizedDocuments.build(documents)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 60), k=st.integers(1, 70), share=st.floats(0, 1))
def test_among_some_documents_it_is_the_full_computation_of_these(seed, n, k, share):
    rng = np.random.default_rng(seed)
    queries, documents = ragged(rng, [3, 1, 20], 8), ragged(rng, rng.integers(0, 9, n), 8)
    among = rng.permutation(n)[: round(share * n)]
    order, full = rng.permutation(n), maxsim(queries, documents)
    for source in (documents, QuantizedDocuments.build(documents)):
        positions, scores = maxsim_topk(queries, source, k, order, among)
        for row, (found, values) in enumerate(zip(positions, scores, strict=True)):
            expected = among[top_positions(full[row][among], order[among], k)]
            assert np.array_equal(found, expected)
            assert np.array_equal(values, full[row][expected])
