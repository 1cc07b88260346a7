"""Kernels of tables: products of many rows with one panel of 32 query tokens, kept instead of reduced.

The rows are centroids, the table their scores. Every product is summed over the dimensions in order with fused
multiply-adds, so it does not depend on where a row lies.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd.build import F32, call, data, full, i64, load, loop, splat, store

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
