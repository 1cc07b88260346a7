"""What was cut is said once by every command, with the option that reads it, and is known to records and pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import TokenEmbeddings, open_index
from engine.pooling import pool
from tests.workbench.typed import run
from workbench.experiments.prepare import prepare
from workbench.experiments.unread import cut_note, percent, what_was_cut
from workbench.indexed import open_indexed

LONG = "Ships wait for wind and water. " * 60 + "Bread needs a night to rise."  # 480 tokens and more
SHORT = "A short one."


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    folder = tmp_path / "texts"
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": "long", "text": LONG}, {"_id": "short", "text": SHORT}]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "how long must bread rise"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tlong\t1\n")
    return folder


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if "were cut" in line]


def test_commands_say_once_what_was_cut_and_how_to_read_it(
    collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, model = ("--collection", str(collection)), ("--index", "exact")
    assert run("encode", str(collection), str(tmp_path / "vectors")) == 0
    (line,) = told(capsys)
    assert line.startswith("1 of 2 documents were cut at 256 tokens, ")
    assert line.endswith(" of all tokens were not read: --windows 256:32 reads all.")
    vectors = TokenEmbeddings.open(tmp_path / "vectors")
    assert percent(vectors.unread_share) in line
    for command in (
        ("evaluate", *source, *model),
        ("search", "bread", *source, *model),
        ("index", str(tmp_path / "index"), *source, *model),
        ("evaluate", *source, *model, "--force"),  # from vectors that were kept
        ("trace", "q", "long", *source, *model),
    ):
        assert run(*command) == 0, command
        assert told(capsys) == [line], command
        windows = [part if part != str(tmp_path / "index") else str(tmp_path / "index-2") for part in command]
        assert run(*windows, "--windows", "256:32") == 0, command
        assert told(capsys) == [], command
    assert len(open_index(tmp_path / "index-2")) == 2
    assert open_indexed(tmp_path / "index").prepared.cut == line.partition(":")[0]
    again = open_indexed(tmp_path / "index-2")
    assert (again.prepared.cut, again.encoder.name) == ("", "embedded?windows=256:32")
    assert again.search("bread rises at night", k=1).hits[0].id == "long"


def test_windows_change_runs_and_a_length_beside_them_is_said(
    collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for options in ((), ("--windows", "128:16"), ("--windows", "128:16", "--document-length", "300")):
        arguments = ("evaluate", "--collection", str(collection), "--index", "exact", "--json", *options)
        assert run(*arguments) == 0
        printed = capsys.readouterr()
        found.append((json.loads(printed.out), printed.err))
    assert len({record["run"] for record, _ in found}) == 3
    assert [record["encoder"]["windows"] for record, _ in found] == ["", "128:16", "128:16"]
    assert [record["encoder"]["document_length"] for record, _ in found] == [256, None, 300]
    assert "larger --document-length reads more" in found[2][1]
    experiment = tmp_path / "exp.yaml"
    experiment.write_text(f"collection: {collection}\nmodel: embedded\nindex: exact\n")
    assert run("run", str(experiment), "--windows", "128:16", "--json") == 0
    assert json.loads(capsys.readouterr().out)["model"]["windows"] == "128:16"
    assert run("search", "x", "--windows", "9999:1") == 2
    assert "512 tokens" in capsys.readouterr().err
    assert run("search", "x", "--windows", "what") == 2
    assert "size:overlap" in capsys.readouterr().err


def test_what_was_cut_survives_pooling_keeping_and_narrowing(collection: Path) -> None:
    prepared = prepare(str(collection), "embedded")
    documents = prepared.documents
    assert documents.truncated == 1
    assert documents.unread_share == pytest.approx(0.4, abs=0.05)
    for other in (pool(documents, factor=2), documents.prefix(64), documents.astype("float32"),
                  prepare(str(collection), "embedded").documents):  # fmt: skip
        assert (other.truncated, other.unread) == (1, documents.unread)
    assert prepared.cut == what_was_cut("documents", documents, prepared.model)
    whole, part = documents.unread_share, documents.select([0])
    assert part.truncated == 1
    assert part.unread_share > whole
    assert documents.select([1]).truncated == 0


def test_a_part_of_a_collection_knows_what_was_cut_of_it(collection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"_id": "long", "text": LONG, "year": 2001}, {"_id": "short", "text": SHORT, "year": 2020}]
    (collection / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepared = prepare(str(collection), "embedded")
    for condition, cut in (("year < 2010", "1 of 1 documents were cut at 256 tokens"), ("year > 2010", "")):
        part = prepared.where(condition)
        part.encode("document")
        assert part.cut.partition(",")[0] == cut
    arguments = ("evaluate", "--collection", str(collection), "--index", "exact", "--where", "year < 2010", "--json")
    assert run(*arguments) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any(note.startswith("1 of 1 documents were cut at 256 tokens") for note in notes)


def test_sentences_say_what_is_known(collection: Path) -> None:
    vectors = prepare(str(collection), "embedded").documents
    model = {"document_length": 256, "query_length": 64, "windows": ""}
    assert cut_note("queries", vectors, model).startswith("1 of 2 queries were cut at 64 tokens, ")
    assert "--windows" not in cut_note("queries", vectors, model)
    assert "at the model's maximum length" in what_was_cut("documents", vectors, {})
    assert [percent(share) for share in (0.342, 0.0342, 0.00034)] == ["34%", "3.4%", "below 0.1%"]
