"""Every level of the kernels against numpy, and the choice between levels."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from engine.simd import features, jit, kernels, plain, threads

CHECK = """
import numpy as np
from engine.simd import kernels
from engine import TokenEmbeddings, maxsim
from engine.maxsim import maxsim_topk, maxsim_reference, QuantizedDocuments
assert kernels.LEVEL == {level!r}, kernels.describe()
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


@pytest.mark.parametrize("level", features.available_levels())
def test_each_level_scores_the_same(level):
    code = CHECK.format(level=level)
    environment = {**os.environ, features.VARIABLE: level}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_the_kernels_agree_with_plain_numba():
    assert kernels._agree(kernels._chosen) == ""
    assert kernels.NOTE == ""


def test_a_kernel_that_differs_is_found():
    broken = dict(kernels._chosen)

    def max_dots(*arguments):
        plain.max_dots(*arguments)
        arguments[-1][3] += 1

    broken["max_dots"] = max_dots
    assert kernels._agree(broken) == "max_dots"


def test_half_precision_numbers_all_widen():
    bits = np.arange(2**16, dtype=np.uint16)
    for widen in (kernels.widen, plain.widen):
        out = np.empty(len(bits), np.float32)
        widen(bits, 0, len(bits), out)
        assert np.array_equal(out, bits.view(np.float16).astype(np.float32), equal_nan=True)


def test_importing_the_engine_compiles_nothing_and_leaves_torch_out():
    code = "import engine, sys; assert 'torch' not in sys.modules; assert 'engine.simd.kernels' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    code = (
        "import numpy as np\nfrom engine.simd import jit\nassert jit._folder() is None\n"
        "@jit.kernel\ndef twice(x):\n    return 2 * x\nassert twice(4) == 8"
    )
    environment = {**os.environ, "WORKBENCH_KERNEL_CACHE": str(file / "below")}
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


@pytest.mark.skipif(not kernels.TILES, reason="needs a matrix unit (AMX)")
def test_the_matrix_unit_scans_what_the_vectors_scan():
    from engine.simd import panels

    rng = np.random.default_rng(0)
    for tokens, dim, size in ((5, 96, 32), (16, 4, 1), (31, 128, 48), (170, 96, 29), (400, 384, 150)):
        query = rng.integers(-127, 128, (size, dim)).astype(np.int8)
        values = rng.integers(0, 256, (tokens, dim)).astype(np.uint8)
        flat = np.concatenate([values.ravel(), rng.integers(0, 256, kernels.SLACK).astype(np.uint8)])
        found, offset = np.full(kernels.columns_of(size), -(2**30), np.int32), kernels.scan_offset(query)
        kernels.begin_scan()
        kernels.max_scan(flat, 0, tokens, dim // 4, kernels.scan_panels(query), len(found), offset, found)
        kernels.end_scan()
        expected = np.full_like(found, -(2**30))
        panels.scan_panels(
            flat, 0, tokens, dim // 4, dim // 4, kernels.query_panels(query, 4), len(found), offset, expected
        )
        assert np.array_equal(found, expected)
        exact = (query.astype(np.int64) @ (values.astype(np.int64) - kernels.ZERO).T).max(axis=1)
        assert np.array_equal(found[:size], exact)
