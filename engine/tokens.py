"""Which piece of text each token vector stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from engine.letters import letter_starts, whole_letters

TokenKind = Literal["text", "special", "prefix", "expansion", "whole", "merged"]
Span = tuple[int, int]

NOWHERE: Span = (-1, -1)
SPACE_MARKS = "▁Ġ"  # how SentencePiece and byte-level tokenizers write a space


@dataclass(frozen=True)
class Token:
    """One token that has a vector, or several that the model merged into one.

    Args:
        text: The token as the tokenizer writes it, such as "##ing".
        start: First character in the caller's text, or -1 for a token that is not in it or was merged.
        end: One past the last character, or -1; equal to `start` for a tokenizer's mark of a space before `start`.
        kind: "text"; what the model added: "special" ([CLS]), "prefix" ([Q]), "expansion" ([MASK] padding),
            "whole" (a vector of the whole text, such as its mean); or "merged".
        parts: The tokens that were merged, in the order of the text; empty for a single token.
    """

    text: str
    start: int
    end: int
    kind: TokenKind
    parts: tuple[Token, ...] = ()

    def __str__(self) -> str:
        return self.text


def merged(parts: Sequence[Token]) -> Token:
    """One token for the vector that several share; a group of one stays what it is.

    Args:
        parts: At least one token, in the order of the text.

    Returns:
        The token itself, or one of kind "merged".
    """
    if len(parts) == 1:
        return parts[0]
    return Token(" + ".join(part.text for part in parts), -1, -1, "merged", tuple(parts))


def single_tokens(tokens: Sequence[Token]) -> list[tuple[int, Token]]:
    """The tokens behind vectors, merged ones taken apart.

    Args:
        tokens: One a vector.

    Returns:
        Position of the vector and token, in the order of the text; tokens that are not in it come first.
    """
    apart = [(position, part) for position, token in enumerate(tokens) for part in token.parts or (token,)]
    return sorted(apart, key=lambda item: (item[1].start, item[1].end))


def tokens_of(tokenizer: Any, ids: list[int], expansion: list[bool], text: str, prompt: str) -> list[Token]:
    """Name the tokens of one encoded text and find their characters.

    Args:
        tokenizer: The model's tokenizer (a fast one gives character spans; for a slow one they are looked up by name).
        ids: Token ids of the encoded text, padding removed, in order.
        expansion: True where the model expanded the query.
        text: The caller's text.
        prompt: What the model put in front of it.

    Returns:
        One token an id.
    """
    names = [str(name) for name in tokenizer.convert_ids_to_tokens(ids)]
    own = [position for position, added in enumerate(expansion) if not added]
    spans = [NOWHERE] * len(ids)
    find = _fast_spans if getattr(tokenizer, "is_fast", False) else _named_spans
    for position, span in zip(own, find(tokenizer, [ids[i] for i in own], prompt + text, text), strict=True):
        spans[position] = span
    within = [start >= 0 and (end > len(prompt) or start >= len(prompt)) for start, end in spans]
    first = within.index(True) if any(within) else len(ids)
    special = set(tokenizer.all_special_ids) - {getattr(tokenizer, "unk_token_id", None)}  # an unknown word is text
    tokens = []
    for position, (name, (start, end)) in enumerate(zip(names, spans, strict=True)):
        kind: TokenKind = "special"
        if expansion[position]:
            kind = "expansion"
        elif within[position]:
            kind = "text"
        elif start >= 0 or (position < first < len(ids) and ids[position] not in special):
            kind = "prefix"  # of the prompt, or of a processor that writes before the text
        place = _trimmed(name, start - len(prompt), end - len(prompt), text) if kind == "text" else NOWHERE
        tokens.append(Token(name, *place, kind))
    return _of_whole_letters(tokens, text)


def _fast_spans(tokenizer: Any, ids: list[int], whole: str, text: str) -> list[Span]:
    """Characters of each id in `whole`, NOWHERE for ids that do not come from it."""
    offset = len(whole) - len(text)
    encoded = tokenizer(whole, return_offsets_mapping=True, truncation=True, max_length=len(ids), verbose=False)
    if encoded["input_ids"] == ids:
        sides = encoded.sequence_ids(0)
        spans = zip(encoded["offset_mapping"], sides, strict=True)
        return [NOWHERE if side is None else (int(span[0]), int(span[1])) for span, side in spans]
    best, shift, found = 0, 0, (0, 0, {})
    for before in (offset, 0, -1):  # behind the prompt, alone, behind a space: as some processor may write it
        written = whole if before == offset and offset else (" " * -before + text)
        encoded = tokenizer(
            written, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
        )
        at, of, length = _last_longest(ids, encoded["input_ids"])
        if length > best:
            best, shift, found = length, (0 if before == offset else offset + before), (at, of, encoded)
    spans, (at, of, encoded) = [NOWHERE] * len(ids), found
    for step in range(best):
        start, end = encoded["offset_mapping"][of + step]
        spans[at + step] = (max(int(start) + shift, offset if shift else 0), int(end) + shift)
    return spans


def _last_longest(ids: list[int], content: list[int]) -> tuple[int, int, int]:
    """Where the longest run of `content` within `ids` begins in both, and its length; the last one among equals."""
    matcher = SequenceMatcher(None, ids[::-1], content[::-1], autojunk=False)
    at, of, length = matcher.find_longest_match(0, len(ids), 0, len(content))
    return len(ids) - at - length, len(content) - of - length, length


def _named_spans(tokenizer: Any, ids: list[int], whole: str, text: str) -> list[Span]:
    """Characters of each id of a tokenizer that gives none: its name, looked for behind the token before."""
    added = tokenizer.get_special_tokens_mask(ids, already_has_special_tokens=True)
    plain, cursor, spans = whole.lower(), 0, []
    for name, special in zip(tokenizer.convert_ids_to_tokens(ids), added, strict=True):
        surface = str(name).strip(SPACE_MARKS).removeprefix("##").lower()
        place = plain.find(surface, cursor) if surface and not special and len(plain) == len(whole) else -1
        spans.append(NOWHERE if place < 0 else (place, place + len(surface)))
        cursor = max(cursor, spans[-1][1])
    return spans


def _trimmed(name: str, start: int, end: int, text: str) -> Span:
    """A span within the text without the space in front of a word; a mark that is nothing else covers nothing."""
    start = max(start, 0)
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    mark = bool(name) and not name.strip(SPACE_MARKS) and text[start:end] != name
    return (start, start) if mark else (start, end)


def _of_whole_letters(tokens: list[Token], text: str) -> list[Token]:
    """Tokens that cover whole letters: several share one where a tokenizer cut it, or its accents were taken away."""
    starts = letter_starts(text)
    if starts is None:
        return tokens
    return [
        Token(token.text, *whole_letters(token.start, token.end, starts, text), token.kind)
        if token.kind == "text"
        else token
        for token in tokens
    ]
