"""The same data from every kind of source is the same collection."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pandas as pd
import pytest

from engine import Collection, load_collection
from engine.errors import InputError, NotFoundError
from engine.reading.hub import read_hub

CORPUS = [
    {"_id": "a", "title": "Tides", "text": "The moon lifts the sea"},
    {"_id": "b", "title": "", "text": "Bread is made of flour"},
    {"_id": "c", "title": "Empty", "text": ""},
    {"_id": "d", "title": "", "text": ""},
]
QUERIES = [{"_id": "q1", "text": "what lifts the sea"}, {"_id": "q2", "text": "what is bread"}]
QRELS = [("q1", "a", 2), ("q2", "b", 1), ("q2", "d", 1), ("q2", "gone", 1), ("q9", "a", 1)]
NOTES = {
    "1 documents with empty texts were left out, first 'd'",
    "1 judgements of queries that are not there were left out, first 'q9'",
    "1 judgements of documents that are not there were left out, first 'gone'",
    "1 judgements of documents with empty texts were left out, first 'd'",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The BEIR layout."""
    path = tmp_path / "beir"
    (path / "qrels").mkdir(parents=True)
    (path / "corpus.jsonl").write_text("\n".join(map(json.dumps, CORPUS)))
    (path / "queries.jsonl").write_text("\n".join(map(json.dumps, QUERIES)))
    judged = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in QRELS)]
    (path / "qrels" / "test.tsv").write_text("\n".join(judged))
    return path


def same(collection: Collection, other: Collection) -> None:
    assert collection.documents == other.documents
    assert collection.titles == other.titles
    assert collection.queries == other.queries
    assert collection.qrels == other.qrels
    assert collection.fingerprint == other.fingerprint
    assert set(collection.notes) == set(other.notes) == NOTES


class TitledDocument(NamedTuple):
    doc_id: str
    text: str
    title: str

    def default_text(self) -> str:
        return f"{self.title} {self.text}"


class OneTextDocument(NamedTuple):
    """A class whose only text already holds the title."""

    doc_id: str
    title: str
    whole: str

    def default_text(self) -> str:
        return self.whole


class Query(NamedTuple):
    query_id: str
    text: str

    def default_text(self) -> str:
        return self.text


class Judgement(NamedTuple):
    query_id: str
    doc_id: str
    relevance: int


def use_irds(monkeypatch: pytest.MonkeyPatch, **parts: Any) -> None:
    dataset = SimpleNamespace(**{f"{name}_iter": part for name, part in parts.items()})
    monkeypatch.setitem(sys.modules, "ir_datasets", SimpleNamespace(load=lambda name: dataset))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [TitledDocument, OneTextDocument])
def test_ir_datasets(monkeypatch: pytest.MonkeyPatch, folder: Path, kind: Any) -> None:
    whole = [f"{row['title']}\n{row['text']}".strip() for row in CORPUS]
    documents = [
        TitledDocument(row["_id"], row["text"], row["title"])
        if kind is TitledDocument
        else OneTextDocument(row["_id"], row["title"], text)
        for row, text in zip(CORPUS, whole, strict=True)
    ]
    use_irds(monkeypatch, docs=lambda: iter(documents), queries=lambda: [Query(*row.values()) for row in QUERIES],
             qrels=lambda: [Judgement(*row) for row in QRELS])  # fmt: skip
    same(load_collection("irds:fake"), load_collection(folder))


def test_ir_datasets_says_what_went_wrong_and_not_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise KeyError("a field of the parser")
        yield

    use_irds(monkeypatch, docs=broken)
    with pytest.raises(NotFoundError, match="a field of the parser"):
        load_collection("irds:fake")
    use_irds(monkeypatch, queries=lambda: [Query("q", "x")])
    with pytest.raises(InputError, match="has no documents"):
        load_collection("irds:fake")
    use_irds(monkeypatch, docs=lambda: [TitledDocument("a", "x", "")])
    assert load_collection("irds:fake").documents == {"a": "x"}


