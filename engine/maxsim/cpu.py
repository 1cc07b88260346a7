"""The compiled loops of exact MaxSim on a CPU; importing this module may compile."""

from __future__ import annotations

import numpy as np

from engine.simd.jit import kernel
from engine.simd.kernels import max_products, widen

BLOCK = 128  # document tokens that stay in the second-level cache while all panels of query tokens pass over them


@kernel
def score_float32(values, offsets, first, last, dim, query, spans, scores):
    """Score documents first to last - 1.

    Args:
        values: float32 [tokens * dim].
        offsets: int64 [documents + 1].
        first: First document.
        last: One past the last.
        dim: Dimension.
        query: Panels of all query tokens (`engine.simd.kernels.query_panels`).
        spans: int64 [queries + 1], the columns of each query.
        scores: float32 [queries, documents], written.
    """
    columns = len(query) // dim
    best = np.empty(columns, np.float32)
    for document in range(first, last):
        best[:] = -np.inf
        for start in range(offsets[document], offsets[document + 1], BLOCK):
            end = min(start + BLOCK, offsets[document + 1])
            max_products(values, start, end, dim, query, columns, best)
        sum_queries(best, spans, offsets[document] == offsets[document + 1], scores, document)


@kernel
def score_float16(halves, offsets, first, last, dim, query, spans, scores):
    """The same for values whose float16 bits come as uint16."""
    columns = len(query) // dim
    best = np.empty(columns, np.float32)
    values = np.empty(BLOCK * dim, np.float32)
    for document in range(first, last):
        best[:] = -np.inf
        for start in range(offsets[document], offsets[document + 1], BLOCK):
            end = min(start + BLOCK, offsets[document + 1])
            widen(halves, start * dim, (end - start) * dim, values)
            max_products(values, 0, end - start, dim, query, columns, best)
        sum_queries(best, spans, offsets[document] == offsets[document + 1], scores, document)


@kernel
def sum_queries(best, spans, empty, scores, document):
    """Write one document's score for each query; float64 sums, minus infinity for a document without tokens."""
    for query in range(len(spans) - 1):
        total = 0.0
        for column in range(spans[query], spans[query + 1]):
            total += best[column]
        scores[query, document] = np.float32(-np.inf) if empty else np.float32(total)
