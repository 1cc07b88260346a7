"""The compiled loops of differentiable MaxSim on a CPU."""

from __future__ import annotations

import numpy as np

from engine.simd.jit import kernel
from engine.simd.kernels import best_products


@kernel
def forward(values, offsets, first, last, dim, panels, spans, scores, where):
    """Scores and the winning tokens of documents first to last - 1.

    Args:
        values: float32 [tokens * dim].
        offsets: int64 [documents + 1].
        first: First document.
        last: One past the last.
        dim: Dimension.
        panels: All query tokens (`engine.simd.kernels.query_panels`).
        spans: int64 [queries + 1], the query tokens of each query.
        scores: float32 [queries, documents], written; minus infinity for a document without tokens.
        where: int32 [documents, columns], written: the best token of each document for each query token.
    """
    best = np.empty(where.shape[1], np.float32)
    for document in range(first, last):
        best[:] = -np.inf
        where[document] = 0
        start, end = offsets[document], offsets[document + 1]
        best_products(values, start, end, dim, panels, len(best), best, where[document])
        for query in range(len(spans) - 1):
            total = 0.0
            for token in range(spans[query], spans[query + 1]):
                total += best[token]
            scores[query, document] = np.float32(-np.inf) if start == end else np.float32(total)


@kernel
def to_queries(values, offsets, where, first, last, gradient, spans, out):
    """Gradient of queries first to last - 1.

    Args:
        values: float32 [tokens, dim], document tokens.
        offsets: int64 [documents + 1].
        where: See `forward`.
        first: First query.
        last: One past the last.
        gradient: float32 [queries, documents], of the scores.
        spans: int64 [queries + 1].
        out: float32 [query tokens, dim], zeros, added to.
    """
    for query in range(first, last):
        for token in range(spans[query], spans[query + 1]):
            row = out[token]
            for document in range(len(offsets) - 1):
                weight = gradient[query, document]
                if weight != 0 and offsets[document] < offsets[document + 1]:
                    best = values[offsets[document] + where[document, token]]
                    for d in range(len(row)):
                        row[d] += weight * best[d]


@kernel
def to_documents(queries, offsets, where, first, last, gradient, spans, out):
    """Gradient of documents first to last - 1; see `to_queries`; queries is float32 [query tokens, dim]."""
    for document in range(first, last):
        if offsets[document] == offsets[document + 1]:
            continue
        for query in range(len(spans) - 1):
            weight = gradient[query, document]
            if weight != 0:
                for token in range(spans[query], spans[query + 1]):
                    row, asked = out[offsets[document] + where[document, token]], queries[token]
                    for d in range(len(row)):
                        row[d] += weight * asked[d]
