"""Integer kernels: products of unsigned codes with int8 queries and their maximum, and the maximum of uint8 rows.

A query is a panel [groups, columns, 4] int8: four dimensions of one query token are neighbours, so that one 32-bit word
of a document token meets them in one instruction. Columns are query tokens, padded to a multiple of the lane count.
All levels compute the same integers within these limits, which keep the 16-bit products of AVX2 from saturating: codes
up to 127 with query values in -127..127, or codes up to 255 with query values in -64..64.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd.build import I8, I16, I32, I64, call, data, each, full, i64, load, loop, prefetch, splat, store

LANES = {"avx512-vnni": 16, "avx2": 8}  # query tokens of one vector register


def bytes_of(b: Any, word: Any, lanes: int) -> Any:
    """One 32-bit word in every lane, seen as bytes."""
    return b.bitcast(splat(b, word, lanes), ir.VectorType(I8, 4 * lanes))


class Arithmetic:
    """The multiply-add of one level: codes uint8 times query int8, four neighbours summed into each lane.

    Args:
        level: "avx512-vnni" or "avx2".
        short: On AVX2, keep two int16 sums a lane and widen at the end; exact when both fit in int16 (they may wrap on
            the way, since the instructions for the sum do not saturate).
    """

    def __init__(self, level: str, short: bool) -> None:
        self.vnni = level == "avx512-vnni"
        self.lanes = LANES[level]
        self.short = short and not self.vnni
        self.wide = ir.VectorType(I32, self.lanes)
        self.words = ir.VectorType(I16, 2 * self.lanes)
        self.bytes = ir.VectorType(I8, 4 * self.lanes)

    def begin(self, b: Any, start: Any) -> Any:
        """An accumulator from int32 lanes (two int16 each when short)."""
        return b.bitcast(start, self.words) if self.short else start

    def add(self, b: Any, total: Any, codes: Any, query: Any) -> Any:
        """The accumulator plus the products of codes and query, both as bytes."""
        if self.vnni:
            words = [b.bitcast(x, self.wide) for x in (codes, query)]
            return call(b, "llvm.x86.avx512.vpdpbusd.512", self.wide, [total, *words])
        pairs = call(b, "llvm.x86.avx2.pmadd.ub.sw", self.words, [codes, query])
        return b.add(total, pairs if self.short else self._widen(b, pairs))

    def end(self, b: Any, total: Any) -> Any:
        """The accumulator as int32 lanes."""
        return self._widen(b, total) if self.short else total

    def _widen(self, b: Any, pairs: Any) -> Any:
        return call(b, "llvm.x86.avx2.pmadd.wd", self.wide, [pairs, full(self.words, 1)])


def make_span(level: str, vectors: int, tokens: int, short: bool, by_code: bool) -> Any:
    """An intrinsic that takes a run of document tokens through one panel and raises the running maximum.

    Args:
        level: "avx512-vnni" or "avx2".
        vectors: Registers of query tokens.
        tokens: Document tokens at once.
        short: See `Arithmetic`.
        by_code: Token t starts from the row codes[t] of `first`; else all start from `first[out_at ..]`.

    Returns:
        function(values uint8, start, end, groups, query int8, query_at, first int32, codes, out int32, out_at):
        out[out_at + j] = max(itself, first[..j] + values[t] . query[.., j]) over start <= t < end.
    """

    @intrinsic
    def span(_, values, start, end, groups, query, query_at, first, codes, out, out_at):
        signature = types.void(values, start, end, groups, query, query_at, first, codes, out, out_at)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            pointers = [data(context, b, sig, args, k) for k in (0, 4, 6, 7, 8)]
            arithmetic = Arithmetic(level, short)
            places = (args[5], args[9], args[3])
            each(
                b,
                args[1],
                args[2],
                tokens,
                lambda t, n: _block(b, arithmetic, vectors, by_code, pointers, places, t, n),
            )
            return context.get_dummy_value()

        return signature, generate

    return span


def _block(
    b: Any, arithmetic: Arithmetic, vectors: int, by_code: bool, pointers: list[Any], places: Any, token: Any, n: int
) -> None:
    """`n` document tokens from `token` through one panel."""
    value, panel, first, code, result = pointers
    query_at, out_at, groups = places
    lanes, wide = arithmetic.lanes, arithmetic.wide
    rows, totals = [], []
    for t in range(n):
        row = b.add(token, i64(t))
        rows.append(b.gep(value, [b.mul(row, b.mul(groups, i64(4)))]))
        origin = b.mul(_index(b, b.load(b.gep(code, [row]))), i64(lanes * vectors)) if by_code else out_at
        for v in range(vectors):
            totals.append(arithmetic.begin(b, load(b, first, b.add(origin, i64(v * lanes)), wide)))
    prefetch(b, rows[0], b.mul(groups, i64(4 * n)))

    def turn(group: Any, carried: list[Any]) -> list[Any]:
        codes = [bytes_of(b, load(b, r, b.mul(group, i64(4)), I32), lanes) for r in rows]
        at = b.add(query_at, b.mul(group, i64(4 * lanes * vectors)))
        for v in range(vectors):
            asked = load(b, panel, b.add(at, i64(4 * lanes * v)), arithmetic.bytes)
            for t in range(n):
                carried[t * vectors + v] = arithmetic.add(b, carried[t * vectors + v], codes[t], asked)
        return carried

    totals = [arithmetic.end(b, x) for x in loop(b, groups, 1, totals, turn)]
    for v in range(vectors):
        at = b.add(out_at, i64(v * lanes))
        best = load(b, result, at, wide)
        for new in totals[v::vectors]:
            best = b.select(b.icmp_signed(">", new, best), new, best)
        store(b, best, result, at)


def _index(b: Any, number: Any) -> Any:
    """An unsigned integer of any width as an index."""
    return b.zext(number, I64) if number.type.width < 64 else number


def make_max_rows(lanes: int = 32) -> Any:
    """An intrinsic: out[32] uint8 = elementwise maximum of rows[codes[t]] for start <= t < end, 0 without any."""
    row = ir.VectorType(I8, lanes)

    @intrinsic
    def max_rows(_, rows, codes, start, end, out):
        signature = types.void(rows, codes, start, end, out)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            table, code, result = (data(context, b, sig, args, k) for k in (0, 1, 4))
            entry, turn, done = b.block, b.append_basic_block("turn"), b.append_basic_block("done")
            nothing = full(row, 0)
            b.cbranch(b.icmp_signed("<", args[2], args[3]), turn, done)
            b.position_at_end(turn)
            t, best = b.phi(I64), b.phi(row)
            v = load(b, table, b.mul(_index(b, b.load(b.gep(code, [t]))), i64(lanes)), row)
            new, following = b.select(b.icmp_unsigned(">", v, best), v, best), b.add(t, i64(1))
            for phi, first, again in ((t, args[2], following), (best, nothing, new)):
                phi.add_incoming(first, entry)
                phi.add_incoming(again, turn)
            b.cbranch(b.icmp_signed("<", following, args[3]), turn, done)
            b.position_at_end(done)
            last = b.phi(row)
            last.add_incoming(nothing, entry)
            last.add_incoming(new, turn)
            store(b, last, result, i64(0))
            return context.get_dummy_value()

        return signature, generate

    return max_rows
