"""Loops over panels of query tokens, for the level in force.

A query with more columns than one panel holds is cut into panels of four registers and a last one of one to four;
each panel is stored as one piece, so that a kernel reads it from start to end.
"""

from __future__ import annotations

from engine.simd import floating, integer
from engine.simd.jit import kernel, state

LEVEL, TILES = state["level"], state["tiles"]
LANES = floating.LANES[LEVEL]
FULL = 4 * LANES

# Document tokens at once for one to four registers of query tokens: the most that keeps every sum in a register (16 of
# them on AVX2, where this was measured; 32 with AVX-512 and NEON).
_FLOAT_TOKENS = {"avx2": (8, 5, 3, 3)}.get(LEVEL, (12, 10, 6, 5))
float_1, float_2, float_3, float_4 = (floating.make_span(LEVEL, v + 1, t) for v, t in enumerate(_FLOAT_TOKENS))
place_1, place_2, place_3, place_4 = (floating.make_span(LEVEL, v + 1, t, True) for v, t in enumerate(_FLOAT_TOKENS))
widen_halves = floating.make_widen(LEVEL)
rows_maximum = integer.make_max_rows()


@kernel
def max_products(values, start, end, dim, query, columns, out):
    """See `engine.simd.kernels.max_products`."""
    for first in range(0, columns, FULL):
        vectors, at = min(columns - first, FULL) // LANES, first * dim
        if vectors == 4:
            float_4(values, start, end, dim, query, at, out, first, out)
        elif vectors == 3:
            float_3(values, start, end, dim, query, at, out, first, out)
        elif vectors == 2:
            float_2(values, start, end, dim, query, at, out, first, out)
        else:
            float_1(values, start, end, dim, query, at, out, first, out)


@kernel
def best_products(values, start, end, dim, query, columns, out, where):
    """See `engine.simd.kernels.best_products`."""
    for first in range(0, columns, FULL):
        vectors, at = min(columns - first, FULL) // LANES, first * dim
        if vectors == 4:
            place_4(values, start, end, dim, query, at, out, first, where)
        elif vectors == 3:
            place_3(values, start, end, dim, query, at, out, first, where)
        elif vectors == 2:
            place_2(values, start, end, dim, query, at, out, first, where)
        else:
            place_1(values, start, end, dim, query, at, out, first, where)


@kernel
def widen(halves, at, count, out):
    """See `engine.simd.kernels.widen`."""
    widen_halves(halves, at, count, out)


@kernel
def max_rows(rows, codes, start, end, out):
    """See `engine.simd.kernels.max_rows`."""
    rows_maximum(rows, codes, start, end, out)


if LEVEL in integer.LANES:
    _SCAN_TOKENS = {"avx2": (8, 4, 3, 2)}.get(LEVEL, (12, 8, 6, 5))
    scan_1, scan_2, scan_3, scan_4 = (
        integer.make_span(LEVEL, v + 1, t, True, False) for v, t in enumerate(_SCAN_TOKENS)
    )
    dots = integer.make_span(LEVEL, 32 // LANES, 2 if LEVEL == "avx2" else 8, False, True)

    @kernel
    def max_scan(values, start, end, groups, query, columns, offset, out):
        """See `engine.simd.kernels.max_scan`."""
        scan_panels(values, start, end, groups, groups, query, columns, offset, out)

    @kernel
    def scan_panels(values, start, end, groups, laid, query, columns, offset, out):
        """The same where the panels are laid out for `laid` groups, zeros behind the others."""
        for first in range(0, columns, FULL):
            vectors, at = min(columns - first, FULL) // LANES, first * laid * 4
            if vectors == 4:
                scan_4(values, start, end, groups, query, at, offset, offset, out, first)
            elif vectors == 3:
                scan_3(values, start, end, groups, query, at, offset, offset, out, first)
            elif vectors == 2:
                scan_2(values, start, end, groups, query, at, offset, offset, out, first)
            else:
                scan_1(values, start, end, groups, query, at, offset, offset, out, first)

    @kernel
    def max_dots(codes, start, end, base, values, groups, query, out):
        """See `engine.simd.kernels.max_dots`."""
        for j in range(32):
            out[j] = -(2**30)
        dots(values, start, end, groups, query, 0, base, codes, out, 0)


if TILES:
    from engine.simd import tiles

    tile_1, tile_2 = tiles.make_block(1), tiles.make_block(2)

    @kernel
    def begin_scan():
        """See `engine.simd.kernels.begin_scan`."""
        tiles.configure(tiles.CONFIGURATION)

    @kernel
    def end_scan():
        """See `engine.simd.kernels.begin_scan`."""
        tiles.release()

    @kernel
    def max_scan(values, start, end, groups, query, columns, offset, out):
        """See `engine.simd.kernels.max_scan`; the last tiles overlap, since a maximum may see a token twice."""
        steps = (groups + 15) // 16
        if end - start < 16:
            scan_panels(values, start, end, groups, 16 * steps, query, columns, offset, out)
            return
        for first in range(0, columns, FULL):
            width = min(columns - first, FULL)
            for column in range(0, width, 32):
                at, to = 64 * first * steps + 4 * column, first + column
                for token in range(start, end, 32):
                    row, other = min(token, end - 16), min(token + 16, end - 16)
                    if width - column >= 32:
                        tile_2(values, row, other, groups, query, at, width, steps, offset, out, to)
                    else:
                        tile_1(values, row, other, groups, query, at, width, steps, offset, out, to)
