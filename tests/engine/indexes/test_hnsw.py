"""HNSW: candidates by token, exact rerank, removal in the graph, determinism."""

from dataclasses import replace

import numpy as np
import pytest

from engine import create_index, maxsim, open_index
from engine.errors import CorruptDataError, InputError
from engine.indexes import hnsw
from engine.indexes.hnsw import HnswIndex, Neighbours, cut, estimates
from tests.conftest import ragged

RNG = np.random.default_rng(5)
DOCUMENTS = ragged(RNG, RNG.integers(3, 20, 120).tolist(), 16)
QUERIES = ragged(RNG, [4, 7, 5], 16)
IDS = [f"d{i:03d}" for i in range(120)]


def built(folder, **settings):
    index = create_index("hnsw", folder, **settings)
    assert isinstance(index, HnswIndex)
    index.add(IDS, DOCUMENTS)
    return index


@pytest.mark.parametrize("storage", ["float32", "float8", "e4m3"])
def test_finds_what_exact_finds_with_many_neighbours(tmp_path, storage):
    index = built(tmp_path / "h", dtype="float32", storage=storage, neighbours=400, candidates=0)
    scores = maxsim(QUERIES, DOCUMENTS)
    for row, ranking in zip(scores, index.search(QUERIES, 10), strict=True):
        best = np.argsort(-row)[:10]
        assert ranking.ids == [IDS[i] for i in best]
        np.testing.assert_allclose(ranking.scores, row[best], atol=1e-5)


def test_a_limit_on_candidates_reranks_the_best_estimates(tmp_path):
    index = built(tmp_path / "h", neighbours=100, candidates=12)
    positions, notes = index.candidates(QUERIES[0], 5)
    found = index.neighbours(QUERIES[0], 100)
    documents, estimate = estimates(found)
    assert len(positions) == 12
    assert notes == ()
    assert set(positions) == set(documents[np.argsort(-estimate, kind="stable")[:12]])


def test_estimate_takes_the_best_neighbour_and_the_floor_for_a_missing_one():
    found = Neighbours(np.array([[3, 1, 3], [1, 1, 7]]), np.array([[0.9, 0.5, 0.4], [0.8, 0.7, 0.2]], np.float32))
    documents, estimate = estimates(found)
    assert documents.tolist() == [1, 3, 7]
    np.testing.assert_allclose(estimate, [0.5 + 0.8, 0.9 + 0.2, 0.4 + 0.2])
    assert estimates(found, np.array([1, 7, 9]))[0].tolist() == [1, 7]
    assert cut(documents, estimate, 2).tolist() == [1, 3]


def test_widens_until_k_documents_are_found(tmp_path):
    index = built(tmp_path / "h", neighbours=1)
    ranking = index.search(QUERIES.select([0]), 60)[0]
    assert len(ranking) == 60
    assert ranking.notes


def test_same_inputs_same_files(tmp_path):
    first, second = built(tmp_path / "a"), built(tmp_path / "b")
    assert first.state.manifest.files == second.state.manifest.files  # names, sizes and checksums
    assert "deterministic" in first.describe()["can"]
    assert "deterministic" in built(tmp_path / "c", build_threads=2).describe()["cannot"]


def test_a_build_says_how_far_it_is_and_makes_the_same_graph(tmp_path, monkeypatch):
    whole = built(tmp_path / "whole")
    monkeypatch.setattr(hnsw, "PART", 100)
    told = []
    index = create_index("hnsw", tmp_path / "parts")
    index.progress = told.append
    index.add(IDS, DOCUMENTS)
    assert [step.done for step in told] == [*range(100, DOCUMENTS.n_tokens, 100), DOCUMENTS.n_tokens]
    assert [step.share for step in told] == [step.done / DOCUMENTS.n_tokens for step in told]
    assert told[-1].seconds_left == 0
    assert index.state.manifest.files == whole.state.manifest.files


def test_removed_documents_stay_away_and_half_of_them_rebuilds_the_graph(tmp_path):
    index = built(tmp_path / "h", dtype="float32", neighbours=400, candidates=0)
    index.remove(IDS[:30])
    assert len(index.owners) == DOCUMENTS.n_tokens  # still in the graph
    kept = DOCUMENTS.select(np.arange(30, 120))
    expected = [IDS[30 + i] for i in np.argsort(-maxsim(QUERIES, kept)[1])[:10]]
    assert index.search(QUERIES, 10)[1].ids == expected
    index.remove(IDS[30:100])
    assert len(index.owners) == DOCUMENTS.select(np.arange(100, 120)).n_tokens
    assert sorted(index.search(QUERIES, 50)[0].ids) == IDS[100:]
    index.add(IDS[:5], DOCUMENTS.select(np.arange(5)))
    assert sorted(open_index(tmp_path / "h").search(QUERIES, 50)[0].ids) == sorted(IDS[:5] + IDS[100:])


def test_values_beyond_fixed_point_are_refused_before_anything_is_written(tmp_path):
    index = create_index("hnsw", tmp_path / "h", storage="float8")
    with pytest.raises(InputError, match="between -1 and 1"):
        index.add(["a"], ragged(RNG, [3], 16, unit=False))
    assert len(open_index(tmp_path / "h")) == 0


def test_a_query_with_longer_vectors_than_the_graph_can_hold_finds_what_exact_finds(tmp_path):
    rng = np.random.default_rng(6)
    documents, query = ragged(rng, rng.integers(2, 9, 60).tolist(), 16), ragged(rng, [4], 16)
    index = create_index("hnsw", tmp_path / "h", storage="float8", neighbours=80)
    index.add([str(i) for i in range(60)], documents)
    longer = replace(query, values=query.values * np.array([[1], [0.5], [7], [15.5]], np.float32))  # tokens that weigh
    expected = np.argsort(-maxsim(longer, documents)[0], kind="stable")[:10]
    assert index.search(longer, 10)[0].ids == [str(i) for i in expected]
    assert isinstance(index, HnswIndex)
    plain, found = index.neighbours(query.values, 5), index.neighbours(longer.values, 5)
    np.testing.assert_array_equal(found.documents[0], plain.documents[0])
    np.testing.assert_array_equal(found.similarity[0], plain.similarity[0])
    nearest = [max(float(a @ b) for b in documents.values) for a in longer.values]
    np.testing.assert_allclose(found.similarity[:, 0], nearest, rtol=0.05)


def test_unnormalised_vectors_are_found_by_dot_product(tmp_path):
    vectors = ragged(RNG, [5] * 50, 8, unit=False)
    index = create_index("hnsw", tmp_path / "h", dtype="float32", neighbours=200, candidates=0)
    index.add([str(i) for i in range(50)], vectors)
    queries = ragged(RNG, [3], 8)
    assert index.search(queries, 1)[0].ids == [str(int(maxsim(queries, vectors)[0].argmax()))]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"storage": "int4"}, "float32, float8, e4m3"),
        ({"neighbours": 0}, "neighbours"),
        ({"m": True}, "Expected m"),
        ({"ef": -1}, "Expected ef"),
        ({"dtype": "int8"}, "float16"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, settings, words):
    with pytest.raises(InputError, match=words):
        create_index("hnsw", tmp_path / "h", **settings)


def test_a_damaged_graph_is_named(tmp_path):
    index = built(tmp_path / "h")
    path = tmp_path / "h" / index.state.manifest.files["graph"]["file"]
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(CorruptDataError, match="graph"):
        open_index(tmp_path / "h")
