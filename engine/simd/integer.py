"""Integer kernels: products of unsigned codes with int8 queries and their maximum, and the maximum of uint8 rows.

A query is a panel [groups, columns, 4] int8: four dimensions of one query token are neighbours, so that one 32-bit word
of a document token meets them in one instruction. All levels compute the same integers within these limits, which keep
the 16-bit products of AVX2 from saturating: codes up to 127 with query values in -127..127, or codes up to 255 with
query values in -64..64.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd import plain, tiles
from engine.simd.build import (
    I8,
    I16,
    I32,
    I64,
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


def bytes_of(b: Any, word: Any, lanes: int) -> Any:
    """One 32-bit word in every lane, seen as bytes."""
    return b.bitcast(splat(b, word, lanes), ir.VectorType(I8, 4 * lanes))


class Generic:
    """Codes uint8 times query int8, four neighbours summed into each lane, by no instruction in particular.

    Args:
        lanes: Numbers of 32 bits in a register.
        short: Whether sums may be held as two int16 a lane; here it changes nothing.
    """

    def __init__(self, lanes: int, short: bool = False) -> None:
        self.lanes, self.short = lanes, short
        self.wide, self.words = ir.VectorType(I32, lanes), ir.VectorType(I16, 2 * lanes)
        self.bytes = ir.VectorType(I8, 4 * lanes)

    def begin(self, b: Any, start: Any) -> Any:
        """An accumulator from int32 lanes."""
        return start

    def add(self, b: Any, total: Any, codes: Any, query: Any) -> Any:
        """The accumulator plus the products of codes and query, both as bytes."""
        products = ir.VectorType(I16, 4 * self.lanes)
        found = b.mul(b.zext(codes, products), b.sext(query, products))
        for k in range(4):
            places = ir.Constant(self.wide, [4 * lane + k for lane in range(self.lanes)])
            total = b.add(total, b.sext(b.shuffle_vector(found, found, places), self.wide))
        return total

    def end(self, b: Any, total: Any) -> Any:
        """The accumulator as int32 lanes."""
        return total


class Dot(Generic):
    """The same by one instruction of AVX-512 or AVX-VNNI."""

    def add(self, b: Any, total: Any, codes: Any, query: Any) -> Any:
        """See the base class."""
        words = [b.bitcast(x, self.wide) for x in (codes, query)]
        return call(b, f"llvm.x86.avx512.vpdpbusd.{32 * self.lanes}", self.wide, [total, *words])


class Pairs(Generic):
    """The same by pairs, in AVX2.

    When short, two int16 sums a lane are kept and widened at the end: exact when both fit (they may wrap on the way,
    since the instructions for the sum do not saturate).
    """

    def begin(self, b: Any, start: Any) -> Any:
        """See the base class; two int16 a lane when short."""
        return b.bitcast(start, self.words) if self.short else start

    def add(self, b: Any, total: Any, codes: Any, query: Any) -> Any:
        """See the base class."""
        pairs = call(b, "llvm.x86.avx2.pmadd.ub.sw", self.words, [codes, query])
        return b.add(total, pairs if self.short else self._widen(b, pairs))

    def end(self, b: Any, total: Any) -> Any:
        """See the base class."""
        return self._widen(b, total) if self.short else total

    def _widen(self, b: Any, pairs: Any) -> Any:
        return call(b, "llvm.x86.avx2.pmadd.wd", self.wide, [pairs, full(self.words, 1)])


ARITHMETIC = {"vpdpbusd.512": Dot, "vpdpbusd.256": Dot, "pmaddubsw": Pairs, "generic": Generic}


def arithmetic_of(level: Level, short: bool) -> Generic:
    """How a level multiplies; `short` is what its caller can promise of the sums."""
    return ARITHMETIC[level.products](level.lanes, short)


def _scan(level: Level, b: Any, values, start, end, groups, laid, query, columns, offset, out) -> None:
    def panel(first: Any, vectors: int) -> None:
        at = b.gep(query, [b.mul(first, b.mul(laid, i64(4)))])
        places = (at, b.gep(offset, [first]), b.gep(out, [first]))
        tokens = level.scan_tokens[vectors - 1]
        each(b, start, end, tokens, lambda t, n: _block(level, b, vectors, values, groups, places, t, n))

    panels(b, columns, level.lanes, panel)


def _block(level: Level, b: Any, vectors: int, values: Any, groups: Any, places: Any, token: Any, n: int) -> None:
    """`n` document tokens from `token` through one panel; places are those of its query, its offset and its result."""
    query, offset, result = places
    arithmetic, lanes = arithmetic_of(level, True), level.lanes
    rows = [b.gep(values, [b.mul(b.add(token, i64(t)), b.mul(groups, i64(4)))]) for t in range(n)]
    starts = [arithmetic.begin(b, load(b, offset, i64(v * lanes), arithmetic.wide)) for v in range(vectors)]
    prefetch(b, rows[0], b.mul(groups, i64(4 * n)))

    def turn(group: Any, carried: list[Any]) -> list[Any]:
        codes = [bytes_of(b, load(b, row, b.mul(group, i64(4)), I32), lanes) for row in rows]
        at = b.mul(group, i64(4 * lanes * vectors))
        for v in range(vectors):
            asked = load(b, query, b.add(at, i64(4 * lanes * v)), arithmetic.bytes)
            for t in range(n):
                carried[t * vectors + v] = arithmetic.add(b, carried[t * vectors + v], codes[t], asked)
        return carried

    totals = [arithmetic.end(b, x) for x in loop(b, groups, 1, starts * n, turn)]
    for v in range(vectors):
        best = load(b, result, i64(v * lanes), arithmetic.wide)
        for new in totals[v::vectors]:
            best = b.select(b.icmp_signed(">", new, best), new, best)
        store(b, best, result, i64(v * lanes))


@intrinsic
def _scan_laid(_, values, start, end, groups, laid, query, columns, offset, out):
    """As `max_scan` where the panels are laid out for `laid` groups, zeros behind the others."""
    called = signature(types.void, values, start, end, groups, laid, query, columns, offset, out)
    return called, by_level(_scan, plain.scan_laid)


scan_laid: Any = _scan_laid  # numba adds the first argument


@intrinsic
def _max_scan(_, values, start, end, groups, query, columns, offset, out):
    """Raises out[columns] int32 to the maximum over tokens start <= t < end of (values[t] - ZERO) . query.

    values is uint8 [tokens, 4 * groups]; query from `kernels.scan_panels`, offset from `kernels.scan_offset`; ZERO is
    `Level.zero`. On AVX2 values go up to 127 and the result must fit in int16 over the even and over the odd pairs of
    dimensions (`engine.maxsim.quantised` sees to it), elsewhere in int32. Up to `kernels.SLACK` bytes behind the values
    may be read. Call it between `begin_scan()` and `end_scan()`, in one thread.
    """

    def emit(level: Level, b: Any, values, start, end, groups, query, columns, offset, out) -> None:
        _scan(level, b, values, start, end, groups, groups, query, columns, offset, out)

    called = signature(types.void, values, start, end, groups, query, columns, offset, out)
    return called, by_level(emit, plain.max_scan, through_tiles)


def through_tiles(values, start, end, groups, query, columns, offset, out):
    """`max_scan` through the matrix unit; the last tiles overlap, since a maximum may see a token twice."""
    steps = (groups + 15) // 16
    if end - start < tiles.ROWS:
        scan_laid(values, start, end, groups, 16 * steps, query, columns, offset, out)
        return
    for first in range(0, columns, 4 * tiles.LANES):
        width = min(columns - first, 4 * tiles.LANES)
        for column in range(0, width, 2 * tiles.LANES):
            at, to = 64 * first * steps + 4 * column, first + column
            for token in range(start, end, 2 * tiles.ROWS):
                row, other = min(token, end - tiles.ROWS), min(token + tiles.ROWS, end - tiles.ROWS)
                if width - column >= 2 * tiles.LANES:
                    tiles.two(values, row, other, groups, query, at, width, steps, offset, out, to)
                else:
                    tiles.one(values, row, other, groups, query, at, width, steps, offset, out, to)


@intrinsic
def _begin_scan(_):
    """Get ready for `max_scan` in this thread."""
    return types.void(), by_level(lambda level, b: None, plain.begin_scan, tiles.begin)


@intrinsic
def _end_scan(_):
    """Give back what `begin_scan` took."""
    return types.void(), by_level(lambda level, b: None, plain.begin_scan, tiles.end)


def index_of(b: Any, number: Any) -> Any:
    """An unsigned integer of any width as an index."""
    return b.zext(number, I64) if number.type.width < 64 else number


def _rows_maximum(level: Level, b: Any, rows, codes, start, end, out) -> None:
    row = ir.VectorType(I8, 32)
    entry, turn, done = b.block, b.append_basic_block("turn"), b.append_basic_block("done")
    nothing = full(row, 0)
    b.cbranch(b.icmp_signed("<", start, end), turn, done)
    b.position_at_end(turn)
    t, best = b.phi(I64), b.phi(row)
    v = load(b, rows, b.mul(index_of(b, b.load(b.gep(codes, [t]))), i64(32)), row)
    new, following = b.select(b.icmp_unsigned(">", v, best), v, best), b.add(t, i64(1))
    for phi, first, again in ((t, start, following), (best, nothing, new)):
        phi.add_incoming(first, entry)
        phi.add_incoming(again, turn)
    b.cbranch(b.icmp_signed("<", following, end), turn, done)
    b.position_at_end(done)
    last = b.phi(row)
    last.add_incoming(nothing, entry)
    last.add_incoming(new, turn)
    store(b, last, out, i64(0))


@intrinsic
def _max_rows(_, rows, codes, start, end, out):
    """out[32] uint8 = elementwise maximum of rows[codes[t]] over start <= t < end; 0 where there is no token.

    rows is [n, 32] uint8, codes any unsigned integers.
    """
    return signature(types.void, rows, codes, start, end, out), by_level(_rows_maximum, plain.max_rows)


max_scan: Any = _max_scan
begin_scan: Any = _begin_scan
end_scan: Any = _end_scan
max_rows: Any = _max_rows
