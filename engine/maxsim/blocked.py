"""MaxSim in blocks of document tokens: the full similarity tensor is never held."""

from __future__ import annotations

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError

BLOCK_TOKENS = 4096  # document tokens a block: [query tokens, 4096] float32 stays in the last-level cache


def check_pair(queries: TokenEmbeddings, documents: TokenEmbeddings) -> None:
    """Raise InputError unless both sides have one dimension."""
    if queries.dim != documents.dim:
        raise InputError(
            f"Expected queries and documents of one dimension, got {queries.dim} and {documents.dim}: "
            "encode both with the same model."
        )


def maxsim(queries: TokenEmbeddings, documents: TokenEmbeddings) -> np.ndarray:
    """Score every query against every document, exactly.

    Args:
        queries: m queries.
        documents: n documents of the same dimension, float16 or float32.

    Returns:
        float32 [m, n]; a document without tokens scores negative infinity.

    Raises:
        InputError: the dimensions differ.
    """
    check_pair(queries, documents)
    scores = np.full((len(queries), len(documents)), -np.inf, np.float32)
    filled = np.flatnonzero(documents.lengths > 0)
    query_values = queries.values.astype(np.float32, copy=False)
    start = 0
    while start < len(filled):
        first_token = documents.offsets[filled[start]]
        stop = int(np.searchsorted(documents.offsets[filled + 1], first_token + BLOCK_TOKENS, side="right"))
        block = filled[start : max(stop, start + 1)]
        last_token = documents.offsets[block[-1] + 1]
        values = documents.values[first_token:last_token].astype(np.float32, copy=False)
        best = np.maximum.reduceat(query_values @ values.T, documents.offsets[block] - first_token, axis=1)
        for i in range(len(queries)):
            scores[i, block] = best[queries.offsets[i] : queries.offsets[i + 1]].sum(axis=0)
        start += len(block)
    return scores
