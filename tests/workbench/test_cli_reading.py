"""What every command says about the data it reads: notes, splits, and refusals before anything is encoded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.papers import write_encrypted_pdf, write_pdf
from workbench.cli import main
from workbench.cli.app import app
from workbench.cli.commands import register


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Judged in another split than the usual one, and with judgements of what is not there."""
    path = tmp_path / "data"
    (path / "qrels").mkdir(parents=True)
    rows = [("a", "The moon lifts the sea"), ("b", "Bread is made of flour"), ("empty", "")]
    (path / "corpus.jsonl").write_text("\n".join(json.dumps({"_id": name, "text": text}) for name, text in rows))
    (path / "queries.jsonl").write_text('{"_id": "q", "text": "what lifts the sea"}')
    (path / "qrels" / "dev.tsv").write_text("q\ta\t1\nq\tgone\t1\n")
    return path


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, " ".join(printed.err.split())


def test_a_split_is_asked_for_before_anything_is_encoded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(["evaluate", "--collection", str(folder), "--index", "exact"], capsys)
    assert (code, out) == (2, "")
    assert "the splits that are there: dev" in err
    assert "Encoding" not in err
    code, _, err = said(["evaluate", "--collection", str(folder), "--split", "train"], capsys)
    assert code == 2
    assert "no judgements of the split 'train'" in err
    code, out, err = said(
        ["evaluate", "--collection", str(folder), "--split", "dev", "--index", "exact", "--json"], capsys
    )
    assert code == 0
    assert json.loads(out)["mean"]["ndcg@10"] == 1.0
    assert err.count("data: 1 judgements of documents that are not there were left out, first 'gone'.") == 1


@pytest.mark.parametrize("command", ["search", "encode", "index", "mine"])
def test_every_command_prints_what_the_reader_left_out(
    folder: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pairs.jsonl").write_text(
        '{"query": "moon", "positive": "The moon"}\n{"query": "bread", "positive": "x"}'
    )
    arguments = {
        "search": ["moon", "--collection", str(folder), "--index", "exact"],
        "encode": [str(folder), str(tmp_path / "vectors")],
        "index": [str(tmp_path / "index"), "--collection", str(folder), "--index", "exact", "--split", "dev"],
        "mine": ["--data", str(tmp_path / "pairs.jsonl"), "--collection", str(folder), "--margin", "2",
                 "--output", str(tmp_path / "mined.jsonl")],
    }[command]  # fmt: skip
    code, _, err = said([command, *arguments], capsys)
    assert code == 0
    assert err.count("data: 1 documents with empty texts were left out, first 'empty'.") == 1


def test_every_command_that_takes_a_collection_takes_a_split() -> None:
    register(app)
    import typer

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        options = {option for parameter in command.params for option in parameter.opts}
        if "--collection" in options and name != "mine":  # it needs no judgements
            assert "--split" in options, name


def test_map_does_what_the_refusal_suggests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["ask\tgood\tbad", *(f"question {i}\tanswer {i}\twrong {i}" for i in range(4))]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    arguments = [
        "mine",
        "--data",
        str(tmp_path / "rows.csv"),
        "--output",
        str(tmp_path / "mined.jsonl"),
        "--margin",
        "2",
    ]
    code, _, err = said(arguments, capsys)
    assert code == 2
    assert "--map query=COLUMN (its columns are ['ask', 'good', 'bad'])" in err
    code, _, err = said([*arguments, "--map", "query=ask,positive=good", "--json"], capsys)
    assert code == 0
    assert "rows.csv: columns without a role were not read: ['bad']." in err
    mined = [json.loads(line) for line in (tmp_path / "mined.jsonl").read_text().splitlines()]
    assert [row["query"] for row in mined] == [f"question {i}" for i in range(4)]
    for wrong in ("query", "query=ask,query=good", "=ask"):
        code, _, err = said([*arguments, "--map", wrong], capsys)
        assert code == 2
        assert "Expected --map as role=column" in err


