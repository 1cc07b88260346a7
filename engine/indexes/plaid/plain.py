"""The vector kernels of the search in plain numba, for a processor without known vector instructions."""

from __future__ import annotations

import numpy as np

from engine.simd.jit import kernel

COLUMNS = 32


@kernel
def multiply_row(values, at, dim, panel, out, out_at):
    """See `engine.simd.tables.make_rows`, one row."""
    total = np.zeros(COLUMNS, np.float32)
    for d in range(dim):
        number = values[at + d]
        for lane in range(COLUMNS):
            total[lane] += number * panel[COLUMNS * d + lane]
    out[out_at : out_at + COLUMNS] = total


@kernel
def column_maxima(table, row, count, out, out_at):
    """See `engine.simd.tables.make_column_maxima`."""
    for lane in range(COLUMNS):
        best = table[row * COLUMNS + lane]
        for r in range(row + 1, row + count):
            best = max(best, table[r * COLUMNS + lane])
        out[out_at + lane] = best


@kernel
def rounding(width, short, table, row, count, low, factor, shift, scale, rows, base):
    """See `engine.simd.tables.make_rounding`, without halves."""
    for r in range(row, row + count):
        for lane in range(COLUMNS):
            x = table[r * COLUMNS + lane]
            y = (x - low[lane]) * factor + np.float32(0.5)
            rows[r * COLUMNS + lane] = np.uint8(min(max(y, np.float32(0)), np.float32(255)))
            if lane < width:
                base[r * width + lane] = np.int32(np.rint((x + shift[lane]) * scale))


@kernel
def maximum(width, short, values, n, groups, query, base, codes, best):
    """See `engine.simd.integer.make_span`, by code."""
    for t in range(n):
        origin = np.int64(codes[t]) * width
        for lane in range(width):
            total = base[origin + lane]
            for g in range(groups):
                for i in range(4):
                    weight = np.int32(query[(g * width + lane) * 4 + i])
                    total += np.int32(values[(t * groups + g) * 4 + i]) * weight
            best[lane] = max(best[lane], total)
