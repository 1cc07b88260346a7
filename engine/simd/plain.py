"""The kernels in plain numba: what every level is checked against, and what runs where there are no known vectors."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable


@register_jitable
def max_rows(rows, codes, start, end, out):
    """See `engine.simd.integer.max_rows`."""
    out[:32] = 0
    for t in range(start, end):
        row = 32 * np.int64(codes[t])
        for j in range(32):
            out[j] = max(out[j], rows[row + j])


@register_jitable
def scan_laid(values, start, end, groups, laid, query, columns, offset, out):
    """See `engine.simd.integer.scan_laid`; the panels have the layout of 8 lanes."""
    for first in range(0, columns, 32):
        width = min(32, columns - first)
        for j in range(width):
            best = out[first + j]
            for t in range(start, end):
                total = offset[first + j]
                for g in range(groups):
                    at = first * laid * 4 + (g * width + j) * 4
                    for i in range(4):
                        total += np.int32(values[(t * groups + g) * 4 + i]) * np.int32(query[at + i])
                best = max(best, total)
            out[first + j] = best


@register_jitable
def max_scan(values, start, end, groups, query, columns, offset, out):
    """See `engine.simd.integer.max_scan`."""
    scan_laid(values, start, end, groups, groups, query, columns, offset, out)


@register_jitable
def begin_scan():
    """See `engine.simd.integer.begin_scan`: here there is nothing to do, then or at the end."""


@register_jitable
def best_products(values, start, end, dim, query, columns, out, where):
    """See `engine.simd.floating.best_products`; the panels have the layout of 8 lanes."""
    total = np.empty(32, np.float32)
    for first in range(0, columns, 32):
        width = min(32, columns - first)
        for t in range(start, end):
            total[:width] = 0
            for d in range(dim):
                number = values[t * dim + d]
                for j in range(width):
                    total[j] += number * query[first * dim + d * width + j]
            for j in range(width):
                if total[j] > out[first + j]:
                    out[first + j], where[first + j] = total[j], t - start
                out[first + j] += total[j] * np.float32(0)  # NaN or infinity times zero poisons the maximum


@register_jitable
def max_products(values, start, end, dim, query, columns, out):
    """See `engine.simd.floating.max_products`; the panels have the layout of 8 lanes."""
    best_products(values, start, end, dim, query, columns, out, np.empty(columns, np.int32))


@register_jitable
def widen(halves, at, count, out):
    """See `engine.simd.floating.widen`."""
    for k in range(count):
        bits = np.int64(halves[at + k])
        exponent, fraction = (bits >> 10) & 31, bits & 1023
        if exponent == 31:
            number = np.inf if fraction == 0 else np.nan
        elif exponent == 0:
            number = fraction * 2.0**-24
        else:
            number = (1024 + fraction) * 2.0 ** (exponent - 25)
        out[k] = -number if bits >> 15 else number


@register_jitable
def multiply_rows(values, first, last, dim, panel, out):
    """See `engine.simd.centroids.multiply_rows`."""
    for row in range(first, last):
        total = np.zeros(32, np.float32)
        for d in range(dim):
            number = values[row * dim + d]
            for lane in range(32):
                total[lane] += number * panel[32 * d + lane]
        out[32 * row : 32 * row + 32] = total


@register_jitable
def multiply_chosen(values, numbers, first, last, dim, panel, width, out):
    """See `engine.simd.centroids.multiply_chosen`."""
    for row in range(first, last):
        start = numbers[row] * dim
        for lane in range(width):
            total = np.float32(0)
            for d in range(dim):
                total += values[start + d] * panel[32 * d + lane]
            out[32 * row + lane] = total


@register_jitable
def whole_rows(values, first, last, groups, query, width, shift, sums, best):
    """See `engine.simd.centroids.whole_rows`."""
    for row in range(first, last):
        for lane in range(width):
            total = np.int64(0)
            for g in range(groups):
                for i in range(4):
                    weight = np.int64(query[(g * 32 + lane) * 4 + i])
                    total += np.int64(values[(row * groups + g) * 4 + i]) * weight
            sums[32 * row + lane] = total >> shift
            best[lane] = max(best[lane], sums[32 * row + lane])


@register_jitable
def byte_rows(sums, first, last, width, factor, shift, limits, rows, numbers, masks):
    """See `engine.simd.centroids.byte_rows`."""
    count = 0
    for row in range(first, last):
        mask = np.int64(0)
        for lane in range(width):
            y = np.float32(sums[32 * row + lane]) * factor[lane] + shift[lane]
            rows[32 * row + lane] = np.uint8(min(max(y, np.float32(0)), np.float32(255)))
            mask |= np.int64(sums[32 * row + lane] >= limits[lane]) << lane
        numbers[first + count], masks[first + count] = row, mask
        count += mask != 0
    return count


@register_jitable
def token_scores(width, short, values, n, groups, query, table, shift, unit, codes, lengths, sums, best):
    """See `engine.simd.residuals.token_scores`."""
    for t in range(n):
        origin = np.int64(codes[t]) * 32
        for lane in range(width):
            total = np.int32(0)
            for g in range(groups):
                for i in range(4):
                    weight = np.int32(query[(g * width + lane) * 4 + i])
                    total += np.int32(values[(t * groups + g) * 4 + i]) * weight
            score = table[origin + lane] + lengths[t] * (np.float32(total) * unit[lane] + shift[lane])
            sums[t * width + lane] = score
            best[lane] = max(best[lane], score)


@register_jitable
def lanes_above(sums, at, limits, width):
    """See `engine.simd.residuals.lanes_above`."""
    mask = 0
    for lane in range(width):
        mask |= np.int64(sums[at + lane] >= limits[lane]) << lane
    return mask


@register_jitable
def winners(rows, codes, start, end, best, wanted, tokens, at):
    """See `engine.simd.residuals.winners`."""
    for t in range(start, end):
        row, won = 32 * np.int64(codes[t]), False
        for lane in range(32):
            won |= bool(wanted >> lane & 1) and rows[row + lane] == best[lane]
        if won:
            tokens[at] = t
            at += 1
    return at


@register_jitable
def fetch(packed, at, n):
    """See `engine.simd.residuals.fetch`; here it does nothing."""


@register_jitable
def lowest_bit(mask):
    """See `engine.simd.residuals.lowest_bit`."""
    position = 0
    while not mask & 1:
        mask >>= 1
        position += 1
    return position


@register_jitable
def dot(codes, at, row, row_at, n):
    """See `engine.simd.residuals.dot`."""
    sums = np.zeros(8, np.float32)
    for d in range(0, n, 8):
        for lane in range(8):
            sums[lane] += np.float32(codes[at + d + lane]) * row[row_at + d + lane]
    for half in (4, 2, 1):
        for lane in range(half):
            sums[lane] += sums[lane + half]
    return sums[0]


@register_jitable
def unpack(packed, at, n, out, out_at, bits):
    """See `engine.simd.residuals.unpack`."""
    for part in range(8 // bits):
        for i in range(n):
            out[out_at + part * n + i] = (packed[at + i] >> np.uint8(part * bits)) & np.uint8((1 << bits) - 1)


@register_jitable
def add_bits(packed, at, n, out, out_at, bits):
    """See `engine.simd.residuals.add_bits`."""
    for i in range(n):
        for j in range(8):
            out[out_at + 8 * i + j] |= ((packed[at + i] >> np.uint8(j)) & np.uint8(1)) << np.uint8(bits)
