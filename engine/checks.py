"""Checks of plain values that several parts share."""

from __future__ import annotations

from engine.errors import InputError

MOST = 2**63 - 1  # what a record, and an array, holds
MOST_OF = {"seed": 2**32 - 1}  # what every random generator takes


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
