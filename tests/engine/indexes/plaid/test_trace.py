"""A trace must agree with the search that it describes."""

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index, maxsim
from engine.errors import InputError, NotFoundError
from tests.conftest import ragged

SETTINGS = ("n_probe", "n_candidates", "centroid_margin", "n_full_scores", "k")


@pytest.fixture(scope="module")
def documents():
    rng = np.random.default_rng(1)
    return ragged(rng, rng.integers(1, 12, 300).tolist(), 16)


@pytest.fixture(scope="module")
def index(documents, tmp_path_factory):
    limits = {"n_candidates": 30, "n_full_scores": 15, "centroid_margin": 0.02}
    index = create_index("plaid", tmp_path_factory.mktemp("trace") / "index", **limits)
    index.add([f"d{i}" for i in range(len(documents))], documents)
    index.remove(["d5", "d200"])
    return index


@pytest.fixture(scope="module")
def query():
    return ragged(np.random.default_rng(2), [4], 16)


def test_every_document_agrees_with_the_search(index, documents, query):
    ranking = index.search(query, k=7)[0]
    originals = documents.select([int(name[1:]) for name in index.ids])
    stored, original = maxsim(query, index.stored())[0], maxsim(query, originals)[0]
    cuts = set()
    for position, name in enumerate(index.ids):
        trace = index.trace(query, name, k=7, originals=originals)
        assert (trace.rank is not None) == (name in ranking.ids) == (trace.cut_by is None)
        if trace.rank is not None:
            assert ranking.ids[trace.rank - 1] == name
            assert trace.stages[-1].score == pytest.approx(ranking.scores[trace.rank - 1])
        assert all(entry.survived for entry in trace.stages[:-1])
        assert tuple(entry.setting for entry in trace.stages) == SETTINGS[: len(trace.stages)]
        for entry, after in zip(trace.stages, trace.stages[1:], strict=False):
            assert entry.kept == after.entered
            assert entry.kept <= entry.entered
        assert trace.stored_score == pytest.approx(float(stored[position]), abs=1e-4)
        assert trace.stored_rank == 1 + int((stored > stored[position]).sum())
        assert trace.original_score == pytest.approx(float(original[position]), abs=1e-5)
        assert trace.original_rank == 1 + int((original > original[position]).sum())
        cuts.add(trace.cut_by)
    assert cuts == {*SETTINGS, None}


def test_the_limit_of_refined_scores_is_named_when_it_cuts(index, query):
    tight = index.tuned(centroid_margin=10.0, n_refined=20)
    settings = {stage.setting for name in index.ids for stage in tight.trace(query, name, k=7).stages}
    assert settings == {"n_probe", "n_candidates", "n_refined", "n_full_scores", "k"}


def test_stage_scores_are_scores(index, query):
    """Each stage estimates the same MaxSim, so the estimates must lie near it."""
    best = index.search(query, k=3)[0]
    for name, score in zip(best.ids, best.scores, strict=True):
        scores = {entry.name: entry.score for entry in index.trace(query, name).stages}
        assert scores["centroid scores"] == pytest.approx(score, abs=1.5)
        assert scores["exact scores"] == pytest.approx(float(score), abs=1e-4)


def test_tokens_name_the_probed_centroids(index, query):
    name = index.search(query, k=1)[0].ids[0]
    tokens = index.trace(query, name).tokens
    centroids = index.layout.codec.centroids
    nearest = np.square(index.stored([name])[0][:, None] - centroids).sum(axis=2)
    assert tokens.probed.shape == (4, len(tokens.cells)) == (4, len(nearest))
    scores = query[0] @ centroids.T
    np.testing.assert_allclose(tokens.cell_scores, scores[:, tokens.cells], atol=1e-5)
    top = np.argsort(-scores, axis=1, kind="stable")[:, : index.searching.n_probe]
    np.testing.assert_array_equal(tokens.probed, np.array([[cell in row for cell in tokens.cells] for row in top]))


def test_exact_traces_too(tmp_path, documents, query):
    index = create_index("exact", tmp_path / "exact", dtype="float32")
    index.add([f"d{i}" for i in range(len(documents))], documents)
    best = index.search(query, k=300)[0].ids
    first, last = index.trace(query, best[0], k=3), index.trace(query, best[-1], k=3)
    assert (first.rank, first.cut_by, first.stored_rank, first.tokens) == (1, None, 1, None)
    assert (last.rank, last.cut_by, last.stored_rank, last.original_score) == (None, "k", 300, None)
    assert last.stages[0].entered == 300


def test_mistakes(index, documents, query):
    with pytest.raises(NotFoundError, match="d5"):
        index.trace(query, "d5")
    with pytest.raises(InputError, match="one query"):
        index.trace(TokenEmbeddings.from_list([query[0], query[0]]), "d1")
    with pytest.raises(InputError, match="storage order"):
        index.trace(query, "d1", originals=documents)
