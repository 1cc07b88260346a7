"""Pooling: the same partitions as scipy, the same means as the golden values, every factor from one linkage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import TokenEmbeddings, pool
from engine.errors import InputError
from engine.pooling import link, linkage, pool_groups
from tests.conftest import ragged

FACTORS = (1, 1.3, 1.5, 2, 3, 4, 8, math.inf)


def scipy_groups(vectors: np.ndarray, wanted: int) -> np.ndarray:
    """Ward's clusters by scipy, numbered by their first token."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    values = vectors.astype(np.float32)
    distance = np.clip(1 - values @ values.T, 0, 2)
    labels = fcluster(linkage(squareform(distance, checks=False), method="ward"), t=wanted, criterion="maxclust")
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), tokens=st.integers(2, 60), dim=st.integers(2, 30), factor=st.floats(1.05, 12))
def test_the_partition_of_scipy(seed, tokens, dim, factor):
    document = ragged(np.random.default_rng(seed), [tokens], dim)
    groups, offsets = pool_groups(document, factor, protected=0)
    wanted = max(int(tokens // factor), 1)
    expected = scipy_groups(document[0], wanted) if wanted < tokens else np.arange(tokens)
    assert np.array_equal(groups, expected)
    assert offsets.tolist() == [0, expected.max() + 1]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), tokens=st.integers(9, 60), protected=st.integers(0, 2), factor=st.floats(1.05, 7))
def test_long_documents_merge_within_runs_as_scipy_merges_each(seed, tokens, protected, factor):
    documents = ragged(np.random.default_rng(seed), [3, tokens, 5], 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linkage, "BLOCK", 8)
        linked = link(documents, "hierarchical", protected)
    groups, offsets = linked.groups(factor)
    free = tokens - protected
    assert offsets[2] - offsets[1] == protected + max(int(free // factor), 1)
    own = groups[3 + protected : 3 + tokens]
    runs = -(-free // 8)
    for run in range(runs):
        start, end = run * free // runs, (run + 1) * free // runs
        if free // factor >= runs:
            part = np.unique(own[start:end], return_index=True, return_inverse=True)
            mine = np.argsort(np.argsort(part[1]))[part[2]]
            expected = scipy_groups(documents[1][protected + start : protected + end], len(part[0]))
            assert np.array_equal(mine, expected)
            assert not set(own[start:end]) & set(own[end:])  # nothing merges over the edge of a run
    assert len(np.unique(linked.groups(math.inf)[0][3 + protected : 3 + tokens])) == 1


def test_memory_does_not_grow_with_the_square_of_a_documents_tokens(monkeypatch):
    import tracemalloc

    monkeypatch.setattr(linkage, "BLOCK", 256)
    document = ragged(np.random.default_rng(0), [8000], 16)
    pool(document.select([0]), 2)  # compiled before the memory is watched
    tracemalloc.start()
    try:
        assert pool(document, 2).n_tokens == 1 + 7999 // 2
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6  # 768 MB for all distances at once


def test_golden_plain_means(golden):
    for name in ("pylate-checkpoint", "stanford-checkpoint", "pylate-no-expansion"):
        arrays = np.load(golden / f"{name}.npz")
        documents = TokenEmbeddings.from_list([arrays[f"document_{i}"].astype(np.float32) for i in range(5)])
        for factor in (2, 3, 4):
            pooled = pool(documents, factor, normalize=False)
            for i in range(5):
                expected = arrays[f"pool{factor}_{i}"]
                assert pooled[i].shape == expected.shape
                order = np.lexsort(np.round(expected, 4).T), np.lexsort(np.round(pooled[i], 4).T)
                np.testing.assert_allclose(pooled[i][order[1]], expected[order[0]], atol=2e-4)


@pytest.mark.parametrize("method", ["hierarchical", "sequential"])
@pytest.mark.parametrize("protected", [0, 1, 3])
def test_one_linkage_gives_every_factor(method, protected):
    documents = ragged(np.random.default_rng(0), [40, 1, 0, 2, 7, 90], 12)
    linked = link(documents, method, protected)
    for factor in FACTORS:
        groups, offsets = linked.groups(factor)
        again, again_offsets = pool_groups(documents, factor, method, protected)
        assert np.array_equal(groups, again)
        assert np.array_equal(offsets, again_offsets)
        pooled = linked.pool(factor)
        assert np.array_equal(pooled.offsets, offsets)
        for i, length in enumerate(documents.lengths):
            free = length - min(protected, length)
            if free:
                assert len(pooled[i]) == min(protected, length) + max(int(free // factor), 1)
            members = groups[documents.offsets[i] : documents.offsets[i + 1]] - offsets[i]
            first_seen = [members.tolist().index(k) for k in range(len(pooled[i]))]
            assert first_seen == sorted(first_seen)


def test_means_by_hand():
    vectors = np.array([[1, 0], [0, 1], [0.8, 0.6], [0.6, 0.8]], np.float32)
    documents = TokenEmbeddings.from_list([vectors])
    assert pool_groups(documents, 3, protected=1)[0].tolist() == [0, 1, 1, 1]
    plain = pool(documents, 3, protected=1, normalize=False)
    np.testing.assert_allclose(plain[0], [[1, 0], [1.4 / 3, 0.8]], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(pool(documents, 3, protected=1)[0], axis=1), 1, atol=1e-6)


def test_sequential_runs():
    documents = ragged(np.random.default_rng(1), [8], 4)
    groups, _ = pool_groups(documents, 2, "sequential", protected=1)
    assert groups.tolist() == [0, 1, 1, 1, 2, 2, 3, 3]


def test_factor_one_keeps_all_and_float16_stays():
    documents = ragged(np.random.default_rng(2), [5, 6], 8, np.float16)
    assert pool(documents, 1) is documents
    assert pool(documents, 2).values.dtype == np.float16


def test_equal_tokens_merge_first():
    rng = np.random.default_rng(3)
    base = ragged(rng, [5], 16)[0]
    groups, _ = pool_groups(TokenEmbeddings.from_list([np.concatenate([base, base])]), 2, protected=0)
    assert np.array_equal(groups, np.concatenate([np.arange(5), np.arange(5)]))


def test_mistakes_are_named():
    documents = ragged(np.random.default_rng(4), [5], 8)
    with pytest.raises(InputError, match="factor of 1 or more"):
        pool(documents, 0.5)
    with pytest.raises(InputError, match="factor of 1 or more"):
        link(documents).pool(math.nan)
    with pytest.raises(InputError, match="hierarchical, sequential"):
        pool(documents, 2, "other")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="protected"):
        pool(documents, 2, protected=-1)
    documents.values[2, 2] = np.nan
    with pytest.raises(InputError, match="NaN"):
        pool(documents, 2)


def test_documents_worked_on_in_several_parts_are_pooled_like_one_by_one() -> None:
    documents = ragged(np.random.default_rng(5), [40] * 700, 4)  # 28,000 tokens: more than one part
    pooled = pool(documents, 3, method="sequential")
    for position in (0, 1, 350, 698, 699):
        alone = pool(documents.select([position]), 3, method="sequential")
        np.testing.assert_array_equal(pooled[position], alone[0])
