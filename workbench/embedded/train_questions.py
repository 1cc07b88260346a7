"""Questions to train on for the embedded collection; none of them shares an answer with its judged questions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import CorruptDataError
from workbench.embedded.documentation import ASSETS

if TYPE_CHECKING:
    from engine import Collection
    from engine.training import TrainingData

FILE = ASSETS / "train-questions.jsonl"
FEWEST = 50  # documents of the collection that are asked for; with fewer it is another collection, or a small part


def count(collection: Collection) -> int:
    """How many training questions a collection has that is the embedded one, or a part of it; 0 for others."""
    return len(_rows(collection))


def train_questions(collection: Collection) -> TrainingData | None:
    """The training questions of the embedded collection, each with the document that answers it.

    Args:
        collection: Any.

    Returns:
        A row a question whose document this installation has; None where `count` says 0.

    Raises:
        CorruptDataError: the questions cannot be read.
    """
    from engine.training import read_training_data

    rows = _rows(collection)
    return replace(read_training_data(rows), name=f"{collection.name}, training questions") if rows else None


def _rows(collection: Collection, path: Path = FILE) -> list[dict[str, str]]:
    if collection.name.partition(",")[0] != "embedded":
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        pairs = [(line["text"], collection.documents.get(line["document"])) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptDataError(f"Expected questions in {path.name}, got {error!r}: reinstall the project.") from error
    rows = [{"query": question, "positive": answer} for question, answer in pairs if answer is not None]
    return rows if len(rows) >= FEWEST else []
