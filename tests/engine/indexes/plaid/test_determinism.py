"""The same inputs, settings and seed give the same bytes and rankings, whatever the threads."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import create_index, open_index
from engine.indexes.plaid.assign import nearest
from engine.simd.threads import use_threads
from tests.conftest import ragged

BUILD = """
import sys
import numpy as np
from engine import create_index
from tests.conftest import ragged
rng = np.random.default_rng(0)
index = create_index("plaid", sys.argv[1], bits=4)
index.add([f"d{i}" for i in range(300)], ragged(rng, rng.integers(1, 60, 300).tolist(), 24))
index.remove(["d7", "d8"])
index.add(["x"], ragged(rng, [40], 24))
for ranking in index.search(ragged(rng, [6, 40, 1, 33, 9], 24), 50):
    print(ranking.ids, ranking.scores.tobytes().hex())
"""


def run(folder, **environment):
    variables = {**os.environ, **environment, "PYTHONPATH": str(Path(__file__).parents[4])}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], env=variables, capture_output=True, text=True, check=True
    )
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "writer.lock"}
    return done.stdout, files


@pytest.mark.slow
def test_one_two_and_eight_threads_agree(tmp_path):
    first = run(tmp_path / "1", WORKBENCH_THREADS="1")
    assert first[0].count("\n") == 5
    for threads in ("2", "8"):
        assert run(tmp_path / threads, WORKBENCH_THREADS=threads) == first


@pytest.mark.slow
def test_without_vector_instructions_the_rankings_agree(tmp_path):
    mine, theirs = run(tmp_path / "1")[0], run(tmp_path / "2", WORKBENCH_SIMD="plain")[0]
    for left, right in zip(mine.splitlines(), theirs.splitlines(), strict=True):
        ids, scores = zip(*(line.rsplit(" ", 1) for line in (left, right)), strict=True)
        assert ids[0] == ids[1]
        values = [np.frombuffer(bytes.fromhex(text), np.float32) for text in scores]
        np.testing.assert_allclose(values[0], values[1], atol=1e-5)


def test_batches_and_single_queries_agree(tmp_path):
    rng = np.random.default_rng(1)
    index = create_index("plaid", tmp_path / "index")
    index.add([f"d{i}" for i in range(200)], ragged(rng, rng.integers(1, 40, 200).tolist(), 16))
    queries = ragged(rng, rng.integers(1, 40, 30).tolist(), 16)
    together = index.search(queries, 20)
    for position, ranking in enumerate(together):
        alone = open_index(index.path).search(queries.select([position]), 20)[0]
        assert alone.ids == ranking.ids
        np.testing.assert_array_equal(alone.scores, ranking.scores)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_nearest_is_the_nearest(threads):
    rng = np.random.default_rng(2)
    vectors, centroids = rng.standard_normal((1500, 20)).astype(np.float32), rng.standard_normal((301, 20))
    centroids = centroids.astype(np.float32)
    with use_threads(threads):
        codes, distances = nearest(vectors, centroids)
    squares = np.square(vectors[:, None].astype(np.float64) - centroids).sum(axis=2)
    np.testing.assert_allclose(squares[np.arange(1500), codes], squares.min(axis=1), rtol=1e-4)
    np.testing.assert_allclose(distances, squares.min(axis=1), rtol=1e-3, atol=1e-3)
