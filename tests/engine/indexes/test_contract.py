"""One contract for every installed kind and one of another package; `benchmarks.contract_table` makes a table of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine import Collection, TokenEmbeddings, create_index, maxsim, open_index
from engine.errors import BusyError, InputError, NotFoundError, UnsupportedError, WorkbenchError
from engine.indexes import index_class, kinds
from engine.indexes.base import ABILITIES
from tests.conftest import ragged, use_toy_package
from tests.engine.indexes.contract import DOCUMENTS, IDS, KNOWN, QUERIES, REFINED, RNG, WRITER, N


@pytest.fixture(autouse=True)
def _known(request: pytest.FixtureRequest, kind: str) -> None:
    reason = KNOWN.get((kind, request.function.__name__))
    if reason is not None:
        strict = "deterministic" in index_class(kind).can  # else it may pass by chance
        request.applymarker(pytest.mark.xfail(reason=reason, strict=strict))


@pytest.fixture(scope="module", params=[*kinds(), "toy"])
def kind(request: pytest.FixtureRequest):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "toy":  # of another package; the last, since the others must not need it
            use_toy_package(patch)
        yield installed(request.param)


def installed(kind: str) -> str:
    try:
        index_class(kind).check_installed()
    except WorkbenchError as error:
        pytest.skip(str(error))
    return kind


@pytest.fixture(scope="module")
def template(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the documents of this module, built once a kind and copied where a test writes."""
    folder = tmp_path_factory.mktemp(kind) / "index"
    create_index(kind, folder).add(IDS, DOCUMENTS)
    return folder


@pytest.fixture
def index(template: Path, tmp_path: Path):
    shutil.copytree(template, tmp_path / "index")
    return open_index(tmp_path / "index")


def needs(index, ability: str) -> None:
    if ability not in index.abilities:
        pytest.skip(f"says that it cannot: {ABILITIES[ability]}")


def results(index, k=10, **options):
    return [(ranking.ids, ranking.scores.tolist()) for ranking in index.search(QUERIES, k, **options)]


def test_finds_what_exact_search_finds(index, kind):
    truth = np.argsort(-maxsim(QUERIES, DOCUMENTS), axis=1)[:, :10]
    found = index.tuned(**REFINED.get(kind, {})).search(QUERIES, 10)
    overlap = [len({IDS[i] for i in row} & set(ranking.ids)) for row, ranking in zip(truth, found, strict=True)]
    assert np.mean(overlap) >= 7  # of 10: random vectors are the hardest case for a compressed index


def test_scores_are_sorted_and_ids_are_distinct(index):
    for ranking in index.search(QUERIES, 20):
        assert len(set(ranking.ids)) == len(ranking) == 20
        assert ranking.scores.dtype == np.float32
        assert (np.diff(ranking.scores) <= 0).all()


def test_score_is_maxsim_on_the_stored_vectors(index):
    needs(index, "exact-scores")
    for number, ranking in enumerate(index.search(QUERIES, 20)):
        expected = maxsim(QUERIES.select([number]), index.stored(ranking.ids))[0]
        np.testing.assert_allclose(ranking.scores, expected, atol=1e-3)


def test_gives_back_what_it_stores(index):
    needs(index, "stored")
    stored = index.stored([IDS[7], IDS[2]])
    assert stored.lengths.tolist() == DOCUMENTS.select([7, 2]).lengths.tolist()
    cosine = (stored.values * DOCUMENTS.select([7, 2]).values).sum(axis=1) / np.linalg.norm(stored.values, axis=1)
    assert cosine.mean() > 0.9


def assert_same(index, found, expected):
    """The same rankings; from a kind that promises no determinism, the same documents but for a few at the cut."""
    if "deterministic" in index.abilities:
        assert [(ids, scores) for ids, scores in found] == expected
    else:
        assert all(len({*left} & {*right}) >= 7 for (left, _), (right, _) in zip(found, expected, strict=True))


def test_reopened_in_this_process(index):
    assert_same(index, results(open_index(index.path)), results(index))
    assert open_index(index.path).ids == IDS


