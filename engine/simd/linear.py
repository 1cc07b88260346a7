"""A linear layer in integers: activations in 8 bits with a range for each row, weights in 7 bits with one a column.

With x ~ low + step * code and w ~ scale * weight,  x . w  =  step * scale * (code . weight) + low * sum(w).
Codes up to 255 and weights in -64..64 keep the pairwise products of AVX2 within int16, so no level saturates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd import choice, kernels
from engine.simd.build import (
    F32,
    I8,
    I32,
    by_level,
    call,
    data,
    each,
    full,
    i64,
    load,
    loop,
    panels,
    signature,
    splat,
    store,
)
from engine.simd.floating import fma
from engine.simd.integer import arithmetic_of, bytes_of
from engine.simd.jit import kernel
from engine.simd.levels import Level

WEIGHT_LIMIT, CODE_LIMIT = 64, 255
ROWS = 32  # rows of codes that stay in the cache while the weights pass
TOKENS = 5  # rows at once, for four registers of columns; with 16 registers two


def available() -> bool:
    """Whether this processor multiplies bytes by instructions of its own, so that integers are worth it."""
    return choice.chosen().products not in ("", "generic")


def weight_panels(weights: np.ndarray) -> np.ndarray:
    """Lay weights out for `linear`.

    Args:
        weights: int8 [columns, width]; columns a multiple of the lanes, width of 8.

    Returns:
        int8, flat, see `kernels.query_panels`.
    """
    return kernels.query_panels(weights, 4, choice.chosen())


def _multiplied(level: Level, b: Any, codes, count, groups, weights, terms, columns, ranges, out, out_at) -> None:
    tokens = TOKENS if level.lanes == 16 else 2
    arithmetic, lanes, real = arithmetic_of(level, False), level.lanes, ir.VectorType(F32, level.lanes)

    def block(first: Any, vectors: int, row: Any, n: int) -> None:
        panel = b.gep(weights, [b.mul(first, b.mul(groups, i64(4)))])
        rows = [b.gep(codes, [b.mul(b.add(row, i64(t)), b.mul(groups, i64(4)))]) for t in range(n)]

        def turn(group: Any, carried: list[Any]) -> list[Any]:
            four = [bytes_of(b, load(b, r, b.mul(group, i64(4)), I32), lanes) for r in rows]
            at = b.mul(group, i64(4 * lanes * vectors))
            for v in range(vectors):
                column = load(b, panel, b.add(at, i64(4 * lanes * v)), arithmetic.bytes)
                for t in range(n):
                    carried[t * vectors + v] = arithmetic.add(b, carried[t * vectors + v], four[t], column)
            return carried

        totals = loop(b, groups, 1, [full(arithmetic.wide, 0)] * (vectors * n), turn)
        for t in range(n):
            place = b.mul(b.add(row, i64(t)), i64(2))
            step, low = (splat(b, load(b, ranges, b.add(place, i64(k)), F32), lanes) for k in (0, 1))
            target = b.add(out_at, b.add(b.mul(b.add(row, i64(t)), columns), first))
            for v in range(vectors):
                at = b.add(first, i64(lanes * v))
                scale, total, bias = (load(b, terms, b.add(at, b.mul(columns, i64(k))), real) for k in range(3))
                product = b.sitofp(totals[t * vectors + v], real)
                value = fma(b, product, b.fmul(step, scale), fma(b, low, total, bias))
                store(b, value, out, b.add(target, i64(lanes * v)))

    def panel(first: Any, vectors: int) -> None:
        each(b, i64(0), count, tokens, lambda row, n: block(first, vectors, row, n))

    panels(b, columns, lanes, panel)


def _never(codes, count, groups, weights, terms, columns, ranges, out, out_at):
    raise NotImplementedError("no integer products on this processor: see `available`")


@intrinsic
def _multiply(_, codes, count, groups, weights, terms, columns, ranges, out, out_at):
    """Multiply rows of codes with all columns of weights.

    codes is uint8 [count * 4 * groups], weights from `weight_panels`, terms float32 [3, columns] with scales, sums and
    biases, ranges float32 [count, 2] with the step and the low end of each row, out float32 from `out_at`, a row after
    the other.
    """
    called = signature(types.void, codes, count, groups, weights, terms, columns, ranges, out, out_at)
    return called, by_level(_multiplied, _never)


multiply: Any = _multiply  # numba adds the first argument


def make_encode(lanes: int) -> Any:
    """An intrinsic: one row of float32 to codes, and its step and low end to ranges[2 * row ..]; count % lanes == 0."""
    real, whole, small = (ir.VectorType(kind, lanes) for kind in (F32, I32, I8))

    @intrinsic
    def encode(_, values, at, count, codes, to, ranges, row):
        signature = types.void(values, at, count, codes, to, ranges, row)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            value, code, spread = (data(context, b, sig, args, k) for k in (0, 3, 5))

            def extremes(k: Any, carried: list[Any]) -> list[Any]:
                x = load(b, value, b.add(args[1], k), real)
                low, high = carried
                return [b.select(b.fcmp_ordered("<", x, low), x, low), b.select(b.fcmp_ordered(">", x, high), x, high)]

            first = load(b, value, args[1], real)
            low, high = loop(b, args[2], lanes, [first, first], extremes)
            small_end = call(b, f"llvm.vector.reduce.fmin.v{lanes}f32", F32, [low])
            large_end = call(b, f"llvm.vector.reduce.fmax.v{lanes}f32", F32, [high])
            width = b.fsub(large_end, small_end)
            some = b.fcmp_ordered(">", width, ir.Constant(F32, 0.0))
            step = b.select(some, b.fdiv(width, ir.Constant(F32, float(CODE_LIMIT))), ir.Constant(F32, 1.0))
            inverse, origin = splat(b, b.fdiv(ir.Constant(F32, 1.0), step), lanes), splat(b, small_end, lanes)

            def convert(k: Any, carried: list[Any]) -> list[Any]:
                x = b.fmul(b.fsub(load(b, value, b.add(args[1], k), real), origin), inverse)
                near = b.fptosi(call(b, f"llvm.rint.v{lanes}f32", real, [x]), whole)
                limit = full(whole, CODE_LIMIT)  # rounding of the inverse can reach 256
                near = b.select(b.icmp_signed(">", near, limit), limit, near)
                store(b, b.trunc(near, small), code, b.add(args[4], k))
                return carried

            loop(b, args[2], lanes, [], convert)
            for k, number in enumerate((step, small_end)):
                b.store(number, b.gep(spread, [b.add(b.mul(args[6], i64(2)), i64(k))]))
            return context.get_dummy_value()

        return signature, generate

    return encode


encode_row = make_encode(8)


@kernel
def linear(values, first, last, width, weights, terms, columns, out):
    """Rows first to last - 1 of out = values . weights + bias.

    Args:
        values: float32 [rows * width].
        first: First row.
        last: One past the last.
        width: Input features, a multiple of 8.
        weights: int8, from `weight_panels`.
        terms: float32 [3 * columns]: scales, sums and biases.
        columns: Output features, a multiple of the lanes.
        out: float32 [rows * columns], written.
    """
    codes, ranges = np.empty(ROWS * width, np.uint8), np.empty(2 * ROWS, np.float32)
    for start in range(first, last, ROWS):
        count = min(ROWS, last - start)
        for row in range(count):
            encode_row(values, (start + row) * width, width, codes, row * width, ranges, row)
        multiply(codes, count, width // 4, weights, terms, columns, ranges, out, start * columns)
