"""Which token matched which: the similarity matrix of a pair, and the contributions that sum to its score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.encoder import Encoder
from engine.errors import InputError
from engine.tokens import Token


@dataclass(frozen=True, eq=False)
class Alignment:
    """MaxSim of one query and one document, token by token.

    Args:
        query_tokens: q tokens.
        document_tokens: d tokens.
        similarity: float32 [q, d], dot products.
        best: int64 [q], the position of each query token's best document token, the first among equals.
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
