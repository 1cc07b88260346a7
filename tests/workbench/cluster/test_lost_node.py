"""Three nodes, some lost while they work: only what they had not finished is done again, and nothing else changes."""

from __future__ import annotations

import time

import numpy as np
import pytest

from engine import create_index, open_index
from tests.conftest import FakeEncoder, ragged
from workbench import elsewhere
from workbench.cluster.connect import connected

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # nothing in here waits longer, on a busy machine either
RNG = np.random.default_rng(8)
DOCUMENTS = ragged(RNG, RNG.integers(3, 12, 80).tolist(), 16)
QUERIES = ragged(RNG, [4, 6], 16)
IDS = [f"d{i:02d}" for i in range(80)]


class Sleepy(FakeEncoder):
    """Takes its time, so that a node can be lost in the middle."""

    def _encode(self, texts, task, progress=None):
        time.sleep(0.4)
        return super()._encode(texts, task, progress)


@pytest.fixture(scope="module")
def nodes(start):
    return start(3)


@pytest.fixture(scope="module")
def cluster(nodes):
    with connected() as found:
        yield found


@pytest.fixture(autouse=True)
def three(nodes):
    while len(nodes.others) < 2:
        nodes.add()


def results(index):
    return [(ranking.ids, ranking.scores.tolist()) for ranking in index.search(QUERIES, 12)]


def slowly(number):
    time.sleep(0.5)
    return number * number


def test_encoding_goes_on_when_a_node_is_lost(cluster, nodes, monkeypatch):
    monkeypatch.setattr("engine.encoding.CHUNK_TEXTS", 5)
    texts = [f"word{i % 7} and word{i}" for i in range(150)]
    blocks = [texts[:70], texts[70:100], texts[100:]]
    found = {}
    for number, block in elsewhere.spread_encoder(Sleepy()).encode_blocks(blocks, "document"):
        if not found:
            nodes.lose()
        found[number] = block
    plain = FakeEncoder()
    for number, block in enumerate(blocks):
        expected = plain.encode_document(block)
        np.testing.assert_array_equal(found[number].values, expected.values)
        np.testing.assert_array_equal(found[number].offsets, expected.offsets)


def test_shards_are_searched_on_the_nodes_that_are_left(cluster, nodes, tmp_path):
    here = create_index("sharded", tmp_path / "here", of="plaid", shards=3)
    here.add(IDS, DOCUMENTS)
    there = elsewhere.spread_index(create_index("sharded", tmp_path / "there", of="plaid", shards=3))
    there.add(IDS, DOCUMENTS)
    expected = results(here)
    assert results(there) == expected
    for path in here.path.rglob("*.*"):
        if path.is_file() and path.suffix in (".npy", ".bin"):
            assert path.read_bytes() == (there.path / path.relative_to(here.path)).read_bytes()
    nodes.lose()
    assert results(there) == expected
    there.remove(IDS[:5])
    here.remove(IDS[:5])
    assert results(there) == results(here) == results(open_index(there.path))


def test_tasks_of_a_lost_node_are_done_again(cluster, nodes):
    found = {}
    for number, done in cluster.each(slowly, list(range(12))):
        if not found:
            nodes.lose()
        found[number] = done
    assert found == {number: number * number for number in range(12)}
    assert len(dict(cluster.each(slowly, list(range(30)), seconds=2.0))) < 30
