"""Builds within a memory limit, estimates, progress, and the self-test after every change."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index, open_index
from engine.errors import CorruptDataError, InputError
from engine.indexes.plaid import PlaidIndex, budget
from engine.indexes.plaid.settings import PlaidSettings
from engine.simd.threads import thread_count, use_threads
from tests.conftest import ragged

MIB = 1 << 20
MEASURED = """
import json, sys, tracemalloc
from engine import TokenEmbeddings, create_index

folder, path, settings = sys.argv[1:]
documents = TokenEmbeddings.open(folder)
names = [f"d{i}" for i in range(len(documents))]
some = TokenEmbeddings(documents.values[:1280], documents.offsets[:11])
create_index("plaid", path + ".warm").add(names[:10], some)  # compilation takes memory, too
index = create_index("plaid", path, **json.loads(settings))
estimate = index.estimate(documents).describe()
tracemalloc.start()
index.add(names, documents)
peak = tracemalloc.get_traced_memory()[1]
print(json.dumps({"peak": peak, "estimate": estimate, "about": index.describe()}))
"""


def create(path, **settings) -> PlaidIndex:
    index = create_index("plaid", path, **settings)
    assert isinstance(index, PlaidIndex)
    return index


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """24 MiB of vectors around 300 centres, memory-mapped."""
    rng = np.random.default_rng(0)
    centres, n, dim = rng.standard_normal((300, 32)).astype(np.float32), 393_216, 32
    values = np.empty((n, dim), np.float16)
    for start in range(0, n, 1 << 15):
        values[start : start + (1 << 15)] = centres[rng.integers(0, 300, 1 << 15)]
        values[start : start + (1 << 15)] += 0.2 * rng.standard_normal((1 << 15, dim)).astype(np.float16)
    folder = tmp_path_factory.mktemp("large") / "documents"
    TokenEmbeddings(values, np.arange(0, n + 1, 128, dtype=np.int64)).save(folder)
    return folder


def build_of(folder, path, **settings) -> dict:
    """Peak and description of a build in a process of its own, where no thread of other tests takes memory."""
    command = [sys.executable, "-c", MEASURED, folder, path, json.dumps(settings)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_a_collection_larger_than_the_memory_limit_builds_within_it(tmp_path, large):
    limit, documents = 8 * MIB, TokenEmbeddings.open(large)
    assert documents.nbytes >= 3 * limit
    peak = build_of(large, tmp_path / "index", memory_limit=limit)["peak"]
    assert peak < limit + 2 * MIB  # ids, manifest and the opened index
    index = open_index(tmp_path / "index")
    assert isinstance(index, PlaidIndex)
    assert len(index) == len(documents)
    index.verify()
    index.self_test(np.arange(0, len(documents), 97))
    queries = documents.select([5, 1500, 3000])
    short = TokenEmbeddings.from_list([item[:8] for item in queries])
    assert [ranking.ids[0] for ranking in index.search(short, 1)] == ["d5", "d1500", "d3000"]


def test_without_a_limit_the_plan_says_what_the_build_takes(tmp_path, large):
    made = build_of(large, tmp_path / "index")
    expected, about = made["estimate"], made["about"]
    assert 0.3 * expected["memory_bytes"] < made["peak"] < 1.1 * expected["memory_bytes"] + 2 * MIB
    assert 0.7 * expected["disk_bytes"] < about["bytes"] < 1.05 * expected["disk_bytes"]
    assert about["build"]["estimate"]["disk_bytes"] == expected["disk_bytes"]
    assert about["build"]["actual"]["disk_bytes"] == about["bytes"]
    assert about["build"]["actual"]["seconds"] > 0
    assert expected["seconds"] > 0
    assert "build" not in open_index(tmp_path / "index").describe()


def test_a_limit_takes_from_the_sample_first_and_then_from_the_centroids():
    free = budget.plan(PlaidSettings(), 10**6, 8000, 96)
    some = budget.plan(PlaidSettings(memory_limit=free.memory_bytes // 2), 10**6, 8000, 96)
    less = budget.plan(PlaidSettings(memory_limit=free.memory_bytes // 4), 10**6, 8000, 96)
    assert (some.centroids, some.sample < free.sample) == (free.centroids, True)
    assert less.centroids < free.centroids
    for made, part in ((some, 2), (less, 4)):
        assert made.memory_bytes <= free.memory_bytes // part


@pytest.mark.parametrize("limit", [MIB, 3 * MIB, 20 * MIB])
def test_a_limit_means_the_same_files_at_any_number_of_threads(tmp_path, limit):
    documents = ragged(np.random.default_rng(5), [30] * 300, 16)
    built = {}
    for threads in (1, 2, 16):
        with use_threads(threads):
            made = budget.plan(PlaidSettings(memory_limit=limit), documents.n_tokens, len(documents), documents.dim)
            index = create(tmp_path / str(threads), memory_limit=limit)
            index.add([f"d{i}" for i in range(len(documents))], documents)
        assert made.memory_bytes <= limit
        built[threads] = dataclasses.replace(made, memory_bytes=0), index.state.manifest.files
    assert built[1] == built[2] == built[16]


def test_threads_beyond_the_limit_rest(tmp_path, monkeypatch):
    from engine.indexes.plaid import changes

    documents, used = ragged(np.random.default_rng(5), [30] * 300, 16), []
    build = changes.build
    monkeypatch.setattr(changes, "build", lambda *given: used.append(thread_count()) or build(*given))
    with use_threads(16):
        for limit in (MIB, 0):
            create(tmp_path / str(limit), memory_limit=limit).add([f"d{i}" for i in range(300)], documents)
    made = budget.plan(PlaidSettings(memory_limit=MIB), documents.n_tokens, len(documents), documents.dim)
    assert used == [made.threads, 16]
    assert 1 <= made.threads < 16


def test_a_limit_that_is_too_small_is_refused_before_anything_is_written(tmp_path):
    index = create(tmp_path / "index", memory_limit=1000)
    before = {path.name: path.read_bytes() for path in index.path.iterdir()}
    documents = ragged(np.random.default_rng(0), [5, 6], 16)
    with pytest.raises(InputError, match="memory_limit of"):
        index.add(["a", "b"], documents)
    with pytest.raises(InputError, match="memory_limit of"):
        index.estimate(documents)
    assert {path.name: path.read_bytes() for path in index.path.iterdir()} == before


def test_progress_rises_to_the_end(tmp_path):
    index, seen = create(tmp_path / "index"), []
    index.progress = seen.append
    index.add([f"d{i}" for i in range(200)], ragged(np.random.default_rng(0), [20] * 200, 16))
    shares = [step.share for step in seen]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert (seen[0].stage, seen[-1].stage) == ("k-means", "inverted lists")
    assert seen[-1].seconds_left == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("n", "count"), [(10, 10), (10, 9), (1000, 7), (5, 1), (10**12, 100)])
def test_samples_are_distinct_and_within(n, count):
    positions = budget.sample_positions(n, count, 3)
    assert len(positions) == count
    assert (np.diff(positions) > 0).all()
    assert 0 <= positions[0] <= positions[-1] < n


@pytest.mark.parametrize("damage", ["residuals", "list_documents"])
def test_a_change_notices_documents_that_no_longer_find_themselves(tmp_path, damage):
    index = create(tmp_path / "index")
    index.add([f"d{i}" for i in range(60)], ragged(np.random.default_rng(0), [6] * 60, 16))
    index.self_test()
    layout = index.layout
    assert layout is not None
    if damage == "list_documents":  # every list names one document only
        [lists] = layout.lists
        damaged = np.zeros_like(lists.documents)
        damaged.flags.writeable = False  # as mapped arrays are
        object.__setattr__(lists, "documents", damaged)
    else:  # the vectors of other documents come back
        index._vectors = lambda positions: PlaidIndex._vectors(index, (positions + 1) % len(index))  # type: ignore[method-assign]
    with pytest.raises(CorruptDataError, match="does not find itself"):
        index.self_test()


def test_the_self_test_runs_after_every_change(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(PlaidIndex, "self_test", lambda self, positions: calls.append(len(positions)))
    index = create(tmp_path / "index")
    index.add(["a", "b", "c"], ragged(np.random.default_rng(0), [5, 6, 7], 16))
    index.remove(["b"])
    index.compact()
    assert len(calls) == 3


def test_estimating_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing to estimate"):
        create(tmp_path / "index").estimate(TokenEmbeddings(np.empty((0, 4), np.float32), np.zeros(1, np.int64)))


def test_a_large_build_plans_once_and_no_clock_changes_what_is_written(tmp_path, monkeypatch):
    from engine.indexes.plaid import budget, index

    rng, plans = np.random.default_rng(3), []
    documents = ragged(rng, [8] * 40, 16)
    names = [f"d{i}" for i in range(40)]
    monkeypatch.setattr(index, "ESTIMATED", 1)
    monkeypatch.setattr(index, "plan", lambda *arguments: plans.append(arguments) or budget.plan(*arguments))
    built = []
    for number, tick in enumerate((1e-6, 1e3)):
        now = iter(np.cumsum(np.full(10_000, tick)).tolist())
        monkeypatch.setattr(budget.time, "perf_counter", lambda now=now: next(now))
        built.append(create(tmp_path / str(number)))
        built[-1].add(names, documents)
    first, second = built
    assert len(plans) == 2  # one a build
    assert first.built["estimate"]["seconds"] < second.built["estimate"]["seconds"]
    assert first.state.manifest.files == second.state.manifest.files
