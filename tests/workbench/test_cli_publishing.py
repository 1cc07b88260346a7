"""The commands that make something to take along: `publish` and `explain`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.workbench.typed import run
from workbench.cli import publishing

TEXTS = {"argmax": "Return the index of the largest value.", "open": "Open a file and return its text."}


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in TEXTS.items()))
    return str(path)


def test_an_explanation_is_a_table_and_json(texts: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("explain", "the biggest value", "--collection", texts, "--index", "exact")
    assert run(*asked, "--document", "open") == 0
    assert "biggest" in capsys.readouterr().out
    assert run(*asked, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["document"] == "argmax"
    assert sum(match["contribution"] for match in found["matches"]) == pytest.approx(found["score"], abs=1e-3)
    assert {"token", "kind", "match", "position"} <= found["matches"][0].keys()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("explain", " "), "Expected a question"),
        (("explain", "x", "--level", "letters"), "Expected --level words or pieces"),
        (("explain", "x", "--save", "steps.mp4"), "ends with .html, .svg, .png, .gif, .webm"),
        (("publish", "--output", "site", "--bits", "1"), "--bits from 2 to 12"),
        (("publish", "--output", "FILE"), "is a file"),
        (("publish", "--output", "FOLDER"), "holds other things than a site"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_loaded(
    texts: str, tmp_path: Path, arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")
    places = {
        "FILE": texts,
        "FOLDER": str(tmp_path),
        "site": str(tmp_path / "site"),
        "steps.mp4": str(tmp_path / "s.mp4"),
    }
    assert run(*(places.get(word, word) for word in arguments)) == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert told in printed
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("typed", [("--pool", "factor=2"), ("--pool", "2"), ("--pool-factor", "2")])
def test_fewer_vectors_are_asked_for_as_everywhere(typed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")
    from apps.publish import Published

    asked: list[object] = []
    site = Published(Path("site"), 1, 1, 1, 1, 8, None, ())
    monkeypatch.setattr(publishing, "registered", lambda name: lambda *options: asked.append(options[4]) or site)
    assert run("publish", "--output", "site", *typed) == 0
    assert asked == ["factor=2"]
    assert run("publish", "--output", "site", "--pool-factor", "2", "--pool", "factor=3") == 2


def test_finished_searches_need_questions(texts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gradio", reason="needs Gradio: pip install 'late-interaction-workbench[apps]'")
    assert run("publish", "--collection", texts, "--output", str(tmp_path / "site"), "--no-model") == 2
    assert "has no questions" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()
