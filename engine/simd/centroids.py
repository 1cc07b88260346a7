"""Kernels of tables: products of many rows with one panel of 32 query tokens, in float32 or as whole numbers.

The rows are centroids, the table their scores. Every float32 product is summed over the dimensions in order with fused
multiply-adds, so it does not depend on where a row lies; whole numbers and bytes come from integers. A panel of fewer
query tokens is worked on as far as its registers go: what lies behind `width` lanes of a table means nothing.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import alloca_once
from numba.extending import intrinsic

from engine.simd import plain
from engine.simd.build import (
    COLUMNS,
    F32,
    I8,
    I16,
    I32,
    I64,
    by_level,
    each,
    for_each_width,
    full,
    i64,
    load,
    loop,
    signature,
    splat,
    store,
)
from engine.simd.floating import fma
from engine.simd.integer import arithmetic_of, bytes_of
from engine.simd.levels import Level


def _rows_at_once(level: Level, vectors: int) -> int:
    """Rows whose sums fit the registers."""
    return min(8, level.rows * (COLUMNS // level.lanes) // vectors)


def _multiplied(level: Level, b: Any, values, numbers, first, last, dim, panel, width, out) -> None:
    vector = ir.VectorType(F32, level.lanes)

    def emit(vectors: int) -> None:
        registers, at = range(vectors), [i64(v * level.lanes) for v in range(vectors)]

        def block(row: Any, rows: int) -> None:
            places = [b.add(row, i64(t)) for t in range(rows)]
            chosen = places if numbers is None else [b.load(b.gep(numbers, [place])) for place in places]
            starts = [b.gep(values, [b.mul(dim, number)]) for number in chosen]

            def turn(d: Any, carried: list[Any]) -> list[Any]:
                parts = [splat(b, load(b, start, d, F32), level.lanes) for start in starts]
                for v in registers:
                    asked = load(b, panel, b.add(b.mul(d, i64(COLUMNS)), at[v]), vector)
                    for t in range(rows):
                        k = t * vectors + v
                        carried[k] = fma(b, asked, parts[t], carried[k])
                return carried

            totals = loop(b, dim, 1, [full(vector, 0.0)] * (vectors * rows), turn)
            for t in range(rows):
                for v in registers:
                    store(b, totals[t * vectors + v], out, b.add(b.mul(places[t], i64(COLUMNS)), at[v]))

        each(b, first, last, _rows_at_once(level, vectors), block)

    for_each_width(b, width, level.lanes, emit)


def _multiplied_all(level: Level, b: Any, values, first, last, dim, panel, out) -> None:
    _multiplied(level, b, values, None, first, last, dim, panel, i64(COLUMNS), out)


@intrinsic
def _multiply_rows(_, values, first, last, dim, panel, out):
    """out[c, j] = values[c] . panel[:, j] for first <= c < last; float32, values [n * dim], panel [dim * 32]."""
    called = signature(types.void, values, first, last, dim, panel, out)
    return called, by_level(_multiplied_all, plain.multiply_rows)


@intrinsic
def _multiply_chosen(_, values, numbers, first, last, dim, panel, width, out):
    """out[i, j] = values[numbers[i]] . panel[:, j] for first <= i < last and j < width; numbers is int64."""
    called = signature(types.void, values, numbers, first, last, dim, panel, width, out)
    return called, by_level(_multiplied, plain.multiply_chosen)


def _whole(level: Level, b: Any, values, first, last, groups, query, width, shift, sums, best) -> None:
    arithmetic, narrow = arithmetic_of(level, False), ir.VectorType(I16, level.lanes)
    shifts = splat(b, b.trunc(shift, I32), level.lanes)

    def emit(vectors: int) -> None:
        registers, at = range(vectors), [i64(v * level.lanes) for v in range(vectors)]

        def block(row: Any, count: int) -> None:
            starts = [b.gep(values, [b.mul(b.add(row, i64(t)), b.mul(groups, i64(4)))]) for t in range(count)]

            def turn(group: Any, carried: list[Any]) -> list[Any]:
                words = [bytes_of(b, load(b, start, b.mul(group, i64(4)), I32), level.lanes) for start in starts]
                for v in registers:
                    place = b.mul(b.add(b.mul(group, i64(COLUMNS)), at[v]), i64(4))
                    asked = load(b, query, place, arithmetic.bytes)
                    for t in range(count):
                        k = t * vectors + v
                        carried[k] = arithmetic.add(b, carried[k], words[t], asked)
                return carried

            zeros = [arithmetic.begin(b, full(arithmetic.wide, 0))] * (vectors * count)
            totals = [arithmetic.end(b, x) for x in loop(b, groups, 1, zeros, turn)]
            for v in registers:
                highest = load(b, best, at[v], narrow)
                for t in range(count):
                    found = b.trunc(b.ashr(totals[t * vectors + v], shifts), narrow)
                    store(b, found, sums, b.add(b.mul(b.add(row, i64(t)), i64(COLUMNS)), at[v]))
                    highest = b.select(b.icmp_signed(">", found, highest), found, highest)
                store(b, highest, best, at[v])

        each(b, first, last, _rows_at_once(level, vectors), block)

    for_each_width(b, width, level.lanes, emit)


@intrinsic
def _whole_rows(_, values, first, last, groups, query, width, shift, sums, best):
    """sums[c, j] = (values[c] . query[:, j]) >> shift for first <= c < last and j < width; best[j] is raised to them.

    values is uint8 [n * 4 * groups] up to 127, query int8 [groups * 32 * 4] from -127, sums int16 [n * 32], best int16
    [32]; `shift` promises that they fit.
    """
    called = signature(types.void, values, first, last, groups, query, width, shift, sums, best)
    return called, by_level(_whole, plain.whole_rows)


def _bytes(level: Level, b: Any, sums, first, last, width, factor, shift, limits, rows, numbers, masks) -> Any:
    lanes, found = level.lanes, alloca_once(b, I64)
    real, whole, wide = (ir.VectorType(kind, lanes) for kind in (F32, I16, I32))

    def emit(vectors: int) -> None:
        at = [i64(v * lanes) for v in range(vectors)]
        factors, shifts = ([load(b, numbers, place, real) for place in at] for numbers in (factor, shift))
        least = [load(b, limits, place, whole) for place in at]

        def turn(k: Any, carried: list[Any]) -> list[Any]:
            row, mask = b.add(first, k), ir.Constant(I32, 0)
            for v in range(vectors):
                place = b.add(b.mul(row, i64(COLUMNS)), at[v])
                sums_here = load(b, sums, place, whole)
                reached = b.bitcast(b.icmp_signed(">=", sums_here, least[v]), ir.IntType(lanes))
                reached = reached if lanes == COLUMNS else b.zext(reached, I32)
                mask = b.or_(mask, b.shl(reached, ir.Constant(I32, v * lanes)))
                y = b.fadd(b.fmul(b.sitofp(b.sext(sums_here, wide), real), factors[v]), shifts[v])
                y = b.select(b.fcmp_ordered(">", y, full(real, 0.0)), y, full(real, 0.0))
                y = b.select(b.fcmp_ordered("<", y, full(real, 255.0)), y, full(real, 255.0))
                store(b, b.trunc(b.fptosi(y, wide), ir.VectorType(I8, lanes)), rows, place)
            to = b.add(first, carried[0])
            b.store(b.trunc(row, I32), b.gep(numbers, [to]))
            b.store(mask, b.gep(masks, [to]))
            return [b.add(carried[0], b.zext(b.icmp_signed("!=", mask, ir.Constant(I32, 0)), I64))]

        with b.if_then(b.icmp_signed(">", last, first)):
            b.store(loop(b, b.sub(last, first), 1, [i64(0)], turn)[0], found)

    b.store(i64(0), found)
    for_each_width(b, width, lanes, emit)
    return b.load(found)


@intrinsic
def _byte_rows(_, sums, first, last, width, factor, shift, limits, rows, numbers, masks):
    """rows[c, j] = clip(sums[c, j] * factor[j] + shift[j], 0, 255), cut, for first <= c < last and j < width.

    Returns how many of these c have a lane with sums[c, j] >= limits[j]; from place `first` on numbers gets them,
    rising, and masks those lanes, a bit each. sums is int16 [n * 32], factor and shift float32 [32], limits int16 [32],
    rows uint8 [n * 32], numbers int32 [n], masks uint32 [n].
    """
    called = signature(types.int64, sums, first, last, width, factor, shift, limits, rows, numbers, masks)
    return called, by_level(_bytes, plain.byte_rows)


multiply_rows: Any = _multiply_rows  # numba adds the first argument
multiply_chosen: Any = _multiply_chosen
whole_rows: Any = _whole_rows
byte_rows: Any = _byte_rows
