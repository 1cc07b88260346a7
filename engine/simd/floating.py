"""Float32 kernels: products of document tokens with the panels of a query, and their maximum.

A panel is [dim, columns] float32. Every product is summed over the dimensions in order with fused multiply-adds,
whatever the blocking, so that results depend on nothing but the inputs.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd import plain
from engine.simd.build import (
    F32,
    I16,
    I32,
    by_level,
    call,
    each,
    full,
    i64,
    load,
    loop,
    panels,
    prefetch,
    signature,
    splat,
    store,
)
from engine.simd.levels import Level


def fma(b: Any, x: Any, y: Any, z: Any) -> Any:
    """The sum x * y + z with one rounding, in every lane."""
    return call(b, f"llvm.fma.v{x.type.count}f32", x.type, [x, y, z])


def _span(level: Level, b: Any, vectors: int, tokens: Any, panel: Any, result: Any, place: Any = None) -> None:
    """Take a run of document tokens through one panel and raise the running maximum, and where it came from.

    Args:
        level: Lanes and tokens at once.
        b: The builder.
        vectors: Registers of query tokens.
        tokens: values, start, end and dim.
        panel: Pointer to the panel.
        result: Pointer to the maximum of its first column.
        place: Pointer to the int32 that gets t - start of the maximum when it rose; None keeps none.
    """
    values, start, end, dim = tokens
    lanes = level.lanes
    vector, whole = ir.VectorType(F32, lanes), ir.VectorType(I32, lanes)

    def block(token: Any, n: int) -> None:
        rows = [b.gep(values, [b.mul(dim, b.add(token, i64(t)))]) for t in range(n)]
        prefetch(b, rows[0], b.mul(dim, i64(4 * n)))

        def turn(d: Any, carried: list[Any]) -> list[Any]:
            numbers = [splat(b, load(b, row, d, F32), lanes) for row in rows]
            at = b.mul(d, i64(lanes * vectors))
            for v in range(vectors):
                asked = load(b, panel, b.add(at, i64(lanes * v)), vector)
                for t in range(n):
                    carried[t * vectors + v] = fma(b, asked, numbers[t], carried[t * vectors + v])
            return carried

        totals = loop(b, dim, 1, [full(vector, 0.0)] * (vectors * n), turn)
        for v in range(vectors):
            at = i64(v * lanes)
            best, winner = load(b, result, at, vector), load(b, place, at, whole) if place else None
            for t, new in enumerate(totals[v::vectors]):
                higher = b.fcmp_ordered(">", new, best)
                if place:
                    number = b.trunc(b.sub(b.add(token, i64(t)), start), I32)
                    winner = b.select(higher, splat(b, number, lanes), winner)
                best = b.select(higher, new, best)
                best = fma(b, new, full(vector, 0.0), best)  # NaN or infinity times zero poisons the maximum
            store(b, best, result, at)
            if place:
                store(b, winner, place, at)

    each(b, start, end, level.float_tokens[vectors - 1], block)


def _products(level: Level, b: Any, values, start, end, dim, query, columns, out, where=None) -> None:
    def panel(first: Any, vectors: int) -> None:
        at = b.gep(query, [b.mul(first, dim)])
        place = None if where is None else b.gep(where, [first])
        _span(level, b, vectors, (values, start, end, dim), at, b.gep(out, [first]), place)

    panels(b, columns, level.lanes, panel)


@intrinsic
def _max_products(_, values, start, end, dim, query, columns, out):
    """Raises out[columns] float32 to the maximum over tokens start <= t < end of values[t] . query.

    values is [tokens, dim] float32, query from `kernels.query_panels`; NaN where a product is not finite.
    """
    called = signature(types.void, values, start, end, dim, query, columns, out)
    return called, by_level(_products, plain.max_products)


@intrinsic
def _best_products(_, values, start, end, dim, query, columns, out, where):
    """As `max_products`; where[columns] int32 gets t - start of the maximum wherever it rose, the first of equals."""
    called = signature(types.void, values, start, end, dim, query, columns, out, where)
    return called, by_level(_products, plain.best_products)


def _widened(level: Level, b: Any, halves, at, count, out) -> None:
    lanes = level.lanes
    full_count = b.sub(count, b.srem(count, i64(lanes)))

    def convert(k: Any, n: int) -> None:
        bits = load(b, halves, b.add(at, k), ir.VectorType(I16, n))
        numbers = b.bitcast(bits, ir.VectorType(ir.HalfType(), n))
        store(b, b.fpext(numbers, ir.VectorType(F32, n)), out, k)

    with b.if_then(b.icmp_signed(">", full_count, i64(0))):
        loop(b, full_count, lanes, [], lambda k, carried: [convert(k, lanes), carried][1])
    each(b, full_count, count, 1, lambda k, n: convert(k, 1))


@intrinsic
def _widen(_, halves, at, count, out):
    """out[: count] float32 = the float16 numbers whose bits, uint16, start at `at`."""
    return signature(types.void, halves, at, count, out), by_level(_widened, plain.widen)


max_products: Any = _max_products  # numba adds the first argument
best_products: Any = _best_products
widen: Any = _widen
