"""What the search page draws, as JSON values: results and explanations, prepared without a browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.long_records import matches, overview
from apps.text import group_text, read_until, segments, visible, word_groups
from engine.explain import Alignment, Stretch, excerpt, held_by, is_long, stretches
from engine.tokens import Token

SNIPPET = 190  # characters
LONGEST_TEXT = 20_000  # characters that can be edited


def units(text: str, tokens: Sequence[Token], groups: Sequence[Sequence[int]], whole: bool) -> list[dict[str, str]]:
    """Name and kind of each shown unit: the tokenizer's own name for a piece, the text's characters for a word."""
    return [
        {"text": group_text(text, tokens, group) if whole else visible(tokens[group[0]].text),
         "kind": tokens[group[0]].kind}
        for group in groups
    ]  # fmt: skip


def level(
    question: str, text: str, alignment: Alignment, whole: bool, parts: Sequence[Stretch] = (), number: int = 0
) -> dict[str, Any]:
    """One way to look at a pair: by word piece, or by whole word.

    A word's contribution is the sum over its pieces, so contributions add up to the score on both levels. A cell of
    the word matrix is the mean, over the pieces of the query word, of the best similarity within the document word.

    Args:
        question: The query.
        text: The document.
        alignment: Their alignment, q by d.
        whole: Words when true, pieces when false.
        parts: The passages of a long document, of which one is shown; contributions are those of all of it.
        number: Which one.

    Returns:
        "query" and "document" units, "segments" of the text, "similarity" [Q][D], "best" (document units that the
        maxima of each query unit lie in) and "contribution" [Q]; of a long document what `matches` says, too.
    """
    part, shown = alignment, text
    if parts:
        part, shown = excerpt(alignment, parts[number]), text[parts[number].start : parts[number].end]
    query, document = part.query_tokens, part.document_tokens
    rows = word_groups(question, query) if whole else [[i] for i in range(len(query))]
    columns = word_groups(shown, document) if whole else [[i] for i in range(len(document))]
    owner = np.empty(len(document), np.int64)
    for unit, group in enumerate(columns):
        owner[group] = unit
    starts = [group[0] for group in columns]
    cells = np.maximum.reduceat(part.similarity, starts, axis=1) if starts else part.similarity
    similarity = np.stack([cells[group].mean(axis=0) for group in rows]) if rows else cells
    found = {
        "query": units(question, query, rows, whole),
        "document": units(shown, document, columns, whole),
        "segments": segments(shown, document, columns),
        "similarity": rounded(similarity, 4),
        "best": [sorted({int(owner[part.best[i]]) for i in group if part.best[i] >= 0}) for group in rows],
        "contribution": rounded([alignment.contribution[group].sum() for group in rows], 6),
    }
    return {**found, **matches(alignment, text, parts, rows, whole)} if parts else found


def explanation(
    question: str, name: str, title: str, text: str, alignment: Alignment, wanted: int | None = None
) -> dict[str, Any]:
    """Everything that explains one pair; of a long document an overview, and one passage of it in full.

    Args:
        question: The query.
        name: The document's id, or a caption for a text that has none.
        title: Its title, or nothing.
        text: The document.
        alignment: How the score of the two comes about.
        wanted: Number of the passage that is shown of a long document; None is the one that most of the score is from.

    Returns:
        JSON values: both levels, the score, how many characters of how many the model read, "text" (empty where it is
        longer than what can be edited), and "passages" of a long document, else null.
    """
    parts = stretches(alignment) if is_long(alignment) else []
    seen = overview(alignment, text, parts, wanted) if parts else None
    shown: Any = {} if seen is None else {"parts": parts, "number": seen["number"]}
    return {
        "question": visible(question),
        "id": name,
        "title": visible(title),
        "score": round(float(alignment.score), 6),
        "read": read_until(alignment.document_tokens),
        "length": len(text),
        "text": visible(text) if len(text) <= LONGEST_TEXT else "",
        "passages": seen,
        "pieces": level(question, text, alignment, whole=False, **shown),
        "words": level(question, text, alignment, whole=True, **shown),
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
    placed, weights = [i for i, token in enumerate(tokens) if token.start >= 0], weight.tolist()
    if not placed:
        return [{"text": visible(text[:SNIPPET]), "weight": 0}]
    first = _window(text, tokens, placed, weights)
    start = tokens[first].start
    start, stop = (0 if start < SNIPPET // 3 else start), min(start + SNIPPET, len(text))
    inside = [i for i in placed if tokens[i].start >= start and tokens[i].end <= stop]
    parts: list[dict[str, Any]] = [{"text": "… ", "weight": 0}] if start else []
    shifted = [Token(tokens[i].text, tokens[i].start - start, tokens[i].end - start, "text") for i in inside]
    for piece in segments(text[start:stop], shifted, [[i] for i in range(len(shifted))]):
        numbers: Any = piece["units"]
        parts.append({"text": piece["text"], "weight": round(sum(weights[inside[i]] for i in numbers), 3)})
    return [*parts, {"text": " …", "weight": 0}] if stop < len(text) else parts


def _window(text: str, tokens: Sequence[Token], placed: list[int], weight: list[float]) -> int:
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
    return held_by(alignment).astype(np.float32)


def rounded(values: Any, digits: int) -> Any:
    """Nested lists of ordinary floats."""
    return np.round(np.asarray(values, np.float64), digits).tolist()
