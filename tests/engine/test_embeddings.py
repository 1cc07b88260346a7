"""TokenEmbeddings: ragged, checked, saved and mapped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import TokenEmbeddings
from engine.errors import CorruptDataError, InputError, NotFoundError
from tests.conftest import ragged

lengths = st.lists(st.integers(0, 7), max_size=9)


@given(lengths, st.sampled_from([np.float16, np.float32]))
def test_items_are_views_of_the_rows_they_own(counts: list[int], dtype: type) -> None:
    embeddings = ragged(np.random.default_rng(0), counts, 4, dtype)
    assert len(embeddings) == len(counts)
    assert embeddings.lengths.tolist() == counts
    rows = [embeddings[i] for i in range(len(embeddings))]
    assert all(row.base is not None and row.shape == (count, 4) for row, count in zip(rows, counts, strict=True))
    again = TokenEmbeddings.from_list(rows, dim=4)
    assert again.offsets.tolist() == embeddings.offsets.tolist()
    np.testing.assert_array_equal(again.values, embeddings.values)


@given(lengths.filter(bool), st.data())
def test_select_copies_items_in_the_order_given(counts: list[int], data: st.DataObject) -> None:
    embeddings = ragged(np.random.default_rng(1), counts, 3)
    positions = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=6))
    chosen = embeddings.select(positions)
    assert len(chosen) == len(positions)
    for item, position in zip(chosen, positions, strict=True):
        np.testing.assert_array_equal(item, embeddings[position])


@given(st.lists(lengths, min_size=1, max_size=4), st.booleans(), st.integers(0, 99))
def test_joined_items_are_those_of_the_parts_where_they_belong(
    counts: list[list[int]], spread: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    parts = [
        replace(ragged(rng, own, 3), fingerprint="m" if i else None, truncated=i, added=2, unread=(i, 10))
        for i, own in enumerate(counts)
    ]
    order = rng.permutation(sum(map(len, parts))) if spread else np.arange(sum(map(len, parts)))
    places = np.split(order, np.cumsum([len(part) for part in parts])[:-1])
    joined = TokenEmbeddings.join(parts, places if spread else None)
    items = [item for part in parts for item in part]
    assert joined.lengths.tolist() == [len(items[i]) for i in np.argsort(order)]
    for item, i in zip(joined, np.argsort(order), strict=True):
        np.testing.assert_array_equal(item, items[i])
    n = len(parts)
    known = (joined.fingerprint, joined.truncated, joined.added, joined.unread)
    assert known == ("m" if n > 1 else None, sum(range(n)), 2, (sum(range(n)), 10 * n))


def test_what_was_not_read_goes_with_the_items(tmp_path: Path) -> None:
    counts = np.array([[0, 3], [4, 9], [0, 0], [2, 8]])
    whole = replace(ragged(np.random.default_rng(5), [3, 5, 0, 6], 4), counts=counts)
    assert (whole.truncated, whole.unread) == (2, (6, 20))
    whole.save(tmp_path / "e")
    for found in (whole, TokenEmbeddings.open(tmp_path / "e"), whole.astype("float16"), whole.prefix(2)):
        assert (found.select([3, 0]).truncated, found.select([3, 0]).unread) == (1, (2, 11))
        assert (found[:2].truncated, found[:2].unread) == (1, (4, 12))
        assert found[::2].unread == (0, 3)
    joined = TokenEmbeddings.join([whole[2:], whole[:2]], [np.array([2, 3]), np.array([0, 1])])
    np.testing.assert_array_equal(joined.counts, counts)
    half = TokenEmbeddings.join([whole, replace(whole, counts=None)])  # of one part the sums are all that is known
    assert (half.counts, half.truncated, half.unread) == (None, 4, (12, 40))
    with pytest.raises(InputError, match="count each text"):
        replace(whole, counts=counts[:2])


def test_parts_that_do_not_belong_together_are_not_joined() -> None:
    part = replace(ragged(np.random.default_rng(3), [2, 1], 4, np.float16), fingerprint="m")
    assert TokenEmbeddings.join([part, part]).values.dtype == np.float16
    assert TokenEmbeddings.join([part, part.astype("float32")]).values.dtype == np.float32
    for other in (ragged(np.random.default_rng(3), [1], 5), replace(part, fingerprint="x"), replace(part, added=1)):
        with pytest.raises(InputError, match="encode all texts with one model"):
            TokenEmbeddings.join([part, other])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_saved_and_opened_unchanged(tmp_path: Path, dtype: type) -> None:
    embeddings = ragged(np.random.default_rng(2), [3, 0, 5], 8, dtype)
    embeddings = TokenEmbeddings(embeddings.values, embeddings.offsets, "a-model", truncated=2)
    embeddings.save(tmp_path / "e")
    opened = TokenEmbeddings.open(tmp_path / "e")
    assert isinstance(opened.values, np.memmap)
    assert (opened.fingerprint, opened.truncated, opened.values.dtype) == ("a-model", 2, np.dtype(dtype))
    np.testing.assert_array_equal(opened.values, embeddings.values)
    np.testing.assert_array_equal(opened.offsets, embeddings.offsets)


def test_saving_again_replaces_the_whole(tmp_path: Path) -> None:
    first, second = (ragged(np.random.default_rng(seed), [2, 4], 4) for seed in (0, 1))
    first.save(tmp_path)
    mapped = TokenEmbeddings.open(tmp_path)
    second.save(tmp_path)
    np.testing.assert_array_equal(mapped.values, first.values)  # an open reader keeps what it had
    np.testing.assert_array_equal(TokenEmbeddings.open(tmp_path).values, second.values)


def test_a_truncated_file_is_one_clear_error(tmp_path: Path) -> None:
    ragged(np.random.default_rng(0), [3], 4).save(tmp_path)
    path = next(tmp_path.glob("values.*.npy"))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CorruptDataError, match=r"values.*expected \d+ bytes"):
        TokenEmbeddings.open(tmp_path)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"manifest\.json"):
        TokenEmbeddings.open(tmp_path)


@pytest.mark.parametrize(
    ("values", "offsets"),
    [
        (np.zeros(3, np.float32), np.array([0, 3])),
        (np.zeros((3, 2), np.float64), np.array([0, 3])),
        (np.zeros((3, 2), np.float32), np.array([0, 2])),
        (np.zeros((3, 2), np.float32), np.array([0, 2, 1, 3])),
        (np.zeros((3, 2), np.float32), np.array([0, 3], np.int32)),
    ],
)
def test_shapes_and_dtypes_that_do_not_fit(values: np.ndarray, offsets: np.ndarray) -> None:
    with pytest.raises(InputError, match="Expected"):
        TokenEmbeddings(values, offsets)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named(bad: float) -> None:
    embeddings = ragged(np.random.default_rng(0), [2, 3, 1], 4)
    embeddings.values[3, 1] = bad
    with pytest.raises(InputError, match="token 1 of 'b'"):
        embeddings.check(["a", "b", "c"])


def test_large_finite_values_pass() -> None:
    TokenEmbeddings(np.full((2, 4), 6e4, np.float16), np.array([0, 2])).check()


def test_mixed_dimensions_are_named_by_position() -> None:
    with pytest.raises(InputError, match="item 1"):
        TokenEmbeddings.from_list([np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)])


@pytest.mark.parametrize(
    "part",
    [slice(2), slice(1, 4), slice(-2, None), slice(3, 1), slice(None), slice(None, None, 2), slice(None, None, -1)],
)
def test_slices_are_the_items_that_a_list_would_give(part):
    docs = replace(ragged(np.random.default_rng(0), [2, 3, 0, 1, 4], 6), fingerprint="m")
    found = docs[part]
    assert found.fingerprint == "m"
    assert [item.tolist() for item in found] == [item.tolist() for item in list(docs)[part]]
    if (part.step or 1) == 1 and len(found):
        assert np.shares_memory(found.values, docs.values)  # without a copy
    assert docs[np.int64(1)].tolist() == docs[1].tolist()


def test_a_value_beyond_float16_is_named_as_that():
    docs = ragged(np.random.default_rng(0), [2, 3], 6)
    docs.values[3, 4] = -70_000
    with pytest.raises(InputError, match=r"float16 can hold, up to 65,504, got -70000 in token 1 of 'b'"):
        docs.astype("float16", ["a", "b"])
    assert docs.astype("float32").values[3, 4] == -70_000
    docs.values[3, 4] = np.inf  # no overflow: whoever checks for finite values names it
    assert np.isneginf(-docs.astype("float16").values[3, 4])


@pytest.mark.parametrize("name", ["values", "offsets"])
def test_damaged_files_are_found(tmp_path, name):
    docs = ragged(np.random.default_rng(0), [2, 3], 6)
    docs.save(tmp_path / "d")
    TokenEmbeddings.verify(tmp_path / "d")
    path = next((tmp_path / "d").glob(f"{name}.*"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 64
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"restore it or (build it|save it) again"):
        TokenEmbeddings.verify(tmp_path / "d")
    if name == "offsets":
        with pytest.raises(CorruptDataError, match="rise from 0"):
            TokenEmbeddings.open(tmp_path / "d")
