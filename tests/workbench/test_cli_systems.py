"""Whole systems on the command line: compared, searched, evaluated, run, and what is refused with one sentence."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from engine.errors import InputError
from tests.workbench.typed import run, said
from workbench.runs.store import list_runs
from workbench.workspace import open_workspace

pytestmark = pytest.mark.usefixtures("folder")


def test_systems_are_compared_in_tables_in_a_picture_and_as_json(folder: Path, capsys) -> None:
    command = ("compare-systems", "--collection", "tiny", "--system", "bm25", "--system", "bm25 > maxsim", "--k", "5")
    assert run(*command, "--figure", "frontier.html") == 0
    shown = said(capsys)
    for part in ("tiny: 8 documents, 3 questions", "What stages take and send on", "Two by two",
                 "bm25 > maxsim", "95%"):  # fmt: skip
        assert part in shown
    assert "plotly" in (folder / "frontier.html").read_text()
    assert run(*command, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in told["systems"]] == ["bm25", "bm25 > maxsim"]
    assert {"ndcg@10", "recall@100", "p50_ms", "bytes", "build_s", "stages"} <= set(told["systems"][0])
    assert [stage["stage"] for stage in told["systems"][1]["stages"]] == ["bm25", "maxsim"]
    assert run(*shlex.split(told["command"])[1:], "--output", "again.json") == 0
    again = json.loads((folder / "again.json").read_text())
    assert [entry["run"] for entry in again["systems"]] == [entry["run"] for entry in told["systems"]]


def test_a_system_searches_is_evaluated_and_run(folder: Path, capsys) -> None:
    assert run("search", "index of the largest value", "--collection", "tiny", "--system", "bm25>maxsim", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["system"] == "bm25 > maxsim"
    assert told["hits"][0]["id"] == "argmax"
    assert told["caveat"] == ""
    assert run("evaluate", "--collection", "tiny", "--system", "bm25 + exact", "--json") == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert evaluated["index"]["text"] == "bm25 + exact"
    assert run("evaluate", "--collection", "tiny", "--system", "bm25") == 0
    assert "bm25, 100 results" in said(capsys)
    (folder / "exp.yaml").write_text("collection: tiny\nindex: exact\n")
    assert run("run", "exp.yaml", "--system", "bm25 + exact", "--json") == 0
    assert json.loads(capsys.readouterr().out)["id"] == evaluated["run"]
    assert run("sweep", "exp.yaml", "--system", "bm25", "--system", "exact", "--over", "k=3,4", "--processes", "1") == 0
    assert "4 runs" in said(capsys)
    assert {entry.experiment.system for entry in list_runs()} == {"bm25", "exact", "bm25 + exact"}


def test_a_document_is_followed_through_a_system_and_losses_are_counted_by_stage(folder: Path, capsys) -> None:
    asked = ("trace", "--collection", "tiny", "--system", "bm25:k=2 > maxsim", "--k", "2")
    assert run(*asked, "q1", "sleep") == 0
    shown = said(capsys)
    assert "sleep was lost at bm25:k=2. To win it back:" in shown
    assert run(*asked, "q1", "sleep", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["lost_at"], told["rank"], told["system"]) == ("bm25:k=2", None, "bm25:k=2 > maxsim")
    assert [stage["stage"] for stage in told["stages"]] == ["bm25:k=2", "maxsim"]
    assert run(*asked, "q1", "argmax") == 0
    assert "argmax is result 1 of 2." in said(capsys)
    assert run(*asked) == 0
    assert "relevant documents that are not among the first 2" in said(capsys)
    assert run(*asked, "--json") == 0
    counted = json.loads(capsys.readouterr().out)
    assert counted["relevant"] == 5 == counted["found"] + len(counted["lost"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("compare-systems", "--system", "bm52"), "Unknown stage 'bm52': these find documents: bm25,"),
        (("compare-systems", "--system", "maxsim"), "there is none: write bm25 > maxsim"),
        (("compare-systems", "--system", "exact > cross-encoder:/no/folder"), "/no/folder"),
        (("compare-systems", "--metric", "ndgc@10"), "ndgc@10"),
        (("search", "files", "--system", "bm25", "--index", "exact"), "--index beside --system means nothing"),
        (("search", "files", "--system", "bm25 >"), "Expected a stage that reranks at the end"),
        (("evaluate", "--system", "bm25", "--scorer", "xtr"), "--scorer beside --system means nothing"),
        (("ui", "--system", "bm25", "--index", "plaid"), "--index beside --system means nothing"),
        (("trace", "q1", "argmax", "--system", "bm25", "--index", "exact"), "--index beside --system means nothing"),
        (("trace", "q1", "nope", "--system", "bm25"), "no document 'nope'"),
        (("run", "exp.yaml", "--system", "bm25"), "so index 'plaid' beside the system 'bm25' means nothing"),
        (("sweep", "exp.yaml"), "Expected something to vary"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_kept(folder: Path, capsys, arguments, sentence: str) -> None:
    (folder / "exp.yaml").write_text("collection: tiny\nindex: plaid\n")
    collection = () if arguments[0] in ("run", "sweep") else ("--collection", "tiny")
    assert run(*arguments, *collection) == 2
    assert sentence in said(capsys)
    assert list_runs() == []


def test_a_workspace_of_a_system_ranks_by_it_and_explains_its_documents(tiny_collection, fake_encoder) -> None:
    workspace = open_workspace(tiny_collection, fake_encoder, system="bm25 + exact > top-mean:m=2")
    result = workspace.search("read the text of a file", 3)
    assert workspace.system is not None
    ranking = workspace.system.search(["read the text of a file"], 3)[0]
    assert [hit.id for hit in result.hits] == ranking.ids
    assert [hit.score for hit in result.hits] == pytest.approx(ranking.scores.tolist())
    assert "bm25 + exact > top-mean:m=2" in result.scored_on
    assert "another one than the sum" in result.caveat
    assert workspace.searched == "bm25 + exact > top-mean:m=2"
    some = workspace.search("read the text of a file", 3, subset=["sort", "glob"])
    assert sorted(hit.id for hit in some.hits) == ["glob", "sort"]
    assert list(workspace.scorers()) == ["index"]
    assert workspace.index.kind == "plaid"  # for pages that look into an index
    lexical = open_workspace(tiny_collection, fake_encoder, system="bm25").search("largest value", 2)
    assert lexical.hits[0].alignment.score > 0
    with pytest.raises(InputError, match="Unknown stage"):
        open_workspace(tiny_collection, fake_encoder, system="bm52")
