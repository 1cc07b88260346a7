"""Shards against the same documents in one index: rankings, ties, changes that fail, shards that do not belong."""

import gc
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index, maxsim, open_index
from engine.errors import CorruptDataError, InputError, StorageError, WorkerError
from engine.indexes import index_class
from engine.indexes.sharded import processes
from engine.indexes.sharded.changes import work
from engine.indexes.sharded.hosts import Here
from tests.conftest import ragged, use_toy_package
from tests.engine.indexes.test_full_disk import Disk

RNG = np.random.default_rng(5)
N = 60
DOCUMENTS = replace(ragged(RNG, RNG.integers(3, 16, N).tolist(), 16), fingerprint="model-a")
QUERIES = replace(ragged(RNG, [5, 8, 3], 16), fingerprint="model-a")
MORE = replace(ragged(RNG, [6] * 30, 16), fingerprint="model-a")
IDS = [f"d{i:02d}" for i in range(N)]
NEW = [f"m{i:02d}" for i in range(30)]


def results(index, k=15, **options):
    return [(ranking.ids, ranking.scores.tolist()) for ranking in index.search(QUERIES, k, **options)]


def made(folder, of="exact", **settings):
    index = create_index("sharded", folder, of=of, **{"shards": 3, **settings})
    index.add(IDS, DOCUMENTS)
    return index


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return made(tmp_path_factory.mktemp("template") / "index").path


@pytest.fixture
def index(template, tmp_path):
    shutil.copytree(template, tmp_path / "index")
    return open_index(tmp_path / "index")


def files(folder):
    """Every file of a folder and below, with its size."""
    return {str(p.relative_to(folder)): p.stat().st_size for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("of", ["exact", "hnsw", "muvera", "toy"])
def test_rankings_are_those_of_one_index(of, tmp_path, monkeypatch):
    if of == "toy":
        use_toy_package(monkeypatch)
    settings = {"dim": 512} if of == "muvera" else {}
    one = create_index(of, tmp_path / "one", **settings)
    one.add(IDS, DOCUMENTS)
    sharded = made(tmp_path / "sharded", of, **settings)
    assert sharded.can == one.can
    for k in (1, 15, 200):
        assert results(sharded, k) == results(one, k)
    assert results(sharded, subset=IDS[10:40:3]) == results(one, subset=IDS[10:40:3])
    for change in (lambda i: i.add(NEW, MORE), lambda i: i.remove([*IDS[5:30], NEW[3]]), lambda i: i.compact()):
        change(one)
        change(sharded)
        assert open_index(sharded.path).ids == one.ids
        assert results(sharded) == results(one) == results(open_index(sharded.path))
    some = [NEW[5], IDS[2], NEW[0]]
    np.testing.assert_array_equal(sharded.stored(some).values, one.stored(some).values)
    assert sharded.stored(some).lengths.tolist() == one.stored(some).lengths.tolist()


def test_shards_of_plaid_find_what_exact_search_finds(tmp_path):
    sharded = made(tmp_path / "i", "plaid", bits=8)
    truth = np.argsort(-maxsim(QUERIES, DOCUMENTS), axis=1)[:, :10]
    for row, ranking in zip(truth, sharded.search(QUERIES, 10), strict=True):
        assert len({IDS[i] for i in row} & set(ranking.ids)) >= 9
    assert sharded.tuned(n_probe=2).settings.n_probe == 2
    assert sharded.describe()["approximation"].startswith("Of each shard: ")


def test_equal_scores_are_ordered_by_id_across_shards(tmp_path):
    names = [f"t{i:02d}" for i in RNG.permutation(40)]
    index: Any = create_index("sharded", tmp_path / "i", of="exact", shards=4)
    # the same vectors in another order: other shards, and the same MaxSim
    index.add(names, TokenEmbeddings.from_list([RNG.permutation(QUERIES[0]) for _ in names], "model-a"))
    assert min(map(len, index.members)) > 0
    for k in (1, 7, 40):
        assert index.search(QUERIES[:1], k)[0].ids == sorted(names)[:k]


def test_processes_give_the_same_rankings_and_end_with_the_index(index):
    here = results(index)
    there = index.tuned(processes=2)
    assert results(there) == here
    assert results(there, subset=IDS[3:9]) == results(index, subset=IDS[3:9])
    assert there.trace(QUERIES[:1], "d04").stages == index.trace(QUERIES[:1], "d04").stages
    pids = there.host.pids
    assert len(pids) == 2
    os.kill(pids[0], signal.SIGKILL)  # started again, and asked again
    assert results(there) == here
    there.add(NEW, MORE)
    assert results(there) == results(open_index(index.path)) != here
    pids = there.host.pids
    del there
    gc.collect()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_process_that_dies_twice_is_one_sentence(index, monkeypatch):
    there = index.tuned(processes=1)
    monkeypatch.setattr(processes, "WORKER", "nothing.of.this.name")
    os.kill(there.host.pids[0], signal.SIGKILL)
    with pytest.raises(
        WorkerError, match=r"The process that searches shard-.* ended with code 1, twice in a row.*processes=0"
    ):
        there.search(QUERIES)
    monkeypatch.undo()
    assert results(there) == results(index)


class Failing(Here):
    """Fails after some jobs, as a disk or a person that ends it would."""

    def __init__(self, after, error):
        super().__init__()
        self.after, self.error = after, error

    def change(self, jobs):
        for job in jobs[: self.after]:
            work(job)
        raise self.error


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_change_that_fails_leaves_everything_as_it_was(index, after):
    before, content = results(index), files(index.path)
    failing = index.on(Failing(after, KeyboardInterrupt()))
    for change in (lambda: failing.add(NEW, MORE), lambda: failing.remove(IDS[::2])):
        with pytest.raises(KeyboardInterrupt):
            change()
        assert files(index.path) == content
        assert results(index) == results(failing) == results(open_index(index.path)) == before
        index.verify()


def test_a_full_disk_leaves_the_index_as_it_was(index, monkeypatch, tmp_path):
    disk = Disk(monkeypatch)
    before, content = results(index), files(index.path)
    for room in (0, 300, 2500, 6000):
        disk.holds(room)
        with pytest.raises(StorageError, match="No space left on device"):
            index.add(NEW, MORE)
        assert files(index.path) == content
        assert results(index) == before
    disk.holds(1 << 40)
    index.add(NEW, MORE)
    index.verify()


def test_remains_of_a_killed_writer_are_removed_by_the_next_one(index):
    remains = index.path / "shard-0001.000009"
    shutil.copytree(index.path / "shard-0001.000002", remains)
    index.add(NEW[:1], MORE[:1])
    assert not remains.exists()


def test_a_small_change_touches_one_shard_and_shares_what_it_leaves_alone(tmp_path):
    sharded, before = made(tmp_path / "i"), None
    before = sharded.state.manifest.record["folders"]
    values = max((sharded.path / before[2]).glob("values.*"))
    inode = values.stat().st_ino
    sharded.add(NEW[:1], MORE[:1])
    after = sharded.state.manifest.record["folders"]
    changed = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    assert len(changed) == 1
    assert {path.stat().st_ino for path in sharded.path.rglob("values.*")} >= {inode}
    assert sorted(path.name for path in sharded.path.glob("shard-*")) == sorted(after)  # the old one is gone
    sharded.remove([*sharded.state.ids.names])
    assert (len(sharded), list(sharded.path.glob("shard-*"))) == (0, [])


def test_same_inputs_give_the_same_files_in_every_shard(template, tmp_path):
    made(tmp_path / "again")
    assert files(tmp_path / "again") == files(template)
    for path in template.rglob("*.npy"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(template)).read_bytes()


def test_damage_in_a_shard_is_found(index, tmp_path):
    path = next(index.path.glob("shard-0001*/values*"))
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match="shard-0001"):
        open_index(index.path).verify()
    path.write_bytes(content[:-8])
    with pytest.raises(CorruptDataError, match="shard-0001"):
        open_index(index.path)
    shutil.rmtree(path.parent)
    with pytest.raises(CorruptDataError, match=r"shard-0001.* is missing"):
        open_index(index.path)


