"""Three nodes, some lost while they work: only what they had not finished is done again, and nothing else changes."""

from __future__ import annotations

import json
import logging
import time

import numpy as np
import pytest

from engine import create_index, open_index
from engine.errors import WorkerError
from tests.conftest import FakeEncoder, ragged
from workbench import elsewhere, runs
from workbench.cli import main
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


def test_a_cluster_of_another_kind_is_one_sentence(nodes):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:  # listens, and is no cluster
        import ray

        ray.shutdown()
        with pytest.raises(WorkerError, match="cannot be joined"), connected(f"127.0.0.1:{server.getsockname()[1]}"):
            pass
        ray.init(address=nodes.cluster.address, logging_level=logging.ERROR, log_to_driver=False)


@pytest.fixture
def collection(tmp_path):
    rng = np.random.default_rng(1)
    words = ["north", "south", "river", "stone", "cloud", "paper", "glass", "engine", "copper", "garden", "winter"]
    folder = tmp_path / "texts"
    (folder / "qrels").mkdir(parents=True)
    documents = {f"d{i:03d}": " ".join(rng.choice(words, 8)) for i in range(60)}
    queries = {f"q{i}": " ".join(documents[f"d{i:03d}"].split()[2:6]) for i in range(6)}
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": k, "text": v}) + "\n" for k, v in documents.items())
    )
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": k, "text": v}) + "\n" for k, v in queries.items()))
    rows = "".join(f"q{i}\td{i:03d}\t1\n" for i in range(6))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    return folder


def said(capsys, *arguments):
    code: object = 0
    try:
        main(arguments)
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert not code, printed.err
    return printed.out


def written(folder):
    """What vectors and indexes consist of, file by file."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in (".npy", ".bin", ".parquet")
    }


def test_commands_give_with_ray_what_they_give_without(cluster, collection, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("engine.encoding.CHUNK_TEXTS", 20)
    (tmp_path / "pairs.jsonl").write_text(
        "".join(json.dumps({"query": f"stone {i}", "positive": f"river stone number {i}"}) + "\n" for i in range(30))
    )
    (tmp_path / "exp.yaml").write_text(f"collection: {collection}\nmetrics: [ndcg@10]\n")
    outcomes = []
    for ray in ((), ("--ray",)):
        home = tmp_path / ("home-ray" if ray else "home")
        monkeypatch.setenv("WORKBENCH_HOME", str(home))
        here = ("--collection", str(collection))
        said(capsys, "encode", str(collection), str(home / "made" / "vectors"), *ray)
        hits = []
        for kind in ("plaid", "sharded:of=plaid,shards=2"):
            place = str(home / "made" / kind.partition(":")[0])
            said(capsys, "index", place, *here, "--index", kind, *ray)
            hits.append(json.loads(said(capsys, "search", "copper garden winter", "--index", place, "--json", *ray)))
        scores = json.loads(said(capsys, "evaluate", *here, "--index", "sharded:of=hnsw,shards=2", "--json", *ray))
        swept = said(capsys, "sweep", str(tmp_path / "exp.yaml"), "--over", "pool_factor=1,2,3", "--json", *ray)
        advice = json.loads(said(capsys, "recommend", *here, "--index", "exact", "--seconds", "120", "--json", *ray))
        said(capsys, "mine", "--data", str(tmp_path / "pairs.jsonl"), "--output", str(home / "mined.jsonl"), *ray)
        outcomes.append({
            "made": written(home / "made"),
            "hits": [[(hit["id"], hit["score"]) for hit in found["hits"]] for found in hits],
            "scores": (scores["mean"], scores["per_query"], scores["run"]),
            "swept": [(run["experiment"]["pool_factor"], run["scores"]) for run in json.loads(swept)],
            "advice": sorted((entry["factor"], entry["value"]) for entry in advice["tried"]),
            "mined": (home / "mined.jsonl").read_text(),
            "runs": sorted(run.id for run in runs.list_runs()),
        })  # fmt: skip
    plain, shared = outcomes
    assert plain.keys() == shared.keys()
    for what, outcome in plain.items():
        assert outcome == shared[what], what
    assert {name.split("/")[0] for name in plain["made"]} == {"vectors", "plaid", "sharded"}
