"""What every way of scoring asks of its arguments."""

from __future__ import annotations

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError


def check_pair(queries: TokenEmbeddings, documents: TokenEmbeddings) -> None:
    """Raise InputError unless both sides have one dimension."""
    if queries.dim != documents.dim:
        raise InputError(
            f"Expected queries and documents of one dimension, got {queries.dim} and {documents.dim}: "
            "encode both with the same model."
        )


def check_scores(scores: np.ndarray, queries: TokenEmbeddings, documents: TokenEmbeddings) -> None:
    """Raise InputError, naming the text, when a score is NaN.

    Args:
        scores: [queries, documents], NaN where a vector or a product was not finite.
        queries: The queries.
        documents: The documents.
    """
    if not np.isnan(scores).any():
        return
    queries.check([f"query {i}" for i in range(len(queries))])
    documents.check([f"document {i}" for i in range(len(documents))])
    row, column = np.argwhere(np.isnan(scores))[0]
    raise InputError(
        f"The products of query {row} with document {column} are beyond the range of float32: scale the vectors down."
    )
