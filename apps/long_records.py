"""What the search page draws of a long document: an overview by passage, and one passage in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.text import group_text, visible, word_groups
from engine.explain import Alignment, Stretch, most_telling

SHOWN = 5  # passages that carry most of the score
SNIPPET = 150  # characters


def overview(alignment: Alignment, text: str, parts: Sequence[Stretch], wanted: int | None) -> dict[str, Any]:
    """Where in a long document its score comes from.

    Args:
        alignment: How the score comes about.
        text: The document.
        parts: Its stretches.
        wanted: The passage that is asked for; another document's number shows the one that most of the score is from.

    Returns:
        "number" of the passage that is shown, "scores" of all passages in the order of the text, the "best" ones (with
        "number", "score" and "text"), "elsewhere" (the part of the score of vectors that stand for no place) and
        "tokens" of the document.
    """
    order = sorted(range(len(parts)), key=lambda number: -parts[number].score)[:SHOWN]
    return {
        "number": wanted if wanted is not None and wanted < len(parts) else most_telling(parts),
        "scores": [round(part.score, 5) for part in parts],
        "best": [
            {"number": number, "score": round(parts[number].score, 5), "text": _beginning(text, parts[number])}
            for number in order if parts[number].score > 0
        ],
        "elsewhere": round(alignment.score - sum(part.score for part in parts), 5),
        "tokens": len(alignment.document_tokens),
    }  # fmt: skip


def _beginning(text: str, part: Stretch) -> str:
    short = " ".join(text[part.start : part.end].split())
    return visible(short if len(short) <= SNIPPET else short[: SNIPPET - 1].rstrip() + "…")


def matches(
    alignment: Alignment, text: str, parts: Sequence[Stretch], rows: Sequence[Sequence[int]], words: bool
) -> dict[str, Any]:
    """What each shown query unit matches best in the whole document, wherever that stands.

    Args:
        alignment: How the score comes about.
        text: The document.
        parts: Its stretches.
        rows: Query tokens of each unit.
        words: Whether whole words are named, not pieces.

    Returns:
        "match" [Q], names of the matches; "home" [Q], number of the passage that the first of them stands in, or -1;
        and "tokens" of the document.
    """
    tokens = alignment.document_tokens
    place = np.full(len(tokens), -1)
    for number in reversed(range(len(parts))):
        place[parts[number].columns] = number
    owner: dict[int, list[int]] = {}
    if words:
        owner = {position: group for group in word_groups(text, tokens) for position in group}

    def name(column: int) -> str:
        return group_text(text, tokens, owner[column]) if words else visible(tokens[column].text)

    found = [[int(alignment.best[i]) for i in group] for group in rows]
    return {
        "match": [", ".join(dict.fromkeys(name(column) for column in columns)) for columns in found],
        "home": [int(place[columns[0]]) for columns in found],
        "tokens": len(tokens),
    }
