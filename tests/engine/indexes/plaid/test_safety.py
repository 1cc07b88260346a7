"""Killed writers, damaged files, readers beside a writer: the last state is always there, or an error says why."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from engine import create_index, open_index
from engine.errors import CorruptDataError, WorkbenchError
from engine.indexes.plaid import changes
from tests.conftest import ragged

pytestmark = pytest.mark.slow

# The writer says what it is about to do and what it has done, so that the test knows which states are allowed.
WRITER = """
import sys
import numpy as np
from engine import open_index
from engine.indexes.plaid import budget, changes
from tests.conftest import ragged
changes.ORIGINALS_LIMIT, budget.CHUNK_TOKENS = int(sys.argv[3]), 64
index, step = open_index(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(step)
print("ready", flush=True)
while True:
    step += 1
    kind = ("add", "add", "remove", "compact")[step % 4]
    names = [f"s{step}-{i}" for i in range(30)] if kind == "add" else index.ids[step % 7 :: 9]
    print(kind, *names, flush=True)
    if kind == "add":
        index.add(names, ragged(rng, rng.integers(1, 9, 30).tolist(), 8))
    elif kind == "remove":
        index.remove(names)
    else:
        index.compact()
    print("done", flush=True)
"""


def apply(ids, line):
    kind, *names = line.split()
    if kind == "add":
        return ids | set(names)
    return ids - set(names) if kind == "remove" else ids


def kill_once(path, seed, limit):
    """Let a writer change the index, kill it at a random moment, and return the states that may be left."""
    rng = random.Random(seed)
    before = set(open_index(path).ids)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    command = [sys.executable, "-c", WRITER, str(path), str(seed * 1000), str(limit)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        start, changes_seen = time.perf_counter(), rng.randint(1, 4)
        lines = [process.stdout.readline().rstrip() for _ in range(2 * changes_seen)]  # each is announced, then done
        time.sleep(2 * rng.random() * (time.perf_counter() - start) / changes_seen)  # within the next change or two
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.read().splitlines()
    ids, allowed = before, [before]
    for line in lines:
        if line == "done":
            allowed = [ids]
        else:
            ids = apply(ids, line)
            allowed = [allowed[-1], ids]
    return allowed


def check_killed(path, rounds, limit):
    halfway = 0
    for seed in range(rounds):
        allowed = kill_once(path, seed + 1, limit)
        halfway += len(allowed) > 1
        index = open_index(path)
        assert set(index.ids) in allowed
        index.verify()
        assert sum(index.stored().lengths) == index.describe()["tokens"]
        for name in index.ids[:: max(1, len(index) // 5)]:
            found = index.search(index.stored([name]), k=len(index))[0]
            assert sorted(found.ids) == sorted(index.ids)
        if len(index) > 400:
            index.remove(index.ids[100:])
        index.add([f"after-{seed}"], ragged(np.random.default_rng(seed), [3], 8))  # sweeps what the killed one left
        named = {entry["file"] for entry in index.state.manifest.files.values()} | {"manifest.json", "writer.lock"}
        assert {entry.name for entry in path.iterdir()} == named
    assert halfway > rounds // 3  # killed while something was being written


def start(tmp_path, kind="plaid"):
    index = create_index(kind, tmp_path / "index")
    index.add([f"d{i}" for i in range(40)], ragged(np.random.default_rng(0), [5] * 40, 8))
    return index.path


@pytest.fixture
def started(tmp_path):
    return start(tmp_path)


KINDS = pytest.mark.parametrize(
    ("kind", "limit"),
    [("plaid", 0), ("plaid", 10**6), ("exact", 0), ("hnsw", 0)],
    ids=["plaid, appending", "plaid, training anew", "exact", "hnsw"],
)


@KINDS
def test_killed_at_random_moments(tmp_path, kind, limit):
    check_killed(start(tmp_path, kind), 8, limit)


@pytest.mark.timeout(3600)
@KINDS
def test_killed_two_hundred_times(tmp_path, kind, limit):
    check_killed(start(tmp_path, kind), 100, limit)


@pytest.mark.parametrize("originals", [True, False])
def test_every_file_damaged_gives_a_clear_error(tmp_path, monkeypatch, originals):
    if not originals:
        monkeypatch.setattr(changes, "ORIGINALS_LIMIT", 0)
    index = create_index("plaid", tmp_path / "index")
    index.add([f"d{i}" for i in range(30)], ragged(np.random.default_rng(0), [4] * 30, 8))
    rng = random.Random(0)
    paths = [tmp_path / "index" / entry["file"] for entry in index.state.manifest.files.values()]
    assert len(paths) == (14 if originals else 13)
    for path in [*paths, tmp_path / "index" / "manifest.json"]:
        content = path.read_bytes()
        for cut in {0, len(content) // 2, len(content) - 1}:
            path.write_bytes(content[:cut])
            with pytest.raises(CorruptDataError, match=r"restore|build it again"):
                open_index(tmp_path / "index").verify()
        for _ in range(25):
            place = rng.randrange(len(content))
            altered = bytearray(content)
            altered[place] ^= 1 << rng.randrange(8)
            path.write_bytes(altered)
            try:
                damaged = open_index(tmp_path / "index")
                damaged.search(ragged(np.random.default_rng(1), [3], 8), 5)  # wrong perhaps, but no crash
                assert len(damaged.ids) == 30
            except WorkbenchError:
                continue
            if path.name != "manifest.json":
                with pytest.raises(CorruptDataError, match=path.name):
                    damaged.verify()
        path.write_bytes(content)
    open_index(tmp_path / "index").verify()


def test_a_reader_searches_while_a_writer_changes(started):
    reader, errors, stop = open_index(started), [], threading.Event()
    query = ragged(np.random.default_rng(5), [4], 8)
    old = open_index(started)
    before = old.search(query, 10)[0]

    def write():
        try:
            writer = open_index(started)
            rng = np.random.default_rng(6)
            for step in range(12):
                writer.add([f"w{step}-{i}" for i in range(10)], ragged(rng, [4] * 10, 8))
                writer.remove([f"w{step}-{i}" for i in range(5)])
                writer.compact()
        except Exception as error:
            errors.append(error)
        finally:
            stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = set()
    while not stop.is_set():
        reader.refresh()
        assert len(reader.search(query, 500)[0]) == len(reader)
        seen.add(len(open_index(started)))
    thread.join()
    assert not errors
    assert len(seen) > 1
    reader.refresh()
    assert len(reader) == 40 + 12 * 5
    after = old.search(query, 10)[0]  # never refreshed: the generation that it opened
    assert after.ids == before.ids
    np.testing.assert_array_equal(after.scores, before.scores)
