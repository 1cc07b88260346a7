"""Which token matched which: the similarity matrix of a pair, and the contributions that sum to its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.encoder import Encoder
from engine.errors import InputError
from engine.tokens import Token, single_tokens

LONG = 1000  # tokens of a document from which on stretches of it are shown
STRETCH = 128
SENTENCE_ENDS = (".", "!", "?", "。", "！", "？", "؟", "।")


@dataclass(frozen=True, eq=False)
class Alignment:
    """MaxSim of one query and one document, token by token.

    Args:
        query_tokens: q tokens.
        document_tokens: d tokens.
        similarity: float32 [q, d], dot products.
        best: int64 [q], the position of each query token's best document token, the first among equals; in an
            `excerpt` -1 where it stands elsewhere.
        contribution: float32 [q], the similarity at `best`.
        score: The sum of the contributions.
    """

    query_tokens: list[Token]
    document_tokens: list[Token]
    similarity: np.ndarray
    best: np.ndarray
    contribution: np.ndarray
    score: float


def align(
    query: np.ndarray, document: np.ndarray, query_tokens: list[Token], document_tokens: list[Token]
) -> Alignment:
    """Explain a pair from its vectors.

    Args:
        query: [q, dim] float16 or float32.
        document: [d, dim] float16 or float32, d at least 1.
        query_tokens: q tokens.
        document_tokens: d tokens.

    Returns:
        The alignment.

    Raises:
        InputError: one of the two has no vectors.
    """
    if not len(document) or not len(query):
        side = "query" if len(document) else "document"
        raise InputError(
            f"Nothing of this {side} is left to score, since the model scores none of its tokens, so there is nothing "
            "to explain: choose another."
        )
    similarity = query.astype(np.float32) @ document.astype(np.float32).T
    best = similarity.argmax(axis=1)
    contribution = similarity[np.arange(len(best)), best]
    return Alignment(query_tokens, document_tokens, similarity, best, contribution, float(contribution.sum()))


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of a long document, and what of a score comes from it.

    Args:
        start: First character.
        end: One past the last.
        columns: int64, positions of the vectors that stand for its tokens, rising; a merged one may be in several.
        score: The part of the score whose best matches stand here.
    """

    start: int
    end: int
    columns: np.ndarray
    score: float


def is_long(alignment: Alignment) -> bool:
    """Whether a document is too long to be shown token by token: then its stretches are, and one of them in full."""
    return len(alignment.document_tokens) > LONG


def stretches(alignment: Alignment, size: int = STRETCH) -> list[Stretch]:
    """Cut an explained document into stretches, at the end of a sentence or at least of a word where there is one.

    Args:
        alignment: Of any length.
        size: Tokens of a stretch, more or less.

    Returns:
        Stretches in the order of the text; their scores are what `Alignment.score` has of tokens that stand in the
        text. The rest is of vectors that stand for no place, such as special tokens and means.
    """
    placed = [(column, token) for column, token in single_tokens(alignment.document_tokens) if token.start >= 0]
    if not placed:
        return []
    columns = np.array([column for column, _ in placed], np.int64)
    held = held_by(alignment)
    shares = held[columns] / np.bincount(columns, minlength=len(held))[columns]
    ends = _ends([token for _, token in placed], size)
    return [
        Stretch(placed[begin][1].start, placed[end - 1][1].end, np.unique(columns[begin:end]),
                float(shares[begin:end].sum()))
        for begin, end in zip([0, *ends], ends, strict=False)
    ]  # fmt: skip


def most_telling(parts: Sequence[Stretch]) -> int:
    """Number of the stretch that most of the score comes from, the first among equals."""
    return int(np.argmax([part.score for part in parts]))


def excerpt(alignment: Alignment, at: Stretch) -> Alignment:
    """One stretch of a document as if it were all of it; contributions and score stay those of the whole document.

    Args:
        alignment: Of the whole document.
        at: From `stretches`.

    Returns:
        An alignment with the tokens of the stretch only, whose characters are counted from its beginning.
    """
    place = np.full(len(alignment.document_tokens), -1, np.int64)
    place[at.columns] = np.arange(len(at.columns))
    tokens = [_shifted(alignment.document_tokens[column], at) for column in at.columns]
    similarity, best = alignment.similarity[:, at.columns], place[alignment.best]
    return replace(alignment, document_tokens=tokens, similarity=similarity, best=best)


def _shifted(token: Token, at: Stretch) -> Token:
    """A token with its characters counted from the beginning of a stretch; of a merged one the parts that are in it."""
    parts = tuple(_shifted(part, at) for part in token.parts if at.start <= part.start < at.end)
    if token.start < 0:
        return replace(token, parts=parts)
    return replace(token, start=token.start - at.start, end=token.end - at.start, parts=parts)


def held_by(alignment: Alignment) -> np.ndarray:
    """float64 [d]: the part of the score that each document token is the best match for."""
    return np.bincount(alignment.best, weights=alignment.contribution, minlength=len(alignment.document_tokens))


def _ends(tokens: list[Token], size: int) -> list[int]:
    """Past the last token of each stretch: of about equal length, and each where a sentence or a word ends."""
    count = -(-len(tokens) // size)
    least, found = len(tokens) // count, [0]
    for number in range(1, count):
        wanted = round(number * len(tokens) / count)
        near = sorted(range(max(wanted - least // 3, found[-1] + 1), wanted + 1), reverse=True)
        words = [end for end in near if tokens[end].start > tokens[end - 1].end]
        sentences = [end for end in near if tokens[end - 1].text.endswith(SENTENCE_ENDS)]
        found.append((sentences or words or [wanted])[0])
    return [*found[1:], len(tokens)]


def explain(encoder: Encoder, question: str, text: str) -> Alignment:
    """Encode a question and a text and show how their score comes about.

    Args:
        encoder: The model.
        question: The query.
        text: The document.

    Returns:
        The alignment; `contribution` sums to `score`.

    Raises:
        InputError: one of the two is empty, or nothing of it is left to score.
        UnsupportedError: the model merges vectors in a way that does not tell which.
    """
    query = encoder.encode_query([question])[0]
    document = encoder.encode_document([text])[0]
    return align(query, document, encoder.tokens(question, "query"), encoder.tokens(text, "document"))
