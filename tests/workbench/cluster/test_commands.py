"""Every command that has --ray gives with it what it gives without: the same bytes, scores, runs and rows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from workbench import runs
from workbench.cli import main
from workbench.cluster.connect import connected

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # a minute on a machine with nothing else to do


@pytest.fixture(scope="module")
def cluster(start):
    start(1)
    with connected() as found:  # the one that is there
        yield found


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
