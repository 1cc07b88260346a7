"""Cells as texts, and columns by the names that people give them: one rule for every reader."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from engine.errors import InputError

ID_COLUMNS = ("_id", "id", "doc_id", "docid", "docno", "document_id", "corpus_id", "pid", "query_id", "qid")
TEXT_COLUMNS = ("text", "contents", "content", "body", "passage", "document", "abstract")
TITLE_COLUMNS = ("title", "headline", "subject")
QUERY_TEXT_COLUMNS = ("text", "query", "question", "query_text", "contents", "title")

WRITTEN = (datetime.date, datetime.time, Decimal, UUID)  # what has one usual way to be written
MOST_NAMED = 12  # columns in a sentence


def as_text(value: Any, what: str, where: str) -> str | None:
    """A cell as text: a number is the text that it is written as, whole ones without a point.

    Args:
        value: The cell.
        what: What it should be, for the sentence.
        where: File and line, for the sentence.

    Returns:
        The text as it is, or None for what is not there (null, NaN).

    Raises:
        InputError: true, false, a list or an object.
    """
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "item") and not isinstance(value, (list, dict)):
        try:
            value = value.item()  # a scalar of NumPy
        except (ValueError, TypeError, RuntimeError):
            value = [value]  # of several values: refused below
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            raise InputError(f"{where} holds an infinite number where a text belongs ({what}): write one text.")
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return str(value)
        except ValueError:  # more digits than Python writes out
            raise InputError(f"{where} has a number of too many digits as {what}: write it as text.") from None
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, WRITTEN):
        return str(value)
    kinds = {bool: str(value).lower() if isinstance(value, bool) else "", dict: "an object", list: "a list"}
    named = kinds.get(type(value), f"a value of the type {type(value).__name__}")
    raise InputError(f"{where} holds {named} where a text belongs ({what}): write one text.")


def plain_name(column: str) -> str:
    """A column's name as it is compared: small letters, underscores, no spaces around."""
    return column.strip().lower().replace("-", "_").replace(" ", "_")


def find_column(columns: Iterable[str], usual: Iterable[str]) -> str | None:
    """The first usual name that is there, whatever its case; the column's own spelling is returned."""
    spelled: dict[str, str] = {}
    for column in columns:
        spelled.setdefault(plain_name(column), column)
    return next((spelled[name] for name in usual if name in spelled), None)


def asked_column(columns: Iterable[str], asked: str, source: str) -> str:
    """The column that a person named.

    Raises:
        InputError: there is none of that name.
    """
    found = list(columns)
    if asked in found:
        return asked
    other = find_column(found, [plain_name(asked)])
    if other is None:
        raise InputError(f"{source} has no column {asked!r}, it has {listed(found)}: name one of these.")
    return other


def listed(columns: Iterable[str]) -> str:
    """The first columns as a list for a sentence."""
    names = list(columns)
    return str(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def cell_of(row: Mapping[str, Any], column: str | None, usual: Iterable[str] = ()) -> Any:
    """The row's cell in a column, or in the first of the usual ones where the row lacks the column; else None."""
    if column is None or column in row:
        return None if column is None else row[column]
    other = find_column(row, usual)
    return None if other is None else row[other]
