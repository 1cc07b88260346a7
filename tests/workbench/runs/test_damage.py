"""Damaged results and full disks: found, named, and nothing half-written left behind."""

import random

import numpy as np
import pytest

from engine.errors import CorruptDataError, StorageError
from engine.retrieval import Ranking
from workbench import runs
from workbench.experiments.experiment import Experiment
from workbench.runs import store

RECORD = {
    "experiment": Experiment().to_dict(),
    "created": "2026-01-01",
    "scores": {"ndcg@10": dict.fromkeys(("mean", "low", "high"), 0.5)},
}
SCORES = {"ndcg@10": {"q1": 0.25, "q2": 0.75}}
RANKINGS = {"q1": Ranking(["a", "b"], np.array([2, 1], np.float32)), "q2": Ranking(["b"], np.array([3], np.float32))}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def finished():
    return store.finish(store.begin("one", RECORD), RECORD, SCORES, RANKINGS)


@pytest.mark.parametrize("name", ["run.json", "scores.parquet", "rankings.parquet"])
def test_every_flipped_bit_of_a_run_is_noticed(finished, name):
    path, chance = finished.path / name, random.Random(name)
    content = path.read_bytes()
    for _ in range(60):
        altered = bytearray(content)
        altered[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(altered)
        try:
            run = runs.find("one")
            read = run.record, run.per_query("ndcg@10"), run.rankings()["q1"].ids
        except CorruptDataError:
            continue
        assert read == (finished.record, SCORES["ndcg@10"], ["a", "b"])  # white space, or nothing that counts
    path.write_bytes(content)
    runs.find("one").verify()


def test_every_flipped_bit_in_the_name_of_the_checksum_is_noticed(finished):
    path = finished.path / "run.json"
    content = path.read_bytes()
    start = content.index(b"crc32")
    for bit in range(8 * len("crc32")):
        altered = bytearray(content)
        altered[start + bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        with pytest.raises(CorruptDataError, match="delete the run"):
            runs.find("one")


def test_a_record_of_an_earlier_version_has_no_checksums_and_is_read(finished):
    import json

    path = finished.path / "run.json"
    record = json.loads(path.read_text())
    del record["crc32"], record["files"]
    path.write_text(json.dumps(record))
    assert runs.find("one").per_query("ndcg@10") == SCORES["ndcg@10"]


def test_a_full_disk_leaves_an_interrupted_run_without_half_written_results(monkeypatch):
    from pyarrow import parquet

    def full(table, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet, "write_table", full)
    folder = store.begin("two", RECORD)
    with pytest.raises(StorageError, match="No space left on device"):
        store.finish(folder, RECORD, SCORES, RANKINGS)
    assert [path.name for path in folder.iterdir()] == ["run.json"]
    assert [run.status for run in runs.list()] == ["interrupted"]
