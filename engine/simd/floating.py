"""Float32 kernels: products of document tokens with a panel of query tokens, and their maximum.

A panel is [dim, columns] float32, columns padded to a multiple of the lane count. Every product is summed over the
dimensions in order with fused multiply-adds, whatever the blocking, so that results depend on nothing but the inputs.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd.build import F32, call, data, full, i64, load, loop, splat, store

LANES = {"avx512-vnni": 16, "avx2": 8, "neon": 4}


def make_block(level: str, vectors: int, tokens: int) -> Any:
    """An intrinsic that takes consecutive document tokens through one panel and raises the running maximum.

    Args:
        level: A level with vectors.
        vectors: Registers of query tokens.
        tokens: Document tokens at once.

    Returns:
        function(values float32 [tokens * dim], at, dim, panel float32, panel_at, out float32, out_at):
        out[out_at + j] = max(itself, values[at + dim * t ..] . panel[panel_at + columns * d + j]) over `tokens` rows.
    """
    lanes = LANES[level]
    vector = ir.VectorType(F32, lanes)

    @intrinsic
    def block(_, values, at, dim, panel, panel_at, out, out_at):
        signature = types.void(values, at, dim, panel, panel_at, out, out_at)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            value, query, result = (data(context, b, sig, args, k) for k in (0, 3, 5))
            dim = args[2]
            rows = [b.gep(value, [b.add(args[1], b.mul(dim, i64(t)))]) for t in range(tokens)]

            def turn(d: Any, carried: list[Any]) -> list[Any]:
                numbers = [splat(b, load(b, r, d, F32), lanes) for r in rows]
                at = b.add(args[4], b.mul(d, i64(lanes * vectors)))
                new = list(carried)
                for v in range(vectors):
                    asked = load(b, query, b.add(at, i64(lanes * v)), vector)
                    for t in range(tokens):
                        k = t * vectors + v
                        new[k] = call(b, f"llvm.fma.v{lanes}f32", vector, [asked, numbers[t], new[k]])
                return new

            totals = loop(b, dim, 1, [full(vector, 0.0)] * (vectors * tokens), turn)
            for v in range(vectors):
                at = b.add(args[6], i64(v * lanes))
                best = load(b, result, at, vector)
                for t in range(tokens):
                    new = totals[t * vectors + v]
                    best = b.select(b.fcmp_ordered(">", new, best), new, best)
                store(b, best, result, at)
            return context.get_dummy_value()

        return signature, generate

    return block
