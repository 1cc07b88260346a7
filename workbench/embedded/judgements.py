"""Read the questions and graded judgements that the project wrote for its embedded collection."""

from __future__ import annotations

import json
from pathlib import Path

from engine.collection import Qrels
from engine.errors import CorruptDataError


def read_questions(path: Path) -> dict[str, str]:
    """Read questions, one JSON object with `_id` and `text` a line.

    Args:
        path: the file.

    Returns:
        Question id to text, in the order of the file.

    Raises:
        CorruptDataError: the file is missing or a line is not such an object.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {row["_id"]: row["text"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptDataError(f"Expected questions in {path.name}, got {error!r}: reinstall the project.") from error


def read_judgements(path: Path) -> Qrels:
    """Read judgements in the BEIR layout: a header, then query id, document id and grade between tabs.

    Args:
        path: the file.

    Returns:
        Question id to document id to grade (2 answers exactly, 1 helps).

    Raises:
        CorruptDataError: the file is missing or a line has another form.
    """
    judged: Qrels = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            query, document, grade = line.split("\t")
            judged.setdefault(query, {})[document] = int(grade)
    except (OSError, ValueError) as error:
        raise CorruptDataError(f"Expected judgements in {path.name}, got {error!r}: reinstall the project.") from error
    return judged
