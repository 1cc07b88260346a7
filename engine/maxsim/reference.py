"""The plain float64 loop that every other implementation is held to."""

from __future__ import annotations

import numpy as np

from engine.embeddings import TokenEmbeddings


def maxsim_reference(queries: TokenEmbeddings, documents: TokenEmbeddings) -> np.ndarray:
    """Score every query against every document in float64, one pair at a time.

    Args:
        queries: m queries.
        documents: n documents of the same dimension.

    Returns:
        float64 [m, n]; a document without tokens scores negative infinity, a query without tokens scores 0 elsewhere.
    """
    scores = np.empty((len(queries), len(documents)))
    for i, query in enumerate(queries):
        for j, document in enumerate(documents):
            if len(document) == 0:
                scores[i, j] = -np.inf
            else:
                similarity = query.astype(np.float64) @ document.astype(np.float64).T
                scores[i, j] = similarity.max(axis=1).sum()
    return scores
