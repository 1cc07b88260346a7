"""What letters are: those that no tokenizer takes, what a person sees as one, and scripts that write without spaces."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import regex

from engine.errors import InputError

_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_COMPOSED = re.compile("[\r\u0300-\U0010ffff]")  # what a letter of several characters has at least one of
_CLUSTER = regex.compile(r"\X")  # extended grapheme clusters of Unicode, UAX 29
_OF_A_LETTER = regex.compile(r"[\p{L}\p{N}][\p{M}\u200c\u200d]*\Z")
# Scripts that write without spaces: Thai, Lao, Burmese, Khmer, Chinese, Japanese, Yi. A letter is as good as a word.
SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3040-\u312f"
    "\u31a0-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_WITHOUT_SPACES = re.compile(f"[{SPACELESS}]")


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


def letter_starts(text: str) -> list[int] | None:
    """Where each letter begins as a person sees it: with its accents, an emoji with all of its parts.

    Args:
        text: Any text.

    Returns:
        The first character of each extended grapheme cluster, and the length of the text; None where every character
        is one.
    """
    if not _COMPOSED.search(text):
        return None
    return [*(match.start() for match in _CLUSTER.finditer(text)), len(text)]


def whole_letters(start: int, end: int, starts: Sequence[int], text: str) -> tuple[int, int]:
    """A span widened to the letters that it lies in; a space that an accent stands on stays outside.

    Args:
        start: First character.
        end: One past the last; equal to `start` for a span of nothing, which goes to the beginning of its letter.
        starts: From `letter_starts`.
        text: The text.

    Returns:
        The span.
    """
    first = starts[bisect_right(starts, start) - 1]
    if end <= start:
        return first, first
    first = min(first + 1, start) if text[first].isspace() else first
    return first, starts[bisect_left(starts, end)]


def within_a_word(text: str, place: int) -> bool:
    """Whether a word goes on over a place between two characters, in a script that writes spaces between words."""
    right = text[place : place + 1]
    if not right.isalnum() or _WITHOUT_SPACES.match(right):
        return False
    left = _OF_A_LETTER.search(text, max(place - 16, 0), place)
    return left is not None and not _WITHOUT_SPACES.match(left.group())
