"""Every lost document is blamed on the stage that dropped it, and the counts add up."""

from dataclasses import replace

import numpy as np
import pytest

from engine import Collection, create_index, maxsim
from engine.errors import InputError
from engine.retrieval import rank_of
from tests.conftest import ragged
from workbench.systems.lost_in_index import (
    MODEL,
    STORAGE,
    blame,
    costs_as_markdown,
    lost_by_index,
    lost_documents,
    won_back,
)

RNG = np.random.default_rng(2)
DOCUMENTS = ragged(RNG, [6] * 150, 16)
QUERIES = ragged(RNG, [5] * 8, 16)
IDS = [f"d{i:03d}" for i in range(150)]
SCORES = maxsim(QUERIES, DOCUMENTS)


@pytest.fixture(scope="module")
def judged():
    """Every query's exact first ten and one document that exact search ranks last are relevant."""
    qrels = {
        f"q{number}": {IDS[i]: 1 for i in [*np.argsort(-row)[:10], int(row.argmin())]}
        for number, row in enumerate(SCORES)
    }
    queries = {f"q{number}": "words" for number in range(8)}
    return Collection(dict.fromkeys(IDS, "words"), queries, qrels, "made")


def report_of(folder, judged, kind, **settings):
    index = create_index(kind, folder, **settings)
    index.add(IDS, DOCUMENTS)
    return index, lost_documents(index, judged, DOCUMENTS, QUERIES, k=10)


def test_exact_search_loses_only_what_the_model_loses(tmp_path, judged):
    _, report = report_of(tmp_path / "i", judged, "exact", dtype="float32")
    assert (report.relevant, report.found, lost_by_index(report)) == (88, 80, 0)
    assert [(cost.stage, cost.lost, cost.queries) for cost in report.stages] == [(MODEL, 8, 8)]
    assert all(entry.rank_exact == 150 for entry in report.lost)


@pytest.mark.parametrize(
    ("settings", "stage"),
    [({"neighbours": 4, "candidates": 0}, "neighbours"), ({"neighbours": 30, "candidates": 10}, "candidates")],
)
def test_hnsw_loses_at_the_stage_that_is_too_tight(tmp_path, judged, settings, stage):
    index, report = report_of(tmp_path / "i", judged, "hnsw", dtype="float32", **settings)
    counted = {cost.stage: cost.lost for cost in report.stages}
    assert counted[stage] > 0
    assert sum(counted.values()) == report.relevant - report.found == len(report.lost)
    for entry in report.lost:
        number = int(entry.query[1:])
        assert entry.document not in index.search(QUERIES.select([number]), 10)[0].ids
        if entry.stage != MODEL:
            assert entry.trace is not None
            assert not entry.trace.stages[-1].survived
            assert all(part.survived for part in entry.trace.stages[:-1])


def test_plaid_with_one_bit_loses_to_quantisation_and_more_bits_win_them_back(tmp_path, judged):
    wide = {"n_probe": 1000, "n_candidates": 1000, "n_full_scores": 1000, "n_centroids": 4}
    _, coarse = report_of(tmp_path / "one", judged, "plaid", bits=1, **wide)
    _, fine = report_of(tmp_path / "eight", judged, "plaid", bits=8, **wide)
    lost = {cost.stage: cost for cost in coarse.stages}
    assert lost[STORAGE].lost > 5
    assert "bits" in lost[STORAGE].remedy
    assert lost_by_index(fine) < lost_by_index(coarse) / 3


def test_raising_the_named_setting_wins_documents_back(tmp_path, judged):
    index, tight = report_of(tmp_path / "i", judged, "plaid", bits=8, n_probe=1, n_candidates=20, n_full_scores=10)
    cost = max((cost for cost in tight.stages if cost.stage != MODEL), key=lambda cost: cost.lost)
    wider = index.tuned(**{cost.setting: 150})
    after = lost_documents(wider, judged, DOCUMENTS, QUERIES, k=10)
    assert {c.stage: c.lost for c in after.stages}.get(cost.stage, 0) < cost.lost
    assert cost.remedy == f"raise {cost.setting}"


def test_a_library_that_cannot_be_looked_into_has_one_stage(tmp_path, judged):
    pytest.importorskip("fast_plaid")
    _, report = report_of(tmp_path / "i", judged, "fast-plaid", nbits=2, n_ivf_probe=1)
    assert {cost.stage for cost in report.stages} <= {"search", STORAGE, MODEL}
    assert lost_by_index(report) > 0


def test_order_of_storage_does_not_matter(tmp_path, judged):
    order = RNG.permutation(150)
    index = create_index("hnsw", tmp_path / "i", neighbours=4, candidates=0)
    index.add([IDS[i] for i in order], DOCUMENTS.select(order))
    report = lost_documents(index, judged, DOCUMENTS, QUERIES, k=10)
    for entry in report.lost:
        assert entry.rank_exact == rank_of(IDS.index(entry.document), SCORES[int(entry.query[1:])], np.arange(150))


def test_stops_on_request_and_tells_progress(tmp_path, judged):
    index = create_index("exact", tmp_path / "i")
    index.add(IDS, DOCUMENTS)
    told = []
    report = lost_documents(
        index, judged, DOCUMENTS, QUERIES, progress=lambda *done: told.append(done), stop=lambda: len(told) == 3
    )
    assert told == [("trace", 1, 8), ("trace", 2, 8), ("trace", 3, 8)]
    assert report.relevant == 33


def test_the_table_says_what_wins_documents_back(tmp_path, judged):
    _, report = report_of(tmp_path / "i", judged, "hnsw", neighbours=4, candidates=0)
    text = costs_as_markdown(report)
    assert "raise neighbours" in text
    assert f"Of 88 relevant documents {report.found} are among the first 10" in text


def test_an_index_of_another_collection_is_refused(tmp_path, judged):
    index = create_index("exact", tmp_path / "i")
    index.add(IDS[:5], DOCUMENTS.select(np.arange(5)))
    with pytest.raises(InputError, match="got 5 indexed"):
        lost_documents(index, judged, DOCUMENTS, QUERIES)
    index.add(IDS[5:], DOCUMENTS.select(np.arange(5, 150)))
    with pytest.raises(InputError, match="judgements"):
        lost_documents(index, replace(judged, qrels={}), DOCUMENTS, QUERIES)


def test_blame_is_for_documents_that_are_no_results(tmp_path):
    index = create_index("exact", tmp_path / "i")
    index.add(IDS, DOCUMENTS)
    trace = index.trace(QUERIES.select([0]), IDS[int(SCORES[0].argmax())])
    with pytest.raises(AssertionError):
        blame(trace)


def test_settings_that_win_documents_back_are_found_by_trying_them(tmp_path, judged):
    settings = {"dtype": "float32", "neighbours": 4, "candidates": 0}
    index, report = report_of(tmp_path / "i", judged, "hnsw", **settings)
    returns = won_back(index, judged, QUERIES, report)
    numbers = [number for _, number in returns]
    assert lost_by_index(report) > 0
    assert numbers == sorted(numbers)
    assert numbers[-1] == lost_by_index(report)  # reranked on float32: every one can come back
    assert set(returns[-1][0]) == {"neighbours", "candidates"}
    exact, nothing = report_of(tmp_path / "e", judged, "exact", dtype="float32")
    assert won_back(exact, judged, QUERIES, nothing) == []
