"""Integer kernels: products of unsigned codes with int8 queries and their maximum, and the maximum of uint8 rows.

A query is a panel [groups, columns, 4] int8: four dimensions of one query token are neighbours, so that one 32-bit word
of a document token meets them in one instruction. Columns are query tokens, padded to a multiple of the lane count.
All levels compute the same integers. Limits (they keep the 16-bit sums of AVX2 from saturating or wrapping):
two products of a code and a query value must fit in int16: codes up to 127 with queries in -127..127, or codes up to 255
with queries in -64..64.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd.build import I8, I16, I32, I64, call, data, full, i64, load, loop, splat, store

LANES = {"avx512-vnni": 16, "avx2": 8}  # query tokens of one vector register


def _bytes_of(b: Any, word: Any, lanes: int) -> Any:
    """One 32-bit word in every lane, seen as bytes."""
    return b.bitcast(splat(b, word, lanes), ir.VectorType(I8, 4 * lanes))


class _Arithmetic:
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


def make_block(level: str, vectors: int, tokens: int, short: bool, per_token: bool) -> Any:
    """An intrinsic that takes some document tokens through one panel and raises the running maximum.

    Args:
        level: "avx512-vnni" or "avx2".
        vectors: Registers of query tokens.
        tokens: Document tokens at once; the first of each is given by its row.
        short: See `_Arithmetic`.
        per_token: Each token starts from its own row of `start`; else all start from the first.

    Returns:
        function(values uint8 [tokens * 4 * groups], row, groups, query int8, query_at, start int32, start_at, out int32,
        out_at): out[out_at + j] = max(itself, start[..j] + values[row] . query[.., j]), for `tokens` rows from `row`;
        with `per_token`, start_at is a tuple of one offset a token.
    """

    @intrinsic
    def block(_, values, row, groups, query, query_at, start, start_at, out, out_at):
        signature = types.void(values, row, groups, query, query_at, start, start_at, out, out_at)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            arithmetic = _Arithmetic(level, short)
            lanes, wide = arithmetic.lanes, arithmetic.wide
            value, panel, first, result = (data(context, b, sig, args, k) for k in (0, 3, 5, 7))
            width = b.mul(args[2], i64(4))
            rows = [b.gep(value, [b.mul(b.add(args[1], i64(t)), width)]) for t in range(tokens)]
            totals = []
            for t in range(tokens):
                origin = b.extract_value(args[6], t) if per_token else args[6]
                for v in range(vectors):
                    lanes_of = load(b, first, b.add(origin, i64(v * lanes)), wide)
                    totals.append(arithmetic.begin(b, lanes_of))

            def turn(group: Any, carried: list[Any]) -> list[Any]:
                byte = b.mul(group, i64(4))
                codes = [_bytes_of(b, load(b, r, byte, I32), lanes) for r in rows]
                at = b.add(args[4], b.mul(group, i64(4 * lanes * vectors)))
                new = list(carried)
                for v in range(vectors):
                    asked = load(b, panel, b.add(at, i64(4 * lanes * v)), arithmetic.bytes)
                    for t in range(tokens):
                        new[t * vectors + v] = arithmetic.add(b, new[t * vectors + v], codes[t], asked)
                return new

            totals = [arithmetic.end(b, x) for x in loop(b, args[2], 1, totals, turn)]
            for v in range(vectors):
                at = b.add(args[8], i64(v * lanes))
                best = load(b, result, at, wide)
                for t in range(tokens):
                    new = totals[t * vectors + v]
                    best = b.select(b.icmp_signed(">", new, best), new, best)
                store(b, best, result, at)
            return context.get_dummy_value()

        return signature, generate

    return block


def make_max_rows(lanes: int = 32) -> Any:
    """An intrinsic: out[32] uint8 = elementwise maximum of rows[codes[t]] for start <= t < end, 0 where there is none."""
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
            number = b.load(b.gep(code, [t]))
            number = b.zext(number, I64) if number.type.width < 64 else number
            v = load(b, table, b.mul(number, i64(lanes)), row)
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
