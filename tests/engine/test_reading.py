"""Collections from every place they are read from, and one sentence for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from engine import Collection, load_collection
from engine.errors import InputError, NotFoundError


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
    assert collection.notes == ("1 empty files were left out",)


def test_a_malformed_line_is_named_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "good"}\n\n{"text": bad}\n')
    with pytest.raises(InputError, match=r"Line 3 of .*t\.jsonl is not JSON"):
        load_collection(tmp_path / "t.jsonl")


@pytest.mark.parametrize(
    ("corpus", "qrels", "message"),
    [
        (CORPUS, "q\tmissing\t1\n", "first 'missing'"),
        (CORPUS, "q\t1\tgood\n", "Line 1 .*|query document grade"),
        ([*CORPUS, CORPUS[0]], "", "repeats the id '1'"),
        ([{"_id": "1"}], "", "lacks `_id` or `text`"),
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


def test_cranfield(shared_collections: Path) -> None:
    collection = load_collection(shared_collections / "cranfield")
    assert (len(collection.documents), len(collection.queries)) == (1398, 225)
    assert sum(map(len, collection.qrels.values())) == 1611
