"""Kernels of tables: products of many rows with one panel of 32 query tokens, kept, searched and rounded.

The rows are centroids, the table their scores. Every product is summed over the dimensions in order with fused
multiply-adds, so it does not depend on where a row lies.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd.build import F32, I8, I32, call, data, full, i64, load, loop, splat, store

COLUMNS = 32


def make_rows(lanes: int, rows: int) -> Any:
    """An intrinsic that multiplies some consecutive rows with one panel.

    Args:
        lanes: Float32 numbers of a vector register.
        rows: Rows at once; `rows * 32 / lanes` registers hold the sums.

    Returns:
        function(values float32 [n * dim], at, dim, panel float32 [dim * 32], out float32 [n * 32], out_at):
        out[out_at + 32 t + j] = values[at + dim t ..] . panel[32 d + j] for `rows` rows t.
    """
    vectors = COLUMNS // lanes
    vector = ir.VectorType(F32, lanes)

    @intrinsic
    def block(_, values, at, dim, panel, out, out_at):
        signature = types.void(values, at, dim, panel, out, out_at)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            value, query, result = (data(context, b, sig, args, k) for k in (0, 3, 4))
            dim = args[2]
            starts = [b.gep(value, [b.add(args[1], b.mul(dim, i64(t)))]) for t in range(rows)]

            def turn(d: Any, carried: list[Any]) -> list[Any]:
                numbers = [splat(b, load(b, start, d, F32), lanes) for start in starts]
                new = list(carried)
                for v in range(vectors):
                    asked = load(b, query, b.add(b.mul(d, i64(COLUMNS)), i64(lanes * v)), vector)
                    for t in range(rows):
                        k = t * vectors + v
                        new[k] = call(b, f"llvm.fma.v{lanes}f32", vector, [asked, numbers[t], new[k]])
                return new

            totals = loop(b, dim, 1, [full(vector, 0.0)] * (vectors * rows), turn)
            for t in range(rows):
                for v in range(vectors):
                    store(b, totals[t * vectors + v], result, b.add(args[5], i64(COLUMNS * t + lanes * v)))
            return context.get_dummy_value()

        return signature, generate

    return block


def make_column_maxima(lanes: int) -> Any:
    """An intrinsic for the maximum of each column over consecutive rows.

    Args:
        lanes: Float32 numbers of a vector register.

    Returns:
        function(table float32 [n * 32], row, count, out float32, out_at): out[out_at + j] = the maximum of column j
        over `count` rows from `row`; count at least 1.
    """
    vectors, vector = COLUMNS // lanes, ir.VectorType(F32, lanes)

    @intrinsic
    def maxima(_, table, row, count, out, out_at):
        signature = types.void(table, row, count, out, out_at)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            values, result = data(context, b, sig, args, 0), data(context, b, sig, args, 3)

            def turn(r: Any, carried: list[Any]) -> list[Any]:
                at = b.mul(b.add(args[1], r), i64(COLUMNS))
                found = [load(b, values, b.add(at, i64(v * lanes)), vector) for v in range(vectors)]
                return [b.select(b.fcmp_ordered(">", x, y), x, y) for x, y in zip(found, carried, strict=True)]

            best = loop(b, args[2], 1, [full(vector, -float("inf"))] * vectors, turn)
            for v in range(vectors):
                store(b, best[v], result, b.add(args[4], i64(v * lanes)))
            return context.get_dummy_value()

        return signature, generate

    return maxima


def make_rounding(lanes: int) -> Any:
    """An intrinsic that rounds rows of a float table to bytes.

    Args:
        lanes: Float32 numbers of a vector register.

    Returns:
        function(table float32 [n * 32], row, count, low float32 [32], factor, rows uint8 [n * 32]): for `count` rows
        from `row`, at least 1, rows = clip((table - low) * factor + 0.5, 0, 255).
    """
    vectors, vector = COLUMNS // lanes, ir.VectorType(F32, lanes)
    wide, narrow = ir.VectorType(I32, lanes), ir.VectorType(I8, lanes)

    @intrinsic
    def rounding(_, table, row, count, low, factor, rows):
        signature = types.void(table, row, count, low, factor, rows)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            values, lows, small = (data(context, b, sig, args, k) for k in (0, 3, 5))
            factors, at = splat(b, args[4], lanes), [i64(v * lanes) for v in range(vectors)]
            lowest = [load(b, lows, a, vector) for a in at]

            def turn(r: Any, _: list[Any]) -> list[Any]:
                start = b.mul(b.add(args[1], r), i64(COLUMNS))
                for v in range(vectors):
                    x = load(b, values, b.add(start, at[v]), vector)
                    y = b.fadd(b.fmul(b.fsub(x, lowest[v]), factors), full(vector, 0.5))
                    y = b.select(b.fcmp_ordered(">", y, full(vector, 0.0)), y, full(vector, 0.0))
                    y = b.select(b.fcmp_ordered("<", y, full(vector, 255.0)), y, full(vector, 255.0))
                    store(b, b.trunc(b.fptosi(y, wide), narrow), small, b.add(start, at[v]))
                return []

            loop(b, args[2], 1, [], turn)
            return context.get_dummy_value()

        return signature, generate

    return rounding
