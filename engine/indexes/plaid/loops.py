"""The compiled loops of the search, one part of the work a call: centroid tables, probes, and the scores of documents.

Lanes: the query tokens of one search, 32 a block, padded with zeros. From the rounded tables on all sums are over
integers, so they depend neither on the order of work nor on the processor.
"""

from __future__ import annotations

import numpy as np

from engine.simd.centroids import COLUMNS, column_maxima, rounding
from engine.simd.jit import kernel
from engine.simd.kernels import max_products, max_rows, widen
from engine.simd.residuals import add_bits, dot, lanes_above, lowest_bit, token_scores
from engine.simd.residuals import unpack as spread

GROUP = 64  # centroids whose best scores are kept together, so that probing looks into few of them


@kernel
def group_maxima(table, n, first, last, out):
    """out[g, lane] = the best score among the centroids of group g, for first <= g < last."""
    for g in range(first, last):
        column_maxima(table, g * GROUP, min(GROUP, n - g * GROUP), out, g * COLUMNS)


@kernel
def best_centroids(table, maxima, n, lanes, out):
    """out[lane] = the centroids with the highest scores, best first, the first among equals; int64 [lanes, n_probe]."""
    n_probe, groups = out.shape[1], len(maxima) // COLUMNS
    best, which = np.empty(n_probe, np.float32), np.empty(n_probe, np.int64)
    for lane in range(lanes):
        # The n_probe-th best group maximum is a lower bound of the n_probe-th best score.
        best[:] = -np.inf
        for g in range(groups):
            if maxima[g * COLUMNS + lane] > best[n_probe - 1]:
                _insert(best, which, maxima[g * COLUMNS + lane], 0)
        bound = best[n_probe - 1]
        best[:] = -np.inf
        for g in range(groups):
            if maxima[g * COLUMNS + lane] >= bound:
                for c in range(g * GROUP, min(n, (g + 1) * GROUP)):
                    if table[c * COLUMNS + lane] > best[n_probe - 1]:
                        _insert(best, which, table[c * COLUMNS + lane], c)
        out[lane] = which


