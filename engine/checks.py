"""Checks of plain values that several parts share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from engine.errors import InputError

MOST = 2**63 - 1  # what a record, and an array, holds
MOST_OF = {
    "seed": 2**32 - 1,  # what every random generator takes
    "shards": 10_000,  # each is a folder, and has its list of documents in memory
}


def require_known(given: Iterable[str], known: Iterable[str], whose: str) -> None:
    """Refuse names that there are not.

    Args:
        given: The names that came.
        known: Those that there are.
        whose: Whose they are, to begin the sentence: "The stage 'bm25'".

    Raises:
        InputError: an unknown name; the sentence lists the known ones.
    """
    there = list(known)
    unknown = next((name for name in given if name not in there), None)
    if unknown is not None:
        raise InputError(f"{whose} has no option {unknown!r}: it knows {', '.join(there)}.")


def meant(name: str, known: Iterable[str], otherwise: str) -> str:
    """What to do about an unknown name: the closest known one, or what else to say."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else otherwise


def changed_fields(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not at their defaults, in the order of their declaration."""
    values = {entry.name: (getattr(settings, entry.name), entry.default) for entry in fields(settings)}
    return {name: value for name, (value, default) in values.items() if value != default}


def require_whole(name: str, value: object, least: int = 1) -> None:
    """Refuse what is no whole number in a range that records and random generators hold.

    Args:
        name: What it is, for the sentence.
        value: What came.
        least: The smallest that is possible.

    Raises:
        InputError: true, false, a fraction, another type, or out of the range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"Expected {name} as a whole number of {least} or more, got {value!r}: change it.")
    most = MOST_OF.get(name, MOST)
    if value > most:
        raise InputError(f"Expected {name} as a whole number of {most} at most, got a larger one: lower it.")
