"""Words, segments and visible control characters."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.text import group_text, read_until, segments, visible, word_groups
from engine.tokens import Token


def pieces(*spans: tuple[int, int], kind: str = "text") -> list[Token]:
    return [Token(f"t{start}", start, end, kind) for start, end in spans]  # type: ignore[arg-type]


def test_control_and_bidirectional_characters_become_visible() -> None:
    assert visible("a\u202eb\x00c\x1b") == "a[U+202E]b[U+0000]c[U+001B]"
    assert (
        visible("tab\tand line\n stay, é 你好 👩‍👩‍👧 and مرحبا too")
        == "tab\tand line\n stay, é 你好 👩‍👩‍👧 and مرحبا too"
    )
    json.dumps(visible("\ud800"), ensure_ascii=False).encode()  # half a surrogate pair would not encode


def test_pieces_of_a_word_are_joined_and_words_are_not() -> None:
    text = "nanargmax, of 你好"
    tokens = [Token("[CLS]", -1, -1, "special"), *pieces((0, 3), (3, 9), (9, 10), (11, 13), (14, 15), (15, 16))]
    groups = word_groups(text, tokens)
    assert groups == [[0], [1, 2], [3], [4], [5], [6]]
    assert [group_text(text, tokens, group) for group in groups] == ["[CLS]", "nanargmax", ",", "of", "你", "好"]


def test_tokens_that_share_a_character_are_one_word() -> None:
    assert word_groups("🏳 x", pieces((0, 1), (0, 1), (0, 1), (2, 3))) == [[0, 1, 2], [3]]


@given(st.text(max_size=60), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 4)), max_size=12))
def test_segments_are_the_whole_text_in_order(text: str, raw: list[tuple[int, int]]) -> None:
    starts = sorted(start for start, _ in raw if start < len(text))
    spans = [(start, min(start + 1 + width, len(text))) for start, (_, width) in zip(starts, raw, strict=False)]
    tokens = pieces(*spans)
    found = segments(text, tokens, [[i] for i in range(len(tokens))])
    assert "".join(str(piece["text"]) for piece in found) == visible(text)
    numbers = [unit for piece in found for unit in piece["units"]]  # type: ignore[attr-defined]
    assert numbers == sorted(numbers)


def test_added_tokens_have_no_segment() -> None:
    tokens = [Token("[CLS]", -1, -1, "special"), *pieces((0, 2)), Token("[SEP]", -1, -1, "special")]
    assert segments("ab c", tokens, [[0], [1], [2]]) == [{"text": "ab", "units": [1]}, {"text": " c", "units": []}]
    assert read_until(tokens) == 2


@pytest.mark.parametrize("text", ["", "no tokens at all"])
def test_a_text_without_tokens_is_itself(text: str) -> None:
    assert segments(text, [], []) == ([{"text": text, "units": []}] if text else [])
    assert read_until([]) == 0


def test_tokens_out_of_order_are_no_word_and_a_mark_repeats_no_character():
    text = "one two"
    tokens = [Token("two", 4, 7, "text"), Token("one", 0, 3, "text")]
    assert word_groups(text, tokens) == [[0], [1]]
    marked = [
        Token("▁", 0, 0, "text"),
        Token("one", 0, 3, "text"),
        Token("▁", 4, 4, "text"),
        Token("two", 4, 7, "text"),
    ]
    assert word_groups(text, marked) == [[0, 1], [2, 3]]
    for groups in ([[0, 1], [2, 3]], [[0], [1], [2], [3]]):
        assert "".join(str(piece["text"]) for piece in segments(text, marked, groups)) == text
