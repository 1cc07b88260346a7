"""Systems as experiments: runs in the one store with times by stage, found again, compared, refused before the work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from engine import Collection, evaluate
from engine.errors import InputError, MissingExtraError, NotFoundError
from tests.conftest import FakeEncoder
from tests.workbench.systems.conftest import made_collection
from workbench.experiments import execute, measure_system, system_studies
from workbench.experiments.execute import run, run_key
from workbench.experiments.experiment import Experiment
from workbench.experiments.plan import grid
from workbench.experiments.prepare import Prepared, prepare
from workbench.experiments.studies import recommend
from workbench.experiments.system_studies import compare_systems, compared, installed
from workbench.experiments.views.systems import as_markdown, frontier, pairs_table, stages_table, systems_table
from workbench.runs.store import find, list_runs
from workbench.systems import build, lexical
from workbench.systems.text import late, parse_system

SYSTEMS = ("bm25", "single", "exact", "bm25:k=20 > maxsim")


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(made_collection(80, 30, seed=5), FakeEncoder())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rows(prepared: Prepared) -> list[Any]:
    return list(compare_systems(prepared, SYSTEMS, k=50))


def test_a_run_of_a_system_holds_its_text_and_what_each_stage_took(prepared: Prepared) -> None:
    found = run(prepared.experiment(system="bm25:k=20>maxsim", k=50), prepared=prepared)
    assert found.experiment.system == "bm25:k=20 > maxsim"
    assert "bm25:k=20 > maxsim" in found.name
    first, last = found.stages
    assert (first["stage"], last["stage"]) == ("bm25:k=20", "maxsim")
    assert first["entered"] == 80
    assert first["sent"] == last["entered"] <= 20
    assert 0 < first["p50_ms"] + last["p50_ms"] < 3 * found.p50_ms + 1
    assert found.bytes == first["bytes"] + last["bytes"]
    assert first["options"]["tokeniser"]["stemmer"] == "english"
    assert {"bm25s", "PyStemmer"} <= set(found.record["versions"])
    system = build("bm25:k=20 > maxsim", prepared)
    rankings = dict(zip(prepared.collection.queries, system.search(
        system.ask(list(prepared.collection.queries.values())), 100), strict=True))  # fmt: skip
    expected = evaluate(rankings, prepared.collection, ["ndcg@10", "recall@100"])
    assert found.mean["ndcg@10"] == pytest.approx(expected.mean["ndcg@10"])
    assert found.per_query("recall@100") == pytest.approx(expected.per_query["recall@100"])
    assert {query: ranking.ids for query, ranking in found.rankings().items()} == {
        q: r.ids for q, r in rankings.items()
    }


def test_a_run_is_found_again_under_any_text_of_the_same_system(prepared: Prepared) -> None:
    first = run(prepared.experiment(system="bm25:k=30>maxsim"), prepared=prepared)
    again = run(prepared.experiment(system=" (bm25:k=30,b=.75) > maxsim:held "), prepared=prepared)
    assert again.reused
    assert again.id == first.id == find(first.id).id
    assert run_key(prepared.experiment(system="bm25:k=31 > maxsim"), prepared) != first.id
    assert run_key(prepared.experiment(index="exact"), prepared) != run_key(
        prepared.experiment(system="exact"), prepared
    )


def test_the_names_of_runs_without_a_system_are_as_they_were(prepared: Prepared, monkeypatch: Any) -> None:
    wanted = prepared.experiment(index="plaid")
    key = run_key(wanted, prepared)
    described = wanted.to_dict()
    monkeypatch.setattr(Experiment, "to_dict", lambda self: {**described, "system": ""})
    assert run_key(wanted, prepared) == key
    seen: list[Any] = []
    monkeypatch.setattr(execute, "content_key", lambda *parts: seen.append(parts) or "0" * 20)
    run_key(wanted, prepared)
    assert "system" not in seen[0][1]


def test_a_system_leaves_no_room_for_what_it_names_itself() -> None:
    changes: dict[str, Any]
    for changes, name in (({"index": "plaid"}, "index"), ({"scorer": "xtr"}, "scorer"),
                          ({"settings": {"dtype": "float32"}}, "settings")):  # fmt: skip
        with pytest.raises(InputError, match=f"so {name} .* means nothing"):
            Experiment(system="bm25 > maxsim", **changes)
    with pytest.raises(InputError, match="pooling and dim change nothing"):
        Experiment(system="bm25", pool_factor=2)
    with pytest.raises(InputError, match="pooling and dim change nothing"):
        Experiment(system="bm25 + single", dim=8)
    with pytest.raises(InputError, match="Unknown stage"):
        Experiment(system="bm52")
    assert Experiment.from_dict({"system": "bm25>maxsim"}).system == "bm25 > maxsim"
    assert Experiment.from_yaml(Experiment(system="bm25 + exact").to_yaml()).system == "bm25 + exact"
    texts = [e.system for e in grid(Experiment(), {"system": ["bm25", "exact"], "k": [10, 20]})]
    assert texts == ["bm25", "bm25", "exact", "exact"]


def test_pooled_vectors_are_what_late_stages_hold(prepared: Prepared) -> None:
    whole, half = (run(prepared.experiment(system="bm25 > maxsim", pool_factor=f), prepared=prepared) for f in (1, 2))
    assert half.tokens < whole.tokens
    assert half.stages[1]["bytes"] < whole.stages[1]["bytes"]
    assert half.mean["exact@10"] <= whole.mean["exact@10"]


def test_no_vectors_are_made_for_a_system_that_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for task in ("query", "document"):
        monkeypatch.setattr(FakeEncoder, f"encode_{task}", lambda *given: pytest.fail("encoded"))
    fresh = prepare(made_collection(40, 10, seed=9), FakeEncoder())  # type: ignore[arg-type]
    found = run(fresh.experiment(system="bm25"), prepared=fresh)
    assert found.tokens == 0
    assert [metric for metric in found.mean if metric.startswith("exact@")] == []
    assert found.mean["ndcg@10"] > 0


def test_a_slow_stage_is_timed_for_fewer_questions_without_what_it_remembers(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexical.Bm25, "timed", 3)
    fresh = []
    real = lexical.Bm25.uncached
    monkeypatch.setattr(lexical.Bm25, "uncached", lambda self: fresh.append(1) or real(self))
    system = build("bm25", prepared)
    asked = system.ask(list(prepared.collection.queries.values()))
    found = measure_system.search_system(system, asked, 10)
    assert len(found.latencies_ms) == 3
    assert len(fresh) == 1
    assert [r.ids for r in found.rankings] == [r.ids for r in system.search(asked, 10)]


def test_a_comparison_says_what_each_finds_and_costs(prepared: Prepared, rows: list[Any]) -> None:
    assert [row.text for row in rows] == list(SYSTEMS)
    assert [row.late for row in rows] == [late(parse_system(text)) for text in SYSTEMS] == [False, False, True, True]
    found = compared(prepared, rows, k=50)
    told = json.loads(json.dumps(found.to_dict()))
    assert [entry["name"] for entry in told["systems"]] == list(SYSTEMS)
    for entry, row in zip(told["systems"], rows, strict=True):
        assert {"ndcg@10", "recall@100", "p50_ms", "bytes", "build_s", "stages", "intervals"} <= set(entry)
        assert entry["ndcg@10"] == row.run.mean["ndcg@10"]
        low, high = entry["intervals"]["ndcg@10"]
        assert low <= entry["ndcg@10"] <= high
    assert len(told["pairs"]) == 2 * 6
    pair = found.pair("bm25", "exact")
    values = [row.per_query["ndcg@10"] for row in rows]
    assert pair.difference.mean == pytest.approx(np.mean([values[2][q] - values[0][q] for q in values[0]]))
    assert set(pair.wins) == {q for q in values[0] if values[2][q] - values[0][q] > 0.05}
    assert "bm25:k=20 > maxsim" in found.answer or "exact" in found.answer
    assert "95%" in found.answer
    fastest = min(rows, key=lambda row: row.p50_ms).text
    assert found.frontier[0] == fastest
    assert found.frontier == frontier(found.measured, "ndcg@10")
    for table in (systems_table(found), stages_table(found), pairs_table(found)):
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert "bm25:k=20 > maxsim" in as_markdown(found)


def test_a_comparison_is_found_again(prepared: Prepared, rows: list[Any]) -> None:
    assert all(row.run is not None and row.run.reused for row in compare_systems(prepared, SYSTEMS, k=50))
    assert {row.run.id for row in rows} <= {entry.id for entry in list_runs()}


def test_without_judgements_times_are_measured_and_no_answer_is_given() -> None:
    collection = made_collection(30, 5)
    plain = prepare(Collection(collection.documents, collection.queries, {}, "plain"), FakeEncoder())  # type: ignore[arg-type]
    measured = list(compare_systems(plain, ["bm25", "exact"]))
    found = compared(plain, measured)
    assert all(row.p50_ms is not None and row.p50_ms > 0 for row in measured)
    assert found.answer.startswith("Without judgements")
    assert found.tests is None
    with pytest.raises(InputError, match="compared by judgements"):
        found.pair("bm25", "exact")


def test_one_side_alone_gives_no_answer(prepared: Prepared, rows: list[Any]) -> None:
    assert compared(prepared, rows[:2]).answer.startswith("Compare a system with late interaction")


def test_what_cannot_be_built_is_told_before_anything_is_measured(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_studies, "run", lambda *given, **more: pytest.fail("measured"))
    for text, kind in (("bm52", InputError), ("exact > cross-encoder:/no/folder", NotFoundError)):
        with pytest.raises(kind):
            next(compare_systems(prepared, ["bm25", text]))


def test_packages_that_are_absent_leave_a_default_system_out_and_a_named_one_is_refused(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(cls: Any, options: Any, material: Any) -> None:
        raise MissingExtraError("bm25s is not installed")

    monkeypatch.setattr(lexical.Bm25, "check", classmethod(absent))
    monkeypatch.setattr(system_studies, "DEFAULT", ("bm25", "exact"))
    missing, there = compare_systems(prepared, None, k=50)
    assert (missing.text, missing.run, missing.error) == ("bm25", None, "bm25s is not installed")
    assert there.run is not None
    assert missing.to_dict() == {"name": "bm25", "late": False, "error": "bm25s is not installed"}
    with pytest.raises(MissingExtraError):
        next(compare_systems(prepared, ["bm25"]))
    with pytest.raises(MissingExtraError):
        run(prepared.experiment(system="bm25:k=77"), prepared=prepared)
    assert not any("k=77" in str(entry.record.get("experiment")) for entry in list_runs())


def test_a_recommendation_takes_in_whole_systems(prepared: Prepared) -> None:
    found = recommend(prepared, kinds=("exact",), systems=("bm25", "bm25:k=20>maxsim"), seconds=600, min_quality=0.01)
    texts = [option.kind for option in found.tried]
    assert texts[0] == "exact"
    assert texts[-2:] == ["bm25", "bm25:k=20 > maxsim"]
    assert found.chosen is not None
    assert found.chosen.kind == "bm25"  # the least bytes
    assert found.chosen.recall_10 is None
    assert "build('bm25'" in found.code
    told = found.to_dict()
    assert told["chosen"]["kind"] == "bm25"
    assert told["tried"][-1]["recall_10"] > 0
    strict = recommend(prepared, kinds=("exact",), systems=("bm25",), max_bytes=1, seconds=600)
    assert strict.chosen is None
    skipped = recommend(prepared, kinds=("exact",), systems=("single",), stop=lambda: True)
    assert skipped.skipped[-1] == "single"
    with pytest.raises(InputError, match="Unknown stage"):
        recommend(prepared, systems=("bm52",))
    collection = prepared.collection
    plain = prepare(Collection(collection.documents, collection.queries, {}, "bare"), FakeEncoder())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Without judgements the share of exact results decides"):
        recommend(plain, systems=("bm25",))
    assert installed(("bm25", "exact > maxsim"), plain) == ["exact > maxsim"]


def test_it_stops_when_it_is_told_to(prepared: Prepared) -> None:
    answers: Iterator[bool] = iter([False] * 3 + [True] * 10_000)
    rows = list(compare_systems(prepared, ["bm25:k1=1.01", "bm25:k1=1.02"], stop=lambda: next(answers), force=True))
    assert len(rows) < 2
