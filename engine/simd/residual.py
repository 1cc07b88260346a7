"""Kernels of compressed documents: integer scores of every token, those near the maximum, and float32 dot products."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd.build import F32, I1, I8, I32, I64, call, data, each, full, i64, load, loop, splat, store
from engine.simd.integer import Arithmetic

COLUMNS = 32  # lanes of a row of a table of centroid scores
DOT_LANES = 8  # of every level, so that float32 sums have one order everywhere


def make_token_scores(level: str, vectors: int, tokens: int, short: bool) -> Any:
    """An intrinsic for the integer scores of a document's tokens and their maximum.

    Args:
        level: A level with integer arithmetic.
        vectors: Registers of query tokens; together they are `width` lanes, at most 32.
        tokens: Document tokens at once.
        short: On AVX2, keep two int16 sums a lane; each must fit.

    Returns:
        function(values uint8 [n * 4 * groups], n, groups, query int8 [groups * width * 4], table float32 [c * 32],
        shift float32 [32], unit, codes, lengths float32 [n], sums float32 [n * width], best float32 [width]): sums[t] =
        table[codes[t]] + lengths[t] * ((values[t] . query) * unit + shift); best is raised to their maximum.
    """
    arithmetic = Arithmetic(level, short)
    lanes, wide, real = arithmetic.lanes, arithmetic.wide, ir.VectorType(F32, arithmetic.lanes)
    width = lanes * vectors

    def fma(b: Any, x: Any, y: Any, z: Any) -> Any:
        return call(b, f"llvm.fma.v{lanes}f32", real, [x, y, z])

    def block(b: Any, pointers: list[Any], shared: list[Any], token: Any, n: int) -> None:
        value, panel, table, shift, code, length, out, best = pointers
        groups, unit = shared
        numbers = [b.add(token, i64(t)) for t in range(n)]
        rows = [b.gep(value, [b.mul(number, b.mul(groups, i64(4)))]) for number in numbers]
        totals = [arithmetic.begin(b, full(wide, 0))] * (n * vectors)

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
        origins = [b.mul(b.zext(b.load(b.gep(code, [number])), I64), i64(COLUMNS)) for number in numbers]
        factors = [splat(b, b.load(b.gep(length, [number])), lanes) for number in numbers]
        for v in range(vectors):
            highest, middle = load(b, best, i64(v * lanes), real), load(b, shift, i64(v * lanes), real)
            for t in range(n):
                around = fma(b, b.sitofp(totals[t * vectors + v], real), unit, middle)
                entry = load(b, table, b.add(origins[t], i64(v * lanes)), real)
                new = fma(b, around, factors[t], entry)
                store(b, new, out, b.add(b.mul(numbers[t], i64(width)), i64(v * lanes)))
                highest = b.select(b.fcmp_ordered(">", new, highest), new, highest)
            store(b, highest, best, i64(v * lanes))

    @intrinsic
    def token_scores(_, values, n, groups, query, table, shift, unit, codes, lengths, sums, best):
        signature = types.void(values, n, groups, query, table, shift, unit, codes, lengths, sums, best)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            pointers = [data(context, b, sig, args, k) for k in (0, 3, 4, 5, 7, 8, 9, 10)]
            shared = [args[2], splat(b, args[6], lanes)]
            each(b, i64(0), args[1], tokens, lambda t, size: block(b, pointers, shared, t, size))
            return context.get_dummy_value()

        return signature, generate

    return token_scores


def make_lanes_above(lanes: int) -> Any:
    """An intrinsic that compares some lanes with their limits.

    Args:
        lanes: 8 or 16.

    Returns:
        function(sums float32, at, limits float32, first): int64 with bit j set where sums[at + j] >= limits[first + j].
    """

    @intrinsic
    def lanes_above(_, sums, at, limits, first):
        signature = types.int64(sums, at, limits, first)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            vector = ir.VectorType(F32, lanes)
            mine = load(b, data(context, b, sig, args, 0), args[1], vector)
            limit = load(b, data(context, b, sig, args, 2), args[3], vector)
            return b.zext(b.bitcast(b.fcmp_ordered(">=", mine, limit), ir.IntType(lanes)), I64)

        return signature, generate

    return lanes_above


@intrinsic
def lowest_bit(_, mask):
    """Position of the lowest bit that is set in a positive int64."""
    signature = types.int64(types.int64)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        return call(b, "llvm.cttz.i64", I64, [args[0], ir.Constant(ir.IntType(1), 1)])

    return signature, generate


@intrinsic
def dot(_, codes, at, row, row_at, n):
    """float32 product of n codes uint8 with n float32, n a multiple of 8 above 0: three sums in turn, then pairs."""
    signature = types.float32(codes, at, row, row_at, n)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        vector, small = ir.VectorType(F32, DOT_LANES), ir.VectorType(I8, DOT_LANES)
        mine, theirs = data(context, b, sig, args, 0), data(context, b, sig, args, 2)

        def turn(d: Any, carried: list[Any]) -> list[Any]:
            x = b.uitofp(load(b, mine, b.add(args[1], d), small), vector)
            y = load(b, theirs, b.add(args[3], d), vector)
            oldest, *others = carried  # each waits for itself only, so that three are under way
            return [*others, call(b, f"llvm.fma.v{DOT_LANES}f32", vector, [x, y, oldest])]

        sums, *others = loop(b, args[4], DOT_LANES, [full(vector, 0.0)] * 3, turn)
        for other in others:
            sums = b.fadd(sums, other)
        for half in (4, 2, 1):  # pairs of sums, then pairs of those
            order = [lane ^ half for lane in range(DOT_LANES)]
            places = ir.Constant(ir.VectorType(I32, DOT_LANES), order)
            sums = b.fadd(sums, b.shuffle_vector(sums, sums, places))
        return b.extract_element(sums, ir.Constant(I32, 0))

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
def lanes_equal(_, rows, at, best):
    """function(rows uint8, at, best uint8 [32]): int64 with bit j set where rows[at + j] == best[j]."""
    signature = types.int64(rows, at, best)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        vector = ir.VectorType(I8, COLUMNS)
        mine = load(b, data(context, b, sig, args, 0), args[1], vector)
        theirs = load(b, data(context, b, sig, args, 2), i64(0), vector)
        return b.zext(b.bitcast(b.icmp_unsigned("==", mine, theirs), ir.IntType(COLUMNS)), I64)

    return signature, generate


@intrinsic
def fetch(_, packed, at, n):
    """function(packed uint8, at, n): bring n bytes from `at` near, n up to 128, without waiting for them."""
    signature = types.void(packed, at, n)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        source = data(context, b, sig, args, 0)
        flags = [ir.Constant(I32, x) for x in (0, 3, 1)]  # read, keep in all caches, data
        for place in (args[1], b.add(args[1], b.sub(args[2], i64(1)))):
            call(b, "llvm.prefetch.p0", ir.VoidType(), [b.gep(source, [place]), *flags])
        return context.get_dummy_value()

    return signature, generate


def make_add_bits(bits: int) -> Any:
    """An intrinsic that gives codes one bit more.

    Args:
        bits: 1, 2 or 4, the bits that the codes have.

    Returns:
        function(packed uint8, at, n, out uint8, out_at): bit j of the n bytes at `at` becomes bit `bits` of the code at
        out_at + j.
    """

    @intrinsic
    def add_bits(_, packed, at, n, out, out_at):
        signature = types.void(packed, at, n, out, out_at)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            source, target = data(context, b, sig, args, 0), data(context, b, sig, args, 3)

            def body(start: Any, size: int) -> None:
                lanes = 8 * size
                codes, place = ir.VectorType(I8, lanes), b.add(args[4], b.mul(start, i64(8)))
                word = load(b, source, b.add(args[1], start), ir.IntType(lanes))
                chosen = b.bitcast(word, ir.VectorType(I1, lanes))
                more = b.select(chosen, full(codes, 1 << bits), full(codes, 0))
                store(b, b.or_(load(b, target, place, codes), more), target, place)

            each(b, i64(0), args[2], 2, body)
            return context.get_dummy_value()

        return signature, generate

    return add_bits
