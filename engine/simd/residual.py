"""Kernels of compressed documents: integer scores of every token, those near the maximum, and float32 dot products."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd.build import F32, I8, I32, I64, call, data, each, full, i64, load, loop, splat, store
from engine.simd.integer import Arithmetic

DOT_LANES = 8  # of every level, so that float32 sums have one order everywhere


def make_token_scores(level: str, vectors: int, tokens: int, short: bool) -> Any:
    """An intrinsic for the integer scores of a document's tokens and their maximum.

    Args:
        level: "avx512-vnni" or "avx2".
        vectors: Registers of query tokens; together they are `width` lanes.
        tokens: Document tokens at once.
        short: On AVX2, keep two int16 sums a lane; `base` then holds pairs of int16, and sums must fit.

    Returns:
        function(values uint8 [n * 4 * groups], n, groups, query int8 [groups * width * 4], base int32, codes,
        sums int32 [n * width], best int32 [width]): sums[t] = base[codes[t]] + values[t] . query; best is raised to
        their maximum.
    """
    arithmetic = Arithmetic(level, short)
    lanes, wide = arithmetic.lanes, arithmetic.wide
    width = lanes * vectors

    def block(b: Any, pointers: list[Any], groups: Any, token: Any, n: int) -> None:
        value, panel, base, code, out, best = pointers
        numbers = [b.add(token, i64(t)) for t in range(n)]
        rows = [b.gep(value, [b.mul(number, b.mul(groups, i64(4)))]) for number in numbers]
        totals = []
        for number in numbers:
            origin = b.mul(b.zext(b.load(b.gep(code, [number])), I64), i64(width))
            totals += [arithmetic.begin(b, load(b, base, b.add(origin, i64(v * lanes)), wide)) for v in range(vectors)]

        def turn(group: Any, carried: list[Any]) -> list[Any]:
            words = [splat(b, load(b, row, b.mul(group, i64(4)), I32), lanes) for row in rows]
            at = b.mul(group, i64(4 * width))
            for v in range(vectors):
                asked = load(b, panel, b.add(at, i64(4 * lanes * v)), arithmetic.bytes)
                for t in range(n):
                    seen = b.bitcast(words[t], arithmetic.bytes)
                    carried[t * vectors + v] = arithmetic.add(b, carried[t * vectors + v], seen, asked)
            return carried

        totals = [arithmetic.end(b, x) for x in loop(b, groups, 1, totals, turn)]
        for v in range(vectors):
            highest = load(b, best, i64(v * lanes), wide)
            for t in range(n):
                new = totals[t * vectors + v]
                store(b, new, out, b.add(b.mul(numbers[t], i64(width)), i64(v * lanes)))
                highest = b.select(b.icmp_signed(">", new, highest), new, highest)
            store(b, highest, best, i64(v * lanes))

    @intrinsic
    def token_scores(_, values, n, groups, query, base, codes, sums, best):
        signature = types.void(values, n, groups, query, base, codes, sums, best)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            pointers = [data(context, b, sig, args, k) for k in (0, 3, 4, 5, 6, 7)]
            each(b, i64(0), args[1], tokens, lambda t, size: block(b, pointers, args[2], t, size))
            return context.get_dummy_value()

        return signature, generate

    return token_scores


@intrinsic
def lanes_above(_, sums, at, limits, first):
    """int64 with bit j set where sums[at + j] >= limits[first + j], for 8 lanes; both arrays int32."""
    signature = types.int64(sums, at, limits, first)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        vector = ir.VectorType(I32, 8)
        mine = load(b, data(context, b, sig, args, 0), args[1], vector)
        limit = load(b, data(context, b, sig, args, 2), args[3], vector)
        return b.zext(b.bitcast(b.icmp_signed(">=", mine, limit), I8), I64)

    return signature, generate


@intrinsic
def lowest_bit(_, mask):
    """Position of the lowest bit that is set in a positive int64."""
    signature = types.int64(types.int64)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        return call(b, "llvm.cttz.i64", I64, [args[0], ir.Constant(ir.IntType(1), 1)])

    return signature, generate


@intrinsic
def dot(_, left, left_at, right, right_at, n):
    """float32 product of n numbers, n a multiple of 8 above 0: eight sums in order, then pairs of them."""
    signature = types.float32(left, left_at, right, right_at, n)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        vector = ir.VectorType(F32, DOT_LANES)
        mine, theirs = data(context, b, sig, args, 0), data(context, b, sig, args, 2)

        def turn(d: Any, carried: list[Any]) -> list[Any]:
            x, y = load(b, mine, b.add(args[1], d), vector), load(b, theirs, b.add(args[3], d), vector)
            return [call(b, f"llvm.fma.v{DOT_LANES}f32", vector, [x, y, carried[0]])]

        [sums] = loop(b, args[4], DOT_LANES, [full(vector, 0.0)], turn)
        for half in (4, 2, 1):  # pairs of sums, then pairs of those
            order = [lane ^ half for lane in range(DOT_LANES)]
            places = ir.Constant(ir.VectorType(I32, DOT_LANES), order)
            sums = b.fadd(sums, b.shuffle_vector(sums, sums, places))
        total = b.extract_element(sums, ir.Constant(I32, 0))
        return total

    return signature, generate


def make_unpack(bits: int) -> Any:
    """An intrinsic that spreads the packed codes of one token, one a byte.

    Args:
        bits: 1, 2, 4 or 8.

    Returns:
        function(packed uint8, at, n, out uint8, out_at): the n bytes at `at` become n * 8 / bits codes at `out_at`,
        those in the lowest bits of all bytes first.
    """

    @intrinsic
    def unpack(_, packed, at, n, out, out_at):
        signature = types.void(packed, at, n, out, out_at)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            source, target = data(context, b, sig, args, 0), data(context, b, sig, args, 3)

            def body(start: Any, size: int) -> None:
                vector = ir.VectorType(I8, size)
                found = load(b, source, b.add(args[1], start), vector)
                for part in range(8 // bits):
                    codes = b.lshr(found, full(vector, part * bits))
                    codes = b.and_(codes, full(vector, (1 << bits) - 1)) if bits < 8 else codes
                    place = b.add(args[4], b.add(b.mul(args[2], i64(part)), start))
                    store(b, codes, target, place)

            each(b, i64(0), args[2], 16, body)
            return context.get_dummy_value()

        return signature, generate

    return unpack


@intrinsic
def decode(_, codes, at, centroids, centroid_at, lower, step, dim, out, out_at):
    """out[out_at + d] = centroids[centroid_at + d] + (lower[d] + step[d] * codes[at + d]); codes are uint8."""
    signature = types.void(codes, at, centroids, centroid_at, lower, step, dim, out, out_at)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        code, centroid, low, steps, target = (data(context, b, sig, args, k) for k in (0, 2, 4, 5, 7))

        def body(start: Any, size: int) -> None:
            vector = ir.VectorType(F32, size)
            number = b.uitofp(load(b, code, b.add(args[1], start), ir.VectorType(I8, size)), vector)
            value = b.fadd(load(b, low, start, vector), b.fmul(load(b, steps, start, vector), number))
            value = b.fadd(load(b, centroid, b.add(args[3], start), vector), value)
            store(b, value, target, b.add(args[8], start))

        each(b, i64(0), args[6], 8, body)
        return context.get_dummy_value()

    return signature, generate
