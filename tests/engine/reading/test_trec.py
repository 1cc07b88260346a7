"""Run and judgement files of TREC, in and out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine import Ranking, load_collection
from engine.errors import InputError, NotFoundError
from engine.reading.judgements import read_qrels
from engine.reading.trec import read_run, write_qrels, write_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "tiny"
    (target / "qrels").mkdir(parents=True)
    for name in ("corpus", "queries"):
        rows = [json.dumps({"_id": f"{name[0]}{i}", "text": f"text {i}"}) for i in range(4)]
        (target / f"{name}.jsonl").write_text("\n".join(rows))
    (target / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq0\tc0\t1\n")
    return target


def test_rankings_survive_a_file_even_where_rounding_made_scores_equal(tmp_path: Path) -> None:
    scores = np.array([1 + 2e-7, 1 + 1e-7, 1.0, -3.5], np.float32)
    given = {"q1": Ranking(["z", "b", "a", "c"], scores), "q2": Ranking(["x"], np.zeros(1, np.float32))}
    found = read_run(write_run(given, tmp_path / "out.trec", "mine"))
    assert {query: ranking.ids for query, ranking in found.items()} == {"q1": ["z", "b", "a", "c"], "q2": ["x"]}
    assert found["q1"].scores == pytest.approx(scores, abs=1e-6)


def test_the_score_orders_a_file_and_not_its_lines_or_ranks(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text("q Q0 low 1 0.5 x\nq\tQ0\thigh\t2\t7e1\tx\n\nq Q0 middle 3 2 x\n")
    assert read_run(path)["q"].ids == ["high", "middle", "low"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("q Q0 d 1 0.5 x\nq Q0 d 2 0.4 x\n", r"Line 2 .* ranks document 'd' twice"),
        ("q 0 d 1\n", "has 4 columns, expected the six of a run"),
        ("q Q0 d 1 high x\n", "has the score 'high'"),
        ("q Q0 d 1 nan x\n", "has the score 'nan'"),
        ("\n", "holds no rankings"),
    ],
)
def test_what_is_no_run_is_named_by_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "run.trec").write_text(text)
    with pytest.raises(InputError, match=says):
        read_run(tmp_path / "run.trec")
    with pytest.raises(NotFoundError):
        read_run(tmp_path / "none.trec")


def test_ids_with_spaces_do_not_go_into_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a space"):
        write_run({"q": Ranking(["a b"], np.ones(1, np.float32))}, tmp_path / "out.trec", "mine")
    with pytest.raises(InputError, match="a space"):
        write_qrels({"q 1": {"a": 1}}, tmp_path / "out.qrels")
    assert not list(tmp_path.iterdir())


def test_judgements_survive_a_file(tmp_path: Path) -> None:
    qrels = {"q1": {"a": 2, "b": 0}, "q2": {"c": -1}}
    assert read_qrels(write_qrels(qrels, tmp_path / "out.qrels")).qrels == qrels


def test_a_collection_is_judged_by_another_file_with_the_queries_of_all_splits(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "other.qrels"
    path.write_text("q1 0 c2 3\nq2 0 c0 1\nq2 0 gone 1\nq9 0 c1 1\n")
    found = load_collection(folder, qrels=path)
    assert found.qrels == {"q1": {"c2": 3}, "q2": {"c0": 1}}
    assert list(found.queries) == ["q1", "q2"]
    assert any("documents that are not there" in note for note in found.notes)
    assert load_collection(f"{folder}?qrels={path}").fingerprint == found.fingerprint
    assert list(load_collection(folder).queries) == ["q0"]


def test_a_registered_collection_is_judged_by_another_file(tmp_path: Path) -> None:
    own = load_collection("embedded")
    query, document = next(iter(own.queries)), next(iter(own.documents))
    (tmp_path / "one.qrels").write_text(f"{query} 0 {document} 1\n")
    found = load_collection("embedded", qrels=tmp_path / "one.qrels")
    assert found.qrels == {query: {document: 1}}
    assert list(found.queries) == [query]
    (tmp_path / "one.qrels").write_text("unknown 0 other 1\n")
    with pytest.raises(InputError, match="None of the judgements"):
        load_collection("embedded", qrels=tmp_path / "one.qrels")


def test_two_sources_of_judgements_or_a_path_that_no_name_holds_are_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.qrels").write_text("q1 0 c2 3\n")
    with pytest.raises(InputError, match="both"):
        load_collection(folder, qrels=tmp_path / "a.qrels", split="test")
    with pytest.raises(NotFoundError):
        load_collection(folder, qrels=tmp_path / "none.qrels")
    with pytest.raises(InputError, match="without & and"):
        load_collection(folder, qrels=tmp_path / "a&b.qrels")
