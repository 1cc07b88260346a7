"""Collections from every place they are read from, and one sentence for every mistake."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path

import numpy
import pandas as pd
import pytest

from engine import Collection, load_collection
from engine.collection import require_judgements
from engine.errors import InputError, NotFoundError, WorkbenchError


def write_beir(folder: Path, corpus: list[dict], queries: list[dict] | None = None, qrels: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    if queries is not None:
        (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    if qrels:
        (folder / "qrels").mkdir(exist_ok=True)
        (folder / "qrels" / "test.tsv").write_text(qrels)
    return folder


CORPUS = [{"_id": "1", "title": "A title", "text": "a text"}, {"_id": "2", "title": "", "text": "other"}]


def test_beir_folder(tmp_path: Path) -> None:
    queries = [{"_id": "q", "text": "what"}, {"_id": "unjudged", "text": "else"}]
    folder = write_beir(tmp_path / "small", CORPUS, queries, "query-id\tcorpus-id\tscore\nq\t2\t3\n")
    collection = load_collection(folder)
    assert collection.documents == {"1": "A title a text", "2": "other"}
    assert collection.queries == {"q": "what"}
    assert collection.qrels == {"q": {"2": 3}}
    assert collection.name == "small"
    assert collection.titles == {"1": "A title"}
    assert "1 queries without judgements" in collection.notes[0]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "parquet"])
def test_one_file_with_named_columns(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"key": ["x", "y"], "body": ["first text", "second, text"], "head": ["One", "Two"]})
    path = tmp_path / f"texts.{suffix}"
    match suffix:
        case "jsonl":
            frame.to_json(path, orient="records", lines=True)
        case "parquet":
            frame.to_parquet(path)
        case _:
            frame.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    collection = load_collection(path, id_column="key", title_column="head")
    assert collection.documents == {"x": "One first text", "y": "Two second, text"}


def test_rows_without_ids_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text\nalpha\nbeta\n")
    assert load_collection(tmp_path / "t.csv").documents == {"2": "alpha", "3": "beta"}


def test_folder_of_texts(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("alpha")
    (tmp_path / "sub" / "b.md").write_text("# Beta")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "ignored.bin").write_bytes(b"\x00")
    collection = load_collection(tmp_path)
    assert collection.documents == {"a.txt": "alpha", "sub/b.md": "# Beta"}
    assert collection.notes == ("1 empty files were left out", "1 files of other kinds were skipped (1 .bin)")


def test_a_malformed_line_is_named_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "good"}\n\n{"text": bad}\n')
    with pytest.raises(InputError, match=r"Line 3 of .*t\.jsonl is not JSON"):
        load_collection(tmp_path / "t.jsonl")


@pytest.mark.parametrize(
    ("corpus", "qrels", "message"),
    [
        (CORPUS, "q\t1\tgood\n", r"Line 2 of .*test\.tsv has the grade 'good'"),
        ([*CORPUS, CORPUS[0]], "", r"Line 3 of .*corpus\.jsonl repeats the id '1'"),
        ([{"_id": "1"}], "", "no text column"),
        ([{"_id": "1", "text": ""}, {"_id": "1", "text": "now with text"}], "", "Line 2 of .*repeats the id '1'"),
        ([*CORPUS, {"_id": None, "text": "x"}], "", r"Line 3 of .*has no id"),
        ([{"text": "x"}, *CORPUS], "", r"Line 1 of .*has no id"),
        ([*CORPUS, {"_id": "3", "text": ["a", "b"]}], "", r"Line 3 of .*holds a list where a text belongs"),
        ([*CORPUS, {"_id": "3", "text": {"en": "a"}}], "", r"Line 3 of .*holds an object"),
        ([*CORPUS, {"_id": True, "text": "yes"}], "", r"Line 3 of .*holds true"),
    ],
)
def test_beir_mistakes(tmp_path: Path, corpus: list[dict], qrels: str, message: str) -> None:
    header = "query-id\tcorpus-id\tscore\n" if qrels else ""
    folder = write_beir(tmp_path / "b", corpus, [{"_id": "q", "text": "what"}], header + qrels)
    with pytest.raises(InputError, match=message):
        load_collection(folder)


def test_empty_documents_of_a_beir_corpus_are_left_out_and_counted(tmp_path: Path) -> None:
    corpus = [*CORPUS, {"_id": "3", "title": "", "text": ""}]
    folder = write_beir(tmp_path / "b", corpus, [{"_id": "q", "text": "w"}], "query-id corpus-id score\nq 3 1\nq 1 2\n")
    collection = load_collection(folder)
    assert "3" not in collection.documents
    assert collection.qrels == {"q": {"1": 2}}
    assert "1 documents with empty texts" in collection.notes[0]


def test_unknown_names_say_what_there_is() -> None:
    with pytest.raises(NotFoundError, match="embedded"):
        load_collection("no-such-collection")


def test_a_hub_name_without_a_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    with pytest.raises(NotFoundError, match="owner/none"):
        load_collection("owner/none")


def test_an_unknown_irds_name() -> None:
    pytest.importorskip("ir_datasets")
    with pytest.raises(NotFoundError, match="no-such-set"):
        load_collection("irds:no-such-set")


def test_a_missing_column_lists_those_there(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"\['a', 'b'\]"):
        load_collection(tmp_path / "t.csv")


def test_the_fingerprint_follows_texts_and_judgements() -> None:
    base = Collection({"d": "x"}, {"q": "y"}, {"q": {"d": 1}})
    assert base.fingerprint == Collection({"d": "x"}, {"q": "y"}, {"q": {"d": 1}}, name="other").fingerprint
    others = [
        Collection({"d": "z"}, {"q": "y"}, {"q": {"d": 1}}),
        Collection({"d": "x"}, {"q": "z"}, {"q": {"d": 1}}),
        Collection({"d": "x"}, {"q": "y"}, {"q": {"d": 2}}),
        Collection({"d": "x"}, {"q": "y"}),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_judgements_for_unknown_queries() -> None:
    with pytest.raises(InputError, match="query 'q2'"):
        Collection({"d": "x"}, {"q": "y"}, {"q2": {"d": 1}})


def test_judgements_of_what_is_absent_or_empty_are_counted_and_left_out(tmp_path: Path) -> None:
    corpus = [*CORPUS, {"_id": "3", "text": None}]
    queries = [{"_id": "q", "text": "what"}, {"_id": "only", "text": "lost"}, {"_id": "empty", "text": None}]
    lines = ["q\t1\t1", "q\tmissing\t1", "only\tmissing\t2", "stranger\t1\t1", "q\t3\t1", "empty\t1\t1"]
    collection = load_collection(write_beir(tmp_path / "b", corpus, queries, "\n".join(lines)))
    assert collection.qrels == {"q": {"1": 1}}
    assert collection.queries == {"q": "what"}
    assert sorted(collection.notes) == [
        "1 documents with empty texts were left out, first '3'",
        "1 judgements of documents with empty texts were left out, first '3'",
        "1 judgements of queries that are not there were left out, first 'stranger'",
        "1 judgements of queries with empty texts were left out, first 'empty'",
        "1 queries with empty texts were left out, first 'empty'",
        "1 queries without judgements in 'test' were left out, first 'only'",
        "2 judgements of documents that are not there were left out, first 'missing'",
    ]


def test_a_query_that_comes_twice_is_refused_by_its_line(tmp_path: Path) -> None:
    queries = [{"_id": "q", "text": "one"}, {"_id": "q", "text": "other"}]
    with pytest.raises(InputError, match=r"Line 2 of .*queries\.jsonl repeats the id 'q'"):
        load_collection(write_beir(tmp_path / "b", CORPUS, queries))


def test_another_split_is_named_and_read(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "b", CORPUS, [{"_id": "q", "text": "what"}], "q\t1\t1\n")
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / "dev.tsv")
    unjudged = load_collection(folder)
    assert not unjudged.qrels
    assert "the splits that are there: dev" in unjudged.notes[0]
    with pytest.raises(InputError, match="the splits that are there: dev"):
        require_judgements(unjudged)
    judged = load_collection(folder, split="dev")
    assert judged.qrels == {"q": {"1": 1}}
    assert load_collection(f"{folder}?split=dev").fingerprint == judged.fingerprint
    with pytest.raises(InputError, match=r"no judgements of the split 'train'.*there: dev"):
        load_collection(folder, split="train")
    with pytest.raises(InputError, match="give one of them"):
        load_collection(f"{folder}?split=dev", split="test")


def test_judgements_that_are_empty_are_told(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "b", CORPUS, [{"_id": "q", "text": "what"}], "query-id\tcorpus-id\tscore\n")
    with pytest.raises(InputError, match="the judgements of 'test' are empty"):
        require_judgements(load_collection(folder))


def test_columns_are_resolved_over_all_rows(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "first"}, {"id": "b", "Title": "T", "text": "second"}, {"id": "c", "Title": "alone"}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    collection = load_collection(tmp_path / "t.jsonl")
    assert collection.documents == {"a": "first", "b": "T second", "c": "alone"}
    assert collection.titles == {"b": "T", "c": "alone"}
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"id": i, "title": f"name {i}"}) for i in range(2)))
    assert load_collection(tmp_path / "t.jsonl").documents == {"0": "name 0", "1": "name 1"}


def test_rows_may_name_their_columns_differently(tmp_path: Path) -> None:
    rows = [{"_id": "a", "text": "first", "content": "not this"}, {"id": "b", "content": "second"}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load_collection(tmp_path / "t.jsonl").documents == {"a": "first", "b": "second"}


def test_nothing_becomes_the_word_none(tmp_path: Path) -> None:
    rows = [{"_id": 1, "title": None, "text": "one"}, {"_id": 2.0, "title": "T", "text": None},
            {"_id": "00123", "text": 1936}, {"_id": 12345678901234567890123, "text": 2.5}]  # fmt: skip
    collection = load_collection(write_beir(tmp_path / "b", rows))
    assert collection.documents == {"1": "one", "2": "T", "00123": "1936", "12345678901234567890123": "2.5"}


def test_halves_of_surrogate_pairs_and_nuls_are_replaced_and_counted(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(
        r'{"id": "a", "text": "beach \ud83d"}' "\n" r'{"id": "b", "text": "smile \ud83d\ude00"}' "\n"
        r'{"id": "c\udc80", "text": "odd id"}' "\n" r'{"id": "d", "text": "one\u0000two"}'
    )  # fmt: skip
    collection = load_collection(tmp_path / "t.jsonl")
    expected = {"a": "beach \ufffd", "b": "smile \U0001f600", "c\ufffd": "odd id", "d": "one\ufffdtwo"}
    assert collection.documents == expected
    assert collection.notes[0].startswith("3 documents hold NULs or half surrogate pairs")
    with pytest.raises(InputError, match="document 'x'"):
        Collection({"x": "half \ud83d"})


def test_what_has_one_way_to_be_written_is_a_text(tmp_path: Path) -> None:
    day, price = datetime.date(2026, 2, 3), Decimal("1.50")
    pd.DataFrame({"id": [day], "text": [price], "title": [numpy.float32(2)]}).to_parquet(tmp_path / "t.parquet")
    assert load_collection(tmp_path / "t.parquet").documents == {"2026-02-03": "2 1.50"}
    pd.DataFrame({"id": ["a"], "text": [["x", "y"]]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"Row 1 of .*holds a list"):
        load_collection(tmp_path / "t.parquet")


@pytest.mark.parametrize("argument", ["id_column", "text_column", "title_column", "split"])
def test_arguments_that_a_source_has_no_use_for_are_refused(tmp_path: Path, argument: str) -> None:
    (tmp_path / "a.txt").write_text("alpha")
    for source in (tmp_path, "embedded", "irds:beir/scifact/test"):
        with pytest.raises(InputError, match=f"Expected no {argument}"):
            load_collection(source, **{argument: "x"})  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["x" * 5000, "a\0b", "\ud83d", "irds:no-such-set", "owner/none?split=dev"])
def test_no_foreign_error_leaves_for_any_name(source: str) -> None:
    with pytest.raises(WorkbenchError):
        load_collection(source)


def test_what_is_left_out_is_told_once_for_all_commands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "t.csv").write_text("id,text\na,one\nb,\n")
    with caplog.at_level("INFO", "engine.reading"):
        load_collection(tmp_path / "t.csv")
    assert caplog.messages == ["t: 1 documents with empty texts were left out, first 'b'."]


def test_cranfield(shared_collections: Path) -> None:
    collection = load_collection(shared_collections / "cranfield")
    assert (len(collection.documents), len(collection.queries)) == (1398, 225)
    assert sum(map(len, collection.qrels.values())) == 1611


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_not_the_folder_where_one_stands(name: str) -> None:
    with pytest.raises(NotFoundError, match="empty name"):
        load_collection(name)


def test_a_folder_named_like_a_table_is_not_offered_as_one(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").mkdir()
    with pytest.raises(InputError, match="files: add some"):
        load_collection(tmp_path)