@pytest.mark.parametrize("command", ["pool-study", "run"])
def test_nothing_is_encoded_without_judgements(
    folder: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.yaml").write_text(f"collection: {folder}\nmodel: embedded\nindex: exact\n")
    arguments = {"pool-study": ["--collection", str(folder)], "run": [str(tmp_path / "e.yaml")]}[command]
    code, _, err = said([command, *arguments], capsys)
    assert code == 2
    assert "the splits that are there: dev" in err
    assert "Encoding" not in err


def test_an_experiment_is_run_on_another_split(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.yaml").write_text(f"collection: {folder}\nmodel: embedded\nindex: exact\n")
    code, out, _ = said(["run", str(tmp_path / "e.yaml"), "--split", "dev", "--json"], capsys)
    assert code == 0
    record = json.loads(out)
    assert record["experiment"]["collection"] == f"{folder}?split=dev"
    assert record["collection"]["judgements"] == 1


def test_a_folder_of_a_pdf_is_searched_by_passages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("pypdfium2", "selectolax"):
        pytest.importorskip(package)
    papers = tmp_path / "papers"
    papers.mkdir()
    write_pdf(papers / "tides.pdf", [["Flour, water and salt make a good bread."],
                                     ["Nobody lives on it.", "The moon lifts the sea twice a day."]])  # fmt: skip
    write_encrypted_pdf(papers / "secret.pdf")
    asked = ["search", "what lifts the sea", "--collection", str(papers), "--index", "exact", "--json"]
    code, out, err = said([*asked, "--passages", "8:0"], capsys)
    assert code == 0
    assert "left out: secret.pdf is encrypted: save it without a password." in err
    best = json.loads(out)["hits"][0]
    assert (best["id"], best["text"]) == ("tides.pdf#p2-2", "The moon lifts the sea twice a day.")
    assert best["part"] == "tides.pdf, page 2 of 2, passage 2 of 2"
    code, _, err = said([*asked, "--passages", "8:9"], capsys)
    assert code == 2
    assert "try 200:40" in err


def test_a_condition_means_the_same_in_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    (data / "qrels").mkdir(parents=True)
    rows = [
        ("a", "The moon lifts the sea", 2019),
        ("b", "Bread is made of flour", 2020),
        ("c", "The sea is salt", 2021),
    ]
    (data / "corpus.jsonl").write_text(
        "\n".join(json.dumps({"_id": name, "text": text, "year": year}) for name, text, year in rows)
    )
    (data / "queries.jsonl").write_text('{"_id": "q", "text": "what lifts the sea"}')
    (data / "qrels" / "test.tsv").write_text("q\ta\t1\nq\tc\t1\n")
    on = ["--collection", str(data), "--index", "exact"]
    code, _, err = said(["search", "the sea", *on, "--where", "yeer > 1"], capsys)
    assert (code, "year (BIGINT)" in err, "Encoding" in err) == (2, True, False)
    code, _, err = said(["index", str(tmp_path / "index"), *on], capsys)
    assert code == 0
    for place in (on, ["--index", str(tmp_path / "index")]):
        code, out, _ = said(["search", "the sea", *place, "--where", "year >= 2020", "--json"], capsys)
        found = json.loads(out)
        assert (code, [hit["id"] for hit in found["hits"]]) == (0, ["c", "b"])
        assert found["among"] == {"where": "year >= 2020", "documents": 2, "of": 3}
    code, _, err = said(["search", "x", "--index", str(tmp_path / "index"), "--collection", str(data)], capsys)
    assert (code, "leave --collection out" in err) == (2, True)
    code, out, _ = said(["evaluate", *on, "--where", "year >= 2020"], capsys)
    assert (code, "2 of 3 documents (year >= 2020)" in " ".join(out.split())) == (0, True)
    (tmp_path / "e.yaml").write_text(f"collection: {data}\nindex: exact\n")
    code, out, _ = said(["run", str(tmp_path / "e.yaml"), "--where", "year > 2019", "--json"], capsys)
    record = json.loads(out)
    assert (code, record["collection"]["among"]["documents"]) == (0, 2)
    assert record["scores"]["ndcg@10"]["mean"] == 1.0
