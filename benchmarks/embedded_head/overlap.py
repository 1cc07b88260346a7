"""Refuse to train on what a model is measured on: near-duplicates of texts, found by the words they share in a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from engine import Collection

WORDS = 8  # in a row; two texts about the same thing seldom share so many, copies share nearly all
SHARE = 0.2  # of a text's runs of words: with more in the collections, the text counts as a near-duplicate


class Seen:
    """The texts of test collections, to hold training rows against.

    Args:
        collections: What models are measured on: texts of documents and queries.

    Source:
        Broder, 1997: resemblance of documents by their shingles.
    """

    def __init__(self, collections: Iterable[Collection]) -> None:
        self._runs: set[int] = set()
        self._whole: set[str] = set()
        for collection in collections:
            for text in (*collection.documents.values(), *collection.queries.values()):
                words = _words(text)
                self._whole.add(" ".join(words))
                self._runs.update(_runs(words))

    def __contains__(self, text: str) -> bool:
        """Whether a text, or much of it, is in the collections."""
        words = _words(text)
        if " ".join(words) in self._whole:
            return True
        runs = _runs(words)
        return bool(runs) and sum(run in self._runs for run in runs) > SHARE * len(runs)

    def sift(self, rows: Sequence[dict[str, str]]) -> tuple[list[dict[str, str]], int]:
        """Leave out rows of which a text is in the collections.

        Args:
            rows: With texts as values.

        Returns:
            The other rows, and how many were left out.
        """
        kept = [row for row in rows if not any(text in self for text in row.values())]
        return kept, len(rows) - len(kept)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _runs(words: Sequence[str]) -> list[int]:
    return [hash(tuple(words[start : start + WORDS])) for start in range(len(words) - WORDS + 1)]
