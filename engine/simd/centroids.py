"""Kernels of tables: products of many rows with one panel of 32 query tokens, in float32 or as bytes.

The rows are centroids, the table their scores. Every float32 product is summed over the dimensions in order with fused
multiply-adds, so it does not depend on where a row lies; bytes come from integers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd import plain
from engine.simd.build import F32, I8, I32, by_level, each, full, i64, load, loop, signature, splat, store
from engine.simd.floating import fma
from engine.simd.integer import arithmetic_of, bytes_of
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


def _bytes(level: Level, b: Any, values, first, last, groups, query, factor, shift, rows) -> None:
    arithmetic, (registers, at, vector) = arithmetic_of(level, False), _registers(level)
    narrow = ir.VectorType(I8, level.lanes)
    factors, shifts = ([load(b, numbers, place, vector) for place in at] for numbers in (factor, shift))

    def block(row: Any, count: int) -> None:
        starts = [b.gep(values, [b.mul(b.add(row, i64(t)), b.mul(groups, i64(4)))]) for t in range(count)]

        def turn(group: Any, carried: list[Any]) -> list[Any]:
            words = [bytes_of(b, load(b, start, b.mul(group, i64(4)), I32), level.lanes) for start in starts]
            for v in registers:
                place = b.mul(b.add(b.mul(group, i64(COLUMNS)), at[v]), i64(4))
                asked = load(b, query, place, arithmetic.bytes)
                for t in range(count):
                    k = t * len(registers) + v
                    carried[k] = arithmetic.add(b, carried[k], words[t], asked)
            return carried

        zeros = [arithmetic.begin(b, full(arithmetic.wide, 0))] * (len(registers) * count)
        totals = [arithmetic.end(b, x) for x in loop(b, groups, 1, zeros, turn)]
        for t in range(count):
            for v in registers:
                y = b.fadd(b.fmul(b.sitofp(totals[t * len(registers) + v], vector), factors[v]), shifts[v])
                y = b.select(b.fcmp_ordered(">", y, full(vector, 0.0)), y, full(vector, 0.0))
                y = b.select(b.fcmp_ordered("<", y, full(vector, 255.0)), y, full(vector, 255.0))
                place = b.add(b.mul(b.add(row, i64(t)), i64(COLUMNS)), at[v])
                store(b, b.trunc(b.fptosi(y, arithmetic.wide), narrow), rows, place)

    each(b, first, last, level.rows, block)


@intrinsic
def _byte_rows(_, values, first, last, groups, query, factor, shift, rows):
    """rows[c, j] = clip((values[c] . query[:, j]) * factor[j] + shift[j], 0, 255), cut, for first <= c < last.

    values is uint8 [n * 4 * groups] up to 127, query int8 [groups * 32 * 4] from -127, factor and shift are float32
    [32], rows uint8 [n * 32].
    """
    called = signature(types.void, values, first, last, groups, query, factor, shift, rows)
    return called, by_level(_bytes, plain.byte_rows)


multiply_rows: Any = _multiply_rows  # numba adds the first argument
byte_rows: Any = _byte_rows
