"""Which piece of text each token vector stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

TokenKind = Literal["text", "special", "prefix", "expansion"]


@dataclass(frozen=True)
class Token:
    """One token that has a vector.

    Args:
        text: The token as the tokenizer writes it, such as "##ing".
        start: First character in the caller's text, or -1 for a token that is not in it.
        end: One past the last character, or -1.
        kind: "text", or what the model added: "special" ([CLS]), "prefix" ([Q]), "expansion" ([MASK] padding).
    """

    text: str
    start: int
    end: int
    kind: TokenKind

    def __str__(self) -> str:
        return self.text


def tokens_of(tokenizer: Any, ids: list[int], expansion: list[bool], text: str, prompt: str) -> list[Token]:
    """Name the tokens of one encoded text and find their characters.

    Args:
        tokenizer: The model's tokenizer (a fast one gives character spans, a slow one gives none).
        ids: Token ids of the encoded text, padding removed, in order.
        expansion: True where the model expanded the query.
        text: The caller's text.
        prompt: What the model put in front of it.

    Returns:
        One token an id.
    """
    spans = _spans(tokenizer, ids, prompt + text)
    special = set(tokenizer.all_special_ids)
    tokens = []
    for position, (name, number) in enumerate(zip(tokenizer.convert_ids_to_tokens(ids), ids, strict=True)):
        start, end = spans[position]
        kind: TokenKind = "text"
        if expansion[position]:
            kind, start, end = "expansion", -1, -1
        elif prompt and start >= 0 and end <= len(prompt) and end > start:
            kind, start, end = "prefix", -1, -1
        elif number in special or end <= start:
            kind, start, end = "special", -1, -1
        else:
            start, end = max(start - len(prompt), 0), end - len(prompt)
        tokens.append(Token(name, start, end, kind))
    return tokens


def _spans(tokenizer: Any, ids: list[int], text: str) -> list[tuple[int, int]]:
    """Character span of each id in `text`; (-1, -1) from the first id on that the tokenizer alone would not give."""
    none = (-1, -1)
    if not getattr(tokenizer, "is_fast", False):
        return [none] * len(ids)
    encoded = tokenizer(text, return_offsets_mapping=True, truncation=False, verbose=False)
    spans = []
    for number, expected, span in zip(ids, encoded["input_ids"], encoded["offset_mapping"], strict=False):
        if number != expected:
            break
        spans.append((int(span[0]), int(span[1])))
    return spans + [none] * (len(ids) - len(spans))
