"""Tokens and their characters: unknown words, marks, byte-level pieces, prompts, and processors that rewrite a text."""

from __future__ import annotations

from pathlib import Path

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Encoder
from engine.tokens import Token, merged, single_tokens, tokens_of
from tests.tiny_models import BERT, make_model, tokenizer_of

HARD = [
    "the  harbour 東京 😀 clocks",
    "Ω café e\u0301 naïve",
    " lead and tail ",
    "ﬁne ½ line\nbreak\tand",
    "x" * 150 + " the clocks",
    "a\u0301\u0323b",
]


@pytest.fixture(scope="module", params=["wordpiece", "bytes", "unigram", "fallback"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp(request.param)
    return Encoder(make_model(folder, request.param, query_length=60, document_length=60))


@pytest.fixture(scope="module", params=["query: ", "query:", "[Q] "])
def prompted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("prompted")
    return Encoder(make_model(folder, "bytes", prompts={"query": request.param}, query_length=60))


def written(tokens: list[Token], text: str) -> list[tuple[str, str]]:
    return [(token.text, text[token.start : token.end]) for token in tokens if token.kind == "text"]


@pytest.mark.parametrize("text", HARD)
def test_every_character_that_was_read_belongs_to_a_token_and_no_space_does(encoder: Encoder, text: str) -> None:
    tokens = encoder.tokens(text, "document")
    assert len(tokens) == len(encoder.encode_document([text])[0])
    inside = [token for token in tokens if token.kind == "text"]
    assert [token.kind for token in tokens] == ["special", *["text"] * len(inside), "special"]
    assert all(0 <= token.start <= token.end <= len(text) for token in inside)
    assert [token.start for token in inside] == sorted(token.start for token in inside)
    covered = {place for token in inside for place in range(token.start, token.end)}
    if len(tokens) < 60:
        assert covered == {place for place, character in enumerate(text) if not character.isspace()}
    else:
        assert covered == set(range(max(covered) + 1))  # a long word, cut where the model stops reading


def test_unknown_tokens_are_text_at_their_characters(tmp_path: Path) -> None:
    encoder = Encoder(make_model(tmp_path))
    text = "the 東京 😀 clocks"
    assert written(encoder.tokens(text, "document"), text) == [
        ("the", "the"), ("[UNK]", "東"), ("[UNK]", "京"), ("[UNK]", "😀"), ("clocks", "clocks"),
    ]  # fmt: skip


def test_the_embedded_model_reads_chinese_emoji_overlong_words_and_a_literal_mask(embedded_encoder: Encoder) -> None:
    text = "a 😀 [MASK] " + "z" * 200
    found = written(embedded_encoder.tokens(text, "document"), text)
    assert found == [("a", "a"), ("[UNK]", "😀"), ("[MASK]", "[MASK]"), ("[UNK]", "z" * 200)]


@pytest.mark.parametrize("text", ["[SEP]", "[MASK] lights [SEP]", "[CLS] [PAD] [UNK]"])
def test_a_literal_special_token_is_text_beside_those_of_the_model(tmp_path: Path, text: str) -> None:
    expansion = {"strategy": "fixed", "length": 16, "attend": False}
    tokens = Encoder(make_model(tmp_path, query_expansion=expansion)).tokens(text, "query")
    inside = [token for token in tokens if token.kind == "text"]
    literal = [token for token in inside if token.text in BERT.values()]
    assert [text[token.start : token.end] for token in literal] == [
        word for word in text.split() if word in BERT.values()
    ]
    assert tokens[0].kind == "special"
    assert [token.kind for token in tokens[len(inside) + 1 :]] == ["special", *["expansion"] * (14 - len(inside))]


def test_marks_of_a_space_cover_nothing_and_words_leave_it_out(tmp_path: Path) -> None:
    text = "Ω clocks"
    tokens = Encoder(make_model(tmp_path, "unigram")).tokens(text, "document")
    assert [(token.text, token.start, token.end) for token in tokens[1:3]] == [("▁", 0, 0), ("<unk>", 0, 1)]
    assert tokens[3].text.startswith("▁")
    assert text[tokens[3].start] == "c"


def test_words_of_marks_and_byte_pieces_are_joined_as_they_are_written(encoder: Encoder) -> None:
    from apps.text import group_text, segments, word_groups

    text = "the harbour, Ω 東 clocks"
    tokens = encoder.tokens(text, "document")
    groups = word_groups(text, tokens)
    inside = [group_text(text, tokens, group) for group in groups if tokens[group[0]].kind == "text"]
    assert inside == ["the", "harbour", ",", "Ω", "東", "clocks"]
    assert "".join(str(piece["text"]) for piece in segments(text, tokens, groups)) == text


@pytest.mark.parametrize("text", ["seven clocks", "query: of the query", "Ω"])
def test_a_prompt_is_a_prefix_and_spans_are_of_the_question(prompted: Encoder, text: str) -> None:
    tokens = prompted.tokens(text, "query")
    kinds = [token.kind for token in tokens]
    assert kinds == sorted(kinds, key=["special", "prefix", "text"].index if kinds[0] != "special" else lambda _: 0)
    assert "prefix" in kinds
    inside = [token for token in tokens if token.kind == "text"]
    covered = {place for token in inside for place in range(token.start, token.end)}
    assert covered == {place for place, character in enumerate(text) if not character.isspace()}
    assert all(token.start == -1 for token in tokens if token.kind != "text")


@pytest.mark.parametrize("kind", ["wordpiece", "bytes", "unigram"])
@pytest.mark.parametrize("text", ["seven clocks", "Query", "the harbour the harbour", "Query: Query"])
def test_a_processor_that_writes_before_and_after_the_question(kind: str, text: str) -> None:
    tokenizer = tokenizer_of(kind)
    padding = [tokenizer.pad_token_id] * 3
    ids = [*tokenizer("Query: " + text)["input_ids"], *padding]
    tokens = tokens_of(tokenizer, ids, [False] * len(ids), text, "")
    inside = [token for token in tokens if token.kind == "text"]
    first, last = tokens.index(inside[0]), tokens.index(inside[-1])
    assert {token.kind for token in tokens[first : last + 1]} == {"text"}
    assert {token.kind for token in tokens[1:first]} == {"prefix"}
    assert {token.kind for token in tokens[last + 1 :]} == {"special"}
    assert len(tokens) - last - 1 == 4
    covered = {place for token in inside for place in range(token.start, token.end)}
    assert covered == {place for place, character in enumerate(text) if not character.isspace()}


def test_a_text_that_was_cut_keeps_the_characters_of_what_was_read(tmp_path: Path) -> None:
    encoder = Encoder(make_model(tmp_path, document_length=8))
    text = "the clocks and the clocks and the clocks and the clocks"
    tokens = encoder.tokens(text, "document")
    assert [token.kind for token in tokens] == ["special", *["text"] * 6, "special"]
    assert [text[token.start : token.end] for token in tokens[1:4]] == ["the", "clocks", "and"]


def test_a_tokenizer_without_offsets_is_searched_by_name() -> None:
    fast = tokenizer_of("wordpiece")

    class Slow:
        is_fast = False
        all_special_ids = fast.all_special_ids
        unk_token_id = fast.unk_token_id

        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return [str(fast.convert_ids_to_tokens(number)) for number in ids]

        def get_special_tokens_mask(self, ids: list[int], already_has_special_tokens: bool) -> list[int]:
            assert already_has_special_tokens
            return [int(number in self.all_special_ids) for number in ids]

    text = "The clocks, the tower"
    ids = fast("q: " + text)["input_ids"]
    expected = tokens_of(fast, ids, [False] * len(ids), text, "q: ")
    assert tokens_of(Slow(), ids, [False] * len(ids), text, "q: ") == expected


def test_merged_tokens_come_apart_in_the_order_of_the_text() -> None:
    a, b, c = Token("a", 0, 1, "text"), Token("b", 2, 3, "text"), Token(BERT["cls_token"], -1, -1, "special")
    assert merged([a]) is a
    both = merged([a, b])
    assert (both.text, both.kind, both.start, both.parts) == ("a + b", "merged", -1, (a, b))
    assert single_tokens([both, c]) == [(1, c), (0, a), (0, b)]


SCRIPTS = {
    "Chinese": "港口的灯光从小船上可以看到，暴风雨之前。𠮷野家",
    "Japanese": "コンピュータは、ガラスのﾊﾟｿｺﾝで動きます。か\u3099っこう",
    "Korean": "안녕하세요 도서관에서 책을 \u1112\u1161\u11ab",
    "Arabic": "مُحَمَّدٌ يَقْرَأُ الكِتابَ، می\u200cخواهم",
    "Hindi": "हिन्दी में क्षत्रिय ज़िंदगी",
    "Thai": "ภาษาไทยไม่มีการเว้นวรรค",
    "Vietnamese": "Tiếng Viê\u0323t đươ\u0300ng",
    "emoji": "👩‍👩‍👧 and 👍🏽, 🇫🇷🇩🇪 ❤️ 1️⃣ 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f end",
    "marks": "e\u0301\u0323clair cafe\u0301s n\u0303 ﬁne ½ Å",
}


def letters(text: str) -> list[tuple[int, int]]:
    """What a person sees as letters, by the rules of Unicode."""
    return [match.span() for match in regex.finditer(r"\X", text)]


@pytest.mark.parametrize("script", SCRIPTS)
def test_tokens_cover_whole_letters_of_every_script(encoder: Encoder, script: str) -> None:
    text = SCRIPTS[script]
    tokens = [token for token in all_tokens(encoder, text) if token.kind == "text"]
    bounds = {place for span in letters(text) for place in span}
    assert {place for token in tokens for place in (token.start, token.end)} <= bounds
    covered = {place for token in tokens for place in range(token.start, token.end)}
    assert covered == {place for place, character in enumerate(text) if not character.isspace()}


def all_tokens(encoder: Encoder, text: str) -> list[Token]:
    """The tokens of a text, however many bytes it becomes."""
    tokenizer = encoder.model.tokenizer
    ids = tokenizer(text, truncation=False, verbose=False)["input_ids"]
    return tokens_of(tokenizer, ids, [False] * len(ids), text, "")


@pytest.mark.parametrize("script", SCRIPTS)
def test_words_are_what_stands_between_spaces_where_a_script_has_them(encoder: Encoder, script: str) -> None:
    from apps.text import group_text, segments, word_groups

    text = SCRIPTS[script]
    tokens = all_tokens(encoder, text)
    groups = word_groups(text, tokens)
    shown = [group_text(text, tokens, group) for group in groups if tokens[group[0]].kind == "text"]
    assert "".join(str(piece["text"]) for piece in segments(text, tokens, groups)) == text
    assert not any(character.isspace() for word in shown for character in word)
    unknown = any(token.text == "<unk>" for token in tokens)  # one token may then be a whole line
    if script in ("Korean", "Arabic", "Hindi", "Vietnamese", "marks") and not unknown:
        expected = [word for piece in text.split() for word in regex.split(r"([،,½])", piece) if word]
        assert [word for word in shown if word] == expected
    if script in ("Chinese", "Japanese", "Thai"):  # no spaces: no token is joined with the next
        assert len(shown) == len({(token.start, token.end) for token in tokens if token.end > token.start})
    if script == "emoji":
        assert "👩‍👩‍👧" in "".join(shown)
        assert all(word in text for word in shown)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_mixture_of_scripts_is_covered_letter_by_letter(data: st.DataObject) -> None:
    pieces = st.sampled_from([*"".join(SCRIPTS.values()), " ", "\n", "the", "clocks"])
    text = "".join(data.draw(st.lists(pieces, min_size=1, max_size=24)))
    tokenizer = tokenizer_of(data.draw(st.sampled_from(["bytes", "fallback"])))
    ids = tokenizer(text, truncation=False, verbose=False)["input_ids"]
    tokens = [token for token in tokens_of(tokenizer, ids, [False] * len(ids), text, "") if token.kind == "text"]
    covered = {place for token in tokens for place in range(token.start, token.end)}
    assert covered >= {place for place, character in enumerate(text) if not character.isspace()}
    starts = [span[0] for span in letters(text) if not text[span[0]].isspace()]
    ends = [span[1] for span in letters(text)]
    for token in tokens:
        if token.end > token.start:
            assert token.end in ends
            assert token.start in starts or text[token.start - 1].isspace()
    assert [token.start for token in tokens] == sorted(token.start for token in tokens)
