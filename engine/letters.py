"""What no tokenizer takes in a text, NULs and halves of surrogate pairs: found, and replaced."""

from __future__ import annotations

import re

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
