"""The PLAID index through the contract that every kind shares."""

from dataclasses import replace

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index, maxsim, open_index
from engine.errors import InputError, NotFoundError
from engine.indexes.plaid import PlaidIndex, search
from engine.indexes.plaid import index as index_module
from engine.indexes.plaid import query as query_module
from engine.indexes.plaid.search import near_best
from engine.indexes.plaid.settings import PlaidSettings, for_documents
from engine.simd.threads import use_threads
from tests.conftest import ragged

BITS = (1, 2, 4, 8, 16)


def names(n, prefix="d"):
    return [f"{prefix}{i}" for i in range(n)]


@pytest.fixture
def documents():
    rng = np.random.default_rng(1)
    return ragged(rng, rng.integers(1, 30, 150).tolist(), 16)


@pytest.fixture
def queries():
    return ragged(np.random.default_rng(2), [5, 33, 1, 70], 16)


@pytest.fixture(params=BITS)
def index(request, tmp_path, documents):
    index = create_index("plaid", tmp_path / "index", bits=request.param)
    index.add(names(len(documents)), documents)
    return index


def test_scores_are_maxsim_on_the_stored_vectors(index, queries):
    truth = maxsim(queries, index.stored())
    for row, ranking in zip(truth, index.search(queries, k=20), strict=True):
        assert len(ranking) == 20
        expected = [row[int(name[1:])] for name in ranking.ids]
        np.testing.assert_allclose(ranking.scores, expected, atol=1e-4)
        assert list(ranking.scores) == sorted(ranking.scores, reverse=True)


def test_without_pruning_the_ranking_is_that_of_the_stored_vectors(index, queries):
    every = index.tuned(n_probe=10**6, n_full_scores=10**6)
    truth = maxsim(queries, index.stored())
    for row, ranking in zip(truth, every.search(queries, k=150), strict=True):
        assert sorted(ranking.ids) == sorted(names(150))
        np.testing.assert_allclose(ranking.scores, np.sort(row)[::-1], atol=1e-4)


