"""Indexes compared in processes of their own: recall against exact, judgements apart, stopping, what changed."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine import Collection, create_index
from engine.errors import InputError, NotFoundError
from engine.indexes import BUILT_IN, changed_settings, index_class
from engine.indexes.hnsw import HnswIndex
from engine.machine import peak_memory
from workbench import runs
from workbench.experiments.again import command_for
from workbench.experiments.child import first_that_reaches
from workbench.experiments.execute import RunsAlone
from workbench.experiments.measure import shares_found
from workbench.experiments.plan import format_spec, parse_spec
from workbench.experiments.prepare import prepare
from workbench.experiments.studies import compare_indexes
from workbench.experiments.views.index_tables import as_markdown
from workbench.experiments.views.indexes import IndexRow, changes, differences, read_rows, write_rows


def changed(row: IndexRow, **values: Any) -> IndexRow:
    return IndexRow({**row.values, **values})


def given(collection, encoder):
    """A collection with vectors that only exist in memory."""
    documents = encoder.encode_document(list(collection.documents.values()))
    return prepare(collection, documents=documents, queries=encoder.encode_query(list(collection.queries.values())))


@pytest.fixture(scope="module")
def compared(fake_encoder, tiny_collection):
    """One real comparison, shared by the tests that look at its records."""
    prepared, progress = given(tiny_collection, fake_encoder), []
    specs = [("exact", {"dtype": "float32"}), ("hnsw", {"neighbours": 2})]
    found = list(compare_indexes(prepared, specs, k=5, threads=1, progress=lambda *told: progress.append(told)))
    return found, progress, prepared


def test_records_hold_what_was_measured(compared):
    records, progress, prepared = compared
    documents = prepared.documents
    exact, hnsw, tuned = records
    assert [record.name for record in records] == ["exact", "hnsw", "hnsw, matched"]
    assert exact.recall_10 == exact.recall_100 == 1.0
    assert set(exact.metrics) == {"ndcg@10", "recall@100"}
    assert exact.per_query["ndcg@10"]["q1"] == 1.0
    assert tuned.recall_100 >= 0.95
    for record in records:
        assert len(record.latencies_ms) == record.queries == 3
        assert 0 < record.p50_ms <= record.p95_ms <= record.p99_ms
        assert record.build_seconds > 0
        assert record.bytes > documents.n_tokens * 16 * 2
        assert record.tokens == documents.n_tokens
        assert record.threads == 1
        assert record.at_a_million["bytes"] == record.bytes * 1e6 / 8
    assert hnsw.settings["neighbours"] == 2
    assert hnsw.settings["m"] == 12  # defaults are in the record too
    assert hnsw.dependency_defaults["voyager.ef_construction"] == 200
    assert "voyager" in hnsw.versions
    assert "p50_ms" not in hnsw.at_a_million
    assert ("hnsw: search", 3, 3) in progress


def test_the_table_names_every_index_and_drops_empty_columns(compared):
    records = compared[0]
    table = as_markdown([*records, changed(records[0], kind="gone", recall_10=None, error="a | b")])
    assert table.startswith("tiny: 8 documents, 69 vectors of 16 dimensions, 3 questions, k = 8, 1 threads.")
    assert "| hnsw, matched |" in table
    assert "- gone: a | b" in table
    assert "nDCG@10" in table
    assert "nDCG@10" not in as_markdown([changed(records[0], metrics={})])
    assert "- exact: dtype=float32" in table  # what is not a default, and only that
    assert changed_settings(records[1].kind, records[1].settings) == {"neighbours": 2}


def test_a_target_out_of_reach_is_said(fake_encoder, tiny_collection, monkeypatch):
    monkeypatch.setattr(HnswIndex, "ladder", classmethod(lambda cls, settings: ({"neighbours": 1, "candidates": 1},)))
    settings = {"neighbours": 1, "candidates": 1}
    prepared = given(tiny_collection, fake_encoder)
    first, tuned = compare_indexes(prepared, [("hnsw", settings)], k=2, threads=1, metrics=("ndcg@2",))
    assert first.recall_100 is not None
    assert first.recall_100 < 0.95
    assert tuned.error == "no settings that were tried reach R@2 of 0.95"


def test_the_cheapest_rung_that_reaches_the_target_is_taken_whatever_the_clock_says(
    fake_encoder, tiny_collection, tmp_path, monkeypatch
):
    prepared = given(tiny_collection, fake_encoder)
    index = create_index("hnsw", tmp_path / "i")
    index.add(list(tiny_collection.documents), prepared.documents)
    truth = [ranking.ids for ranking in index.search(prepared.queries, 5)]  # reranked exactly: this is exact search
    ladder = [{"neighbours": 1, "candidates": 1}, {"neighbours": 200}, {"neighbours": 400}]
    for step in (1.0, -1.0):
        clock = itertools.count(0.0, step)
        monkeypatch.setattr("workbench.experiments.measure.time.perf_counter", lambda clock=clock: next(clock))
        assert first_that_reaches(index, ladder, prepared.queries, 5, truth, 0.95) == 1
    assert first_that_reaches(index, ladder[:1], prepared.queries, 5, truth, 0.95) is None


def test_what_was_measured_alike_is_found_again_and_other_threads_are_measured(compared, monkeypatch):
    rows, _, prepared = compared
    specs = [("exact", {"dtype": "float32"}), ("hnsw", {"neighbours": 2})]
    monkeypatch.setattr("workbench.experiments.child._run", lambda *a: pytest.fail("measured again"))
    again = list(compare_indexes(prepared, specs, k=5, threads=1))
    assert [row.values for row in again] == [row.values for row in rows]
    assert {row.run for row in rows} <= {run.id for run in runs.list()}
    asked = []
    monkeypatch.setattr("workbench.experiments.child._run", lambda *a: asked.append(a) or {"error": "asked"})
    assert [row.error for row in compare_indexes(prepared, specs[:1], k=5, threads=2)] == ["asked"]
    assert [row.error for row in compare_indexes(prepared, specs[:1], k=5, threads=1, force=True)] == ["asked"]


def test_rows_hold_the_figures_that_the_table_shows(compared):
    for row in compared[0]:
        p50, p95, p99 = np.percentile(row.latencies_ms, [50, 95, 99])
        assert [row.values[name] for name in ("p50_ms", "p95_ms", "p99_ms")] == pytest.approx([p50, p95, p99])
        assert row.values["bytes_per_token"] == row.bytes / row.tokens
        assert row.values["queries_per_second"] > 0


def test_only_a_server_of_qdrant_can_be_tuned():
    kind = index_class("qdrant")
    assert kind.ladder(kind.parse_settings({})) == ()
    server = kind.parse_settings({"address": "http://localhost:6333", "collection": "c"})
    assert [rung["ef"] for rung in kind.ladder(server)] == [32, 64, 128, 256, 512, 1024]


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_rung_of_every_ladder_is_a_search_setting_that_the_kind_knows(kind):
    found = index_class(kind)
    rungs = found.ladder(found.parse_settings({}))
    assert bool(rungs) == (kind not in ("exact", "qdrant"))
    for rung in rungs:
        assert set(rung) <= set(found.search_settings)
        found.parse_settings(rung)


def test_records_come_back_from_a_file_and_say_what_changed(compared, tmp_path):
    records = compared[0]
    back = read_rows(write_rows(records, tmp_path / "r.json"))
    assert [vars(record) for record in back] == [vars(record) for record in records]
    assert changes(back, records) == []
    newer = [changed(record, versions=record.versions | {"voyager": "9.9"}) for record in records]
    assert changes(back, newer)[0].startswith("exact: Version of voyager changed from ")
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match="no comparison of indexes"):
        read_rows(tmp_path / "x.json")
    with pytest.raises(NotFoundError, match="no file"):
        read_rows(tmp_path / "none.json")


def test_stopping_keeps_what_was_finished(fake_encoder, tiny_collection):
    finished: list[IndexRow] = []
    specs = [("exact", {}), ("exact", {"dtype": "float32"})]
    prepared = given(tiny_collection, fake_encoder)
    for row in compare_indexes(prepared, specs, k=7, threads=1, stop=lambda: bool(finished)):
        finished.append(row)
    assert len(finished) == 1
    assert runs.find(finished[0].run).status == "complete"


def test_a_collection_without_judgements_says_so(fake_encoder):
    collection = Collection({"a": "red apple", "b": "green pear"}, {"q": "apple"}, {}, "plain")
    record = next(compare_indexes(given(collection, fake_encoder), [("exact", {})], threads=1))
    assert record.metrics == {}
    assert record.notes == ["without judgements there is no nDCG"]
    assert record.recall_10 == 1.0
    assert record.command == ""  # nothing on a command line brings these vectors back


@pytest.mark.parametrize(
    ("indexes", "words"), [([("plaaid", {})], "exact, plaid, hnsw"), ([("hnsw", {"colour": 1})], "no setting 'colour'")]
)
def test_mistakes_are_found_before_anything_is_encoded(tiny_collection, fake_encoder, indexes, words, monkeypatch):
    monkeypatch.setattr(type(fake_encoder), "_encode", lambda *a, **k: pytest.fail("encoded"))
    with pytest.raises(InputError, match=words):
        next(compare_indexes(prepare(tiny_collection, fake_encoder), indexes))


def test_a_mistyped_metric_is_a_mistake_and_no_collection_without_judgements(tiny_collection, fake_encoder):
    with pytest.raises(InputError, match="Unknown metric 'ndgc@10'"):
        next(compare_indexes(prepare(tiny_collection, fake_encoder), [("exact", {})], metrics=["ndgc@10"]))


def test_vectors_that_do_not_fit(tiny_collection, fake_encoder):
    some = fake_encoder.encode_document(["one", "two"])
    with pytest.raises(InputError, match="8 documents and 3 queries, got 2 and 2"):
        prepare(tiny_collection, documents=some, queries=some)
    with pytest.raises(InputError, match="both or neither"):
        prepare(tiny_collection, documents=some)
    with pytest.raises(InputError, match="no queries"):
        next(compare_indexes(prepare(replace(tiny_collection, queries={}, qrels={}), fake_encoder), [("exact", {})]))


def test_the_truth_is_exact_kept_and_breaks_ties_by_id(fake_encoder, monkeypatch):
    collection = Collection({"z": "red apple", "m": "green pear", "a": "red apple"}, {"q": "apple"}, {}, "ties")
    assert prepare(collection, fake_encoder).truth_ids() == [["a", "z", "m"]]
    kept = prepare(collection, fake_encoder)
    monkeypatch.setattr("workbench.experiments.prepare.maxsim_topk", lambda *a: pytest.fail("searched again"))
    assert kept.truth_ids() == [["a", "z", "m"]]


def test_recall_counts_the_shared_part_of_the_first_k():
    assert shares_found([["a", "b", "c"]], [["b", "x", "a"]], 2) == [0.5]
    assert shares_found([["a"], ["q"]], [["a"], ["b"]], 10) == [1.0, 0.0]
    assert shares_found([], [], 10) == []


def test_specs_survive_the_command_line():
    settings = {"neighbours": 100, "storage": "float8", "centroid_threshold": 0.5}
    assert parse_spec(format_spec("hnsw", settings)) == ("hnsw", settings)
    assert parse_spec("exact") == ("exact", {})
    with pytest.raises(InputError, match="name=value"):
        parse_spec("hnsw:neighbours")
    command = command_for(
        "compare-indexes", ("my folder", "embedded"), index=[format_spec("hnsw", settings)], k=5, max_queries=None
    )
    assert command.startswith("workbench compare-indexes --collection 'my folder' --model embedded --index hnsw:")
    assert command.endswith("--k 5")


def test_a_changed_default_is_pointed_out():
    counts = dict.fromkeys(("documents", "tokens", "dim", "queries", "k", "threads"), 1)
    base = IndexRow({**counts, "settings": {"m": 12}, "dependency_defaults": {"voyager.ef": 10}, "versions": {},
                     "machine": {}})  # fmt: skip
    after = changed(base, settings={"m": 16}, dependency_defaults={"voyager.ef": 20}, versions={"voyager": "3"})
    assert differences(base, after) == [
        "Setting m changed from 12 to 16.",
        "Version of voyager changed from None to '3'.",
        "Default voyager.ef changed from 10 to 20.",
    ]


def test_the_peak_is_that_of_this_process_alone():
    import subprocess
    import sys

    ballast = np.ones(400 << 20, np.uint8)  # a child must not inherit the peak of the process that started it
    code = "from engine.machine import peak_memory; print(peak_memory())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < peak_memory()
    assert len(ballast) > 0


def test_a_process_that_fails_gives_a_row_with_the_reason_and_leaves_no_run(fake_encoder, tiny_collection, monkeypatch):
    before = {run.id for run in runs.list()}
    monkeypatch.setattr("workbench.experiments.child._run", lambda *a: {"error": "it ended with code -11"})
    prepared = given(tiny_collection, fake_encoder)
    row = next(compare_indexes(prepared, [("exact", {})], k=6, threads=1, metrics=("ndcg@5",)))
    assert row.error == "it ended with code -11"
    assert {run.id for run in runs.list()} == before


def test_the_first_queries_are_a_collection_of_their_own(fake_encoder, tiny_collection):
    whole = given(tiny_collection, fake_encoder)
    part = whole.first(2)
    assert (part.collection.name, list(part.collection.queries)) == ("tiny, first 2 queries", ["q1", "q2"])
    assert set(part.collection.qrels) == {"q1", "q2"}
    assert part.queries.n_tokens == sum(whole.queries.lengths[:2])
    assert whole.first(3) is whole


def test_of_the_points_that_reach_the_target_the_faster_one_is_the_matched_one(compared, monkeypatch):
    rows, _, prepared = compared
    found = {row.name: runs.find(row.run) for row in rows}

    # The clock decided which settings the fixture's matched row has: here both are named.
    def timed(name: str, p50: float, share: float):
        record = found[name].record
        scores = {**record["scores"], "exact@8": {"mean": share, "low": share, "high": share}}
        latency = {**record["latency_ms"], "p50": p50}
        index = {**record["index"], "settings": {**record["index"]["settings"], "ef": 64 if "matched" in name else 0}}
        return replace(found[name], record={**record, "scores": scores, "latency_ms": latency, "index": index})

    for mine, share, stays in ((1.0, 1.0, True), (3.0, 1.0, False), (1.0, 0.5, False)):
        alone = RunsAlone(timed("hnsw", mine, share), timed("hnsw, matched", 2.0, 1.0), True)
        monkeypatch.setattr("workbench.experiments.studies.run_alone", lambda *a, alone=alone: alone)
        given_row, matched_row = compare_indexes(prepared, [("hnsw", {"neighbours": 2})], k=5, threads=1)
        kept = "the settings as given are the fastest tried that reach the target" in matched_row.notes
        assert kept == stays
        assert (matched_row.settings == given_row.settings) == kept
