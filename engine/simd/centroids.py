"""Kernels of tables: products of many rows with one panel of 32 query tokens, kept, searched and rounded.

The rows are centroids, the table their scores. Every product is summed over the dimensions in order with fused
multiply-adds, so it does not depend on where a row lies.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd import plain
from engine.simd.build import F32, I8, I32, by_level, each, full, i64, load, loop, signature, splat, store
from engine.simd.floating import fma
from engine.simd.levels import Level

COLUMNS = 32


def _registers(level: Level) -> tuple[range, list[Any], Any]:
    """Registers of a row, where each begins, and their type."""
    numbers = range(COLUMNS // level.lanes)
    return numbers, [i64(v * level.lanes) for v in numbers], ir.VectorType(F32, level.lanes)


def _multiplied(level: Level, b: Any, values, first, last, dim, panel, out) -> None:
    registers, at, vector = _registers(level)

    def block(row: Any, rows: int) -> None:
        starts = [b.gep(values, [b.mul(dim, b.add(row, i64(t)))]) for t in range(rows)]

        def turn(d: Any, carried: list[Any]) -> list[Any]:
            numbers = [splat(b, load(b, start, d, F32), level.lanes) for start in starts]
            for v in registers:
                asked = load(b, panel, b.add(b.mul(d, i64(COLUMNS)), at[v]), vector)
                for t in range(rows):
                    k = t * len(registers) + v
                    carried[k] = fma(b, asked, numbers[t], carried[k])
            return carried

        totals = loop(b, dim, 1, [full(vector, 0.0)] * (len(registers) * rows), turn)
        for t in range(rows):
            for v in registers:
                place = b.add(b.mul(b.add(row, i64(t)), i64(COLUMNS)), at[v])
                store(b, totals[t * len(registers) + v], out, place)

    each(b, first, last, level.rows, block)


@intrinsic
def _multiply_rows(_, values, first, last, dim, panel, out):
    """out[c, j] = values[c] . panel[:, j] for first <= c < last; float32, values [n * dim], panel [dim * 32]."""
    called = signature(types.void, values, first, last, dim, panel, out)
    return called, by_level(_multiplied, plain.multiply_rows)


def _highest(level: Level, b: Any, table, row, count, out, out_at) -> None:
    registers, at, vector = _registers(level)

    def turn(r: Any, carried: list[Any]) -> list[Any]:
        start = b.mul(b.add(row, r), i64(COLUMNS))
        found = [load(b, table, b.add(start, at[v]), vector) for v in registers]
        return [b.select(b.fcmp_ordered(">", x, y), x, y) for x, y in zip(found, carried, strict=True)]

    best = loop(b, count, 1, [full(vector, -float("inf"))] * len(registers), turn)
    for v in registers:
        store(b, best[v], out, b.add(out_at, at[v]))


@intrinsic
def _column_maxima(_, table, row, count, out, out_at):
    """out[out_at + j] = the maximum of column j over `count` rows, at least 1, of table float32 [n * 32] from `row`."""
    return signature(types.void, table, row, count, out, out_at), by_level(_highest, plain.column_maxima)


def _rounded(level: Level, b: Any, table, row, count, low, factor, rows) -> None:
    registers, at, vector = _registers(level)
    wide, narrow = ir.VectorType(I32, level.lanes), ir.VectorType(I8, level.lanes)
    factors, lowest = splat(b, factor, level.lanes), [load(b, low, place, vector) for place in at]

    def turn(r: Any, carried: list[Any]) -> list[Any]:
        start = b.mul(b.add(row, r), i64(COLUMNS))
        for v in registers:
            x = load(b, table, b.add(start, at[v]), vector)
            y = b.fadd(b.fmul(b.fsub(x, lowest[v]), factors), full(vector, 0.5))
            y = b.select(b.fcmp_ordered(">", y, full(vector, 0.0)), y, full(vector, 0.0))
            y = b.select(b.fcmp_ordered("<", y, full(vector, 255.0)), y, full(vector, 255.0))
            store(b, b.trunc(b.fptosi(y, wide), narrow), rows, b.add(start, at[v]))
        return carried

    loop(b, count, 1, [], turn)


@intrinsic
def _rounding(_, table, row, count, low, factor, rows):
    """Round `count` rows, at least 1, from `row`: rows = clip((table - low) * factor + 0.5, 0, 255).

    table is float32 [n * 32], low float32 [32], rows uint8 [n * 32].
    """
    return signature(types.void, table, row, count, low, factor, rows), by_level(_rounded, plain.rounding)


multiply_rows: Any = _multiply_rows  # numba adds the first argument
column_maxima: Any = _column_maxima
rounding: Any = _rounding
