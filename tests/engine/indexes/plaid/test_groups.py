"""Centroids in groups: what is found there, and what it may depend on."""

import json
import zlib

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index, open_index, storage
from engine.errors import CorruptDataError
from engine.indexes.plaid import PlaidIndex, assign, changes, groups, kmeans
from engine.indexes.plaid.codec import Codec
from engine.indexes.plaid.groups import Groups
from engine.simd.threads import use_threads


@pytest.fixture
def small(monkeypatch):
    """Groups where there are few centroids, and few of them are met."""
    monkeypatch.setattr(groups, "LEAST", 32)
    monkeypatch.setattr(groups, "MEMBERS", 8)


def clustered(rng, n, dim=12, clusters=40):
    """Documents of one to nine tokens around some centres."""
    lengths = rng.integers(1, 10, n)
    centres = rng.standard_normal((clusters, dim))
    values = centres[rng.integers(0, clusters, lengths.sum())] + 0.3 * rng.standard_normal((lengths.sum(), dim))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenEmbeddings(values.astype(np.float32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def codec_of(index: PlaidIndex) -> Codec:
    assert index.layout is not None
    return index.layout.codec


def built(path, documents) -> PlaidIndex:
    index = create_index("plaid", path, n_centroids=200)
    index.add([f"d{i}" for i in range(len(documents))], documents)
    assert isinstance(index, PlaidIndex)
    return index


def test_a_vector_finds_the_nearest_centroid_of_the_groups_that_it_meets(small):
    rng = np.random.default_rng(0)
    documents, found = clustered(rng, 400).values, {}
    centroids = kmeans.train(documents, 200, 2, 0)
    laid = Groups(centroids, kmeans.group(centroids))
    assert len(laid.starts) - 1 > groups.LOOKED
    for threads in (1, 2, 8):
        with use_threads(threads):
            found[threads] = laid.nearest(documents)
    codes, distances = found[1]
    for other in (found[2], found[8]):
        np.testing.assert_array_equal(codes, other[0])
        np.testing.assert_array_equal(distances, other[1])
    for some in (slice(0, 1), slice(3, 70), slice(100, None, 7)):  # whoever else is looked up changes nothing
        np.testing.assert_array_equal(laid.nearest(documents[some])[0], codes[some])
    squares = np.square(documents[:, None].astype(np.float64) - centroids).sum(axis=2)
    np.testing.assert_allclose(distances, squares[np.arange(len(codes)), codes], atol=1e-5)
    middles = np.square(documents[:, None].astype(np.float64) - laid.middles).sum(axis=2)
    met = np.argsort(middles, axis=1)[:, : groups.LOOKED]
    squares[~(laid.group[None, :, None] == met[:, None]).any(axis=2)] = np.inf
    np.testing.assert_allclose(distances, squares.min(axis=1), atol=1e-5)
    assert (codes == assign.nearest(documents, centroids)[0]).mean() > 0.9


def test_groups_of_centroids_stand_together_and_none_is_empty(small):
    documents = clustered(np.random.default_rng(1), 300).values
    centroids = kmeans.train(documents, 150, 2, 0)
    group = kmeans.group(np.concatenate([centroids, centroids[:40]]))  # equal ones, too
    assert np.bincount(group).min() > 0
    assert groups.group_count(31) == 1
    assert (kmeans.group(centroids[:31]) == 0).all()


def test_an_index_in_groups_finds_its_documents_after_changes(tmp_path, small, monkeypatch):
    monkeypatch.setattr(changes, "ORIGINALS_LIMIT", 0)
    rng = np.random.default_rng(3)
    documents, other = clustered(rng, 400), clustered(rng, 400, clusters=37)
    index = built(tmp_path / "index", documents)
    before = len(codec_of(index).centroids)
    index.add([f"e{i}" for i in range(len(other))], other)
    codec = codec_of(index)
    assert len(codec.centroids) > before  # the new ones joined groups
    assert codec.groups.group.shape == (len(codec.centroids),)
    far = other.values[codec.groups.nearest(other.values)[0] >= before]
    assert len(far) > 0.3 * len(other.values)
    index.remove([f"d{i}" for i in range(0, 400, 3)])
    index.self_test()
    index.compact()
    index.verify()
    opened = open_index(index.path)
    for name, item in (("d1", documents[1]), ("e17", other[17])):
        assert opened.search(TokenEmbeddings.from_list([item]), 1)[0].ids == [name]


def rewritten(index, change):
    """Change the manifest of an index as an earlier version, or damage, would have it."""
    path = index.path / "manifest.json"
    body = json.loads(path.read_text())["body"]
    change(body["files"])
    crc = zlib.crc32(json.dumps(body, sort_keys=True).encode())
    path.write_text(json.dumps({"crc32": crc, "body": body}))


def test_an_index_of_an_earlier_version_is_put_into_groups_when_it_is_opened(tmp_path, small):
    documents = clustered(np.random.default_rng(4), 300)
    index, query = built(tmp_path / "index", documents), documents.select([7])
    rewritten(index, lambda files: files.pop("groups"))
    opened = open_index(index.path)
    assert opened.search(query, 1)[0].ids == ["d7"]
    opened.add(["new"], documents.select([7]))
    opened.compact()
    opened.remove(["d7"])
    again = open_index(index.path)
    again.verify()
    assert again.search(query, 1)[0].ids == ["new"]


@pytest.mark.parametrize("wrong", [-1, 10**6, 300])
def test_groups_that_are_none_are_refused(tmp_path, small, wrong):
    index = built(tmp_path / "index", clustered(np.random.default_rng(5), 300))
    damaged = codec_of(index).groups.group.copy()
    damaged[0] = wrong
    name = index.state.manifest.files["groups"]["file"]
    entry = storage.write_array(index.path / name, damaged)
    rewritten(index, lambda files: files.__setitem__("groups", entry))
    with pytest.raises(CorruptDataError, match="do not fit together"):
        open_index(index.path)
