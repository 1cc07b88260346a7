"""Text of users and documents, cut into words and segments that a page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import InputError
from engine.letters import within_a_word
from engine.tokens import Token, single_tokens
from workbench.exports import visible


def asked(request: Mapping[str, Any], name: str, default: str = "") -> str:
    """A text that a browser or a program sent.

    Args:
        request: What was sent.
        name: Under which name the text was sent.
        default: For an absent, null or empty one.

    Returns:
        The text.

    Raises:
        InputError: a list, a number or an object where a text belongs.
    """
    value = request.get(name)
    if value is not None and not isinstance(value, str):
        raise InputError(f"Expected {name} as text, got {str(value)[:60]!r}: send a text.")
    return value or default


def word_groups(text: str, tokens: Sequence[Token]) -> list[list[int]]:
    """Join the pieces of a word.

    Args:
        text: What the tokens were cut from.
        tokens: n tokens in order.

    Returns:
        Positions of the tokens of each word, every position once, in order; a token that is not in the text is alone.
    """
    groups: list[list[int]] = []
    for position, token in enumerate(tokens):
        before = tokens[position - 1] if position else None
        if before is not None and before.kind == token.kind == "text" and _joined(text, before, token):
            groups[-1].append(position)
        else:
            groups.append([position])
    return groups


def _joined(text: str, before: Token, token: Token) -> bool:
    if before.start == before.end:  # a tokenizer's mark of a space belongs to the word behind it
        return token.start == before.end
    if before.start <= token.start < before.end:  # several tokens for one letter, as byte-level tokenizers give
        return True
    if token.end <= before.start:  # merged tokens stand in the order of their vectors
        return False
    if token.start < before.end:
        return True
    if token.start > before.end:
        return False
    return within_a_word(text, token.start)


def group_text(text: str, tokens: Sequence[Token], group: Sequence[int]) -> str:
    """The characters of a group as they stand in the text, or the token's own name where it is not in it."""
    first, last = tokens[group[0]], tokens[group[-1]]
    return visible(text[first.start : last.end] if first.start >= 0 else first.text)


def segments(text: str, tokens: Sequence[Token], groups: Sequence[Sequence[int]]) -> list[dict[str, object]]:
    """Cut a text where its tokens begin and end, so that a page never counts characters itself.

    Args:
        text: The text.
        tokens: Its tokens.
        groups: Positions of the tokens that make up each shown unit (one piece, or one word).

    Returns:
        Dictionaries with "text" and "units" (numbers of groups, empty between tokens); joined they are the whole text.
    """
    pieces: list[dict[str, object]] = []
    cursor = 0
    for begin, end, number in _placed(tokens, groups):
        if begin < cursor and pieces:  # shares its characters with the unit before
            pieces[-1]["units"] = [*pieces[-1]["units"], number]  # type: ignore[misc]
        start = max(begin, cursor)
        if start > cursor:
            pieces.append({"text": visible(text[cursor:start]), "units": []})
            cursor = start
        if end > start:
            pieces.append({"text": visible(text[start:end]), "units": [number]})
            cursor = end
    if cursor < len(text):
        pieces.append({"text": visible(text[cursor:]), "units": []})
    return pieces


def _placed(tokens: Sequence[Token], groups: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """Start, end and number of each group that is in the text; of merged tokens each part has its own."""
    found: list[tuple[int, int, int]] = []
    for number, group in enumerate(groups):
        parts = tokens[group[0]].parts
        spans = [(part.start, part.end) for part in parts] or [(tokens[group[0]].start, tokens[group[-1]].end)]
        found += [(start, end, number) for start, end in spans if start >= 0]
    return sorted(found, key=lambda item: item[0]) if any(token.parts for token in tokens) else found


def read_until(tokens: Sequence[Token]) -> int:
    """How many characters of the text the model read: the end of the last token that is in it."""
    return max((token.end for _, token in single_tokens(tokens)), default=0)
