"""The kernels in plain numba: what every level is checked against, and what runs where there are no known vectors."""

from __future__ import annotations

import numpy as np

from engine.simd.jit import kernel


@kernel
def max_rows(rows, codes, start, end, out):
    """See `engine.simd.kernels.max_rows`."""
    out[:32] = 0
    for t in range(start, end):
        row = 32 * np.int64(codes[t])
        for j in range(32):
            out[j] = max(out[j], rows[row + j])


@kernel
def max_dots(codes, start, end, base, values, groups, query, out):
    """See `engine.simd.kernels.max_dots`."""
    out[:32] = -(2**30)
    for t in range(start, end):
        origin = 32 * np.int64(codes[t])
        for j in range(32):
            total = base[origin + j]
            for g in range(groups):
                for i in range(4):
                    total += np.int32(values[(t * groups + g) * 4 + i]) * np.int32(query[(g * 32 + j) * 4 + i])
            out[j] = max(out[j], total)


@kernel
def max_scan(values, start, end, groups, query, columns, offset, out):
    """See `engine.simd.kernels.max_scan`; the panels have the layout of 8 lanes."""
    for first in range(0, columns, 32):
        width = min(32, columns - first)
        for j in range(width):
            best = out[first + j]
            for t in range(start, end):
                total = offset[first + j]
                for g in range(groups):
                    at = first * groups * 4 + (g * width + j) * 4
                    for i in range(4):
                        total += np.int32(values[(t * groups + g) * 4 + i]) * np.int32(query[at + i])
                best = max(best, total)
            out[first + j] = best


@kernel
def begin_scan():
    """See `engine.simd.kernels.begin_scan`."""


@kernel
def end_scan():
    """See `engine.simd.kernels.begin_scan`."""


@kernel
def best_products(values, start, end, dim, query, columns, out, where):
    """See `engine.simd.kernels.best_products`; the panels have the layout of 8 lanes."""
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


@kernel
def max_products(values, start, end, dim, query, columns, out):
    """See `engine.simd.kernels.max_products`; the panels have the layout of 8 lanes."""
    best_products(values, start, end, dim, query, columns, out, np.empty(columns, np.int32))


@kernel
def widen(halves, at, count, out):
    """See `engine.simd.kernels.widen`."""
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
