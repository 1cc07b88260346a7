"""The compiled loops of exact MaxSim on a CPU."""

from __future__ import annotations

import numpy as np

from engine.simd.jit import kernel
from engine.simd.kernels import begin_scan, end_scan, max_products, max_scan, widen

BLOCK = 128  # document tokens that stay in the second-level cache while all panels of query tokens pass over them


@kernel
def score_float32(values, offsets, chosen, first, last, dim, query, spans, scores):
    """Score chosen[first] to chosen[last - 1].

    Args:
        values: float32 [tokens * dim].
        offsets: int64 [documents + 1].
        chosen: int64, documents.
        first: First place in `chosen`.
        last: One past the last.
        dim: Dimension.
        query: Panels of all query tokens (`engine.simd.kernels.query_panels`).
        spans: int64 [queries + 1], the columns of each query.
        scores: float32 [queries, len(chosen)], written.
    """
    columns = len(query) // dim
    best = np.empty(columns, np.float32)
    for place in range(first, last):
        low, high = offsets[chosen[place]], offsets[chosen[place] + 1]
        best[:] = -np.inf
        for start in range(low, high, BLOCK):
            max_products(values, start, min(start + BLOCK, high), dim, query, columns, best)
        sum_queries(best, spans, low == high, scores, place)


@kernel
def score_float16(halves, offsets, chosen, first, last, dim, query, spans, scores):
    """The same for values whose float16 bits come as uint16."""
    columns = len(query) // dim
    best = np.empty(columns, np.float32)
    values = np.empty(BLOCK * dim, np.float32)
    for place in range(first, last):
        low, high = offsets[chosen[place]], offsets[chosen[place] + 1]
        best[:] = -np.inf
        for start in range(low, high, BLOCK):
            end = min(start + BLOCK, high)
            widen(halves, start * dim, (end - start) * dim, values)
            max_products(values, 0, end - start, dim, query, columns, best)
        sum_queries(best, spans, low == high, scores, place)


@kernel
def sum_queries(best, spans, empty, scores, place):
    """Write one document's score for each query; float64 sums, minus infinity for a document without tokens."""
    for query in range(len(spans) - 1):
        total = 0.0
        for column in range(spans[query], spans[query + 1]):
            total += best[column]
        scores[query, place] = np.float32(-np.inf) if empty else np.float32(total)


@kernel
def scan(codes, offsets, chosen, first, last, groups, query, offset, steps, spans, scores):
    """Approximate scores of documents chosen[first] to chosen[last - 1] from their codes.

    Args:
        codes: uint8 [tokens * 4 * groups], with `engine.simd.kernels.SLACK` readable bytes behind.
        offsets: int64 [documents + 1].
        chosen: int64, documents.
        first: First place in `chosen`.
        last: One past the last.
        groups: Dimensions / 4, rounded up.
        query: int8 panels of all query tokens (`engine.simd.kernels.scan_panels`).
        offset: int32 [columns], `engine.simd.kernels.scan_offset`.
        steps: float64 [query tokens], what one unit of a product is worth.
        spans: int64 [queries + 1], the columns of each query.
        scores: float64 [queries, len(chosen)], written.
    """
    best = np.empty(len(offset), np.int32)
    begin_scan()
    for place in range(first, last):
        document = chosen[place]
        best[:] = -(2**30)
        max_scan(codes, offsets[document], offsets[document + 1], groups, query, len(best), offset, best)
        for row in range(len(spans) - 1):
            total = 0.0
            for column in range(spans[row], spans[row + 1]):
                total += steps[column] * best[column]
            scores[row, place] = -np.inf if offsets[document] == offsets[document + 1] else total
    end_scan()


@kernel
def largest_float32(values, start, end, dim, scratch, out):
    """Raise out [dim] to the largest absolute values of rows start to end - 1."""
    for t in range(start, end):
        for d in range(dim):
            out[d] = max(out[d], abs(values[t * dim + d]))


@kernel
def largest_float16(halves, start, end, dim, scratch, out):
    """The same for float16 bits; scratch is float32 [dim]."""
    for t in range(start, end):
        widen(halves, t * dim, dim, scratch)
        for d in range(dim):
            out[d] = max(out[d], abs(scratch[d]))


@kernel
def encode_float32(values, offsets, first, last, scales, zero, codes, norms):
    """Quantise documents first to last - 1; see `encode_row`."""
    dim, width = len(scales), -(-len(scales) // 4) * 4
    for document in range(first, last):
        for t in range(offsets[document], offsets[document + 1]):
            encode_row(values, t * dim, scales, zero, codes, t * width, norms, document)


@kernel
def encode_float16(halves, offsets, first, last, scales, zero, codes, norms):
    """The same for float16 bits."""
    dim, width = len(scales), -(-len(scales) // 4) * 4
    row = np.empty(dim, np.float32)
    for document in range(first, last):
        for t in range(offsets[document], offsets[document + 1]):
            widen(halves, t * dim, dim, row)
            encode_row(row, 0, scales, zero, codes, t * width, norms, document)


@kernel
def encode_row(values, at, scales, zero, codes, to, norms, document):
    """One token: codes around `zero` (`engine.simd.levels.Level.zero`), and norms [documents, 5] raised.

    The norms, as squares: of what rounding left, of the codes over the even pairs of dimensions, over the odd pairs,
    over all, and of the vector.
    """
    left = even = odd = length = 0.0
    for d in range(len(scales)):
        value = np.float64(values[at + d])
        code = np.rint(value / scales[d])
        codes[to + d] = np.uint8(np.int64(code) + zero)
        left += (value - code * scales[d]) ** 2
        length += value * value
        if d & 2:
            odd += code * code
        else:
            even += code * code
    norms[document, 0] = max(norms[document, 0], left)
    norms[document, 1] = max(norms[document, 1], even)
    norms[document, 2] = max(norms[document, 2], odd)
    norms[document, 3] = max(norms[document, 3], even + odd)
    norms[document, 4] = max(norms[document, 4], length)
