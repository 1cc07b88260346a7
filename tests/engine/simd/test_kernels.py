"""Kernels against numpy at every level that runs here, and the choice between levels."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from engine.simd import choice, integer, jit, kernels, levels, plain, selfcheck, threads
from engine.simd.selfcheck import calling, compiled

CHECK = """
import numpy as np
from engine.simd import choice
from engine import TokenEmbeddings, maxsim
from engine.maxsim import maxsim_topk, maxsim_reference, QuantizedDocuments
assert choice.chosen().name == {level!r}, choice.describe()
rng = np.random.default_rng(0)
make = lambda lengths: TokenEmbeddings(
    rng.standard_normal((sum(lengths), 20)).astype(np.float32), np.cumsum([0, *lengths]).astype(np.int64))
queries, documents = make([3, 0, 37]), make([4, 1, 9] * 10)
full = maxsim(queries, documents)
assert np.allclose(full, maxsim_reference(queries, documents), atol=1e-4)
positions, scores = maxsim_topk(queries, QuantizedDocuments.build(documents), 5)
assert np.array_equal(scores, np.take_along_axis(full, positions, 1))
assert np.array_equal(scores[:, -1], -np.sort(-full, axis=1)[:, 4])
"""


# Every day the best one and the plain one; each compiles all kernels anew, so those between are in test-long.
BETWEEN = [level.name for level in levels.available()][1:-1]
LEVELS = [
    pytest.param(level.name, marks=pytest.mark.slow if level.name in BETWEEN else ()) for level in levels.available()
]


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_scores_the_same(level):
    code = CHECK.format(level=level)
    environment = {**os.environ, choice.VARIABLE: level}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_the_vector_code_of_arm_agrees_on_any_processor():
    assert selfcheck.first_difference(levels.named("neon")) == ""  # it names no instruction, so it runs here too


def test_a_kernel_that_differs_is_found(monkeypatch):
    monkeypatch.setattr(integer.Generic, "end", lambda self, b, total: b.add(total, total))
    assert selfcheck.first_difference(levels.named("neon")) == "max_scan"


def test_a_level_that_fails_its_check_gives_way_and_the_record_says_why(monkeypatch):
    best, *others = levels.available()
    monkeypatch.setattr(selfcheck, "disagreement", lambda level: "max_scan" if level is best else "")
    monkeypatch.setattr(choice, "_decided", [])
    monkeypatch.setattr(levels, "_in_force", [])  # else later kernels of this process would be made for that level
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    if others:  # plain has nothing to fail
        assert choice.chosen() is others[0]
        assert choice.describe()["note"].startswith(f"max_scan of level {best.name} differs from plain numba")
    monkeypatch.setenv(choice.VARIABLE, "plain")
    monkeypatch.setattr(choice, "_decided", [])
    assert choice.describe()["simd"] == "plain"


def test_half_precision_numbers_all_widen():
    choice.chosen()  # what is compiled below is made for the level in force
    bits = np.arange(2**16, dtype=np.uint16)
    for widen in (kernels.widen, plain.widen):
        out = np.empty(len(bits), np.float32)
        compiled(calling(widen))(bits, 0, len(bits), out)
        assert np.array_equal(out, bits.view(np.float16).astype(np.float32), equal_nan=True)


def test_importing_decides_and_compiles_nothing():
    code = (
        "import engine, sys; assert 'torch' not in sys.modules; assert 'engine.simd.kernels' not in sys.modules\n"
        "import engine.indexes.plaid, engine.maxsim.cpu, engine.pooling.cpu, engine.simd.linear\n"
        "from engine.simd import choice, jit; import gc\n"
        "assert choice._decided == []\n"
        "made = [k for k in gc.get_objects() if type(k) is jit.Kernel]\n"
        "assert len(made) > 20 and all(k._dispatcher is None for k in made)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_machine_code_is_made_again_when_a_called_kernel_changes(tmp_path):
    (tmp_path / "above.py").write_text(
        "from engine.simd.jit import kernel\nfrom below import inner\n@kernel\ndef outer(x):\n    return inner(x) + 1\n"
    )
    code = "from above import outer as o; print(o(4), sum(o.dispatcher.stats.cache_hits.values()), o.dispatcher.stats)"
    environment = {
        **os.environ,
        "WORKBENCH_KERNEL_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        choice.VARIABLE: "plain",
    }
    said = []
    for body in ("2 * x", "2 * x", "3 * x"):
        source = f"from engine.simd.jit import kernel\n@kernel\ndef inner(x):\n    return {body}\n"
        (tmp_path / "below.py").write_text(source)
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        said.append(ran.stdout.split(" ", 2))
    assert [(result, hits) for result, hits, _ in said] == [("9", "0"), ("9", "1"), ("13", "0")]
    assert "/plain/" in said[0][2].replace(os.sep, "/")  # and each level has a folder of its own


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    code = (
        "import numpy as np\nfrom engine.simd import jit, machine_code\nassert machine_code._writable() is None\n"
        "@jit.kernel\ndef twice(x):\n    return 2 * x\nassert twice(4) == 8"
    )
    environment = {**os.environ, "WORKBENCH_KERNEL_CACHE": str(file / "below"), choice.VARIABLE: "plain"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_parts_cover_everything_once_and_raise():
    seen = np.zeros(100, np.int64)

    def work(part):
        seen[part] += 1

    for count in (1, 2, 8):
        with threads.use_threads(count):
            threads.run_parts(work, 100)
    assert (seen == 3).all()

    def fail(part):
        raise RuntimeError("part")

    with threads.use_threads(2), pytest.raises(RuntimeError):
        threads.run_parts(fail, 4)


def test_cuts_are_even_and_complete():
    weights = np.array([1, 1, 50, 1, 1, 1, 1, 1, 1, 1])
    for parts in (1, 2, 3, 50):
        bounds = threads.cut(weights, parts)
        assert bounds[0] == 0
        assert bounds[-1] == len(weights)
        assert (np.diff(bounds) > 0).all()
        assert len(bounds) <= parts + 1


def test_flat_views_share_memory():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    array.flags.writeable = False
    view = jit.flat(array)
    assert np.shares_memory(view, array)
    assert view.flags.writeable


@pytest.mark.skipif(levels.available()[0].name != "amx", reason="needs a matrix unit (AMX)")
def test_the_matrix_unit_scans_what_the_vectors_scan():
    def scan(flat, tokens, groups, query, columns, offset, out):
        kernels.begin_scan()
        kernels.max_scan(flat, 0, tokens, groups, query, columns, offset, out)
        kernels.end_scan()

    rng, runs = np.random.default_rng(0), {name: compiled(scan) for name in ("amx", "avx512-vnni")}
    for tokens, dim, size in ((5, 96, 32), (16, 4, 1), (31, 128, 48), (170, 96, 29), (400, 384, 150)):
        query = rng.integers(-127, 128, (size, dim)).astype(np.int8)
        values = rng.integers(0, 256, (tokens, dim)).astype(np.uint8)
        flat = np.concatenate([values.ravel(), rng.integers(0, 256, kernels.SLACK).astype(np.uint8)])
        exact = (query.astype(np.int64) @ (values.astype(np.int64) - 128).T).max(axis=1)
        for name, run in runs.items():
            level = levels.named(name)
            with levels.trial(level):
                panels, offset = kernels.scan_panels(query, level), kernels.scan_offset(query, level)
                found = np.full(kernels.columns_of(size, level), -(2**30), np.int32)
                run(flat, tokens, dim // 4, panels, len(found), offset, found)
            assert np.array_equal(found[:size], exact)