@kernel
def _insert(best, which, value, number):
    """Put a value that is above the last into a falling sequence, behind those equal to it."""
    at = len(best) - 1
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
def unpack(packed, start, tokens, n, base, wide, bits, scales, out, lengths):
    """Codes of the tokens start + tokens[0 ... n], one a byte, into out[0 ...], and their lengths; returns the largest.

    packed is uint8, flattened.
    """
    width, size, longest = base * (8 // bits), base + wide + 1, np.float32(0)
    for j in range(n):
        at, to = (start + tokens[j]) * size, j * width
        spread(packed, at, base, out, to, bits)
        add_bits(packed, at + base, wide, out, to, bits)
        lengths[j] = scales[packed[at + size - 1]]
        longest = max(longest, lengths[j])
    return longest


@kernel
def _doubtful(sums, n, width, limits, tokens, masks):
    """Tokens with a lane that reaches its limit, and which lanes do, one bit each; returns how many tokens."""
    count = 0
    for t in range(n):
        mask = lanes_above(sums, t * width, limits, width)
        tokens[count], masks[count] = t, mask  # without a branch: whether a token is in doubt is hard to predict
        count += mask != 0
    return count


@kernel
def document_scores(slots, first, last, stored, asked, slack, origin, rows, out):
    """Add to out[i] MaxSim in float32 of some query tokens on the stored vectors of a document.

    Scores by integer products of all tokens come first. Only tokens that may be the maximum get a float32 product: the
    best by integers, and then those whose score plus the largest error that rounding can make reaches its score.

    Args:
        slots: int64, the documents; `first` to `last` are scored.
        stored: offsets, codes, packed, base, wide, bits and scales of the index; packed is flattened.
        asked: (width, lanes, short, table, shift, unit, query), a block of the query.
            width: Lanes of `query`, a multiple of those of the level up to 32.
            lanes: Query tokens among them.
            short: Whether sums fit in int16 over the even and over the odd pairs of dimensions.
            table: float32 [c, 32], scores of centroids.
            shift, unit: float32 [32] and float32; a residual of length 1 scores about (codes . query) * unit + shift.
            query: int8 [padded dim / 4, width, 4].
        slack: float32 [2, width], the largest error of such a score for a residual of length 1, and of length 0.
        origin: float32 [lanes], score of a residual of codes 0 and length 1.
        rows: float32 [lanes * padded dim], score of one step of each code.
        out: float32.
    """
    offsets, codes, packed, base, wide, bits, scales = stored
    width, lanes, short, table, shift, unit, query = asked
    groups = base * 8 // bits // 4
    size = 4 * groups
    best, limits, high = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    values, sums, where = np.empty(0, np.uint8), np.empty(0, np.float32), np.zeros(width, np.int64)
    lengths, order = np.empty(0, np.float32), np.empty(0, np.int64)
    tokens, masks = np.empty(1, np.int64), np.empty(1, np.int64)
    for i in range(first, last):
        start, end = offsets[slots[i]], offsets[slots[i] + 1]
        n = end - start
        if len(values) < n * size:
            values, sums = np.empty(n * size, np.uint8), np.empty(n * width, np.float32)
            lengths, order = np.empty(n, np.float32), np.arange(n)
            tokens, masks = np.empty(n + 1, np.int64), np.empty(n + 1, np.int64)
        longest = unpack(packed, start, order, n, base, wide, bits, scales, values, lengths)
        best[:] = -np.inf
        token_scores(width, short, values, n, groups, query, table, shift, unit, codes[start:end], lengths, sums, best)
        limits[:] = np.inf
        for lane in range(lanes):
            limits[lane] = best[lane] - 2 * (slack[0, lane] * longest + slack[1, lane])
        count = _doubtful(sums, n, width, limits, tokens, masks)
        for j in range(count):
            mask, at = masks[j], tokens[j] * width
            while mask:
                lane = lowest_bit(mask)
                mask &= mask - 1
                where[lane] = tokens[j] if sums[at + lane] == best[lane] else where[lane]
        for lane in range(lanes):
            at = where[lane]
            around = dot(values, at * size, rows, lane * size, size) + origin[lane]
            high[lane] = table[np.int64(codes[start + at]) * COLUMNS + lane] + lengths[at] * around
            limits[lane] = high[lane] - (slack[0, lane] * longest + slack[1, lane])
        for j in range(count):
            mask, at = masks[j], tokens[j] * width
            while mask:
                lane = lowest_bit(mask)
                mask &= mask - 1
                if sums[at + lane] >= limits[lane] and tokens[j] != where[lane]:
                    around = dot(values, tokens[j] * size, rows, lane * size, size) + origin[lane]
                    centroid = table[np.int64(codes[start + tokens[j]]) * COLUMNS + lane]
                    high[lane] = max(high[lane], centroid + lengths[tokens[j]] * around)
        total = out[i]
        for lane in range(lanes):
            total += high[lane]
        out[i] = total


@kernel
def half_scores(slots, first, last, offsets, halves, dim, lanes, columns, query, out):
    """out[i] = MaxSim in float32 on the float16 vectors of a document; halves are their bits, query from panels."""
    values, best = np.empty(0, np.float32), np.empty(columns, np.float32)
    for i in range(first, last):
        start, end = offsets[slots[i]], offsets[slots[i] + 1]
        if len(values) < (end - start) * dim:
            values = np.empty((end - start) * dim, np.float32)
        widen(halves, start * dim, (end - start) * dim, values)
        best[:] = -np.inf
        max_products(values, 0, end - start, dim, query, columns, best)
        total = np.float32(0)
        for lane in range(lanes):
            total += best[lane]
        out[i] = total


@kernel
def rounded_rows(table, first, last, low, factor, rows):
    """Round the rows first to last of a table; see `engine.simd.centroids.rounding`."""
    if last > first:
        rounding(table, first, last - first, low, factor, rows)
