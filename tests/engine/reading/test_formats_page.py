"""The page of formats says what the readers do: each of its files is written and read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine import Collection, load_collection
from engine.conditions import Selection
from engine.errors import InputError
from engine.training import read_training_data

PAGE = Path(__file__).resolve().parents[3] / "docs" / "formats.md"
BLOCK = re.compile(r"^```(\w+)(?: ([^\n]*))?\n(.*?)\n```$", re.MULTILINE | re.DOTALL)


@dataclass
class Example:
    """Files, or code that writes them, and what they give or why they are refused."""

    title: str
    training: bool
    files: dict[str, str] = field(default_factory=dict)
    code: str = ""
    gives: str = ""
    option: str = ""
    refused: str = ""


def examples() -> list[Example]:
    found = []
    for chapter in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        for section in chapter.split("\n### ")[1:]:
            title, training = section.partition("\n")[0], chapter.startswith("Training")
            example = Example(title, training)
            for language, said, content in BLOCK.findall(section):
                word, _, option = said.partition(" ")
                if word in ("gives", "refused"):
                    example.option = option
                    setattr(example, word, content)
                    found.append(example)
                    example = Example(title, training)
                elif language == "python":
                    example.code = content
                else:
                    example.files[said] = content
            assert not example.files, f"{title}: files without what they give"
    return found


def read_with(source: str, option: str, value: str) -> Collection | Selection:
    """The collection, read with an option; or, with a condition, what it chooses."""
    if option == "where":
        return load_collection(source).rows.select(value)
    options: dict[str, Any] = {option: value} if option else {}
    return load_collection(source, **options)


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.title)
def test_the_page_is_true(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, content in example.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    if example.code:
        exec(example.code, {})
    written = [path for path in folder.iterdir() if path.is_file()]
    single = len(written) == 1 and len(example.files) < 2 and written[0].suffix not in (".md", ".txt")
    source = written[0].name if single and "/" not in "".join(example.files) else "."
    name, _, value = example.option.partition("=")
    if example.refused:
        with pytest.raises(InputError, match=re.escape(example.refused)):
            read_training_data(source) if example.training else read_with(source, name, value)
        return
    expected = json.loads(example.gives)
    if example.training:
        data = read_training_data(source)
        assert [list(row) for row in zip(*data.columns.values(), strict=True)] == expected
        assert data.scores == (json.loads(value) if name == "scores" else None)
    else:
        collection = read_with(source, name, value)
        if isinstance(collection, Selection):
            assert list(collection.ids) == expected
            return
        assert {part: getattr(collection, part) for part in expected} == expected


def test_every_format_has_its_example() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(examples()) >= 25
    for word in (
        "BEIR",
        "MS MARCO",
        "JSON lines",
        "CSV",
        "TSV",
        "Parquet",
        "gzip",
        "irds:",
        "PDF",
        "HTML",
        "docx",
        "FlagEmbedding",
        "Tevatron",
        "DPR",
    ):
        assert word in text
