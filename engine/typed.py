"""Values as people type them on a command line or in a file of settings."""

from __future__ import annotations

import json
from typing import Any

from engine.errors import InputError


def yaml_value(text: str) -> Any:
    """A value in YAML; numbers such as 1e-5, which YAML takes for texts, are numbers.

    Raises:
        InputError: it is no YAML.
    """
    import yaml

    try:
        return number_or_same(yaml.safe_load(text))
    except (yaml.YAMLError, RecursionError):
        raise InputError(f"Expected a value in YAML, such as 2, 1e-5 or [1, 2], got {text!r}: correct it.") from None


def number_or_same(value: Any) -> Any:
    """A text that is a number as that number, in lists too; anything else as it is."""
    if isinstance(value, list):
        return [number_or_same(entry) for entry in value]
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def json_or_text(word: str) -> Any:
    """A word in JSON, or the word itself where it is none."""
    try:
        return json.loads(word)
    except (ValueError, RecursionError):
        return word.strip()
