"""The command: results, JSON, help with an example, and exit code 2 with one sentence for a mistake."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from engine import TokenEmbeddings, open_index
from engine.errors import InputError
from engine.machine import machine, versions
from tests.workbench.typed import run
from workbench.cli.app import app
from workbench.cli.commands import register
from workbench.workspace import Workspace

TEXTS = {
    "argmax": "Return the index of the largest value along an axis.",
    "open": "Open a file and return a stream to read its text.",
    "mean": "Compute the arithmetic average of the values.",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": key, "text": text} for key, text in TEXTS.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "where is the biggest number"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\targmax\t2\n")
    return folder


def test_search_prints_a_table(collection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("search", "where is the biggest number", "--collection", str(collection), "--index", "exact") == 0
    printed = capsys.readouterr().out
    assert printed.index("1 argmax") < printed.index("2 ")
    assert "3 documents" in printed


def test_search_as_json_adds_up(collection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("search", "biggest number", "--collection", str(collection), "--k", "2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["hits"][0]["id"] == "argmax"
    for hit in found["hits"]:
        assert sum(hit["contribution"]) == pytest.approx(hit["score"], abs=1e-4)
        assert len(hit["contribution"]) == len(found["query_tokens"])


def test_a_scorer_is_named_and_says_that_its_parts_do_not_add_up(
    collection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("search", "biggest number", "--collection", str(collection), "--scorer", "xtr:retrieved=2")
    assert run(*asked, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scorer"] == "xtr:retrieved=2"
    assert found["hits"][0]["score"] < sum(found["hits"][0]["contribution"])  # a mean, not a sum
    assert run(*asked) == 0
    printed = capsys.readouterr()
    told = " ".join(printed.out.split()) + " ".join(printed.err.split())
    assert "scored on the original vectors by xtr:retrieved=2" in told
    assert "parts are those of MaxSim" in told


def test_the_pages_take_a_scorer_and_settings_of_the_index(collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = []

    def serve(workspace: Workspace, **_: object) -> SimpleNamespace:
        served.append(workspace)
        return SimpleNamespace(url="", wait=lambda: None)

    monkeypatch.setattr("workbench.cli.browser.app_of", lambda name, package: serve)
    on = ("--collection", str(collection), "--port", "0", "--index", "plaid:bits=2")
    assert run("ui", *on, "--scorer", "mean-maxsim") == 0
    [workspace] = served
    assert (workspace.scorer, workspace.index.settings.bits) == ("mean-maxsim", 2)


def test_encode_index_evaluate(collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", str(collection), str(tmp_path / "vectors"), "--json") == 0
    record = json.loads(capsys.readouterr().out)
    vectors = TokenEmbeddings.open(tmp_path / "vectors")
    assert (record["documents"], record["tokens"]) == (len(vectors), vectors.n_tokens)
    assert run("index", str(tmp_path / "index"), "--collection", str(collection), "--index", "exact", "--json") == 0
    assert json.loads(capsys.readouterr().out)["documents"] == len(open_index(tmp_path / "index")) == 3
    assert run("evaluate", "--collection", str(collection), "--json", "--metric", "ndcg@10") == 0
    assert json.loads(capsys.readouterr().out)["mean"] == {"ndcg@10": 1.0}


def test_a_failed_index_leaves_no_folder(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on = ("--collection", str(collection))
    assert run("index", str(tmp_path / "a"), *on, "--model", "no/such-model") == 2
    monkeypatch.setattr("engine.indexes.exact.ExactIndex.add", lambda *_: (_ for _ in ()).throw(InputError("broken")))
    (tmp_path / "c").mkdir()
    for name in ("b", "c"):
        assert run("index", str(tmp_path / name), *on, "--index", "exact:dtype=float32") == 2
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()
    assert list((tmp_path / "c").iterdir()) == []


def test_output_goes_to_a_file(collection: Path, tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    assert run("evaluate", "--collection", str(collection), "--index", "exact", "--output", str(target)) == 0
    assert json.loads(target.read_text())["collection"]["documents"] == 3


def test_output_makes_its_folder_or_is_refused_before_the_work(
    collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on = ("--collection", str(collection), "--index", "exact")
    assert run("evaluate", *on, "--output", str(tmp_path / "new" / "folder" / "r.json")) == 0
    assert json.loads((tmp_path / "new" / "folder" / "r.json").read_text())["mean"]
    monkeypatch.setattr("engine.Encoder.load", lambda *_, **__: pytest.fail("worked"))
    (tmp_path / "file").write_text("x")
    for command in ("evaluate", "search", "recommend", "pool-study", "compare-indexes"):
        given = ("a question",) if command == "search" else ()
        for place in (tmp_path, tmp_path / "file" / "r.json"):
            capsys.readouterr()
            part = () if command == "pool-study" else ("--index", "exact")
            assert run(command, *given, "--collection", str(collection), *part, "--output", str(place)) == 2
            assert (
                "choose another place" in (told := " ".join(capsys.readouterr().err.split())) or "is a folder" in told
            )


def mistakes() -> list[tuple[tuple[str, ...], str]]:
    return [
        (("search", "  "), "empty"),
        (("search", "x", "--collection", "no-such-thing"), "No collection 'no-such-thing'"),
        (("search", "x", "--collection", "TEXTS", "--model", "no/such-model"), "no/such-model"),
        (("search", "x", "--collection", "TEXTS", "--index", "magic"), "exact, "),
        (("search", "x", "--collection", "TEXTS", "--scorer", "magic"), "Unknown scorer 'magic'"),
        (("ui", "--collection", "TEXTS", "--port", "0", "--scorer", "weighted-maxsim"), "train a model with it"),
        (("search", "x", "--collection", "TEXTS", "--device", "tpu9"), "tpu9"),
        (("search", "x", "--collection", "TEXTS", "--k", "0"), "--k"),
        (("evaluate", "--collection", "TEXTS", "--metric", "best@10"), "ndcg"),
        (("encode", "TEXTS", "TEXTS"), "not empty"),
        (("index", "TEXTS", "--collection", "TEXTS"), "not empty"),
        (("index", "TEXTS/corpus.jsonl/index", "--collection", "TEXTS"), "choose another place"),
        (("encode", "TEXTS", "TEXTS/corpus.jsonl/vectors"), "choose another place"),
        (("search", "x", "--collection", "TEXTS", "--output", f"TEXTS/{'n' * 300}.json"), "choose another place"),
        (("evaluate", "--collection", "TEXTS", "--index", "exact", "--k", "9" * 30), "at most"),
        (("train", "--data", "PAIRS", "--output", "TEXTS/model", "--seed", "9" * 30), "at most"),
        (("train", "--data", "PAIRS", "--output", "TEXTS/corpus.jsonl/model"), "choose another place"),
        (("mine", "--data", "PAIRS", "--output", "TEXTS/corpus.jsonl/mined.jsonl"), "choose another place"),
        (("search", "x", "--collection", "TEXTS", "--model", "n" * 300), "choose another place"),
        (("train", "--data", f"{'n' * 300}.jsonl"), "choose another place"),
        (("run", "n" * 300), "choose another place"),
        (("compare-indexes", "--collection", "TEXTS", "--figure", f"TEXTS/{'n' * 300}.svg"), "choose another place"),
        (("runs", "show", "n" * 300), "choose another place"),
        (("ui", "--host", "0.0.0.0", "--no-browser"), "loopback"),
        (("ui", "--collection", "no-such-thing", "--public-name", "https://a.example/"), "leave out the rest"),
        (("dashboard", "--public-name", "a b"), "leave out the rest"),
        (("no-such-command",), "no-such-command"),
    ]


@pytest.mark.parametrize(("arguments", "sentence"), mistakes(), ids=lambda value: str(value)[:40])
def test_mistakes_end_with_one_sentence_and_code_2(
    collection: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    pairs = collection.with_name("pairs.jsonl")
    pairs.write_text("".join(json.dumps({"query": key, "positive": text}) + "\n" for key, text in TEXTS.items()))
    before = sorted(path for path in collection.rglob("*"))
    given = (part.replace("TEXTS", str(collection)).replace("PAIRS", str(pairs)) for part in arguments)
    assert run(*given) == 2
    captured = capsys.readouterr()
    assert sentence in " ".join(captured.err.split())
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert sorted(path for path in collection.rglob("*")) == before  # nothing half-written


def test_ctrl_c_is_answered_with_a_sentence(
    collection: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.Encoder.load", interrupted)
    assert run("encode", str(collection), str(collection.with_name("vectors"))) == 130
    assert "Stopped" in capsys.readouterr().err


def test_a_warning_is_a_sentence_without_code(
    collection: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on = ("search", "a question", "--collection", str(collection), "--index", "exact")
    assert run(*on) == 0
    for values in (collection.parent / "home" / "cache" / "embeddings").rglob("values.*"):
        values.write_bytes(values.read_bytes()[:-7])
    for indexes in (collection.parent / "home" / "cache" / "indexes").iterdir():
        shutil.rmtree(indexes) if indexes.is_dir() else indexes.unlink()
    capsys.readouterr()
    assert run(*on) == 0
    told = capsys.readouterr().err
    assert "made again" in " ".join(told.split())
    assert "Warning" not in told
    assert ".py" not in told


def test_a_malformed_line_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "fine"}\n{broken\n')
    assert run("search", "x", "--collection", str(tmp_path / "t.jsonl")) == 2
    assert "Line 2 of" in capsys.readouterr().err.replace("\n", " ")


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert run("ui", "--no-browser", "--port", str(other.getsockname()[1])) == 2
    assert "choose another with --port" in " ".join(capsys.readouterr().err.split())


def test_a_data_directory_that_cannot_be_written(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("WORKBENCH_HOME", str(blocked))
    assert run("search", "x", "--collection", str(collection)) == 2
    assert "WORKBENCH_HOME" in capsys.readouterr().err


def test_every_command_has_help_with_an_example() -> None:
    register(app)
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {"demo", "ui", "search", "encode", "index", "evaluate", "doctor"} <= commands.keys()
    assert not [name for name, command in commands.items() if "Example: `workbench" not in (command.help or "")]


def test_as_a_module_in_a_process_of_its_own(collection: Path) -> None:
    command = [sys.executable, "-m", "workbench", "search", "average", "--collection", str(collection), "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["hits"][0]["id"] == "mean"


def test_doctor_says_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["packages"]["torch"]
    assert record["indexes"]["exact"] == "ready"
    assert record["machine"].items() >= machine().items()  # as every run's record says it
    assert record["packages"].items() >= versions().items()
