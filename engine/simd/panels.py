"""Loops over panels of query tokens, around the blocks of one level.

A query with more columns than one panel holds is cut into panels of four registers and a last one of one to four;
each panel is stored as one piece, so that a block reads it from start to end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.simd import floating, integer
from engine.simd.jit import kernel, state

LEVEL = state["level"]
LANES = floating.LANES[LEVEL]
FULL = 4 * LANES

# Document tokens at once for 1 to 4 registers of query tokens: the most that leaves no accumulator outside the
# registers (16 of them on AVX2, 32 with AVX-512 and NEON), measured on AVX2.
_FLOAT_TOKENS = {"avx2": (8, 5, 3, 3)}.get(LEVEL, (12, 10, 6, 5))
F1, F2, F3, F4 = _FLOAT_TOKENS
float_1, float_2, float_3, float_4 = (floating.make_block(LEVEL, v + 1, t) for v, t in enumerate(_FLOAT_TOKENS))
float_1_one, float_2_one, float_3_one, float_4_one = (floating.make_block(LEVEL, v, 1) for v in (1, 2, 3, 4))


@kernel
def max_products(values, start, end, dim, query, columns, out):
    """See `engine.simd.kernels.max_products`."""
    for j in range(columns):
        out[j] = -np.inf
    for first in range(0, columns, FULL):
        vectors, at = min(columns - first, FULL) // LANES, first * dim
        t = start
        if vectors == 4:
            while t + F4 <= end:
                float_4(values, t * dim, dim, query, at, out, first)
                t += F4
            while t < end:
                float_4_one(values, t * dim, dim, query, at, out, first)
                t += 1
        elif vectors == 3:
            while t + F3 <= end:
                float_3(values, t * dim, dim, query, at, out, first)
                t += F3
            while t < end:
                float_3_one(values, t * dim, dim, query, at, out, first)
                t += 1
        elif vectors == 2:
            while t + F2 <= end:
                float_2(values, t * dim, dim, query, at, out, first)
                t += F2
            while t < end:
                float_2_one(values, t * dim, dim, query, at, out, first)
                t += 1
        else:
            while t + F1 <= end:
                float_1(values, t * dim, dim, query, at, out, first)
                t += F1
            while t < end:
                float_1_one(values, t * dim, dim, query, at, out, first)
                t += 1


rows_maximum: Any = integer.make_max_rows()


@kernel
def max_rows(rows, codes, start, end, out):
    """See `engine.simd.kernels.max_rows`."""
    rows_maximum(rows, codes, start, end, out)


if LEVEL in integer.LANES:
    _SCAN_TOKENS = {"avx2": (8, 4, 3, 2)}.get(LEVEL, (12, 8, 6, 5))
    S1, S2, S3, S4 = _SCAN_TOKENS
    scan_1, scan_2, scan_3, scan_4 = (
        integer.make_block(LEVEL, v + 1, t, True, False) for v, t in enumerate(_SCAN_TOKENS)
    )
    scan_1_one, scan_2_one, scan_3_one, scan_4_one = (
        integer.make_block(LEVEL, v, 1, True, False) for v in (1, 2, 3, 4)
    )
    dots = integer.make_block(LEVEL, 32 // LANES, 2, False, True)
    dots_one = integer.make_block(LEVEL, 32 // LANES, 1, False, True)

    @kernel
    def max_scan(values, start, end, groups, query, columns, offset, out):
        """See `engine.simd.kernels.max_scan`."""
        for j in range(columns):
            out[j] = -(2**30)
        for first in range(0, columns, FULL):
            vectors, at = min(columns - first, FULL) // LANES, first * groups * 4
            t = start
            if vectors == 4:
                while t + S4 <= end:
                    scan_4(values, t, groups, query, at, offset, first, out, first)
                    t += S4
                while t < end:
                    scan_4_one(values, t, groups, query, at, offset, first, out, first)
                    t += 1
            elif vectors == 3:
                while t + S3 <= end:
                    scan_3(values, t, groups, query, at, offset, first, out, first)
                    t += S3
                while t < end:
                    scan_3_one(values, t, groups, query, at, offset, first, out, first)
                    t += 1
            elif vectors == 2:
                while t + S2 <= end:
                    scan_2(values, t, groups, query, at, offset, first, out, first)
                    t += S2
                while t < end:
                    scan_2_one(values, t, groups, query, at, offset, first, out, first)
                    t += 1
            else:
                while t + S1 <= end:
                    scan_1(values, t, groups, query, at, offset, first, out, first)
                    t += S1
                while t < end:
                    scan_1_one(values, t, groups, query, at, offset, first, out, first)
                    t += 1

    @kernel
    def max_dots(codes, start, end, base, values, groups, query, out):
        """See `engine.simd.kernels.max_dots`."""
        for j in range(32):
            out[j] = -(2**30)
        t = start
        while t + 2 <= end:
            two = (np.int64(codes[t]) * 32, np.int64(codes[t + 1]) * 32)
            dots(values, t, groups, query, 0, base, two, out, 0)
            t += 2
        if t < end:
            dots_one(values, t, groups, query, 0, base, (np.int64(codes[t]) * 32,), out, 0)
