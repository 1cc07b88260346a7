"""What the search page draws, as JSON values: results and explanations, prepared without a browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.text import group_text, read_until, segments, visible, word_groups
from engine.explain import Alignment
from engine.tokens import Token

SNIPPET = 190  # characters


def units(text: str, tokens: Sequence[Token], groups: Sequence[Sequence[int]], whole: bool) -> list[dict[str, str]]:
    """Name and kind of each shown unit: the tokenizer's own name for a piece, the text's characters for a word."""
    return [
        {"text": group_text(text, tokens, group) if whole else visible(tokens[group[0]].text),
         "kind": tokens[group[0]].kind}
        for group in groups
    ]  # fmt: skip


def level(question: str, text: str, alignment: Alignment, whole: bool) -> dict[str, Any]:
    """One way to look at a pair: by word piece, or by whole word.

    A word's contribution is the sum over its pieces, so contributions add up to the score on both levels. A cell of
    the word matrix is the mean, over the pieces of the query word, of the best similarity within the document word.

    Args:
        question: The query.
        text: The document.
        alignment: Their alignment, q by d.
        whole: Words when true, pieces when false.

    Returns:
        "query" and "document" units, "segments" of the text, "similarity" [Q][D], "best" (document units that the
        maxima of each query unit lie in) and "contribution" [Q].
    """
    query, document = alignment.query_tokens, alignment.document_tokens
    rows = word_groups(question, query) if whole else [[i] for i in range(len(query))]
    columns = word_groups(text, document) if whole else [[i] for i in range(len(document))]
    owner = np.empty(len(document), np.int64)
    for number, group in enumerate(columns):
        owner[group] = number
    starts = [group[0] for group in columns]
    cells = np.maximum.reduceat(alignment.similarity, starts, axis=1) if starts else alignment.similarity
    similarity = np.stack([cells[group].mean(axis=0) for group in rows]) if rows else cells
    return {
        "query": units(question, query, rows, whole),
        "document": units(text, document, columns, whole),
        "segments": segments(text, document, columns),
        "similarity": rounded(similarity, 4),
        "best": [sorted({int(owner[alignment.best[i]]) for i in group}) for group in rows],
        "contribution": rounded([alignment.contribution[group].sum() for group in rows], 6),
    }


def explanation(question: str, name: str, title: str, text: str, alignment: Alignment) -> dict[str, Any]:
    """Everything that explains one pair.

    Args:
        question: The query.
        name: The document's id, or a caption for a text that has none.
        title: Its title, or nothing.
        text: The document.
        alignment: How the score of the two comes about.

    Returns:
        JSON values: both levels, the score, and how many characters of how many the model read.
    """
    return {
        "question": visible(question),
        "id": name,
        "title": visible(title),
        "score": round(float(alignment.score), 6),
        "read": read_until(alignment.document_tokens),
        "length": len(text),
        "text": visible(text),
        "pieces": level(question, text, alignment, whole=False),
        "words": level(question, text, alignment, whole=True),
    }


def snippet(text: str, tokens: Sequence[Token], weight: np.ndarray) -> list[dict[str, Any]]:
    """The stretch of a document that its score comes from, cut at tokens.

    Args:
        text: The document.
        tokens: d tokens.
        weight: float32 [d], what each token contributes to the score.

    Returns:
        Dictionaries with "text" and "weight" (0 between tokens), an ellipsis where the text goes on.
    """
    placed = [i for i, token in enumerate(tokens) if token.start >= 0]
    if not placed:
        return [{"text": visible(text[:SNIPPET]), "weight": 0}]
    first = _window(text, tokens, placed, weight)
    start = tokens[first].start
    start, stop = (0 if start < SNIPPET // 3 else start), min(start + SNIPPET, len(text))
    inside = [i for i in placed if tokens[i].start >= start and tokens[i].end <= stop]
    parts: list[dict[str, Any]] = [{"text": "… ", "weight": 0}] if start else []
    shifted = [Token(tokens[i].text, tokens[i].start - start, tokens[i].end - start, "text") for i in inside]
    for piece in segments(text[start:stop], shifted, [[i] for i in range(len(shifted))]):
        numbers: Any = piece["units"]
        parts.append({"text": piece["text"], "weight": round(float(sum(weight[inside[i]] for i in numbers)), 3)})
    return [*parts, {"text": " …", "weight": 0}] if stop < len(text) else parts


def _window(text: str, tokens: Sequence[Token], placed: list[int], weight: np.ndarray) -> int:
    """The token to begin a snippet at, a word's first: where most of the score falls within its length."""
    best, found, stop, total = -1.0, placed[0], 0, 0.0
    for begin in range(len(placed)):
        while stop < len(placed) and tokens[placed[stop]].end <= tokens[placed[begin]].start + SNIPPET:
            total += float(weight[placed[stop]])
            stop += 1
        start = tokens[placed[begin]].start
        if total > best + 1e-6 and (start == 0 or text[start - 1].isspace()):
            best, found = total, placed[begin]
        total -= float(weight[placed[begin]])
    return found


def matched(alignment: Alignment) -> np.ndarray:
    """float32 [d]: the part of the score that each document token is the best match for."""
    return np.bincount(
        alignment.best, weights=alignment.contribution, minlength=len(alignment.document_tokens)
    ).astype(np.float32)  # fmt: skip


def rounded(values: Any, digits: int) -> Any:
    """Nested lists of ordinary floats."""
    return np.round(np.asarray(values, np.float64), digits).tolist()
