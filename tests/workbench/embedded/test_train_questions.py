"""The training questions of the embedded collection: real documents, and nothing of the exam."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine import Collection, load_collection
from engine.errors import CorruptDataError
from engine.sampling import sample
from workbench.embedded import train_questions as module
from workbench.embedded.documentation import ASSETS
from workbench.embedded.judgements import read_judgements, read_questions
from workbench.embedded.train_questions import FILE, count, train_questions

EMBEDDED = load_collection("embedded")
EVERYDAY = {"a", "an", "and", "as", "at", "by", "do", "for", "from", "how", "i", "in", "is", "it", "my", "of", "on",
            "or", "the", "to", "what", "which", "with"}  # fmt: skip


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower())) - EVERYDAY


def test_no_answer_of_the_exam_is_trained_on_and_no_question_is_nearly_one_of_its() -> None:
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    judged = {name for grades in read_judgements(ASSETS / "judgements.tsv").values() for name in grades}
    exam = [words(text) for text in read_questions(ASSETS / "questions.jsonl").values()]
    assert len(rows) > 1500
    assert len({row["text"] for row in rows}) == len(rows)
    assert not judged & {row["document"] for row in rows}
    for row in rows:
        own = words(row["text"])
        assert max(len(own & other) / max(len(own | other), 1) for other in exam) < 0.6, row["text"]
        assert row["document"].rpartition(".")[2].lower() not in row["text"].lower().split() or len(own) > 1


def test_each_question_comes_with_the_document_that_answers_it() -> None:
    data = train_questions(EMBEDDED)
    assert data is not None
    assert count(EMBEDDED) == len(data) > 1500  # nearly all documents exist in every version
    assert set(data.columns["positive"]) <= set(EMBEDDED.documents.values())
    assert data.check(None, EMBEDDED).counts["leaking"] == 0
    part = sample(EMBEDDED, documents=600, queries=20)
    assert 50 <= count(part) < count(EMBEDDED)


def test_other_collections_have_none() -> None:
    other = Collection(dict(EMBEDDED.documents), {}, {}, "mine")
    few = Collection({"d": "text"}, {}, {}, "embedded")
    assert train_questions(other) is None
    assert train_questions(few) is None
    assert (count(other), count(few)) == (0, 0)


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    for text in ("not json\n", '{"text": "no document"}\n'):
        (tmp_path / "rows.jsonl").write_text(text)
        with pytest.raises(CorruptDataError, match="reinstall the project"):
            module._rows(EMBEDDED, tmp_path / "rows.jsonl")
