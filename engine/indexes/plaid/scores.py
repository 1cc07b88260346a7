"""Scores of documents from their residual codes: refined ones of few tokens, and exact ones of all.

Between the scores by centroids and the exact ones stand scores of only the tokens that gave a document its centroid
scores. MaxSim over centroids says for each query token which tokens of a document it looks at, and leaves out their
residuals. Those are 20 to 40 of 180 tokens; scoring them alone costs a fraction of exact scores and sorts documents
that are near copies of each other, whose centroids say little.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.indexes.plaid.loops import EXACT, HEAVY
from engine.indexes.plaid.rows import fetch, unpack, width_of
from engine.simd.centroids import COLUMNS
from engine.simd.jit import kernel
from engine.simd.residuals import dot, lanes_above, lowest_bit, token_scores, winners


class Block(NamedTuple):
    """Up to 32 query tokens and what a search knows of them.

    Args:
        width: Lanes of `query`, a multiple of those of the level up to 32.
        lanes: Query tokens among them.
        short: Whether sums fit in int16 over the even and over the odd pairs of dimensions.
        unit, shift: float32 [32] each; a residual of length 1 scores about (codes . query) * unit + shift.
        query: int8 [padded dim / 4, width, 4], flattened.
        slack: float32 [2, width], the largest error of such a score for a residual of length 1, and of length 0.
        origin: float32 [lanes], score of a residual of codes 0 and length 1.
        weights: float32 [lanes * padded dim], score of one step of each code.
        rows: uint8 [c * 32], scores of centroids as bytes; the highest in a document say which tokens are refined.
        step: float32 [32], score of one byte.
        low: float32 [32], the score that byte 0 stands for; a query token for which nothing is higher scores this.
        table: float32, exact scores of some centroids, 32 a row.
        places: int32 [c], which row of `table` a centroid has.
    """

    width: int
    lanes: int
    short: bool
    unit: np.ndarray
    shift: np.ndarray
    query: np.ndarray
    slack: np.ndarray
    origin: np.ndarray
    weights: np.ndarray
    rows: np.ndarray
    step: np.ndarray
    low: np.ndarray
    table: np.ndarray
    places: np.ndarray


def residual_scores(stage, stored, asked, tables, b, slots, highest, first, last, out):
    """See `crew.score_documents`."""
    block = Block(
        asked.widths[b], asked.lanes[b], asked.short, asked.unit[b], asked.shift[b], asked.query[b], asked.slack[b],
        asked.origin[b], asked.weights[b], tables.rows[b], tables.unit[b], tables.low[b], tables.scores[b],
        tables.places,
    )  # fmt: skip
    if stage == EXACT:
        document_scores(stored, block, slots, first, last, out)
    else:
        which = tables.heavy[b] if stage == HEAVY else np.int64((1 << COLUMNS) - 1)
        refined_scores(stored, block, slots, highest, b, which, first, last, out)


@kernel
def refined_scores(stored, asked, slots, highest, b, which, first, last, out):
    """Add to out[i] MaxSim of some query tokens over the tokens with the best centroids for any of `which`.

    The score of a token is that of its centroid, as a byte, and that of its residual.

    Args:
        stored: A `rows.Packed`.
        asked: A `Block` of the query.
        slots: int64, the documents; `first` to `last` are scored.
        highest: uint8 [documents, blocks, 32], the highest byte of each query token in them.
        b: Number of the block.
        which: Query tokens whose residuals count, a bit each; the others score what their centroids do.
        first: First place in `slots`.
        last: One past the last.
        out: float32.
    """
    codes, rows, low, step = stored.codes, asked.rows, asked.low, asked.step
    width, lanes, size = asked.width, asked.lanes, width_of(stored)
    tokens, ends = _looked_at(stored, asked, slots, highest, b, which, first, last)
    longest = np.diff(ends).max()
    best, table = np.empty(width, np.float32), np.empty(longest * COLUMNS, np.float32)
    values, lengths = np.empty(longest * size, np.uint8), np.empty(longest, np.float32)
    sums, near = np.empty(longest * width, np.float32), np.arange(longest)
    for i in range(first, last):
        chosen = tokens[ends[i - first] : ends[i - first + 1]]
        n = len(chosen)
        unpack(stored, 0, chosen, n, values, lengths)
        for j in range(n):
            row, at = np.int64(codes[chosen[j]]) * COLUMNS, j * COLUMNS
            for lane in range(COLUMNS):
                table[at + lane] = np.float32(rows[row + lane]) * step[lane] + low[lane]
        best[:] = -np.inf
        token_scores(
            width, asked.short, values, n, size // 4, asked.query, table, asked.shift, asked.unit, near, lengths, sums,
            best,
        )  # fmt: skip
        total, top = out[i], highest[i, b]
        for lane in range(lanes):
            if which >> lane & 1:
                total += max(best[lane], low[lane]) if top[lane] > 0 else low[lane]
            else:
                total += np.float32(top[lane]) * step[lane] + low[lane]
        out[i] = total


@kernel
def _looked_at(stored, asked, slots, highest, b, which, first, last):
    """The tokens that `refined_scores` looks at, document after document, and where those of each end, from 0 on.

    They lie anywhere in memory or in a mapped file, so all of them are on their way before the first is read.
    """
    offsets, codes, rows = stored.offsets, stored.codes, asked.rows
    room, ends = 1, np.zeros(last - first + 1, np.int64)
    for i in range(first, last):
        room += offsets[slots[i] + 1] - offsets[slots[i]]
    tokens, found = np.empty(room, np.int64), 0
    for i in range(first, last):
        top, wanted, before = highest[i, b], np.int64(0), found
        for lane in range(asked.lanes):
            wanted |= np.int64(top[lane] > 0) << lane
        start, end = offsets[slots[i]], offsets[slots[i] + 1]
        found = winners(rows, codes, start, end, top, wanted & which, tokens, found)
        for j in range(before, found):
            fetch(stored, tokens[j])
        ends[i - first + 1] = found
    return tokens, ends


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
def document_scores(stored, asked, slots, first, last, out):
    """Add to out[i] MaxSim in float32 of some query tokens on the stored vectors of a document; see `refined_scores`.

    Scores by integer products of all tokens come first. Only tokens that may be the maximum get a float32 product: the
    best by integers, and then those whose score plus the largest error that rounding can make reaches its score.
    """
    offsets, codes, size, places = stored.offsets, stored.codes, width_of(stored), asked.places
    width, lanes, table, slack = asked.width, asked.lanes, asked.table, asked.slack
    origin, weights = asked.origin, asked.weights
    best, limits, high = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    values, sums, where = np.empty(0, np.uint8), np.empty(0, np.float32), np.zeros(width, np.int64)
    lengths, order = np.empty(0, np.float32), np.empty(0, np.int64)
    tokens, masks, near = np.empty(1, np.int64), np.empty(1, np.int64), np.empty(0, np.int32)
    for i in range(first, last):
        start, end = offsets[slots[i]], offsets[slots[i] + 1]
        n = end - start
        if len(values) < n * size:
            values, sums = np.empty(n * size, np.uint8), np.empty(n * width, np.float32)
            lengths, order, near = np.empty(n, np.float32), np.arange(n), np.empty(n, np.int32)
            tokens, masks = np.empty(n + 1, np.int64), np.empty(n + 1, np.int64)
        longest = unpack(stored, start, order, n, values, lengths)
        for j in range(n):
            near[j] = places[np.int64(codes[start + j])]
        best[:] = -np.inf
        token_scores(
            width, asked.short, values, n, size // 4, asked.query, table, asked.shift, asked.unit, near, lengths, sums,
            best,
        )  # fmt: skip
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
            around = dot(values, at * size, weights, lane * size, size) + origin[lane]
            high[lane] = table[np.int64(near[at]) * COLUMNS + lane] + lengths[at] * around
            limits[lane] = high[lane] - (slack[0, lane] * longest + slack[1, lane])
        for j in range(count):
            mask, at = masks[j], tokens[j] * width
            while mask:
                lane = lowest_bit(mask)
                mask &= mask - 1
                if sums[at + lane] >= limits[lane] and tokens[j] != where[lane]:
                    around = dot(values, tokens[j] * size, weights, lane * size, size) + origin[lane]
                    centroid = table[np.int64(near[tokens[j]]) * COLUMNS + lane]
                    high[lane] = max(high[lane], centroid + lengths[tokens[j]] * around)
        total = out[i]
        for lane in range(lanes):
            total += high[lane]
        out[i] = total
