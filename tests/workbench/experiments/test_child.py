"""Indexes compared in processes of their own: recall against exact, judgements apart, stopping, what changed."""

from dataclasses import replace

import numpy as np
import pytest

from engine import Collection, create_index, maxsim
from engine.errors import InputError, NotFoundError
from engine.indexes import BUILT_IN, index_class
from engine.indexes.hnsw import HnswIndex
from engine.machine import peak_memory
from workbench.compare_indexes import compare_indexes, exact_rankings
from workbench.experiments.child import matched, recall_against
from workbench.experiments.views.index_tables import as_markdown
from workbench.experiments.views.indexes import (
    IndexRecord,
    changed_settings,
    changes,
    command_for,
    differences,
    format_spec,
    parse_spec,
    read_records,
    write_records,
)


@pytest.fixture(scope="module")
def compared(fake_encoder, tiny_collection):
    """One real comparison, shared by the tests that look at its records."""
    documents = fake_encoder.encode_document(list(tiny_collection.documents.values()))
    queries = fake_encoder.encode_query(list(tiny_collection.queries.values()))
    progress = []
    records = list(
        compare_indexes(
            tiny_collection,
            [("exact", {"dtype": "float32"}), ("hnsw", {"neighbours": 2})],
            documents=documents,
            queries=queries,
            k=5,
            threads=1,
            progress=lambda *told: progress.append(told),
        )
    )
    return records, progress, documents


def test_records_hold_what_was_measured(compared):
    records, progress, documents = compared
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
    table = as_markdown([*records, replace(records[0], kind="gone", recall_10=None, error="a | b")])
    assert table.startswith("tiny: 8 documents, 69 vectors of 16 dimensions, 3 questions, k = 5, 1 threads.")
    assert "| hnsw, matched |" in table
    assert "- gone: a | b" in table
    assert "nDCG@10" in table
    assert "nDCG@10" not in as_markdown([replace(records[0], metrics={})])
    assert "- exact: dtype=float32" in table  # what is not a default, and only that
    assert changed_settings(records[1].kind, records[1].settings) == {"neighbours": 2}


def test_a_target_out_of_reach_is_said(fake_encoder, tiny_collection, monkeypatch):
    monkeypatch.setattr(HnswIndex, "ladder", classmethod(lambda cls, settings: ({"neighbours": 1, "candidates": 1},)))
    documents = fake_encoder.encode_document(list(tiny_collection.documents.values()))
    queries = fake_encoder.encode_query(list(tiny_collection.queries.values()))
    settings = {"neighbours": 1, "candidates": 1}
    given, tuned = compare_indexes(
        tiny_collection, [("hnsw", settings)], documents=documents, queries=queries, k=2, threads=1
    )
    assert given.recall_100 is not None
    assert given.recall_100 < 0.95
    assert tuned.error == "no settings that were tried reach R@2 of 0.95"


def test_settings_as_given_are_kept_where_they_are_fastest(fake_encoder, tiny_collection, tmp_path):
    documents = fake_encoder.encode_document(list(tiny_collection.documents.values()))
    queries = fake_encoder.encode_query(list(tiny_collection.queries.values()))
    index = create_index("hnsw", tmp_path / "i")
    index.add(list(tiny_collection.documents), documents)
    truth = [ranking.ids for ranking in index.search(queries, 5)]  # reranked exactly, so this is exact search
    job = {"k": 5, "ladder": [{"neighbours": 200}], "target": 0.95, "truth": truth}
    given = {"ids": truth, "latencies_ms": [0.0, 0.0, 0.0], "notes": []}
    kept = matched(index, job, queries, given)
    assert kept["latencies_ms"] == [0.0, 0.0, 0.0]
    assert kept["notes"] == ["the settings as given are the fastest tried that reach the target"]
    slow = matched(index, job, queries, given | {"latencies_ms": [1e6, 1e6, 1e6]})
    assert max(slow["latencies_ms"]) < 1e6
    assert slow["ids"] == truth


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
    back = read_records(write_records(records, tmp_path / "r.json"))
    assert [vars(record) for record in back] == [vars(record) for record in records]
    assert changes(back, records) == []
    newer = [replace(record, versions=record.versions | {"voyager": "9.9"}) for record in records]
    assert changes(back, newer)[0].startswith("exact: Version of voyager changed from ")
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match="no comparison of indexes"):
        read_records(tmp_path / "x.json")
    with pytest.raises(NotFoundError, match="no file"):
        read_records(tmp_path / "none.json")