def test_reopened_in_another_process(index, tmp_path):
    QUERIES.save(tmp_path / "queries")
    code = (
        "import sys, json; from engine import open_index, TokenEmbeddings\n"
        "found = open_index(sys.argv[1]).search(TokenEmbeddings.open(sys.argv[2]), 10)\n"
        "print(json.dumps([[r.ids, r.scores.tolist()] for r in found]))"
    )
    command = [sys.executable, "-c", code, str(index.path), str(tmp_path / "queries")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert_same(index, [tuple(pair) for pair in json.loads(ran.stdout.splitlines()[-1])], results(index))


def test_ids_keep_their_meaning_after_removal(index):
    needs(index, "remove")
    before = {i: s for ids, scores in results(index, N)[:1] for i, s in zip(ids, scores, strict=True)}
    index.remove([*IDS[:9], IDS[40]])
    ranking = index.search(QUERIES, N)[0]
    assert sorted(ranking.ids) == sorted(set(IDS[9:]) - {IDS[40]})
    for name, score in zip(ranking.ids, ranking.scores, strict=True):
        assert score == pytest.approx(before[name], abs=0.02)
    with pytest.raises(NotFoundError, match="doc-40"):
        index.remove(["doc-40"])


def test_added_documents_are_found(index):
    needs(index, "add")
    index.add(["twin"], TokenEmbeddings.from_list([QUERIES[0]], "model-a"))
    assert index.search(QUERIES, 3)[0].ids[0] == "twin"
    assert len(index) == N + 1


def test_emptied_and_filled_again(index):
    needs(index, "remove")
    index.remove(IDS)
    assert len(index) == 0
    assert [len(ranking) for ranking in index.search(QUERIES, 5)] == [0, 0, 0]
    index.add(IDS[:20], DOCUMENTS.select(np.arange(20)))
    assert len(open_index(index.path).search(QUERIES, 5)[0]) == 5


def test_k_larger_than_the_collection_returns_all(index):
    for ranking in index.search(QUERIES, 10 * N):
        assert sorted(ranking.ids) == IDS


def test_one_document(kind, tmp_path):
    index = create_index(kind, tmp_path / "i")
    index.add(["only"], DOCUMENTS.select([0]))
    assert [ranking.ids for ranking in index.search(QUERIES, 3)] == [["only"]] * 3


def test_ties_are_ordered_by_id(index):
    needs(index, "add")
    twin = TokenEmbeddings.from_list([QUERIES[0]] * 4, "model-a")
    index.add(["t3", "t1", "t4", "t2"], twin)
    assert index.search(QUERIES, 4)[0].ids == ["t1", "t2", "t3", "t4"]
    assert index.search(QUERIES, 2)[0].ids == ["t1", "t2"]


def test_unicode_ids(kind, tmp_path):
    names = ["Übergröße 1", "文档/二", "a\tb\nc", "\N{ROCKET}" * 40, "..", "'; drop table", "0", "é", "e\u0301"]
    index = create_index(kind, tmp_path / "i")
    index.add(names, DOCUMENTS.select(np.arange(len(names))))
    assert sorted(open_index(tmp_path / "i").search(QUERIES, 20)[0].ids) == sorted(names)
    if "remove" in index.abilities:
        index.remove(["文档/二"])
        assert "文档/二" not in index.search(QUERIES, 20)[0].ids


def test_subset(index):
    needs(index, "subset")
    subset = [*IDS[50:], IDS[3], IDS[3]]
    for ranking in index.search(QUERIES, 40, subset=subset):
        assert sorted(ranking.ids) == sorted(set(subset))
    assert [len(ranking) for ranking in index.search(QUERIES, 5, subset=[])] == [0, 0, 0]
    with pytest.raises(NotFoundError, match="nothing-here"):
        index.search(QUERIES, 5, subset=["nothing-here"])


def test_searches_without_documents_or_queries(kind, tmp_path, index):
    assert index.search(QUERIES.select([]), 5) == []
    empty = create_index(kind, tmp_path / "empty")
    assert [len(ranking) for ranking in empty.search(QUERIES, 5)] == [0, 0, 0]


def test_ties_at_the_cut_go_to_the_lowest_ids(index):
    """Many equal documents, the lowest ids in the middle of the storage order, and fewer wanted than there are."""
    needs(index, "deterministic")
    names = [f"t{i:03d}" for i in np.random.default_rng(2).permutation(150)]
    index.add(names, TokenEmbeddings.from_list([QUERIES[0]] * 150, "model-a"))
    for tuned in (index, *(index.tuned(**rung) for rung in type(index).ladder(index.settings))):
        for k in (1, 7, 60):
            assert tuned.search(QUERIES, k)[0].ids == sorted(names)[:k]


def test_documents_without_vectors_are_kept_and_never_found(kind, tmp_path):
    index, empty = create_index(kind, tmp_path / "i"), TokenEmbeddings.from_list([DOCUMENTS[0][:0]] * 2, "model-a")
    if "empty-documents" not in index.abilities:
        with pytest.raises(InputError, match=r"'a' has no token vectors.*leave it out"):
            index.add(["a", "b"], empty)
        return
    index.add(["a", "b"], empty)  # before the first vector
    assert [len(ranking) for ranking in index.search(QUERIES, 5)] == [0, 0, 0]
    index.add(IDS[:20], DOCUMENTS[:20])
    index.add(["c"], empty[:1])  # and after it
    index.remove(["a"])
    index = open_index(index.path)
    assert (len(index), index.describe()["without_vectors"]) == (22, 2)
    for ranking in index.search(QUERIES, 100):
        assert sorted(ranking.ids) == IDS[:20]
        np.testing.assert_allclose(ranking.scores[:3], np.sort(ranking.scores)[::-1][:3])
    assert sorted(index.search(QUERIES, 100, subset=["b", "doc-03"])[0].ids) == ["doc-03"]
    assert np.isneginf(index.trace(QUERIES[:1], "b").stored_score)
    assert index.stored(["b", "doc-03"]).lengths.tolist() == [0, len(DOCUMENTS[3])]
    nothing = TokenEmbeddings(np.empty((0, 16), np.float32), np.array([0, 0]))  # a query without tokens
    assert index.search(nothing, 3)[0].ids == IDS[:3]
    index.compact()
    index.verify()
    index.remove(IDS[:20])
    assert index.ids == ["b", "c"]
    assert len(index.search(QUERIES, 5)[0]) == 0


def bad_inputs():
    nan = DOCUMENTS.select([0, 1])
    nan.values[2, 3] = np.nan
    other = TokenEmbeddings(DOCUMENTS.values, DOCUMENTS.offsets, "model-b").select([0, 1])
    two = DOCUMENTS.select([0, 1])
    return {
        "not finite": (["x", "y"], nan, "finite.*'x'"),
        "wrong dimension": (["x", "y"], ragged(RNG, [3, 3], 8), "dimension 16, got 8"),
        "another model": (["x", "y"], other, "model-a.*model-b"),
        "given twice": (["x", "x"], two, "'x' is given twice"),
        "already there": ([IDS[5], "x"], two, "'doc-05'"),
        "counts differ": (["x"], two, "1 ids for 2"),
        "empty id": (["", "x"], two, "non-empty"),
    }


@pytest.mark.parametrize("case", list(bad_inputs()))
def test_refuses_before_writing(index, case):
    names, documents, words = bad_inputs()[case]
    before = index.state.manifest.generation, sorted(path.name for path in index.path.iterdir())
    with pytest.raises(InputError, match=words):
        index.add(names, documents)
    assert (open_index(index.path).state.manifest.generation, sorted(p.name for p in index.path.iterdir())) == before


def test_refuses_queries_that_do_not_fit(index):
    with pytest.raises(InputError, match="dimension 16, got 8"):
        index.search(ragged(RNG, [3], 8))
    with pytest.raises(InputError, match=r"model-a.*model-c"):
        index.search(TokenEmbeddings(QUERIES.values, QUERIES.offsets, "model-c"))
    with pytest.raises(InputError, match="k of 1 or more"):
        index.search(QUERIES, 0)


def test_unknown_settings_list_the_known_ones(kind, tmp_path):
    with pytest.raises(InputError, match=r"has no setting 'colour': it knows "):
        create_index(kind, tmp_path / "i", colour=1)
    assert not (tmp_path / "i").exists()


def test_a_second_writer_is_turned_away(index):
    from filelock import FileLock

    with FileLock(index.path / "writer.lock"), pytest.raises(BusyError, match="another process"):
        index.add(["x"], DOCUMENTS.select([0]))


def test_same_inputs_give_the_same_rankings_and_files(kind, template, index, tmp_path):
    needs(index, "deterministic")
    again = create_index(kind, tmp_path / "again")
    again.add(IDS, DOCUMENTS)
    assert results(again, N) == results(index, N)
    assert again.state.manifest.files == index.state.manifest.files


def test_says_beforehand_what_it_cannot_do(index):
    described = index.describe()
    assert set(described["can"]) | set(described["cannot"]) == set(ABILITIES)
    assert described["bytes"] > 0
    assert described["documents"] == N
    assert described["tokens"] == DOCUMENTS.n_tokens
    attempts = {
        "subset": lambda: index.search(QUERIES, 5, subset=IDS[:3]),
        "remove": lambda: index.remove(IDS[:1]),
        "add": lambda: index.add(["x"], DOCUMENTS.select([0])),
        "stored": lambda: index.stored(IDS[:1]),
    }
    for ability in attempts.keys() & set(described["cannot"]):
        with pytest.raises(UnsupportedError, match=ability):
            attempts[ability]()


def test_a_killed_writer_leaves_a_complete_state(index):
    needs(index, "crash-safe")
    for delay in (0.05, 0.4):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(index.path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(delay)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        survived = open_index(index.path)
        survived.verify()
        names = survived.ids
        assert names[:N] == IDS
        assert (len(names) - N) % 20 == 0  # whole additions only
        assert sorted(survived.search(QUERIES, 10 * len(names))[0].ids) == sorted(names)
    survived.add(["after"], DOCUMENTS.select([0]))
    assert "after" in survived


def test_embeddings_of_a_model(kind, tmp_path, fake_encoder, tiny_collection: Collection):
    index = create_index(kind, tmp_path / "i")
    index.add(list(tiny_collection.documents), fake_encoder.encode_document(list(tiny_collection.documents.values())))
    found = index.search(fake_encoder.encode_query(list(tiny_collection.queries.values())), 3)
    assert found[0].ids[0] == "argmax"
    assert found[2].ids[0] == "mean"
