"""Experiments among documents that fit a condition: what is searched, what is judged, and which runs are the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Collection, evaluate, maxsim
from engine.errors import InputError, UnsupportedError
from engine.fields import Fields
from engine.indexes import index_class
from engine.retrieval import Ranking, id_order, top_positions
from engine.sampling import fitting
from workbench.experiments.execute import is_kept, run, run_alone
from workbench.experiments.experiment import Experiment
from workbench.experiments.measure import measure
from workbench.experiments.prepare import Prepared, prepare
from workbench.experiments.progress import SILENT
from workbench.experiments.views.comparison import compare
from workbench.runs.record import short_name

YEARS = {
    "argmax": 2019,
    "sort": 2020,
    "join": 2020,
    "open": 2021,
    "sleep": 2022,
    "mean": 2019,
    "glob": 2021,
    "json": 2021,
}
WHERE = "year >= 2020"
FIT = [name for name, year in YEARS.items() if year >= 2020]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def collection(tiny_collection: Collection) -> Collection:
    return replace(tiny_collection, fields=Fields(("year",), lambda: {name: {"year": y} for name, y in YEARS.items()}))


@pytest.fixture
def prepared(collection: Collection, fake_encoder: Any) -> Prepared:
    return prepare(collection, fake_encoder)


def test_documents_judgements_and_queries_are_those_that_fit(collection: Collection) -> None:
    part = fitting(collection, WHERE)
    assert list(part.documents) == FIT
    assert part.qrels == {"q1": {"sort": 1}, "q2": {"open": 2, "glob": 1}}
    assert list(part.queries) == ["q1", "q2"]
    assert part.notes == (
        "Searched among 6 of 8 documents (year >= 2020).",
        "1 of 3 queries have no relevant document among them and are left out.",
    )
    assert list(fitting(replace(collection, qrels={}), WHERE).queries) == ["q1", "q2", "q3"]


@pytest.mark.parametrize("index", ["exact", "plaid", "hnsw"])
def test_a_run_among_some_documents_is_an_evaluation_on_them_alone(
    prepared: Prepared, collection: Collection, fake_encoder: Any, index: str
) -> None:
    settings = {"bits": 8} if index == "plaid" else {}
    found = run(prepared.experiment(where=WHERE, index=index, settings=settings), prepared=prepared)
    part = fitting(collection, WHERE)
    documents = fake_encoder.encode_document(list(part.documents.values()))
    queries = fake_encoder.encode_query(list(part.queries.values()))
    expected = {}
    for query, row in zip(part.queries, maxsim(queries, documents), strict=True):
        best = top_positions(row, id_order(FIT), 100)
        expected[query] = Ranking([FIT[i] for i in best], row[best])
    assert {query: ranking.ids for query, ranking in found.rankings().items()} == {
        query: ranking.ids for query, ranking in expected.items()
    }
    assert found.per_query("ndcg@10") == pytest.approx(evaluate(expected, part).per_query["ndcg@10"])
    assert found.mean["exact@10"] == 1.0
    record = found.record
    assert record["collection"]["among"]["documents"] == 6
    assert (record["judged"], record["sizes"]["documents"], record["collection"]["documents"]) == (2, 8, 8)
    assert record["sizes"]["tokens_full"] == prepared.documents.n_tokens
    assert "Searched among 6 of 8 documents (year >= 2020)." in found.warnings
    assert "where year >= 2020" in short_name(record["experiment"])


def test_a_whole_system_searches_among_them_too(prepared: Prepared) -> None:
    pytest.importorskip("bm25s")
    for system in ("bm25", "bm25:k=8 > maxsim"):
        found = run(prepared.experiment(where=WHERE, system=system), prepared=prepared)
        assert set(found.rankings()) == {"q1", "q2"}
        assert {name for ranking in found.rankings().values() for name in ranking.ids} <= set(FIT)
        assert found.rankings()["q2"].ids[0] == "open"


def test_the_same_documents_are_the_same_run_however_they_are_chosen(prepared: Prepared) -> None:
    whole, first = (
        run(prepared.experiment(), prepared=prepared),
        run(prepared.experiment(where=WHERE), prepared=prepared),
    )
    assert whole.id != first.id
    again = run(prepared.experiment(where=" NOT (year = 2019) "), prepared=prepared)
    assert again.reused
    assert again.id == first.id
    assert not is_kept(prepared.experiment(where="year >= 2021"), prepared)
    with pytest.raises(InputError, match="search among other documents"):
        compare(whole, first)


def test_a_run_of_before_there_were_conditions_is_found_again(prepared: Prepared) -> None:
    found = run(prepared.experiment(), prepared=prepared)
    assert "among" not in found.record["collection"]
    described = prepared.experiment().to_dict()
    del described["where"]
    assert run(Experiment.from_dict(described), prepared=prepared).reused


def test_what_cannot_be_searched_is_refused_before_anything_is_encoded(
    prepared: Prepared, fake_encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(fake_encoder), "_encode", lambda *_: pytest.fail("encoded"))
    for where, sentence in (
        ("yeer > 1", "yeer"),
        ("year > 9999", "None of the 8 documents"),
        ("year = 2022", "no judg"),
    ):
        with pytest.raises(InputError, match=sentence):
            run(prepared.experiment(where=where), prepared=prepared)
    with pytest.raises(InputError, match="condition such as"):
        Experiment(where=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="leave the condition out"):
        run_alone(prepared.experiment(where=WHERE), prepared, 1, None, SILENT)
    kind = index_class("exact")
    monkeypatch.setattr(kind, "can", kind.can - {"subset"})
    with pytest.raises(UnsupportedError, match="'exact' has not the ability 'subset'"):
        run(prepared.experiment(where=WHERE), prepared=prepared)


def test_the_vectors_of_a_part_are_those_of_the_whole(prepared: Prepared) -> None:
    part = prepared.where(WHERE)
    assert part is prepared.where(WHERE)
    assert prepared.where("") is prepared
    assert np.array_equal(part.documents[0], prepared.documents[1])
    assert np.array_equal(part.queries.values, prepared.queries.select([0, 1]).values)
    assert part.at_dim(8).documents.dim == 8
    measured = measure(prepared, prepared.experiment(where=WHERE))
    assert set(measured.rankings) == {"q1", "q2"}