def hub_layout(folder: Path, path: Path, judgements: str, split: str = "test") -> Path:
    """The same data as a repository of the hub, with its judgements in the configuration of that name."""
    parts = {("corpus", "corpus"): CORPUS, ("queries", "queries"): QUERIES, (judgements, split): [
        dict(zip(("query-id", "corpus-id", "score"), (query, document, float(grade)), strict=True))
        for query, document, grade in QRELS
    ]}  # fmt: skip
    card = ["---", "configs:"]
    for (configuration, part), rows in parts.items():
        (path / configuration).mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_parquet(path / configuration / f"{part}-00000-of-00001.parquet")
        card += [f"- config_name: {configuration}", "  data_files:", f"  - split: {part}",
                 f"    path: {configuration}/{part}-*"]  # fmt: skip
    (path / "README.md").write_text("\n".join([*card, "---", "# A data set"]))
    return path


@pytest.mark.parametrize("judgements", ["qrels", "default"])
def test_the_hub_s_layout_by_its_library_and_without_it(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path, judgements: str
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    path = hub_layout(folder, tmp_path / "repository", judgements)
    asked = {"id": None, "text": None, "title": None}
    same(read_hub(str(path), asked, None), load_collection(folder))
    same(load_collection(path), load_collection(folder))


def test_the_hub_s_judgements_in_a_repository_of_their_own_and_in_another_split(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    path = hub_layout(folder, tmp_path / "small", "qrels", "dev")
    beside = tmp_path / "small-qrels"
    beside.mkdir()
    shutil.move(path / "qrels" / "dev-00000-of-00001.parquet", beside / "dev-00000-of-00001.parquet")
    (path / "README.md").write_text((path / "README.md").read_text().partition("- config_name: qrels")[0] + "---\n")
    asked = {"id": None, "text": None, "title": None}
    assert "the splits that are there: " in read_hub(str(path), asked, None).notes[0]
    with pytest.raises(InputError, match=r"'train'.*there: validation"):
        read_hub(str(path), asked, "train")
    same(read_hub(str(path), asked, "dev"), load_collection(folder))


def test_other_layouts_of_a_folder(folder: Path, tmp_path: Path) -> None:
    expected = load_collection(folder)
    marco = tmp_path / "marco"
    marco.mkdir()
    kept = [row for row in CORPUS if not row["title"]]
    (marco / "collection.tsv").write_text("\n".join(f"{row['_id']}\t{row['text']}" for row in kept))
    (marco / "queries.dev.tsv").write_text("\n".join("\t".join(row.values()) for row in QUERIES))
    (marco / "qrels.dev.tsv").write_text("\n".join(f"{query}\t0\t{document}\t{n}" for query, document, n in QRELS))
    collection = load_collection(marco, split="dev")
    assert collection.documents == {"b": "Bread is made of flour"}
    assert collection.qrels == {"q2": {"b": 1}}
    for name, rows in (("corpus", CORPUS), ("queries", QUERIES)):
        pd.DataFrame(rows).to_parquet(folder / f"{name}.parquet")
        (folder / f"{name}.jsonl").unlink()
    same(load_collection(folder), expected)


def test_a_table_of_the_same_documents(folder: Path, tmp_path: Path) -> None:
    pd.DataFrame(CORPUS).to_csv(tmp_path / "t.csv", index=False)
    collection, expected = load_collection(tmp_path / "t.csv"), load_collection(folder)
    assert (collection.documents, collection.titles) == (expected.documents, expected.titles)


def test_hidden_files_and_folders_of_programs_are_skipped_and_counted(tmp_path: Path) -> None:
    for name in (
        "a.txt",
        "sub/b.md",
        "._a.txt",
        "sub/.hidden.md",
        ".git/c.md",
        "node_modules/x/d.md",
        "sub/.venv/e.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "marked.txt").write_text("\ufeffMarked")
    (tmp_path / "mark.txt").write_text("\ufeff")
    (tmp_path / "old.txt").write_bytes("café".encode("cp1252"))
    collection = load_collection(tmp_path)
    assert collection.documents == {"a.txt": "text", "marked.txt": "Marked", "old.txt": "café", "sub/b.md": "text"}
    assert "1 empty files were left out" in collection.notes
    assert "2 hidden files and 3 folders of programs or hidden ones were skipped" in collection.notes
