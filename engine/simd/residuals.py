"""Kernels of compressed documents: integer scores of every token, those near the maximum, and float32 dot products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import alloca_once
from numba.extending import intrinsic

from engine.simd import plain
from engine.simd.build import (
    COLUMNS,
    F32,
    I1,
    I8,
    I32,
    I64,
    by_level,
    call,
    each,
    for_each_width,
    full,
    i64,
    load,
    loop,
    signature,
    splat,
    store,
)
from engine.simd.floating import fma
from engine.simd.integer import arithmetic_of, bytes_of, index_of
from engine.simd.levels import Level

DOT_LANES = 8  # of every level, so that float32 sums have one order everywhere


def _token_scores(level: Level, b: Any, width, short, values, n, *rest: Any) -> None:
    def emit(vectors: int, held_short: bool) -> None:
        tokens = level.score_tokens[vectors - 1]
        each(b, i64(0), n, tokens, lambda t, size: _scores(level, b, vectors, held_short, t, size, values, *rest))

    def chosen(vectors: int) -> None:
        if level.short:
            with b.if_else(b.icmp_signed("!=", short, ir.Constant(short.type, 0))) as (then, otherwise):
                with then:
                    emit(vectors, True)
                with otherwise:
                    emit(vectors, False)
        else:
            emit(vectors, False)

    for_each_width(b, width, level.lanes, chosen)


def _scores(
    level: Level, b: Any, vectors: int, short: bool, token, n, values, groups, query, table, shift, unit, codes,
    lengths, sums, best,
) -> None:  # fmt: skip
    """Scores of `n` tokens from `token` for some registers of query tokens."""
    arithmetic = arithmetic_of(level, short)
    lanes, real, width = level.lanes, ir.VectorType(F32, level.lanes), level.lanes * vectors
    numbers = [b.add(token, i64(t)) for t in range(n)]
    rows = [b.gep(values, [b.mul(number, b.mul(groups, i64(4)))]) for number in numbers]
    totals = [arithmetic.begin(b, full(arithmetic.wide, 0))] * (n * vectors)

    def turn(group: Any, carried: list[Any]) -> list[Any]:
        words = [bytes_of(b, load(b, row, b.mul(group, i64(4)), I32), lanes) for row in rows]
        at = b.mul(group, i64(4 * width))
        for v in range(vectors):
            asked = load(b, query, b.add(at, i64(4 * lanes * v)), arithmetic.bytes)
            for t in range(n):
                carried[t * vectors + v] = arithmetic.add(b, carried[t * vectors + v], words[t], asked)
        return carried

    totals = [arithmetic.end(b, x) for x in loop(b, groups, 1, totals, turn)]
    origins = [b.mul(index_of(b, b.load(b.gep(codes, [number]))), i64(COLUMNS)) for number in numbers]
    factors = [splat(b, b.load(b.gep(lengths, [number])), lanes) for number in numbers]
    for v in range(vectors):
        highest, middle = load(b, best, i64(v * lanes), real), load(b, shift, i64(v * lanes), real)
        units = load(b, unit, i64(v * lanes), real)
        for t in range(n):
            around = fma(b, b.sitofp(totals[t * vectors + v], real), units, middle)
            entry = load(b, table, b.add(origins[t], i64(v * lanes)), real)
            new = fma(b, around, factors[t], entry)
            store(b, new, sums, b.add(b.mul(numbers[t], i64(width)), i64(v * lanes)))
            highest = b.select(b.fcmp_ordered(">", new, highest), new, highest)
        store(b, highest, best, i64(v * lanes))


@intrinsic
def _token_score_rows(_, width, short, values, n, groups, query, table, shift, unit, codes, lengths, sums, best):
    """The integer scores of a document's tokens and their maximum.

    values is uint8 [n * 4 * groups], query int8 [groups * width * 4], table float32 [c * 32], shift and unit float32
    [32], lengths float32 [n], sums float32 [n * width] and best float32 [width]: sums[t] = table[codes[t]] + lengths[t]
    * ((values[t] . query) * unit + shift); best is raised to their maximum. `width` is a multiple of the lanes up to
    32; `short` promises that sums fit in int16 over the even and over the odd pairs of dimensions.
    """
    called = signature(
        types.void, width, short, values, n, groups, query, table, shift, unit, codes, lengths, sums, best
    )
    return called, by_level(_token_scores, plain.token_scores)


def _compared(level: Level, b: Any, sums, at, limits, width) -> Any:
    found = alloca_once(b, I64)

    def emit(vectors: int) -> None:
        lanes = level.lanes * vectors
        vector = ir.VectorType(F32, lanes)
        above = b.fcmp_ordered(">=", load(b, sums, at, vector), load(b, limits, i64(0), vector))
        b.store(b.zext(b.bitcast(above, ir.IntType(lanes)), I64), found)

    b.store(i64(0), found)
    for_each_width(b, width, level.lanes, emit)
    return b.load(found)


@intrinsic
def _lanes_above(_, sums, at, limits, width):
    """int64 with bit j set where sums[at + j] >= limits[j], for j below `width`, a multiple of the lanes up to 32."""
    return signature(types.int64, sums, at, limits, width), by_level(_compared, plain.lanes_above)


def _first_bit(level: Level, b: Any, mask: Any) -> Any:
    return call(b, "llvm.cttz.i64", I64, [mask, ir.Constant(I1, 1)])


@intrinsic
def _lowest_bit(_, mask):
    """Position of the lowest bit that is set in a positive int64."""
    return signature(types.int64, types.int64), by_level(_first_bit, plain.lowest_bit)


def _dot_product(level: Level, b: Any, codes, at, row, row_at, n) -> Any:
    vector, small = ir.VectorType(F32, DOT_LANES), ir.VectorType(I8, DOT_LANES)

    def turn(d: Any, carried: list[Any]) -> list[Any]:
        x = b.uitofp(load(b, codes, b.add(at, d), small), vector)
        y = load(b, row, b.add(row_at, d), vector)
        oldest, *others = carried  # each waits for itself only, so that three are under way
        return [*others, fma(b, x, y, oldest)]

    sums, *others = loop(b, n, DOT_LANES, [full(vector, 0.0)] * 3, turn)
    for other in others:
        sums = b.fadd(sums, other)
    for half in (4, 2, 1):  # pairs of sums, then pairs of those
        places = ir.Constant(ir.VectorType(I32, DOT_LANES), [lane ^ half for lane in range(DOT_LANES)])
        sums = b.fadd(sums, b.shuffle_vector(sums, sums, places))
    return b.extract_element(sums, ir.Constant(I32, 0))


@intrinsic
def _dot(_, codes, at, row, row_at, n):
    """float32 product of n codes uint8 with n float32, n a multiple of 8 above 0: three sums in turn, then pairs."""
    return signature(types.float32, codes, at, row, row_at, n), by_level(_dot_product, plain.dot)


def _for_bits(b: Any, bits: Any, known: tuple[int, ...], body: Callable[[int], None]) -> None:
    for number in known:
        with b.if_then(b.icmp_signed("==", bits, i64(number))):
            body(number)


def _spread(level: Level, b: Any, packed, at, n, out, out_at, bits) -> None:
    def emit(width: int) -> None:
        def body(start: Any, size: int) -> None:
            vector = ir.VectorType(I8, size)
            found = load(b, packed, b.add(at, start), vector)
            for part in range(8 // width):
                codes = b.lshr(found, full(vector, part * width))
                codes = b.and_(codes, full(vector, (1 << width) - 1)) if width < 8 else codes
                store(b, codes, out, b.add(out_at, b.add(b.mul(n, i64(part)), start)))

        each(b, i64(0), n, 16, body)

    _for_bits(b, bits, (1, 2, 4, 8), emit)


@intrinsic
def _unpack(_, packed, at, n, out, out_at, bits):
    """Spread packed codes, one a byte: the n bytes at `at` become n * 8 / bits codes at `out_at`, bits 1, 2, 4 or 8.

    Those in the lowest bits of all bytes come first.
    """
    return signature(types.void, packed, at, n, out, out_at, bits), by_level(_spread, plain.unpack)


def _raised(level: Level, b: Any, packed, at, n, out, out_at, bits) -> None:
    def emit(width: int) -> None:
        def body(start: Any, size: int) -> None:
            lanes = 8 * size
            codes, place = ir.VectorType(I8, lanes), b.add(out_at, b.mul(start, i64(8)))
            chosen = b.bitcast(load(b, packed, b.add(at, start), ir.IntType(lanes)), ir.VectorType(I1, lanes))
            more = b.select(chosen, full(codes, 1 << width), full(codes, 0))
            store(b, b.or_(load(b, out, place, codes), more), out, place)

        each(b, i64(0), n, 2, body)

    _for_bits(b, bits, (1, 2, 3, 4, 5), emit)


@intrinsic
def _add_bits(_, packed, at, n, out, out_at, bits):
    """Give codes one bit more: bit j of the n bytes at `at` becomes bit `bits` (1 to 5) of code out_at + j."""
    return signature(types.void, packed, at, n, out, out_at, bits), by_level(_raised, plain.add_bits)


def _won(level: Level, b: Any, rows, codes, start, end, best, wanted, tokens, at) -> Any:
    count, vector = alloca_once(b, I64), ir.VectorType(I8, COLUMNS)
    theirs, lanes, nothing = load(b, best, i64(0), vector), b.trunc(wanted, I32), ir.Constant(I32, 0)

    def turn(k: Any, carried: list[Any]) -> list[Any]:
        token = b.add(start, k)
        mine = load(b, rows, b.mul(index_of(b, b.load(b.gep(codes, [token]))), i64(COLUMNS)), vector)
        equal = b.bitcast(b.icmp_unsigned("==", mine, theirs), ir.IntType(COLUMNS))
        b.store(token, b.gep(tokens, [carried[0]]))  # without a branch: whether a token has won is hard to predict
        won = b.icmp_unsigned("!=", b.and_(equal, lanes), nothing)
        return [b.add(carried[0], b.zext(won, I64))]

    b.store(at, count)
    with b.if_then(b.icmp_signed(">", end, start)):
        b.store(loop(b, b.sub(end, start), 1, [at], turn)[0], count)
    return b.load(count)


@intrinsic
def _winners(_, rows, codes, start, end, best, wanted, tokens, at):
    """The tokens t from start to end with rows[codes[t], j] == best[j] for a bit j of `wanted`, from tokens[at] on.

    Returns one past the place of the last. rows is [n, 32] uint8, codes any unsigned integers, best uint8 [32], tokens
    int64 with room for one more than all.
    """
    called = signature(types.int64, rows, codes, start, end, best, wanted, tokens, at)
    return called, by_level(_won, plain.winners)


def _near(level: Level, b: Any, packed, at, n) -> None:
    flags = [ir.Constant(I32, x) for x in (0, 3, 1)]  # read, keep in all caches, data
    for place in (at, b.add(at, b.sub(n, i64(1)))):
        call(b, "llvm.prefetch.p0", ir.VoidType(), [b.gep(packed, [place]), *flags])


@intrinsic
def _fetch(_, packed, at, n):
    """Bring n bytes of packed uint8 from `at` near, n up to 128, without waiting for them."""
    return signature(types.void, packed, at, n), by_level(_near, plain.fetch)


token_scores: Any = _token_score_rows  # numba adds the first argument
lanes_above: Any = _lanes_above
winners: Any = _winners
lowest_bit: Any = _lowest_bit
dot: Any = _dot
unpack: Any = _unpack
add_bits: Any = _add_bits
fetch: Any = _fetch
