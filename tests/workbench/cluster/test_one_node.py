"""One node: vectors, shards and runs made on it are those made here, and what it cannot do is one sentence."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from engine import create_index, open_index
from engine.errors import InputError, NotFoundError
from tests.conftest import FakeEncoder, ragged
from workbench import elsewhere
from workbench.cache import cached_embeddings, cached_index
from workbench.cluster import encode
from workbench.cluster.connect import connected

RNG = np.random.default_rng(8)
DOCUMENTS = ragged(RNG, RNG.integers(3, 12, 80).tolist(), 16)
QUERIES = ragged(RNG, [4, 6], 16)
IDS = [f"d{i:02d}" for i in range(80)]


class Picky(FakeEncoder):
    """Refuses one text, as a model does that scores nothing of it."""

    def _encode(self, texts, task, progress=None):
        if "refused" in texts:
            raise InputError("Nothing of the text 'refused' is left to score: ask with other words.")
        return super()._encode(texts, task, progress)


@pytest.fixture(scope="module")
def nodes(start):
    return start(1)


@pytest.fixture(scope="module")
def cluster(nodes):
    with connected(nodes.cluster.address) as found:  # this process is in it already
        yield found


def results(index):
    return [(ranking.ids, ranking.scores.tolist()) for ranking in index.search(QUERIES, 12)]


@pytest.mark.slow
def test_vectors_are_those_that_are_made_here(cluster, tmp_path, monkeypatch, fake_encoder):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("engine.encoding.CHUNK_TEXTS", 16)  # several units out of few texts
    monkeypatch.setattr("workbench.cache.BLOCK_TEXTS", 40)
    texts, told = [f"word{i % 7} and word{i}" for i in range(100)], []
    spread = elsewhere.spread_encoder(fake_encoder)
    found = cached_embeddings(spread, texts, "document", lambda *done: told.append(done))
    expected = fake_encoder.encode_document(texts).astype("float16")
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    assert (found.fingerprint, told[-1]) == (fake_encoder.fingerprint, (100, 100))
    assert len(told) > 3


def test_shards_and_tasks_give_what_they_give_here(cluster, tmp_path):
    assert str(cluster).startswith("Ray: 1 node, 1 processors")
    assert all(node["NodeManagerAddress"] == "127.0.0.1" for node in cluster.nodes())
    here = create_index("sharded", tmp_path / "here", of="exact", shards=3)
    here.add(IDS, DOCUMENTS)
    there: Any = cached_index("sharded", IDS, DOCUMENTS, scratch=tmp_path / "there", of="exact", shards=3)[0]
    assert type(there.host).__name__ == "Actors"
    assert results(there) == results(here)
    for index in (here, there):
        index.remove(IDS[:9])
        index.add(["new"], DOCUMENTS[:1])
    assert results(there) == results(here) == results(open_index(there.path))

    pids = dict(cluster.each(process_of, [3, 4, 5]))
    assert sorted(pids) == [0, 1, 2]
    assert all(pid != os.getpid() and number == at + 3 for at, (number, pid) in pids.items())


def process_of(number):
    if number < 0:
        raise InputError("Expected a number of 0 or more, got a smaller one: raise it.")
    return number, os.getpid()


@pytest.mark.slow
def test_an_error_of_the_model_is_the_sentence_that_it_is_here(cluster, monkeypatch):
    monkeypatch.setattr("engine.encoding.CHUNK_TEXTS", 2)
    spread = elsewhere.spread_encoder(Picky())
    with pytest.raises(InputError, match="Nothing of the text 'refused'"):
        spread.encode_document(["one", "two", "three", "refused"])


def test_errors_of_the_work_are_the_sentences_that_they_are_here(cluster, tmp_path):
    with pytest.raises(InputError, match="Expected a number of 0 or more"):
        list(cluster.each(process_of, [1, -1]))
    index = elsewhere.spread_index(create_index("sharded", tmp_path / "i", of="hnsw", shards=2, storage="float8"))
    with pytest.raises(InputError, match="float8, got"):
        index.add(IDS, ragged(RNG, [3] * 80, 16, unit=False))
    assert list((tmp_path / "i").glob("shard-*")) == []
    with pytest.warns(UserWarning, match="An index of kind exact is one piece.*sharded:of=exact"):
        elsewhere.spread_index(create_index("exact", tmp_path / "exact"))


def test_a_node_with_another_model_or_none_is_one_sentence(monkeypatch, tmp_path):
    made = {"name": str(tmp_path / "nothing"), "dtype": "float32", "dim": None, "fingerprint": "x", "batch_tokens": 9}

    def missing(*_, **__):
        raise NotFoundError("There is no model 'nothing': give a folder.")

    monkeypatch.setattr(encode.Encoder, "load", missing)
    said = encode.Actor(made, "document")({"number": 0, "texts": ["a"]})["error"]
    assert said == "There is no model 'nothing': give a folder."
    monkeypatch.setattr(encode.Encoder, "load", lambda *_, **__: FakeEncoder())
    said = encode.Actor(made, "document")({"number": 0, "texts": ["a"]})["error"]
    assert said.startswith(f"The model '{made['name']}' is another one on node")
    assert "fake-fingerprint, here x" in said
