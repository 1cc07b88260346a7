"""The compiled loops of the search, one part of the work a call: centroid tables, probes, and the scores of documents.

Lanes: the query tokens of one search, 32 a block, padded with zeros. From the rounded tables on all sums are over
integers, so they depend neither on the order of work nor on the processor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.indexes.plaid import plain
from engine.indexes.plaid.codec import decode_into
from engine.simd import floating, integer, tables
from engine.simd.jit import kernel
from engine.simd.kernels import LEVEL, max_products, max_rows

COLUMNS = tables.COLUMNS
GROUP = 64  # centroids whose best scores are kept together, so that probing looks into few of them
LANES = integer.LANES.get(LEVEL, 8)
SHORT = LEVEL == "avx2"  # int16 sums, two a query token
NOTHING = -(2**30)

if LEVEL in floating.LANES:
    _width = floating.LANES[LEVEL]
    multiply_rows: Any = tables.make_rows(_width, 3 if LEVEL == "avx2" else 6)
    multiply_row: Any = tables.make_rows(_width, 1)
    column_maxima: Any = tables.make_column_maxima(_width)
    AT_ONCE = 3 if LEVEL == "avx2" else 6
else:
    multiply_rows, multiply_row, column_maxima, AT_ONCE = plain.multiply_row, plain.multiply_row, plain.column_maxima, 1


if LEVEL == "avx2":
    short_1, short_2, short_3, short_4 = (integer.make_span(LEVEL, v, 2, True, True) for v in (1, 2, 3, 4))
    long_1, long_2, long_3, long_4 = (integer.make_span(LEVEL, v, 2, False, True) for v in (1, 2, 3, 4))
    round_short_1, round_short_2, round_short_3, round_short_4 = (
        tables.make_rounding(8, width, True) for width in (8, 16, 24, 32)
    )
    round_1, round_2, round_3, round_4 = (tables.make_rounding(8, width, False) for width in (8, 16, 24, 32))

    @kernel
    def _maximum(width, short, values, n, groups, query, base, codes, best):
        if short:
            if width == 8:
                short_1(values, 0, n, groups, query, 0, base, codes, best, 0)
            elif width == 16:
                short_2(values, 0, n, groups, query, 0, base, codes, best, 0)
            elif width == 24:
                short_3(values, 0, n, groups, query, 0, base, codes, best, 0)
            else:
                short_4(values, 0, n, groups, query, 0, base, codes, best, 0)
        elif width == 8:
            long_1(values, 0, n, groups, query, 0, base, codes, best, 0)
        elif width == 16:
            long_2(values, 0, n, groups, query, 0, base, codes, best, 0)
        elif width == 24:
            long_3(values, 0, n, groups, query, 0, base, codes, best, 0)
        else:
            long_4(values, 0, n, groups, query, 0, base, codes, best, 0)

    @kernel
    def _round(width, short, table, first, count, low, factor, shift, scale, rows, base):
        if short:
            if width == 8:
                round_short_1(table, first, count, low, factor, shift, scale, rows, base)
            elif width == 16:
                round_short_2(table, first, count, low, factor, shift, scale, rows, base)
            elif width == 24:
                round_short_3(table, first, count, low, factor, shift, scale, rows, base)
            else:
                round_short_4(table, first, count, low, factor, shift, scale, rows, base)
        elif width == 8:
            round_1(table, first, count, low, factor, shift, scale, rows, base)
        elif width == 16:
            round_2(table, first, count, low, factor, shift, scale, rows, base)
        elif width == 24:
            round_3(table, first, count, low, factor, shift, scale, rows, base)
        else:
            round_4(table, first, count, low, factor, shift, scale, rows, base)

elif LEVEL == "avx512-vnni":
    span_1, span_2 = (integer.make_span(LEVEL, v, 4, False, True) for v in (1, 2))
    round_1, round_2 = (tables.make_rounding(16, width, False) for width in (16, 32))

    @kernel
    def _maximum(width, short, values, n, groups, query, base, codes, best):
        if width == 16:
            span_1(values, 0, n, groups, query, 0, base, codes, best, 0)
        else:
            span_2(values, 0, n, groups, query, 0, base, codes, best, 0)

    @kernel
    def _round(width, short, table, first, count, low, factor, shift, scale, rows, base):
        if width == 16:
            round_1(table, first, count, low, factor, shift, scale, rows, base)
        else:
            round_2(table, first, count, low, factor, shift, scale, rows, base)

else:
    _maximum, _round = plain.maximum, plain.rounding


@kernel
def centroid_table(values, first, last, dim, panel, out):
    """out[c, lane] = values[c] . panel[:, lane] for first <= c < last; float32, flattened, 32 lanes."""
    c = first
    while c + AT_ONCE <= last:
        multiply_rows(values, c * dim, dim, panel, out, c * COLUMNS)
        c += AT_ONCE
    while c < last:
        multiply_row(values, c * dim, dim, panel, out, c * COLUMNS)
        c += 1


@kernel
def group_maxima(table, n, first, last, out):
    """out[g, lane] = the best score among the centroids of group g, for first <= g < last."""
    for g in range(first, last):
        column_maxima(table, g * GROUP, min(GROUP, n - g * GROUP), out, g * COLUMNS)


@kernel
def best_centroids(table, maxima, n, lanes, out):
    """out[lane] = the centroids with the highest scores, best first, the first among equals; int64 [lanes, n_probe]."""
    n_probe, groups = out.shape[1], len(maxima) // COLUMNS
    best = np.empty(n_probe, np.float32)
    for lane in range(lanes):
        # The n_probe-th best group maximum is a lower bound of the n_probe-th best score.
        best[:] = -np.inf
        for g in range(groups):
            _insert(best, out[lane], maxima[g * COLUMNS + lane], 0)
        bound = best[n_probe - 1]
        best[:] = -np.inf
        for g in range(groups):
            if maxima[g * COLUMNS + lane] >= bound:
                for c in range(g * GROUP, min(n, (g + 1) * GROUP)):
                    _insert(best, out[lane], table[c * COLUMNS + lane], c)


@kernel
def _insert(best, which, value, number):
    at = len(best) - 1
    if value > best[at]:
        while at > 0 and value > best[at - 1]:
            best[at] = best[at - 1]
            which[at] = which[at - 1]
            at -= 1
        best[at] = value
        which[at] = number


@kernel
def collect(probes, weights, list_offsets, list_documents, allowed, seen, points):
    """Add to points[document], int32, for each query token the weight of its best probe that lists the document.

    probes and weights are [tokens, n_probe], best first, weights at least 1; `seen` int32 starts below 0. Documents
    that are not allowed keep 0 points.
    """
    for token in range(probes.shape[0]):
        for rank in range(probes.shape[1]):
            c = probes[token, rank]
            if c + 1 < len(list_offsets):
                weight = weights[token, rank]
                for i in range(list_offsets[c], list_offsets[c + 1]):
                    document = list_documents[i]
                    if seen[document] != token and allowed[document]:
                        seen[document] = token
                        points[document] += weight


@kernel
def coarse_scores(candidates, first, last, offsets, codes, rows, out):
    """Add to out[i] the sum over 32 lanes of the highest row value among the centroids of a document; rows uint8."""
    best = np.empty(COLUMNS, np.uint8)
    for i in range(first, last):
        max_rows(rows, codes, offsets[candidates[i]], offsets[candidates[i] + 1], best)
        total = 0
        for lane in range(COLUMNS):
            total += best[lane]
        out[i] += total


@kernel
def unpack(packed, first, last, bits, out):
    """Codes of the tokens first to last, one a byte, into out[0 ...]; packed is uint8 [tokens, row_bytes]."""
    row_bytes, at, mask = packed.shape[1], 0, np.uint8((1 << bits) - 1)
    for t in range(first, last):
        for shift in range(0, 8, bits):
            for b in range(row_bytes):
                out[at + b] = (packed[t, b] >> np.uint8(shift)) & mask
            at += row_bytes


@kernel
def residual_scores(candidates, first, last, width, lanes, offsets, codes, base, packed, bits, query, out):
    """Add to out[i] the score of a document from its residuals, in integers.

    It is the sum over `lanes` of the maximum over tokens t of base[codes[t]] + residual[t] . query; base is int32
    [c, width] from `rounded_tables`, query int8 [dim / 4, width, 4], width a multiple of LANES up to 32. Below 8 bits,
    the sums must fit in int16 over the even and over the odd pairs of dimensions.
    """
    groups = packed.shape[1] * 8 // bits // 4
    best, room = np.empty(width, np.int32), np.empty(0, np.uint8)
    for i in range(first, last):
        start, end = offsets[candidates[i]], offsets[candidates[i] + 1]
        n = end - start
        if len(room) < n * groups * 4:
            room = np.empty(n * groups * 4, np.uint8)
        unpack(packed, start, end, bits, room)
        best[:] = NOTHING
        _maximum(width, bits < 8, room, n, groups, query, base, codes[start:end], best)
        total = 0
        for lane in range(lanes):
            total += best[lane]
        out[i] += total


@kernel
def rounded_tables(width, short, table, first, last, low, factor, shift, scale, rows, base):
    """Round the rows first to last of a table; see `engine.simd.tables.make_rounding`."""
    if last > first:
        _round(width, short, table, first, last - first, low, factor, shift, scale, rows, base)


@kernel
def stored_scores(candidates, first, last, offsets, codes, packed, centroids, lower, step, bits, query, lanes, out):
    """out[i] = MaxSim in float32 on the decoded vectors; query from `engine.simd.kernels.query_panels`."""
    dim = centroids.shape[1]
    columns = len(query) // dim
    best, room = np.empty(columns, np.float32), np.empty(0, np.float32)
    for i in range(first, last):
        start, end = offsets[candidates[i]], offsets[candidates[i] + 1]
        if len(room) < (end - start) * dim:
            room = np.empty((end - start) * dim, np.float32)
        decode_into(codes, packed, start, end, centroids, lower, step, bits, room)
        best[:] = -np.inf
        max_products(room, 0, end - start, dim, query, columns, best)
        total = np.float32(0)
        for lane in range(lanes):
            total += best[lane]
        out[i] = total
