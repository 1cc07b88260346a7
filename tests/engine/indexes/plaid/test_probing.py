"""Which centroids a query token probes, and what a document gets for being listed."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from engine import create_index
from engine.indexes.plaid import PlaidIndex, search
from engine.indexes.plaid.probing import list_weights
from engine.indexes.plaid.room import Room
from engine.simd.threads import use_threads
from tests.conftest import ragged


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """An index of 1,500 centroids, so that several parts of its table are made."""
    rng = np.random.default_rng(0)
    index = create_index("plaid", tmp_path_factory.mktemp("probing") / "index", n_centroids=1500, iterations=1)
    index.add([f"d{i}" for i in range(900)], ragged(rng, rng.integers(6, 12, 900).tolist(), 12))
    assert isinstance(index, PlaidIndex)
    return index, index.layout


@pytest.mark.parametrize("m", [1, 17, 32, 33, 70])
@pytest.mark.parametrize("n_probe", [1, 4, 20, 100, 1500])
def test_probes_are_the_best_of_all_centroids(layout, m, n_probe):
    index, arrays = layout
    query = ragged(np.random.default_rng(m), [m], 12)[0]
    query[m // 2] *= 9
    codec = arrays.codec
    asked = codec.rounded.asked(query)
    sums = (codec.rounded.codes[:, :12].astype(np.int64) @ codec.rounded.whole(query)[0].astype(np.int64).T).T
    counts = np.full(m, n_probe)
    counts[m // 2] = min(3 * n_probe, 1500) if m > 1 else n_probe  # it is heavy beside others
    expected = np.argsort(-(sums >> asked.shift), axis=1, kind="stable")[:, : counts.max()]
    expected[np.arange(counts.max()) >= counts[:, None]] = -1
    for threads in (1, 2):
        with use_threads(threads):
            found = index.tuned(n_probe=n_probe).stages(query, 5).probes
        np.testing.assert_array_equal(found, expected)
    near = asked.scores(sums >> asked.shift)  # the whole numbers stand for the scores
    size = np.linalg.norm(query, axis=1, keepdims=True)
    assert (np.abs(near - query @ codec.centroids.T) / size).max() < 0.03


def test_a_probe_wider_than_what_was_noted_looks_at_all_centroids(layout):
    index, _arrays = layout
    query = ragged(np.random.default_rng(5), [3], 12)[0]
    left = index.tuned(n_probe=1).stages(query, 800)
    assert left.notes
    wider = index.tuned(n_probe=int((left.probes[0] >= 0).sum())).stages(query, 800)
    np.testing.assert_array_equal(left.probes, wider.probes)
    np.testing.assert_array_equal(np.sort(left.found), np.sort(wider.found))


def test_what_is_not_listed_is_taken_to_lie_just_below_the_last_probe():
    scores, counts = np.array([[1.0, 0.8, 0.7], [9.0, 8.9, 8.0]], np.float32), np.array([3, 3])
    weights = list_weights(scores, np.array([0.2, 2.0], np.float32), counts)
    gains = np.array([[0.35, 0.15, 0.05], [1.6, 1.5, 0.6]])
    np.testing.assert_allclose(weights / weights.max(), gains / gains.max(), atol=2e-3)
    assert weights.min() >= 1
    assert (list_weights(np.zeros((2, 3), np.float32), np.zeros(2, np.float32), counts) == 1).all()
    assert (list_weights(scores, np.array([5.0, 50.0], np.float32), counts) >= 1).all()


def test_a_query_token_with_more_probes_gives_its_last_one_nearly_nothing():
    scores = np.array([[1.0, 0.8, 0.7], [1.0, 0.8, -5.0]], np.float32)
    weights = list_weights(scores, np.array([0.2, 0.2], np.float32), np.array([3, 2]))
    gains = np.array([[0.3, 0.1, 0.0], [0.26, 0.06, 0]])
    np.testing.assert_allclose(weights / weights.max(), gains / gains.max(), atol=2e-3)
    assert weights[0, 2] == 1
    assert weights[1, 2] == 0  # it is no probe


def test_searches_at_once_have_memory_of_their_own(layout):
    """However often two threads want the last room that is spare."""
    index, arrays = layout
    queries = [ragged(np.random.default_rng(seed), [9], 12)[0] for seed in range(8)]
    expected = [search.run(arrays, index.searching, query, 5, arrays.alive, 1).scores for query in queries]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            del arrays.codec.rooms[1:]
            run = partial(search.run, arrays, index.searching, k=5, allowed=arrays.alive, threads=1)
            found = list(pool.map(run, queries))
            for left, scores in zip(found, expected, strict=True):
                np.testing.assert_array_equal(left.scores, scores)
    assert len({id(room) for room in arrays.codec.rooms}) == len(arrays.codec.rooms)
    spare = [Room()]
    assert Room.of(spare) is not Room.of(spare)


def test_the_memory_of_a_search_is_used_again(layout):
    index, arrays = layout
    query = ragged(np.random.default_rng(6), [40], 12)[0]
    alive = arrays.alive
    first = search.run(arrays, index.searching, query, 5, alive)
    rooms = list(arrays.codec.rooms)
    second = search.run(arrays, index.searching, query, 5, alive)
    assert [id(room) for room in arrays.codec.rooms] == [id(room) for room in rooms]
    for name in ("probes", "found", "points", "candidates", "coarse", "refined", "survivors", "scores"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
