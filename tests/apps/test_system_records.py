"""What the page Systems is told: rows, the answer, two systems side by side, and what a browser may name."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from apps.pages.indexes import _specs
from apps.pages.systems import allowed
from apps.system_records import answer, frontiers, letter, pair_record, reasons_record, system_row
from engine import Collection
from engine.errors import InputError
from tests.conftest import FakeEncoder
from workbench.experiments.prepare import Prepared, prepare
from workbench.experiments.system_studies import compare_systems
from workbench.experiments.views.systems import SystemRow
from workbench.systems import build

TEXTS = ("bm25", "single", "bm25:k=5 > maxsim")


@pytest.fixture(scope="module")
def prepared(tiny_collection: Collection) -> Prepared:
    return prepare(tiny_collection, FakeEncoder())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rows(prepared: Prepared) -> list[SystemRow]:
    return list(compare_systems(prepared, TEXTS))


def test_a_row_holds_what_was_measured_as_json(rows: Sequence[SystemRow]) -> None:
    shown = [system_row(row, number) for number, row in enumerate(rows)]
    assert json.loads(json.dumps(shown)) == shown
    assert [(row["letter"], row["name"], row["late"]) for row in shown] == [
        ("A", "bm25", False), ("B", "single", False), ("C", "bm25:k=5 > maxsim", True),
    ]  # fmt: skip
    for row, run in zip(shown, rows, strict=True):
        mean, low, high = row["means"]["ndcg@10"]
        assert low <= mean <= high
        assert mean == pytest.approx(run.per_query["ndcg@10"] and sum(run.per_query["ndcg@10"].values()) / 3)
        assert all(not metric.startswith("exact@") for metric in row["means"])
        assert row["p50"] > 0
        assert row["bytes"] > 0
    assert [stage["stage"] for stage in shown[2]["stages"]] == ["bm25:k=5", "maxsim"]
    assert shown[2]["stages"][1]["sent"] <= 5
    options = shown[0]["stages"][0]["options"]
    assert options["stemmer"] == "english"
    assert not any("{" in value for value in options.values()), "words, no Python"
    assert "training" in system_row(rows[0], 0, beside=True)["notes"][-1]


def test_a_system_that_failed_is_a_row_with_a_sentence() -> None:
    row = system_row(SystemRow("bm25", None, "It cannot be built."), 27)
    assert (row["letter"], row["error"], row["means"], row["p50"]) == ("B1", "It cannot be built.", {}, None)
    assert letter(25) == "Z"
    assert frontiers([row]) == []


def test_every_quality_is_drawn_against_every_cost(rows: Sequence[SystemRow]) -> None:
    figures = frontiers([system_row(row, number) for number, row in enumerate(rows)])
    assert {(one["metric"], one["cost"]) for one in figures} >= {("ndcg@10", "p50"), ("recall@100", "bytes")}
    drawn = json.loads(figures[0]["figure"])
    names = [own[0] for trace in drawn["data"] for own in trace.get("customdata", [])]
    assert sorted(names) == sorted(TEXTS)


def test_the_answer_names_the_pair_that_it_is_about(rows: Sequence[SystemRow]) -> None:
    told = answer(rows)
    assert told["pair"][1] == "bm25:k=5 > maxsim"
    assert told["answer"].startswith(("Yes: ", "No: ", "Not shown: "))
    assert [line.partition(" adds ")[0] for line in told["added"]] == ["maxsim behind bm25:k=5"]
    assert answer([])["answer"] == answer(rows[:2])["answer"] == ""


def test_questions_that_each_of_two_systems_wins(rows: Sequence[SystemRow], tiny_collection: Collection) -> None:
    told = pair_record(rows[0], rows[2], tiny_collection)
    before, after = (row.per_query["ndcg@10"] for row in (rows[0], rows[2]))
    won = [{entry["query"] for entry in side["questions"]} for side in told["wins"]]
    assert won[0] == {query for query in before if after[query] < before[query] - 0.05}
    assert won[1] == {query for query in before if after[query] > before[query] + 0.05}
    assert told["difference"][0] == pytest.approx(sum(after[q] - before[q] for q in before) / 3)
    assert json.loads(told["figure"])["data"]


def test_reasons_are_ranks_results_and_words(prepared: Prepared, tiny_collection: Collection) -> None:
    systems = [build(text, prepared) for text in ("bm25", "exact")]
    told = reasons_record(systems, "q1", tiny_collection)
    assert json.loads(json.dumps(told)) == told
    assert told["names"] == ["bm25", "exact"]
    assert told["late"] == [False, True]
    assert told["relevant"] == 2
    for number, system in enumerate(systems):
        ids = system.search([tiny_collection.queries["q1"]], 100)[0].ids
        assert [entry["document"] for entry in told["results"][number]] == ids[:10]
        for document in told["documents"]:
            rank = ids.index(document["document"]) + 1 if document["document"] in ids else None
            assert document["ranks"][number] == rank
    argmax = next(entry for entry in told["documents"] if entry["document"] == "argmax")
    words = dict(argmax["words"][0][0]["words"])
    assert {"index", "largest", "value"} <= set(words)
    assert sum(words.values()) == pytest.approx(
        float(systems[0].search([tiny_collection.queries["q1"]], 1)[0].scores[0]), abs=1e-4
    )
    assert argmax["words"][1] == []
    assert all(len(entry["words"][0]) == 1 for entry in told["documents"]), "BM25 adds words, where none counts too"


@pytest.mark.parametrize(
    "text",
    [
        "single:model=/etc",
        "single:model=../secret/model",
        "bm25 > cross-encoder:/tmp",
        'bm25 > cross-encoder:"C:/models/x"',
        'qdrant:address="http://10.0.0.1:6333",collection=a',
        'bm25 > maxsim:"qdrant:address=inside,collection=a"',
    ],
)
def test_a_browser_names_neither_places_nor_servers(text: str) -> None:
    with pytest.raises(InputError, match="on the command line"):
        allowed(text)


def test_a_browser_names_models_of_the_hub_and_indexes_of_this_machine() -> None:
    for text in ("single:owner/name", "bm25 > cross-encoder:owner/name", "qdrant", 'bm25 > maxsim:"plaid:bits=2"'):
        assert allowed(text) == text
    with pytest.raises(InputError, match="on the command line"):
        _specs(["exact", "qdrant:address=http://10.0.0.1:6333,collection=a"])
