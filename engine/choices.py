"""A name with choices behind it, such as "folder?split=dev&passages=200:40": one text for records and commands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from engine.errors import InputError


def split_choices(text: str, known: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Take a name and its choices apart.

    Args:
        text: What a person or a record wrote.
        known: Names of the choices; a text that ends with anything else is a name as a whole.

    Returns:
        The name, and the choices that it makes.

    Raises:
        InputError: it makes one twice.
    """
    one = f"(?:{'|'.join(known)})=[^&?]+"
    found = re.fullmatch(rf"(?s)(?P<name>.+)\?(?P<choices>{one}(?:&{one})*)", text)
    if found is None:
        return text, {}
    parts = [part.partition("=") for part in found["choices"].split("&")]
    choices = {choice: value for choice, _, value in parts}
    if len(choices) < len(parts):
        raise InputError(f"{text} names the same choice twice: keep one of them.")
    return found["name"], choices


def join_choices(name: str, choices: Mapping[str, object]) -> str:
    """The text that `split_choices` takes apart; a choice that is None is left out."""
    made = "&".join(f"{choice}={value}" for choice, value in choices.items() if value is not None)
    return name + (f"?{made}" if made else "")


def check_open(name: object, choice: str, named: object, value: object) -> None:
    """Refuse a value for a choice that a name has made otherwise.

    Raises:
        InputError: it has.
    """
    if value is not None and named not in (None, value):
        raise InputError(f"{name} names the {choice} {str(named)!r}, the argument {str(value)!r}: give one of them.")
