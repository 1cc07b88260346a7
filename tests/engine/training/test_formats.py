"""Training rows as the projects of the field write them, and their accidents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError
from engine.training import TrainingData, read_training_data

A, B = ("a", "p", "n"), ("b", "q", "m")


def texts(data: TrainingData) -> list[tuple[str, ...]]:
    return list(zip(*data.columns.values(), strict=True))


def rows_of(*keys: str) -> list[dict[str, Any]]:
    return [dict(zip(keys, row, strict=True)) for row in (A, B)]


def passages(*members: str) -> list[dict[str, str]]:
    return [{"docid": "7", "title": "", "text": member} for member in members]


FORMATS: dict[str, list[dict[str, Any]]] = {
    "triplets": rows_of("anchor", "positive", "negative"),
    "hard negatives": rows_of("query", "answer", "hard_negative"),
    "FlagEmbedding": [
        {"query": q, "pos": [p], "neg": [n], "pos_scores": None, "prompt": "find: "} for q, p, n in (A, B)
    ],
    "Tevatron": [
        {"query_id": "1", "query": q, "positive_passages": passages(p), "negative_passages": passages(n)}
        for q, p, n in (A, B)
    ],
    "DPR": [
        {
            "question": q,
            "answers": ["x"],
            "positive_ctxs": passages(p),
            "negative_ctxs": [],
            "hard_negative_ctxs": passages(n),
        }
        for q, p, n in (A, B)
    ],
    "ids beside texts": [
        {"query": q, "pos": [p], "neg": [n], "neg_doc_id": "d9", "negative_id": 3} for q, p, n in (A, B)
    ],
    "scores beside texts": [
        {"query": q, "positive": p, "negative": n, "negative_score": 0.3, "negative_title": "T"} for q, p, n in (A, B)
    ],
    "capitals and spaces": rows_of("Query ", " Positive", "Negative"),
    "objects of lists": [
        {
            "query": q,
            "positive_passages": {"text": [p], "title": [""]},
            "negative_passages": {"text": [n], "title": [""]},
        }
        for q, p, n in (A, B)
    ],
    "arrays": [{"query": q, "pos": np.array([p]), "neg": np.array([n])} for q, p, n in (A, B)],
    "labels": [{"query": row[0], "document": row[i], "label": 2 - i} for row in (A, B) for i in (1, 2)],
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_project_s_rows_are_read_as_it_reads_them(name: str) -> None:
    data = read_training_data(FORMATS[name])
    assert list(data.columns) == ["query", "positive", "negative_1"]
    assert texts(data) == [A, B]
    assert data.scores is None


def test_titles_are_joined_as_everywhere() -> None:
    rows = [
        {"query": "q", "positive_passages": [{"title": "T", "text": "body"}]},
        {"query": "r", "positive_passages": ["x"]},
    ]
    assert read_training_data(rows).columns["positive"] == ["T body", "x"]


def test_triples_without_a_header_and_json_arrays(tmp_path: Path) -> None:
    (tmp_path / "triples.tsv").write_text('a\tp\tn\nb\tq\t"m\n')
    assert texts(read_training_data(tmp_path / "triples.tsv")) == [A, ("b", "q", '"m')]
    (tmp_path / "pairs.json").write_text(json.dumps([{"query": "a", "positive": "p"}, {"query": "b", "positive": "q"}]))
    assert texts(read_training_data(tmp_path / "pairs.json")) == [A[:2], B[:2]]


def test_numbers_are_the_texts_that_they_are_written_as(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("query,positive\nwhich year,1936\nwhich form,00123\n")
    assert read_training_data(tmp_path / "t.csv").columns["positive"] == ["1936", "00123"]
    frame = pd.DataFrame({"query": ["a", "b"], "positive": [1936, 7]})
    assert read_training_data(frame).columns["positive"] == ["1936", "7"]
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_training_data(tmp_path / "t.parquet").columns["positive"] == ["1936", "7"]


def test_several_positives_are_a_row_each_and_never_negatives() -> None:
    rows = [
        {"query": "a", "pos": ["p1", "p2"], "neg": ["n", "p2"]},
        {"query": "b", "pos": ["q"], "neg": ["p1"]},
        {"query": "a", "pos": ["p3"], "neg": ["p1", "n"]},
    ]
    data = read_training_data(rows)
    assert texts(data) == [("a", "p1", "n"), ("a", "p2", "n"), ("b", "q", "p1"), ("a", "p3", "n")]
    assert data.counts == {
        "rows": 3, "empty": 0, "duplicate": 0, "contradicting": 2, "several_positives": 1, "kept": 4,
    }  # fmt: skip
    assert sorted(map(len, data.answers().values())) == [1, 3]


def test_ragged_negatives_are_kept(tmp_path: Path) -> None:
    rows = [{"query": "a", "positive": "p"}, {"query": "b", "positive": "q", "negative": ["n1", "n2"]},
            {"query": "c", "positive": "r", "negative": ["n3", None]}]  # fmt: skip
    data = read_training_data(rows)
    assert texts(data) == [("a", "p", "", ""), ("b", "q", "n1", "n2"), ("c", "r", "n3", "")]
    data.save(tmp_path / "rows.jsonl")
    assert read_training_data(tmp_path / "rows.jsonl").columns == data.columns
    keyed = data.to_dataset(keys=True)
    assert keyed["negative_2"][:] == ["a", "n2", "c"]
    assert [[key == -1 for key in row] for row in keyed["label"]] == [
        [False, False, True, True], [False] * 4, [False, False, False, True]
    ]  # fmt: skip


def test_scored_lists() -> None:
    listed = read_training_data([{"query": "a", "documents": ["d1", "d2", "d3"], "scores": [1, 3, 2]},
                                 {"query": "b", "documents": ["d4", "d5", "d6"], "scores": "[3, 2, 1]"}])  # fmt: skip
    assert texts(listed) == [("a", "d2", "d3", "d1"), ("b", "d4", "d5", "d6")]  # best first
    assert listed.scores == [[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]
    flag = read_training_data(
        [{"query": "a", "pos": ["p", "o"], "neg": ["n"], "pos_scores": [0.9, 0.8], "neg_scores": [0.1]}]
    )
    assert texts(flag) == [("a", "p", "n"), ("a", "o", "n")]
    assert flag.scores == [[0.9, 0.1], [0.8, 0.1]]


def test_labels_are_grouped_by_question() -> None:
    rows = [("a", "p1", 1), ("b", "n2", 0), ("a", "n1", 0), ("a", "p2", True), ("c", "p3", "1")]
    data = read_training_data([dict(zip(("query", "passage", "label"), row, strict=True)) for row in rows])
    assert texts(data) == [("a", "p1", "n1"), ("a", "p2", "n1"), ("c", "p3", "")]
    assert data.counts["without_positive"] == 1


def test_a_judgement_beside_a_document_is_never_ignored() -> None:
    rows = [{"query": "a", "document": "p", "relevance": 1}, {"query": "a", "document": "n", "relevance": 0}]
    assert texts(read_training_data(rows)) == [("a", "p", "n")]


def test_columns_are_mapped_and_what_has_no_role_is_told(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    rows = [
        {"q": "a", "d": "p", "x": "n1", "y": "n2", "score": 0.5},
        {"q": "b", "d": "q", "x": "m1", "y": "m2", "score": 1},
    ]
    mapped = {"query": "q", "positive": "d", "negative": "x+y", "scores": ""}
    with caplog.at_level("INFO", "engine.reading"):
        assert texts(read_training_data(rows, mapped)) == [("a", "p", "n1", "n2"), ("b", "q", "m1", "m2")]
    assert caplog.messages == ["list data: columns without a role were not read: ['score']."]
    (tmp_path / "t.tsv").write_text("frage\tantwort\na\tp\n")
    assert texts(read_training_data(tmp_path / "t.tsv", {"query": "frage", "positive": "antwort"})) == [A[:2]]
    with pytest.raises(InputError, match="Unknown role 'document'"):
        read_training_data(rows, {"document": "d"})
    with pytest.raises(InputError, match="no column 'z'"):
        read_training_data(rows, {"query": "z"})


BAD: dict[str, tuple[list[Any], str]] = {
    "true": ([{"query": "a", "positive": True}], "Row 1 of .*holds true"),
    "object": ([{"query": "a", "positive": {"id": 3}}], "Row 1 of .*without a text"),
    "a picture": ([{"query": "a", "positive": object()}], "Row 1 of .*type object"),
    "deep lists": ([{"query": "a", "positive": json.loads("[" * 400 + "]" * 400)}], "lists in lists"),
    "deep scores": (
        [{"query": "a", "positive": "p", "negative": "n", "scores": json.loads("[" * 400 + "]" * 400)}],
        "list of numbers",
    ),
    "two queries": ([{"query": ["a", "b"], "positive": "p"}], "Row 1 of .*2 queries"),
    "no scores": (
        [
            {"query": "a", "positive": "p", "negative": "n", "scores": [1, 0]},
            {"query": "b", "positive": "p", "negative": "n"},
        ],
        "Row 2 of .*no scores",
    ),
    "not finite": (
        [{"query": "a", "positive": "p", "negative": "n", "scores": [1, float("nan")]}],
        "Row 1 .*not finite",
    ),
    "one score": ([{"query": "a", "positive": "p", "negative": "n", "score": 0.5}], "Row 1 .*list of numbers"),
    "half a label": ([{"query": "a", "document": "p", "label": 0.7}], "Row 1 .*labels of 0 and 1"),
    "no label": ([{"query": "a", "document": "p", "label": 1}, {"query": "a", "document": "x"}], "Row 2 .*None"),
    "ragged scores": (
        [
            {"query": "a", "documents": ["x", "y", "z"], "scores": [3, 2, 1]},
            {"query": "b", "documents": ["x", "y"], "scores": [3, 2]},
        ],
        "row of 'b' has 2",
    ),
    "ids alone": ([{"query_id": 1, "document_ids": [1, 2], "scores": [3, 2]}], "ids are no texts"),
    "numbers alone": ([{"query": 121352, "positive": "2912791"}], "numbers alone .*ids"),
    "lists as text": ([{"query": "a", "pos": "['p', 'o']"}, {"query": "b", "pos": "['q']"}], "'pos' .*lists .*text"),
    "negatives as text": ([{"query": "a", "pos": "p", "neg": '["n"]'}], "'neg' .*lists .*text"),
    "similarities": ([{"sentence1": "a", "sentence2": "b", "score": 0.9}], "no column for the query"),
    "no mapping": (["a"], "Row 1 of .*is a str"),
    "all empty": ([{"query": "", "positive": "p"}], "All 1 rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_meant_is_refused_by_its_row(name: str) -> None:
    rows, sentence = BAD[name]
    with pytest.raises(InputError, match=sentence):
        read_training_data(rows)


def test_what_looks_like_ids_or_lists_is_taken_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("12\t144\n13\t169\n")
    assert texts(read_training_data(tmp_path / "t.tsv", {"positive": "positive"})) == [("12", "144"), ("13", "169")]
    rows = [{"query": "a", "positive": "['p']"}, {"query": "b", "positive": "plain"}]
    assert texts(read_training_data(rows)) == [("a", "['p']"), ("b", "plain")]


def test_a_document_judged_both_ways_is_counted() -> None:
    rows = [{"query": "a", "document": "p", "label": label} for label in (1, 0)]
    data = read_training_data(rows)
    assert texts(data) == [("a", "p")]
    assert data.counts["contradicting"] == 1


@pytest.mark.parametrize("source", [5, None, object()])
def test_what_is_no_source_is_one_sentence(source: Any) -> None:
    with pytest.raises(InputError, match="Expected a file or rows"):
        read_training_data(source)


def test_a_limit_reads_no_further() -> None:
    def endless() -> Iterator[dict[str, str]]:
        number = 0
        while True:
            number += 1
            yield {"query": f"q {number}", "positive": f"p {number}"}

    assert len(read_training_data(endless(), limit=3)) == 3
    for wrong in (0, 1.5, "2", True):
        with pytest.raises(InputError, match="limit of one row or more"):
            read_training_data(endless(), limit=wrong)  # type: ignore[arg-type]


def test_unusable_letters_are_replaced_and_counted(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(
        r'{"query": "q \ud83d", "positive": "p"}' + "\n" + '{"query": "b", "positive": "q"}'
    )
    data = read_training_data(tmp_path / "t.jsonl")
    assert data.columns["query"] == ["q \ufffd", "b"]
    assert data.counts["replaced"] == 1
