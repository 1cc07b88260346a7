"""What is data is printed as text: in tables, messages and progress, whatever brackets and colons it has."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.cli.output import _Terminal, complain, note, progress_bars, show_table

ODD = ["[bold]", "[/]", "[/bold]", ":smile:", "data[v2]", "[link=x]y[/link]", "a\\[b]", "[red]x[/red] :warning:"]


@pytest.mark.parametrize("text", ODD)
def test_every_place_shows_the_text_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_table(text, (text, "n"), [(text, text)], text)
    shown = capsys.readouterr().out
    assert shown.count(text) == 5
    note(text)
    complain(text)
    with progress_bars() as report:
        report(text, 1, 1)
    assert capsys.readouterr().err.count(text[:1].upper() + text[1:]) + (text[0] != text[0].upper()) * 2 >= 3


@pytest.mark.parametrize("text", ODD)
def test_a_bar_on_a_terminal_shows_it_too(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("workbench.cli.output.err", _Terminal(file=screen, force_terminal=True, width=120))
    with progress_bars() as report:
        report(text, 1, 2)
    assert text[1:] in screen.getvalue()


def test_control_characters_are_seen_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("t", ("a",), [("\x1b[2Jgone \u202e",)])
    assert "[U+001B][2Jgone [U+202E]" in capsys.readouterr().out


def test_a_search_in_a_folder_with_brackets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake_encoder
) -> None:
    monkeypatch.setattr("engine.Encoder.load", lambda *_, **__: fake_encoder)
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "data[v2]"
    folder.mkdir()
    rows = [{"_id": name, "text": f"{name} says hello"} for name in ("[bold]", "[/]", ":smile:", "[/red]x")]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "hello"}))
    with pytest.raises(SystemExit, match="0"):
        main(["search", "hello [/] :smile:", "--collection", str(folder)])
    shown = capsys.readouterr().out
    assert "hello [/] :smile:" in shown
    for row in rows:
        assert shown.count(row["_id"]) >= 2
    with pytest.raises(SystemExit):
        main(["search", "x", "--collection", str(tmp_path / "no[/]thing")])
    assert "no[/]thing" in "".join(capsys.readouterr().err.split("\n"))
