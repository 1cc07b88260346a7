"""Pairs made of documents alone: the first sentence asks, the rest answers."""

from __future__ import annotations

import re
from dataclasses import replace

from engine.collection import Collection
from engine.errors import InputError
from engine.training.data import TrainingData, read_training_data

FEWEST_ASKED, FEWEST_ANSWER = 4, 6  # words
MOST_ASKED = 40
LONGEST_NAME = 80  # characters of what stands before the first ": "
_END = re.compile(r"(?<=[.!?])\s+")


def document_pairs(collection: Collection) -> TrainingData:
    """Make a pair of each document that has more than one sentence; no question of the collection is looked at.

    A name in front of the first sentence, as in "shutil.copy: Copy a file. ...", stays with the answer.

    Args:
        collection: Its documents are trained on, its questions and judgements are not.

    Returns:
        One row a document.

    Raises:
        InputError: no document can be cut.

    Source:
        The inverse cloze task: Lee, Chang and Toutanova, 2019, with the first sentence instead of a random one.
    """
    rows = [pair for text in collection.documents.values() if (pair := cut(text)) is not None]
    if len(rows) < 2:
        raise InputError(
            f"Expected documents of two sentences in {collection.name!r}, got {len(rows)}: give pairs in a file."
        )
    return replace(read_training_data(rows), name=f"{collection.name}, first sentences")


def cut(text: str) -> dict[str, str] | None:
    """A document's first sentence as a question and the rest as its answer; None where one of them is too short."""
    name, colon, body = text.partition(": ")
    if not colon or len(name) > LONGEST_NAME or _END.search(name):
        name, body = "", text
    first, *rest = _END.split(body.strip(), maxsplit=1)
    if not rest or not FEWEST_ASKED <= len(first.split()) <= MOST_ASKED or len(rest[0].split()) < FEWEST_ANSWER:
        return None
    return {"query": first.rstrip(".!? "), "positive": f"{name}: {rest[0]}" if name else rest[0]}