def test_more_bits_store_closer_vectors(tmp_path, documents):
    errors = []
    for bits in BITS:
        index = create_index("plaid", tmp_path / str(bits), bits=bits)
        index.add(names(len(documents)), documents)
        errors.append(float(np.abs(index.stored().values - documents.values).mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.003


def test_opened_again_it_answers_the_same(index, queries):
    before, after = index.search(queries, k=30), open_index(index.path).search(queries, k=30)
    for mine, theirs in zip(before, after, strict=True):
        assert mine.ids == theirs.ids
        np.testing.assert_array_equal(mine.scores, theirs.scores)
    index.verify()


def test_k_results_when_k_exist(index, queries):
    for ranking in index.tuned(n_probe=1, n_full_scores=1, n_candidates=1).search(queries, k=1000):
        assert sorted(ranking.ids) == sorted(names(150))
        assert any("n_probe" in note for note in ranking.notes)
        assert any("n_full_scores" in note for note in ranking.notes)


def test_n_candidates_bounds_what_is_scored(index, queries):
    stages = index.tuned(n_candidates=7).stages(queries[0], 3)
    assert len(stages.candidates) == 7
    assert len(index.stages(queries[0], 3).candidates) > 7


def test_subset_filters_before_scoring(index, queries):
    chosen = ["d3", "d140", "d77"]
    for query, ranking in zip(queries, index.search(queries, k=10, subset=chosen), strict=True):
        assert sorted(ranking.ids) == sorted(chosen)
        truth = maxsim(TokenEmbeddings.from_list([query]), index.stored(ranking.ids))[0]
        np.testing.assert_allclose(ranking.scores, truth, atol=1e-4)


def test_all_of_a_small_subset_are_candidates_however_little_the_lists_say_of_them(index, queries):
    """So another system can name the candidates, and the later stages choose among just these."""
    narrow = index.tuned(n_probe=1)
    last = np.argsort(-narrow.stages(queries[0], 200).scores)[-1:]
    positions = np.unique(np.concatenate([last, np.arange(0, len(index), 3)]))
    left = narrow.stages(queries[0], 4, positions)
    np.testing.assert_array_equal(left.candidates, index.slots[positions])
    assert not left.notes
    assert (left.probes == -1).all()
    found = narrow.search(queries[:1], 4, subset=[index.ids[i] for i in positions])[0]
    best = np.argsort(-maxsim(queries[:1], index.stored([index.ids[i] for i in positions]))[0], kind="stable")[:4]
    assert found.ids == [index.ids[positions[i]] for i in best]
    fewer = narrow.tuned(n_candidates=5).stages(queries[0], 4, positions)  # more are named than can be candidates
    assert len(fewer.candidates) == 5
    assert (fewer.probes >= 0).any()


def test_add_and_remove(index, queries):
    rng = np.random.default_rng(3)
    more = ragged(rng, rng.integers(1, 30, 40).tolist(), 16)
    index.remove(names(50))
    index.add(names(40, "n"), more)
    assert len(index) == 140
    assert "d0" not in index
    assert "n39" in index
    found = index.search(queries, k=140)[0]
    assert sorted(found.ids) == sorted(index.ids)
    opened = open_index(index.path)
    assert opened.search(queries, k=140)[0].ids == found.ids
    assert opened.describe()["tokens"] == opened.stored().n_tokens
    with pytest.raises(NotFoundError):
        index.search(queries, subset=["d0"])


def test_removed_ids_can_come_back(index, documents):
    index.remove(["d0"])
    index.add(["d0"], documents.select([0]))
    assert index.search(documents.select([0]), k=1)[0].ids == ["d0"]


def test_everything_removed_then_another_dimension(index, queries):
    index.remove(index.ids)
    assert len(index) == 0
    assert len(index.search(queries)[0]) == 0
    index.add(["wide"], ragged(np.random.default_rng(4), [3], 40))
    assert index.search(ragged(np.random.default_rng(5), [2], 40))[0].ids == ["wide"]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(
    "values",
    [
        np.ones((1, 8)),
        np.ones((200, 8)),
        np.zeros((5, 3)),
        np.full((4, 1), 0.5),
        1e4 * np.eye(9),
        1e-6 * np.eye(12),
    ],
    ids=["one token", "all equal", "zeros", "one dimension", "large", "small"],
)
def test_degenerate_vectors(tmp_path, bits, values):
    documents = TokenEmbeddings.from_list([row[None].astype(np.float32) for row in values])
    index = create_index("plaid", tmp_path / "index", bits=bits, n_centroids=64)
    index.add(names(len(values)), documents)
    ranking = index.search(documents.select([0]), k=len(values))[0]
    assert len(ranking) == len(values)
    truth = maxsim(documents.select([0]), index.stored(ranking.ids))[0]
    np.testing.assert_allclose(ranking.scores, truth, rtol=1e-5, atol=1e-9)


def test_one_huge_document_among_small_ones(tmp_path):
    rng = np.random.default_rng(6)
    documents = ragged(rng, [20_000, 1, 2], 8)
    index = create_index("plaid", tmp_path / "index")
    index.add(names(3), documents)
    for i in range(3):
        assert index.search(documents.select([i]), k=1)[0].ids == [f"d{i}"]


def test_a_query_without_tokens_ranks_by_id(index):
    empty = TokenEmbeddings(np.empty((0, 16), np.float32), np.array([0, 0]))
    ranking = index.search(empty, k=3)[0]
    assert ranking.ids == ["d0", "d1", "d10"]
    assert not ranking.scores.any()


@pytest.mark.parametrize(
    "settings",
    [
        {"bits": 3},
        {"n_probe": -1},
        {"n_candidates": -1},
        {"n_refined": 0},
        {"n_probe": 2.5},
        {"seed": -1},
        {"centroid_threshold": "high"},
        {"x": 1},
    ],
)
def test_settings_that_make_no_sense(tmp_path, settings):
    with pytest.raises(InputError):
        create_index("plaid", tmp_path / "index", **settings)
    assert not (tmp_path / "index").exists()


def test_only_search_settings_can_be_tuned(index):
    with pytest.raises(InputError, match="bits"):
        index.tuned(bits=8)


def test_describe_names_the_approximation(index):
    about = index.describe()
    assert str(index.settings.bits) in about["approximation"]
    assert about["settings"]["n_probe"] == index.settings.n_probe == 0
    assert (about["search"]["n_probe"], about["search"]["n_candidates"]) == (4, 4096)
    assert "probes 4 centroids a query token, scores at most 4096 documents" in about["approximation"]
    assert about["centroids"] > 0


def test_a_search_looks_wider_in_a_larger_collection():
    numbers = {count: for_documents(PlaidSettings(), count) for count in (0, 32_767, 40_000, 100_000, 10**6, 10**9)}
    assert [found.n_candidates for found in numbers.values()] == [4096, 4096, 4096, 4096, 16_384, 16_384]
    assert [found.n_probe for found in numbers.values()] == [4, 5, 6, 16, 16, 16]
    given = PlaidSettings(n_probe=3, n_candidates=7)
    assert for_documents(given, 10**6) == given


def test_what_the_number_of_documents_chooses_is_what_a_search_uses(tmp_path, documents, queries, monkeypatch):
    """On the compiled loops, on a device and in a trace."""
    index = create_index("plaid", tmp_path / "index")
    index.add(names(len(documents)), documents)
    assert isinstance(index, PlaidIndex)
    chosen = index.tuned(n_probe=2, n_candidates=11)
    assert len(index.stages(queries[0], 3).candidates) > 11
    monkeypatch.setattr(
        index_module, "for_documents", lambda settings, _: replace(settings, n_probe=2, n_candidates=11)
    )
    assert [ranking.ids for ranking in index.search(queries, 3)] == [
        ranking.ids for ranking in chosen.search(queries, 3)
    ]
    assert [r.ids for r in index.on("cpu").search(queries, 3)] == [r.ids for r in chosen.on("cpu").search(queries, 3)]
    assert len(index.stages(queries[0], 3).candidates) == 11
    stages = index.trace(queries.select([0]), index.ids[0], k=3).stages
    assert [(stage.setting, stage.limit) for stage in stages[:2]] == [("n_probe", 2), ("n_candidates", 11)][
        : len(stages)
    ]


def test_near_best_takes_those_within_the_margin_and_no_more_than_the_limit():
    scores = np.array([5.0, 9.0, 8.0, 9.0, 7.9, 1.0, 8.0])
    assert near_best(scores, 2, 1.0, 7).tolist() == [1, 2, 3, 6]
    assert near_best(scores, 2, 0.0, 7).tolist() == [1, 3]
    assert near_best(scores, 2, 9.0, 3).tolist() == [1, 2, 3]  # the first of the two equal ones
    assert near_best(scores, 7, 0.0, 2).tolist() == list(range(7))


def test_refined_scores_lie_between_centroid_scores_and_exact_scores(tmp_path):
    """They look at some of the tokens with their residuals, so they never exceed MaxSim on the stored vectors."""
    rng = np.random.default_rng(8)
    index = create_index("plaid", tmp_path / "index", n_full_scores=20, centroid_margin=10.0)
    index.add([f"d{i}" for i in range(300)], ragged(rng, rng.integers(1, 40, 300).tolist(), 24))
    query = ragged(rng, [37], 24)
    assert isinstance(index, PlaidIndex)
    left = index.stages(query[0], 10)
    assert left.fine is not None
    exact = maxsim(query, index.stored([index.ids[i] for i in left.refined]))[0]
    floor = 37 * 0.2  # a query token for which nothing is above the floor of the bytes scores the floor
    assert (left.fine <= exact + floor).all()
    coarse = left.coarse[np.isin(left.candidates, left.refined)]
    assert np.corrcoef(left.fine, exact)[0, 1] > np.corrcoef(coarse, exact)[0, 1]


def test_query_tokens_far_longer_than_most_are_scored_with_residuals_first(tmp_path, monkeypatch):
    """Half of a score hangs on one token, so what its centroids leave out decides which documents are looked at."""
    rng = np.random.default_rng(11)
    centres = rng.standard_normal((60, 24))

    def around(counts, spread):
        lengths = np.array(counts)
        values = centres[rng.integers(0, 60, lengths.sum())] + spread * rng.standard_normal((lengths.sum(), 24))
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        return TokenEmbeddings(values.astype(np.float32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    index = create_index("plaid", tmp_path / "index", n_centroids=60, n_full_scores=10, n_refined=20)
    index.add(names(400), around(rng.integers(10, 30, 400), 0.4))
    assert isinstance(index, PlaidIndex)
    queries = around([12, 40] * 10, 0.4)
    for start in queries.offsets[:-1]:
        queries.values[start + 3] *= 8
    truth = [set(ranking.ids) for ranking in index.tuned(n_full_scores=400, n_refined=400).search(queries, 10)]

    def share():
        return np.mean([len(t & set(r.ids)) / 10 for t, r in zip(truth, index.search(queries, 10), strict=True)])

    left = index.stages(queries[1], 10)
    vectors = index.stored([index.ids[i] for i in left.candidates])
    exact, with_residuals = maxsim(queries.select([1]), vectors)[0], share()
    assert (left.coarse <= exact + 40 * 0.2).all()
    monkeypatch.setattr(query_module, "HEAVY_FROM", np.inf)
    plain = index.stages(queries[1], 10)
    np.testing.assert_array_equal(plain.candidates, left.candidates)
    looked = left.coarse != plain.coarse  # those within the margin
    assert (
        np.corrcoef(left.coarse[looked], exact[looked])[0, 1] > np.corrcoef(plain.coarse[looked], exact[looked])[0, 1]
    )
    assert with_residuals > share() + 0.02


def test_which_query_tokens_are_far_longer_than_most():
    query = np.ones((40, 4), np.float32)
    assert query_module.heavy_lanes(query).tolist() == [0, 0]
    query[[0, 31, 33]] *= [[2.0], [5.0], [3.0]]
    assert query_module.heavy_lanes(query).tolist() == [1 | 1 << 31, 2]
    assert query_module.heavy_lanes(query[:1]).tolist() == [0]
    assert query_module.heavy_lanes(np.zeros((3, 4), np.float32)).tolist() == [0]


def test_helpers_change_nothing(tmp_path, monkeypatch):
    """Many short searches, with helpers that come in time and helpers that come too late."""
    monkeypatch.setattr(search, "WORTH_WAKING", 0)
    rng = np.random.default_rng(9)
    index = create_index("plaid", tmp_path / "index", n_full_scores=20)
    index.add(names(300), ragged(rng, rng.integers(1, 40, 300).tolist(), 24))
    queries = ragged(rng, rng.integers(1, 70, 30).tolist(), 24)
    woken, real = [], search.Crew

    def watched(*arguments):
        woken.append(arguments[-1])
        return real(*arguments)

    monkeypatch.setattr(search, "Crew", watched)
    found = {}
    for count in (1, 2, 8):
        with use_threads(count):
            found[count] = [index.search(queries.select([i]), 10)[0] for i in range(30) for _ in range(3)]
    assert set(woken) == {1, 2, 8}
    for count in (2, 8):
        for left, right in zip(found[1], found[count], strict=True):
            assert left.ids == right.ids
            np.testing.assert_array_equal(left.scores, right.scores)
