"""The commands on indexes, as a person types them: compare-indexes, trace, recommend."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.workbench.typed import run, said
from workbench.experiments.plan import default_indexes
from workbench.experiments.views.indexes import read_rows

pytestmark = pytest.mark.usefixtures("folder")


def test_a_comparison_is_kept_drawn_repeated_and_compared_with_an_earlier_one(folder, capsys) -> None:
    command = (
        "compare-indexes",
        "--collection",
        "tiny",
        "--index",
        "exact",
        "--index",
        "exact:dtype=float32",
        "--k",
        "5",
    )
    assert run(*command, "--threads", "1", "--output", "first.json", "--figure", "frontier.html") == 0
    shown = said(capsys)
    assert "tiny: 8 documents" in shown
    assert "exact: dtype=float32" in shown
    assert "plotly" in (folder / "frontier.html").read_text()
    again = shlex.split(shown[shown.index("Again: workbench ") :].removeprefix("Again: workbench "))
    assert again[:3] == ["compare-indexes", "--collection", "tiny"]
    earlier = json.loads((folder / "first.json").read_text())
    for record in earlier:
        record["versions"]["numpy"] = "0.1"
    (folder / "earlier.json").write_text(json.dumps(earlier))
    assert run(*command, "--threads", "1", "--against", "earlier.json") == 0
    assert "exact: Version of numpy changed from '0.1' to " in said(capsys)
    assert [record.settings["dtype"] for record in read_rows(folder / "first.json")] == ["float16", "float32"]


def test_mistakes_are_named_before_anything_is_measured(folder, capsys) -> None:
    assert run("compare-indexes", "--collection", "tiny", "--index", "magic") == 2
    assert "exact, plaid, hnsw, muvera, fast-plaid, lancedb, qdrant, xtr-warp" in said(capsys)
    assert run("compare-indexes", "--collection", "tiny", "--figure", "picture.gif") == 2
    assert ".html or .svg or .png" in said(capsys)
    assert run("compare-indexes", "--collection", "tiny", "--against", "nothing.json") == 2
    assert "no file nothing.json" in said(capsys)
    assert not (folder / "home" / "cache").exists()


def test_one_document_is_followed(capsys) -> None:
    assert run("trace", "q1", "argmax", "--collection", "tiny", "--index", "exact", "--k", "3") == 0
    assert "argmax is result 1 of 3." in said(capsys)
    assert run("trace", "q1", "glob", "--collection", "tiny", "--index", "exact", "--k", "1") == 0
    assert "exact search does not return it either" in said(capsys)
    assert run("trace", "q1", "nothing", "--collection", "tiny") == 2
    assert run("trace", "q1", "--collection", "tiny") == 2
    assert "the id of a document after the question" in said(capsys)


def test_all_that_were_lost_are_counted_by_stage(capsys) -> None:
    spec = "hnsw:neighbours=1,candidates=1"
    assert run("trace", "--collection", "tiny", "--index", spec, "--k", "1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["relevant"] == 5
    assert sum(cost["lost"] for cost in found["costs"]) == len(found["lost"]) == found["relevant"] - found["found"]
    assert run("trace", "--collection", "tiny", "--index", "exact", "--k", "1") == 0
    assert "Of 5 relevant documents 3 are found; the index lost 0" in said(capsys)


def test_a_recommendation_prints_a_command_that_it_understands(capsys) -> None:
    assert run("recommend", "--collection", "tiny", "--index", "exact", "--seconds", "5", "--max-bytes", "100000") == 0
    shown = said(capsys)
    assert "index = create_index(" in shown
    command = shown[shown.index("Again: workbench ") :].removeprefix("Again: workbench ")
    assert run(*shlex.split(command), "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["limits"]["prefer"] == "fast"
    assert again["command"] == f"workbench {command}"
    assert run("recommend", "--collection", "tiny", "--prefer", "big") == 2


@pytest.mark.usefixtures("toy_package")
def test_a_kind_of_another_package_is_compared_tuned_and_named(folder, capsys) -> None:
    command = ("compare-indexes", "--collection", "tiny", "--index", "toy:candidates=1", "--k", "5", "--threads", "1")
    assert run(*command, "--output", "toy.json") == 0
    given, tuned = read_rows(folder / "toy.json")
    assert [given.name, tuned.name] == ["toy", "toy, matched"]
    assert given.settings == {"candidates": 1}
    assert tuned.recall_100 is not None
    assert tuned.recall_100 >= 0.95
    assert given.versions["toy-index"] == "1.0"
    assert ("toy", {"candidates": 2}) in default_indexes()
    capsys.readouterr()
    assert run("doctor", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["packages"]["toy-index"] == "1.0"
    assert told["indexes"]["toy"] == "ready"
    assert "cannot be loaded" in told["indexes"]["broken"]
