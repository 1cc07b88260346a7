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
def rounding(table, row, count, low, factor, rows):
    """See `engine.simd.tables.make_rounding`."""
    for r in range(row, row + count):
        for lane in range(COLUMNS):
            y = (table[r * COLUMNS + lane] - low[lane]) * factor + np.float32(0.5)
            rows[r * COLUMNS + lane] = np.uint8(min(max(y, np.float32(0)), np.float32(255)))


@kernel
def token_scores(width, short, values, n, groups, query, table, shift, unit, codes, lengths, sums, best):
    """See `engine.simd.residual.make_token_scores`."""
    for t in range(n):
        origin = np.int64(codes[t]) * COLUMNS
        for lane in range(width):
            total = np.int32(0)
            for g in range(groups):
                for i in range(4):
                    weight = np.int32(query[(g * width + lane) * 4 + i])
                    total += np.int32(values[(t * groups + g) * 4 + i]) * weight
            score = table[origin + lane] + lengths[t] * (np.float32(total) * unit + shift[lane])
            sums[t * width + lane] = score
            best[lane] = max(best[lane], score)


@kernel
def lanes_above(sums, at, limits, first):
    """See `engine.simd.residual.lanes_above`."""
    mask = 0
    for lane in range(8):
        mask |= np.int64(sums[at + lane] >= limits[first + lane]) << lane
    return mask


@kernel
def lanes_equal(rows, at, best):
    """See `engine.simd.residual.lanes_equal`."""
    mask = 0
    for lane in range(COLUMNS):
        mask |= np.int64(rows[at + lane] == best[lane]) << lane
    return mask


@kernel
def fetch(packed, at, n):
    """See `engine.simd.residual.fetch`; here it does nothing."""


@kernel
def lowest_bit(mask):
    """See `engine.simd.residual.lowest_bit`."""
    position = 0
    while not mask & 1:
        mask >>= 1
        position += 1
    return position


@kernel
def dot(codes, at, row, row_at, n):
    """See `engine.simd.residual.dot`."""
    sums = np.zeros(8, np.float32)
    for d in range(0, n, 8):
        for lane in range(8):
            sums[lane] += np.float32(codes[at + d + lane]) * row[row_at + d + lane]
    for half in (4, 2, 1):
        for lane in range(half):
            sums[lane] += sums[lane + half]
    return sums[0]


@kernel
def _unpack(packed, at, n, out, out_at, bits):
    for part in range(8 // bits):
        for i in range(n):
            out[out_at + part * n + i] = (packed[at + i] >> np.uint8(part * bits)) & np.uint8((1 << bits) - 1)


@kernel
def unpack_1(packed, at, n, out, out_at):
    """See `engine.simd.residual.make_unpack`."""
    _unpack(packed, at, n, out, out_at, 1)


@kernel
def unpack_2(packed, at, n, out, out_at):
    """See `engine.simd.residual.make_unpack`."""
    _unpack(packed, at, n, out, out_at, 2)


@kernel
def unpack_4(packed, at, n, out, out_at):
    """See `engine.simd.residual.make_unpack`."""
    _unpack(packed, at, n, out, out_at, 4)


@kernel
def unpack_8(packed, at, n, out, out_at):
    """See `engine.simd.residual.make_unpack`."""
    _unpack(packed, at, n, out, out_at, 8)


@kernel
def _add_bits(packed, at, n, out, out_at, bits):
    for i in range(n):
        for j in range(8):
            out[out_at + 8 * i + j] |= ((packed[at + i] >> np.uint8(j)) & np.uint8(1)) << np.uint8(bits)


@kernel
def add_bits_1(packed, at, n, out, out_at):
    """See `engine.simd.residual.make_add_bits`."""
    _add_bits(packed, at, n, out, out_at, 1)


@kernel
def add_bits_2(packed, at, n, out, out_at):
    """See `engine.simd.residual.make_add_bits`."""
    _add_bits(packed, at, n, out, out_at, 2)


@kernel
def add_bits_4(packed, at, n, out, out_at):
    """See `engine.simd.residual.make_add_bits`."""
    _add_bits(packed, at, n, out, out_at, 4)
