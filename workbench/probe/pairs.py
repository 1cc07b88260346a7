"""The minimal pairs of this project, and those of a person's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError
from engine.reading.rows import Table, read_table
from engine.shipped import shipped

PAIRS = shipped("assets") / "minimal_pairs.jsonl"
NEEDED = ("question", "right", "wrong")
UNNAMED = "own pairs"
LONGEST = 10_000  # characters of a text


@dataclass(frozen=True)
class MinimalPair:
    """A question and two texts that differ in little, of which one answers it.

    Args:
        phenomenon: What they differ in, such as "negation".
        question: The question.
        right: The text that answers it.
        wrong: The text that looks alike and does not.
        mirror: A question that the wrong text answers and the right one does not; empty where there is none.
    """

    phenomenon: str
    question: str
    right: str
    wrong: str
    mirror: str = ""


def own_pairs() -> list[MinimalPair]:
    """The pairs that were written for this project, each with its mirror."""
    return read_pairs(PAIRS)


def read_pairs(path: Path) -> list[MinimalPair]:
    """Read pairs from a table: columns question, right and wrong, and phenomenon and mirror where there are any.

    Args:
        path: A .jsonl, .json, .csv, .tsv or .parquet file.

    Returns:
        The pairs, in the order of the file.

    Raises:
        NotFoundError: there is no such file.
        InputError: another format, no rows, a text that is missing, too long or no text, or two equal texts; the
            sentence names the line.
    """
    table = read_table(path, (*NEEDED, "phenomenon", "mirror"))
    if not table.rows:
        raise InputError(f"{path} holds no pairs: give rows with {', '.join(NEEDED)}.")
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        raise InputError(
            f"Expected the columns {', '.join(NEEDED)} in {path}, got {', '.join(table.columns)}: add "
            f"{', '.join(missing)}."
        )
    return [_pair(table, position) for position in range(len(table.rows))]


def _pair(table: Table, position: int) -> MinimalPair:
    row, where = table.rows[position], table.where(position)
    texts = {name: _text(row.get(name), name, where) for name in ("phenomenon", *NEEDED, "mirror")}
    for name in NEEDED:
        if not texts[name]:
            raise InputError(f"{where} has no {name}: a pair needs {', '.join(NEEDED)}.")
    if texts["right"] == texts["wrong"]:
        raise InputError(f"{where} has the same text as right and as wrong: no model can tell them apart.")
    return MinimalPair(**{**texts, "phenomenon": texts["phenomenon"] or UNNAMED})


def _text(value: object, name: str, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{where} has {str(value)[:40]!r} as {name}: give a text.")
    if len(value) > LONGEST:
        raise InputError(f"{where} has {len(value):,} characters as {name}: give at most {LONGEST:,}.")
    return value.strip()


def phenomena(pairs: Sequence[MinimalPair]) -> list[str]:
    """Names of the phenomena, in the order in which they first come."""
    return list(dict.fromkeys(pair.phenomenon for pair in pairs))
