"""The stage between centroid scores and exact scores: only the tokens that gave a document its centroid scores.

MaxSim over centroids says for each query token which tokens of a document it looks at, and leaves out their residuals.
Those are 20 to 40 of 180 tokens; scoring them alone costs a fraction of exact scores and sorts documents that are near
copies of each other, whose centroids say little.
"""

from __future__ import annotations

import numpy as np

from engine.indexes.plaid.loops import unpack
from engine.simd.centroids import COLUMNS
from engine.simd.jit import kernel
from engine.simd.kernels import max_rows
from engine.simd.residuals import fetch, lanes_equal, token_scores


@kernel
def refined_scores(slots, first, last, stored, asked, rows, low, out):
    """Add to out[i] MaxSim of some query tokens over the tokens with the best centroids for any of them.

    Args:
        slots: int64, the documents; `first` to `last` are scored.
        stored, asked: See `loops.document_scores`.
        rows: uint8 [c * 32], rounded scores of centroids; the highest in a document say which tokens are scored.
        low: float32 [32], the score that 0 stands for; a query token for which nothing is higher scores this.
        out: float32.
    """
    offsets, codes, packed, base, wide, bits, scales = stored
    width, lanes, short, table, shift, unit, query = asked
    groups, size, row = base * 8 // bits // 4, base * 8 // bits, base + wide + 1
    longest = 0
    for i in range(first, last):
        longest = max(longest, offsets[slots[i] + 1] - offsets[slots[i]])
    highest, best = np.empty(COLUMNS, np.uint8), np.empty(width, np.float32)
    values, lengths = np.empty(longest * size, np.uint8), np.empty(longest, np.float32)
    sums, near = np.empty(longest * width, np.float32), np.empty(longest, codes.dtype)
    tokens, ahead, n, wanted = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64), 0, 0
    for i in range(first, last + 1):
        found, asked = 0, 0
        if i < last:  # the tokens of the next document are chosen, and on their way, while those of this one are scored
            start, end = offsets[slots[i]], offsets[slots[i] + 1]
            max_rows(rows, codes, start, end, highest)
            for lane in range(lanes):
                asked |= np.int64(highest[lane] > 0) << lane
            for t in range(start, end):
                ahead[found] = t
                found += (lanes_equal(rows, np.int64(codes[t]) * COLUMNS, highest) & asked) != 0
            for j in range(found):
                fetch(packed, ahead[j] * row, row)
        if i > first:
            unpack(packed, 0, tokens, n, base, wide, bits, scales, values, lengths)
            for j in range(n):
                near[j] = codes[tokens[j]]
            best[:] = -np.inf
            token_scores(width, short, values, n, groups, query, table, shift, unit, near, lengths, sums, best)
            total = out[i - 1]
            for lane in range(lanes):
                total += max(best[lane], low[lane]) if wanted >> lane & 1 else low[lane]
            out[i - 1] = total
        tokens, ahead, n, wanted = ahead, tokens, found, asked
