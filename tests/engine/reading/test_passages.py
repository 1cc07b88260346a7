"""Texts cut into passages: nothing is lost, nothing is too long, and ends are where a reader would put them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Collection, Encoder, load_collection
from engine.collection import Part
from engine.errors import InputError
from engine.reading import Source
from engine.reading.passages import Passages, cut, cut_collection, words

TEXT = "One two three. Four five six seven eight. Nine ten!\n\nEleven twelve thirteen fourteen fifteen. Sixteen."


@pytest.mark.parametrize(
    ("size", "overlap", "passages"),
    [
        (5, 0, ["One two three.", "Four five six seven eight.", "Nine ten!",
                "Eleven twelve thirteen fourteen fifteen.", "Sixteen."]),
        (10, 0, ["One two three. Four five six seven eight. Nine ten!",
                 "Eleven twelve thirteen fourteen fifteen. Sixteen."]),
        (12, 3, ["One two three. Four five six seven eight. Nine ten!",
                 "Nine ten!\n\nEleven twelve thirteen fourteen fifteen. Sixteen."]),
        (2, 1, ["One two", "two three.", "three. Four", "Four five", "five six", "six seven", "seven eight.",
                "eight. Nine", "Nine ten!", "ten!\n\nEleven", "Eleven twelve", "twelve thirteen", "thirteen fourteen",
                "fourteen fifteen.", "fifteen. Sixteen."]),
        (16, 0, [TEXT]),
    ],
)  # fmt: skip
def test_passages_end_with_paragraphs_else_sentences_else_words(size: int, overlap: int, passages: list[str]) -> None:
    assert cut(TEXT, size, overlap) == passages


def test_scripts_without_spaces_are_cut_by_letters_and_at_their_sentences() -> None:
    assert cut("我喜欢猫。你喜欢狗吗？他不喜欢。", 6, 0) == ["我喜欢猫。", "你喜欢狗吗？", "他不喜欢。"]
    assert max(map(len, cut("x" * 1000, 2, 0))) <= 160


@given(st.text(alphabet="ab .\n!猫。\u3000,\t-", max_size=300), st.integers(1, 12), st.integers(0, 11))
def test_every_word_is_in_a_passage_in_order_and_none_is_too_long(text: str, size: int, overlap: int) -> None:
    overlap = min(overlap, size - 1)
    passages, place, last = cut(text, size, overlap), 0, 0
    for passage in passages:
        assert len(words(passage)) <= size
        begin = next(
            start
            for start in range(place, len(text))
            if text.startswith(passage, start) and start + len(passage) > last
        )
        assert not text[last:begin].strip()  # nothing between two passages but spaces
        assert len(words(text[begin:last])) <= overlap
        place, last = begin + 1, begin + len(passage)
    assert not text[last:].strip()


def test_a_collection_is_cut_and_says_where_each_passage_stands() -> None:
    collection = Collection(
        {"a": "Sea The moon lifts it. It falls.", "r.pdf#p1": "One two three. Four five.", "b": "Bread"},
        titles={"a": "Sea"}, parts={"r.pdf#p1": Part("r.pdf", 1, 9)},
    )  # fmt: skip
    found = cut_collection(collection, Passages(4))
    assert found.documents == {
        "a#1": "Sea The moon lifts it.", "a#2": "Sea It falls.", "r.pdf#p1-1": "One two three.",
        "r.pdf#p1-2": "Four five.", "b": "Bread",
    }  # fmt: skip
    assert found.titles == {"a#1": "Sea", "a#2": "Sea"}
    assert [str(part) for part in found.parts.values()] == [
        "a, passage 1 of 2", "a, passage 2 of 2", "r.pdf, page 1 of 9, passage 1 of 2",
        "r.pdf, page 1 of 9, passage 2 of 2",
    ]  # fmt: skip
    assert found.neighbours("a#1") == (None, "a#2")
    assert found.neighbours("r.pdf#p1-2") == ("r.pdf#p1-1", None)
    assert found.neighbours("b") == (None, None)


def test_what_cannot_be_cut_gets_one_sentence() -> None:
    judged = Collection({"a": "one two"}, {"q": "x"}, {"q": {"a": 1}})
    with pytest.raises(InputError, match="judgements of whole documents"):
        cut_collection(judged, Passages(1))
    with pytest.raises(InputError, match="beside the passages of 'a'"):
        cut_collection(Collection({"a": "one two", "a#1": "x"}), Passages(1))


@pytest.mark.parametrize("text", ["", "x", "0", "-3", "5:5", "5:6", "5:x", "2.5", "9999999999", ":"])
def test_impossible_sizes_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="200:40"):
        Passages.parse(text)


def test_the_name_of_a_collection_says_how_it_is_cut(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({"id": "a", "text": TEXT}))
    name = f"{tmp_path / 't.jsonl'}?passages=10"
    assert list(load_collection(name).documents) == ["a#1", "a#2"]
    assert load_collection(name).documents == load_collection(tmp_path / "t.jsonl", passages="10:0").documents
    chosen = Source.parse("folder?split=dev").choose(passages="200:40")
    assert str(chosen) == "folder?split=dev&passages=200:40"
    assert Source.parse(str(chosen)) == chosen
    for odd in ("what?split=", "a?split=x?y", "why?", "a?passages"):
        assert Source.parse(odd).name == odd
    with pytest.raises(InputError, match="names the passages"):
        load_collection(name, passages="20")
    with pytest.raises(InputError, match="same choice twice"):
        load_collection("x?split=a&split=b")


def pieces(text: str, **options: object) -> dict[str, list[tuple[int, int]]]:
    """A tokenizer whose tokens are three letters of a word at most."""
    assert not options["add_special_tokens"]
    return {"offset_mapping": [match.span() for match in re.finditer(r"\w{1,3}|[^\w\s]", text)]}


def test_tokens_of_a_model_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load(name: str, **options: object) -> SimpleNamespace:
        loaded.append(name)
        return SimpleNamespace(model=SimpleNamespace(tokenizer=pieces))

    monkeypatch.setattr(Encoder, "load", load)
    assert str(Passages.parse("8:2:tokens", "a/model")) == "8:2:a/model"
    passages = Passages.parse("8:2:a/model").cutter()("Tokenisation of it takes more than one token, says everybody.")
    assert passages == ["Tokenisation of it takes", "takes more than one", "one token, says", "says everybody."]
    assert Passages.parse("2:0:tokens").cutter()("Tokenisation") == ["Tokeni", "sation"]
    assert loaded == ["a/model", "embedded"]
