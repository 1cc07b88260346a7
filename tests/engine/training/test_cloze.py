"""Pairs made of documents alone."""

from __future__ import annotations

import pytest

from engine import Collection
from engine.errors import InputError
from engine.training.cloze import cut, document_pairs


@pytest.mark.parametrize(
    ("text", "query", "positive"),
    [
        ("a.copy: Copy a file. Metadata is kept where the system can do so.", "Copy a file",
         "a.copy: Metadata is kept where the system can do so."),
        ("Boil the water first. Then add salt and wait until it is gone.", "Boil the water first",
         "Then add salt and wait until it is gone."),
        ("It is so. Why: nobody has ever found out what the reason could be.", None, None),
        ("Who wrote the long report? It was written by nine people in a year.", "Who wrote the long report",
         "It was written by nine people in a year."),
    ],
)  # fmt: skip
def test_the_first_sentence_asks_for_the_rest(text: str, query: str | None, positive: str | None) -> None:
    if text.startswith("a.copy"):
        assert cut(text.replace("Copy a file", "Copy one file elsewhere")) == {
            "query": "Copy one file elsewhere", "positive": positive,
        }  # fmt: skip
    assert cut(text) == (None if query is None or len(query.split()) < 4 else {"query": query, "positive": positive})


@pytest.mark.parametrize("text", ["One sentence alone says it all here", "Too short. It is.", "a: b", " ", "x. " * 3])
def test_what_cannot_be_cut_is_left_out(text: str) -> None:
    assert cut(text) is None


def test_no_question_is_looked_at() -> None:
    documents = {f"d{i}": f"Number {i} is a text. It goes on and says more about {i}." for i in range(4)}
    asked = Collection(documents, {"q": "what is number one"}, {"q": {"d1": 1}}, "texts")
    found = document_pairs(asked)
    assert found.rows() == document_pairs(Collection(documents, {}, {}, "texts")).rows()
    assert found.columns["query"][2] == "Number 2 is a text"
    assert found.name == "texts, first sentences"
    with pytest.raises(InputError, match="of two sentences in 'none'"):
        document_pairs(Collection({"d": "Only one"}, {}, {}, "none"))