def test_stopping_keeps_what_was_finished(fake_encoder, tiny_collection):
    documents = fake_encoder.encode_document(list(tiny_collection.documents.values()))
    queries = fake_encoder.encode_query(list(tiny_collection.queries.values()))
    finished = []
    for record in compare_indexes(
        tiny_collection,
        [("exact", {}), ("exact", {"dtype": "float32"})],
        documents=documents,
        queries=queries,
        should_stop=lambda: bool(finished),
    ):
        finished.append(record)
    assert len(finished) == 1


def test_a_collection_without_judgements_says_so(fake_encoder):
    collection = Collection({"a": "red apple", "b": "green pear"}, {"q": "apple"}, {}, "plain")
    encoded = fake_encoder.encode_document(list(collection.documents.values()))
    record = next(
        compare_indexes(collection, [("exact", {})], documents=encoded, queries=fake_encoder.encode_query(["apple"]))
    )
    assert record.metrics == {}
    assert record.notes == ("without judgements there is no nDCG",)
    assert record.recall_10 == 1.0
    assert record.command == ""  # nothing on a command line brings these vectors back


@pytest.mark.parametrize(
    ("indexes", "words"), [([("plaaid", {})], "exact, plaid, hnsw"), ([("hnsw", {"colour": 1})], "no setting 'colour'")]
)
def test_mistakes_are_found_before_anything_is_encoded(tiny_collection, indexes, words):
    with pytest.raises(InputError, match=words):
        next(compare_indexes(tiny_collection, indexes, model="no such model"))


def test_vectors_that_do_not_fit(tiny_collection, fake_encoder):
    some = fake_encoder.encode_document(["one", "two"])
    with pytest.raises(InputError, match="8 documents and 3 queries, got 2 and 2"):
        next(compare_indexes(tiny_collection, [("exact", {})], documents=some, queries=some))
    with pytest.raises(InputError, match="both or neither"):
        next(compare_indexes(tiny_collection, [("exact", {})], documents=some))
    with pytest.raises(InputError, match="no queries"):
        next(compare_indexes(replace(tiny_collection, queries={}, qrels={}), [("exact", {})]))


def test_the_truth_is_exact_and_breaks_ties_by_id(fake_encoder):
    documents = fake_encoder.encode_document(["red apple", "green pear", "red apple"])
    queries = fake_encoder.encode_query(["apple"])
    ranking = exact_rankings(["z", "m", "a"], documents, queries, 2)[0]
    assert ranking.ids == ["a", "z"]
    np.testing.assert_allclose(ranking.scores, np.sort(maxsim(queries, documents)[0])[:0:-1])


def test_recall_counts_the_shared_part_of_the_first_k():
    assert recall_against([["a", "b", "c"]], [["b", "x", "a"]], 2) == 0.5
    assert recall_against([["a"], ["q"]], [["a"], ["b"]], 10) == 0.5
    assert recall_against([], [], 10) == 1.0


def test_specs_survive_the_command_line():
    settings = {"neighbours": 100, "storage": "float8", "centroid_threshold": 0.5}
    assert parse_spec(format_spec("hnsw", settings)) == ("hnsw", settings)
    assert parse_spec("exact") == ("exact", {})
    with pytest.raises(InputError, match="name=value"):
        parse_spec("hnsw:neighbours")
    command = command_for("my folder", "embedded", [("hnsw", settings)], {"k": 5})
    assert command.startswith("workbench compare-indexes --collection 'my folder' --model embedded --index hnsw:")
    assert command.endswith("--k 5")


def test_a_changed_default_is_pointed_out():
    base = IndexRecord("hnsw", "as given", {"m": 12}, "c", 1, 1, 1, 1, 1, 0.9, dependency_defaults={"voyager.ef": 10})
    after = replace(base, settings={"m": 16}, dependency_defaults={"voyager.ef": 20}, versions={"voyager": "3"})
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
