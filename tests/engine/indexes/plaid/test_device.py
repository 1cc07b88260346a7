"""The search in torch against the compiled one, on the device "cpu": it has not been run on a GPU."""

import numpy as np
import pytest

from engine import create_index
from engine.errors import InputError
from engine.indexes.plaid import PlaidIndex, changes
from tests.conftest import ragged


@pytest.fixture(params=[1, 2, 4, 8, 16])
def index(request, tmp_path, monkeypatch):
    """Two sets of inverted lists, new centroids, removed documents."""
    monkeypatch.setattr(changes, "ORIGINALS_LIMIT", 0)
    rng = np.random.default_rng(1)
    index = create_index("plaid", tmp_path / "index", bits=request.param, n_candidates=120, n_full_scores=40)
    assert isinstance(index, PlaidIndex)
    index.add([f"d{i}" for i in range(200)], ragged(rng, rng.integers(1, 30, 200).tolist(), 12))
    index.add([f"e{i}" for i in range(20)], ragged(rng, rng.integers(1, 30, 20).tolist(), 12))
    index.remove(["d3", "d150", "e2"])
    assert index.layout is not None
    assert len(index.layout.lists) == 2
    return index


def same(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.scores, other.scores, rtol=1e-6, atol=1e-5)
        assert mine.notes == other.notes
        if mine.ids != other.ids:  # only documents of equal scores, up to rounding, may change places
            assert sorted(mine.ids) == sorted(other.ids)


def test_the_same_rankings_as_the_compiled_loops(index):
    queries = ragged(np.random.default_rng(2), [5, 33, 1, 0, 70], 12)
    moved = index.on("cpu")
    for settings in ({}, {"n_probe": 1}, {"n_full_scores": 5, "n_candidates": 9}, {"centroid_threshold": 0.3}):
        same(moved.tuned(**settings).search(queries, 10), index.tuned(**settings).search(queries, 10))
    same(moved.search(queries, 500), index.search(queries, 500))
    same(moved.search(queries, 10, subset=["d1", "e1", "d7"]), index.search(queries, 10, subset=["d1", "e1", "d7"]))
    assert moved.describe()["device"] == "cpu"


def test_the_same_rankings_where_some_query_tokens_are_far_longer(index):
    queries = ragged(np.random.default_rng(4), [5, 33, 70], 12)
    queries.values[[4, 7, 30, 37, 80]] *= 6
    moved = index.on("cpu")
    for settings in ({"n_full_scores": 5}, {"n_full_scores": 5, "n_refined": 12}, {"n_full_scores": 9, "n_probe": 1}):
        ours, theirs = moved.tuned(**settings), index.tuned(**settings)
        same(ours.search(queries, 3), theirs.search(queries, 3))  # of five: the last of these can hang on 8 bits


def test_a_change_is_seen_on_the_device(index):
    moved, query = index.on("cpu"), ragged(np.random.default_rng(3), [6], 12)
    best = moved.search(query, 1)[0].ids
    moved.remove(best)
    assert moved.search(query, 300)[0].ids == moved.tuned().search(query, 300)[0].ids
    assert best[0] not in moved.search(query, 300)[0].ids


def test_a_device_that_is_not_there(index):
    with pytest.raises(InputError, match="cannot be used here"):
        index.on("nowhere")