def other_shard(folder, dim=16, fingerprint="model-a", count=20, of="exact"):
    shard = create_index(of, folder)
    shard.add([f"x{i}" for i in range(count)], replace(ragged(RNG, [4] * count, dim), fingerprint=fingerprint))
    return folder


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"fingerprint": "model-b"}, "Shard 1 of .* holds vectors of model model-b, the others those of model-a"),
        ({"dim": 8}, "Shard 1 of .* in dimension 8, expected .* in dimension 16"),
        ({"count": 7}, "of 7 documents"),
        ({"of": "plaid"}, "is index/plaid of"),
        ({}, "is not as it was written"),
    ],
)
def test_shards_that_disagree_are_one_sentence(index, tmp_path, other, words):
    count = len(index.members[1])
    name = index.state.manifest.record["folders"][1]
    shutil.rmtree(index.path / name)
    shutil.copytree(other_shard(tmp_path / "other", **{"count": count, **other}), index.path / name)
    with pytest.raises(CorruptDataError, match=words):
        open_index(index.path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"of": "sharded"}, "cannot be held in shards, since it is made of shards"),
        ({"of": "nothing"}, "Unknown index kind 'nothing'"),
        ({"of": 3}, "kind of the shards as of, got 3"),
        ({"shards": 0}, "shards as a whole number of 1 or more"),
        ({"processes": -1}, "processes as a whole number of 0 or more"),
        ({"of": "hnsw", "bits": 4}, "has no setting 'bits': it knows of, shards, processes, dtype"),
        ({"bits": 3}, "Expected bits among"),
        ({"of": "qdrant", "address": "http://localhost:1", "collection": "c"}, "cannot be held in shards"),
    ],
)
def test_settings_that_make_no_sense_are_one_sentence(tmp_path, settings, words):
    with pytest.raises(InputError, match=words):
        create_index("sharded", tmp_path / "i", **settings)
    assert not (tmp_path / "i").exists()


def test_a_trace_names_the_stages_of_its_shard_and_the_merge(tmp_path):
    index = made(tmp_path / "i", "hnsw", neighbours=2, candidates=3)
    ranking = index.search(QUERIES[:1], 5)[0]
    found = index.trace(QUERIES[:1], ranking.ids[4], 5)
    assert (found.rank, found.cut_by, found.stages[-1].name) == (5, None, "merge of shards")
    assert found.stages[-1].score == ranking.scores[4]
    traces = [index.trace(QUERIES[:1], name, 1) for name in IDS]
    cut = {trace.cut_by for trace in traces}
    assert {"k", "candidates"} <= cut
    assert next(t for t in traces if t.cut_by == "candidates").remedy == "raise candidates, or set it to 0"
    order = np.argsort(-maxsim(QUERIES[:1], DOCUMENTS)[0])
    assert traces[order[3]].stored_rank == 4


def test_the_class_speaks_for_the_kind_of_its_shards():
    hnsw = index_class("sharded", {"of": "hnsw"})
    assert hnsw.packages == ("voyager",)
    assert hnsw.ladder(hnsw.parse_settings({"of": "hnsw"})) == index_class("hnsw").ladder(None)
    several = hnsw.parse_settings({"of": "hnsw", "build_threads": 2})
    assert "deterministic" not in hnsw.able(several)
    assert "stored" not in index_class("sharded", {"of": "xtr-warp"}).can
