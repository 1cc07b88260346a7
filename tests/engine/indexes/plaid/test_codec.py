"""The codec: what is stored, how near it is, and how scores are computed from codes."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import TokenEmbeddings, create_index, open_index, storage
from engine.errors import CorruptDataError, InputError
from engine.indexes.plaid import search
from engine.indexes.plaid.codecs import CODECS, codec_class
from engine.indexes.plaid.inverted import build
from engine.indexes.plaid.rows import RowLayout
from engine.indexes.plaid.search import Layout
from engine.indexes.plaid.settings import BITS, PlaidSettings
from tests.conftest import ragged


def fitted(rng, n=3000, dim=24, bits=4, wide_share=0.5, centroids=32) -> tuple[Any, np.ndarray, np.ndarray]:
    """A codec, the vectors it was fitted on and their centroids; residuals of very different lengths."""
    some = rng.normal(size=(centroids, dim)).astype(np.float32)
    codes = rng.integers(0, centroids, n)
    lengths = np.exp(rng.normal(size=(n, 1)))
    vectors = (some[codes] + 0.1 * lengths * rng.normal(size=(n, dim))).astype(np.float32)
    settings = PlaidSettings(bits=bits, wide_share=wide_share)
    return codec_class(bits).fit(vectors, codes, some, settings), vectors, codes


def both(codec, vectors, codes):
    """What is stored of the residuals, and the residuals, float64 [n, dim] each."""
    stored = codec.decode(codes, codec.encode(vectors, codes)).astype(np.float64) - codec.centroids[codes]
    return stored, vectors.astype(np.float64) - codec.centroids[codes]


def error(codec, vectors, codes):
    """What the codes lose of a residual with the length that is best for them, on average."""
    stored, residuals = both(codec, vectors, codes)
    there = np.flatnonzero((stored != 0).any(axis=1))  # a length can be nearer to 0 than to any other
    stored, residuals = stored[there], residuals[there]
    kept = (stored * residuals).sum(axis=1) ** 2 / ((stored**2).sum(axis=1) * (residuals**2).sum(axis=1))
    return float(1 - kept.mean())


# Distortion of the best uniform quantiser of a Gaussian (Max, 1960, table II), by bits; the published values.
UNIFORM = {1: 0.3634, 2: 0.1188, 3: 0.03744, 4: 0.01154, 5: 0.003495, 6: 0.001041}


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_error_is_that_of_a_uniform_quantiser_on_a_gaussian_whatever_the_lengths(bits, share):
    made = fitted(np.random.default_rng(0), dim=96, bits=bits, wide_share=share)
    wide, wider = made[0].layout.wide * 8 / 96, made[0].layout.wider * 8 / 96
    expected = (1 - wide) * UNIFORM[bits] + (wide - wider) * UNIFORM[bits + 1] + wider * UNIFORM[bits + 2]
    assert error(*made) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_length_errs_little_along_the_vector_which_is_what_its_own_query_tokens_see(bits):
    rng = np.random.default_rng(8)
    some, codes = rng.normal(size=(32, 96)).astype(np.float32), rng.integers(0, 32, 3000)
    vectors = (some[codes] + np.exp(0.3 * rng.normal(size=(3000, 1))) * rng.normal(size=(3000, 96))).astype(np.float32)
    codec = codec_class(bits).fit(vectors, codes, some, PlaidSettings(bits=bits))
    stored, residuals = both(codec, vectors, codes)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    along = ((stored - residuals) * directions).sum(axis=1)
    any_way = np.sqrt(((stored - residuals) ** 2).mean(axis=1))
    assert np.sqrt(np.mean(along**2)) < 0.4 * np.sqrt(np.mean(any_way**2))


@given(st.integers(0, 400), st.sampled_from([1, 2, 4]))
@settings(max_examples=40, deadline=None)
def test_no_other_length_errs_less(seed, bits):
    codec, vectors, codes = fitted(np.random.default_rng(seed), 60, 16, bits, 0.5, 4)
    stored, residuals = both(codec, vectors, codes)
    rows = codec.encode(vectors, codes)
    for i in np.flatnonzero(rows[:, -1])[::7]:
        lengths, unit = codec.scales.astype(np.float64), stored[i] / codec.scales[rows[i, -1]]
        errors = lengths[:, None] * unit - residuals[i]
        x = vectors[i].astype(np.float64)
        losses = (errors**2).sum(axis=1) + 16 / (x @ x) * (errors @ x) ** 2
        assert losses[rows[i, -1]] <= losses[1:].min() * (1 + 1e-4) + 1e-9


def test_more_bytes_lose_less():
    rng = np.random.default_rng(1)
    losses = [error(*fitted(rng, bits=bits, wide_share=share)) for bits in (1, 2, 4, 8) for share in (0.0, 0.5)]
    assert losses[:6] == sorted(losses[:6], reverse=True)
    assert losses[6] == pytest.approx(losses[7], rel=0.2)  # at 8 bits the share says nothing
    assert losses[6] < 2e-4


def test_a_vector_that_is_its_centroid_is_stored_as_it_is():
    codec, _, _ = fitted(np.random.default_rng(2))
    codes = np.arange(32)
    np.testing.assert_array_equal(codec.decode(codes, codec.encode(codec.centroids, codes)), codec.centroids)


@given(st.integers(1, 70), st.sampled_from([1, 2, 4, 8, 16]), st.floats(0, 2))
@settings(max_examples=60, deadline=None)
def test_rows_have_the_bytes_that_the_layout_says(dim, bits, share):
    codec, vectors, codes = fitted(np.random.default_rng(3), 50, dim, bits, share, 4)
    rows = codec.encode(vectors, codes)
    assert rows.shape == (50, codec.row_size)
    assert codec.row_size == codec_class(bits).row_bytes(dim, PlaidSettings(bits=bits, wide_share=share))
    if bits == 16:
        assert codec.row_size == 2 * dim
    else:
        layout = codec.layout
        assert 8 * (layout.wide + layout.wider) <= share * dim
        assert layout.size == -(-dim // 8) * bits + layout.wide + layout.wider + 1
        assert codec.distance(rows) <= codec.farthest * (1 + 1e-6)
    assert np.isfinite(codec.decode(codes, rows)).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize(("dim", "share"), [(5, 0.5), (24, 1.7), (96, 0.5), (200, 2.0)])
def test_scores_from_codes_are_maxsim_on_the_decoded_vectors(bits, dim, share):
    rng = np.random.default_rng(4)
    codec, vectors, codes = fitted(rng, 400, dim, bits, share)
    offsets = np.array([0, 1, 30, 230, 400])
    packed = codec.encode(vectors, codes)
    lists = (build(codes.astype(np.uint16), offsets, 0, 32),)
    layout = Layout(codec, offsets, codes.astype(np.uint16), packed, lists, np.ones(4, np.uint8))
    query = rng.normal(size=(41, dim)).astype(np.float32)
    found = search.exact(layout, query, np.arange(4))
    products = codec.decode(codes, packed).astype(np.float64) @ query.T
    expected = [products[a:b].max(axis=0).sum() for a, b in pairwise(offsets)]
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-4)


def test_every_number_of_bits_has_a_codec():
    assert tuple(CODECS) == BITS


def test_codes_are_read_alike_by_every_reader():
    rng = np.random.default_rng(7)
    for bits, dim, share in ((1, 21, 0.5), (2, 40, 2.0), (4, 96, 1.5), (4, 96, 0.5), (8, 13, 0.5), (16, 13, 0.5)):
        codec, vectors, codes = fitted(rng, 60, dim, bits, share)
        packed = codec.encode(vectors, codes)
        tensors = (torch.from_numpy(np.array(part)) for part in (codec.centroids, codes, packed))
        np.testing.assert_allclose(codec.decode_on(*tensors).numpy(), codec.decode(codes, packed), atol=1e-5)


def test_a_share_outside_of_0_to_2_is_refused(tmp_path):
    with pytest.raises(InputError, match="wide_share from 0 to 2"):
        create_index("plaid", tmp_path / "index", wide_share=2.5)


def test_an_index_with_rows_of_another_size_is_refused(tmp_path, monkeypatch):
    index = create_index("plaid", tmp_path / "index")
    index.add([f"d{i}" for i in range(40)], ragged(np.random.default_rng(5), [6] * 40, 16))
    monkeypatch.setattr(RowLayout, "size", 3)
    with pytest.raises(CorruptDataError, match="do not fit together"):
        open_index(index.path)


def test_all_vectors_equal(tmp_path):
    index = create_index("plaid", tmp_path / "index")
    values = np.tile(np.array([0.6, 0.8, 0, 0, 0, 0, 0, 0], np.float32), (20, 1))
    index.add(["a", "b"], TokenEmbeddings(values, np.array([0, 5, 20])))
    np.testing.assert_allclose(index.stored(["a", "b"]).values, values, atol=1e-3)


def test_an_index_of_an_earlier_codec_is_refused(tmp_path):
    index = create_index("plaid", tmp_path / "index")
    index.add(["a"], ragged(np.random.default_rng(6), [6], 16))
    manifest = index.state.manifest
    files = {name: entry for name, entry in manifest.files.items() if name != "steps"}
    with storage.writer_lock(index.path):
        storage.commit(index.path, "index/plaid", manifest.record, {}, files)
    with pytest.raises(CorruptDataError, match="earlier version"):
        open_index(index.path)
