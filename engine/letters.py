"""What no tokenizer takes in a text, NULs and halves of surrogate pairs: found, and replaced or refused."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.errors import InputError

_UNUSABLE = re.compile("[\0\ud800-\udfff]")


def has_halves(text: str) -> bool:
    """Whether half a surrogate pair stands in the text, as a broken emoji leaves it."""
    if text.isascii():
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def clean(text: str) -> str:
    """The text with U+FFFD where a NUL or half a surrogate pair stands; the very text where there is none."""
    return _UNUSABLE.sub("\ufffd", text) if "\0" in text or has_halves(text) else text


def check_texts(texts: Sequence[str]) -> list[str]:
    """Check what is to be encoded.

    Args:
        texts: Strings of whole letters, none empty.

    Returns:
        The same as a list.

    Raises:
        InputError: anything else; the sentence gives the position.
    """
    if isinstance(texts, str):
        raise InputError("Expected a list of texts, got one string: put it in a list.")
    for position, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"Expected a text at position {position}, got {text!r}: leave it out or fill it.")
        if has_halves(text):
            raise InputError(
                f"Expected whole letters, got half a surrogate pair in the text at position {position}, which begins "
                f"with {clean(text)[:40]!r}: replace it."
            )
    return list(texts)
