"""Float32 kernels: products of document tokens with a panel of query tokens, and their maximum.

A panel is [dim, columns] float32, columns padded to a multiple of the lane count. Every product is summed over the
dimensions in order with fused multiply-adds, whatever the blocking, so that results depend on nothing but the inputs.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd.build import F32, I16, I32, call, data, each, full, i64, load, loop, prefetch, splat, store

LANES = {"avx512-vnni": 16, "avx2": 8, "neon": 4}


def make_span(level: str, vectors: int, tokens: int, places: bool = False) -> Any:
    """An intrinsic that takes a run of document tokens through one panel and raises the running maximum.

    Args:
        level: A level with vectors.
        vectors: Registers of query tokens.
        tokens: Document tokens at once.
        places: Also write which token the maximum came from, the first of equal ones.

    Returns:
        function(values float32, start, end, dim, panel float32, panel_at, out float32, out_at, where int32): out[..] =
        max(itself, values[t] . panel[panel_at + columns * d + j]) over start <= t < end; NaN where a product is not
        finite; with `places`, where[out_at + j] = t - start of the maximum when it rose, else unchanged.
    """
    lanes = LANES[level]
    vector, whole = ir.VectorType(F32, lanes), ir.VectorType(I32, lanes)

    @intrinsic
    def span(_, values, start, end, dim, panel, panel_at, out, out_at, where):
        signature = types.void(values, start, end, dim, panel, panel_at, out, out_at, where)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            value, query, result, place = (data(context, b, sig, args, k) for k in (0, 4, 6, 8))
            dim = args[3]

            def block(token: Any, n: int) -> None:
                rows = [b.gep(value, [b.mul(dim, b.add(token, i64(t)))]) for t in range(n)]
                prefetch(b, rows[0], b.mul(dim, i64(4 * n)))

                def turn(d: Any, carried: list[Any]) -> list[Any]:
                    numbers = [splat(b, load(b, r, d, F32), lanes) for r in rows]
                    at = b.add(args[5], b.mul(d, i64(lanes * vectors)))
                    for v in range(vectors):
                        asked = load(b, query, b.add(at, i64(lanes * v)), vector)
                        for t in range(n):
                            k = t * vectors + v
                            carried[k] = _fma(b, asked, numbers[t], carried[k])
                    return carried

                totals = loop(b, dim, 1, [full(vector, 0.0)] * (vectors * n), turn)
                for v in range(vectors):
                    at = b.add(args[7], i64(v * lanes))
                    best, winner = load(b, result, at, vector), load(b, place, at, whole) if places else None
                    for t, new in enumerate(totals[v::vectors]):
                        higher = b.fcmp_ordered(">", new, best)
                        if places:
                            number = b.trunc(b.sub(b.add(token, i64(t)), args[1]), I32)
                            winner = b.select(higher, splat(b, number, lanes), winner)
                        best = b.select(higher, new, best)
                        best = _fma(b, new, full(vector, 0.0), best)  # NaN or infinity times zero poisons the maximum
                    store(b, best, result, at)
                    if places:
                        store(b, winner, place, at)

            each(b, args[1], args[2], tokens, block)
            return context.get_dummy_value()

        return signature, generate

    return span


def _fma(b: Any, x: Any, y: Any, z: Any) -> Any:
    return call(b, f"llvm.fma.v{x.type.count}f32", x.type, [x, y, z])


def make_widen(level: str) -> Any:
    """An intrinsic that turns float16 into float32.

    Args:
        level: A level with vectors.

    Returns:
        function(halves uint16, at, count, out float32): out[: count] = the float16 numbers whose bits start at `at`.
    """
    lanes = LANES[level]

    @intrinsic
    def widen(_, halves, at, count, out):
        signature = types.void(halves, at, count, out)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            source, result = (data(context, b, sig, args, k) for k in (0, 3))
            count = args[2]
            full_count = b.sub(count, b.srem(count, i64(lanes)))

            def convert(k: Any, n: int) -> None:
                bits = load(b, source, b.add(args[1], k), ir.VectorType(I16, n))
                halves = b.bitcast(bits, ir.VectorType(ir.HalfType(), n))
                store(b, b.fpext(halves, ir.VectorType(F32, n)), result, k)

            with b.if_then(b.icmp_signed(">", full_count, i64(0))):
                loop(b, full_count, lanes, [], lambda k, carried: [convert(k, lanes), carried][1])
            each(b, full_count, count, 1, lambda k, n: convert(k, 1))
            return context.get_dummy_value()

        return signature, generate

    return widen
