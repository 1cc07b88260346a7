"""The integer scan through the matrix unit of newer Intel processors (AMX): 16 x 16 sums of 64 products in one step.

A tile of document tokens is 16 of their rows as they lie, 64 codes at a time; what a tile reads behind the end of a row
meets zeros in the query's panel, whose dimensions are padded to a multiple of 64. The kernel asks for the unit once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.cgutils import alloca_once
from numba.extending import intrinsic

from engine.simd.build import I8, I32, call, data, full, i64, load, loop, prefetch, store

ROWS, LANES, WIDTH = 16, 16, 64  # document tokens and query tokens of a tile; codes of a token in one step

# Palette 1; tiles 0 to 3 hold sums, 4 and 5 document tokens, 6 and 7 query tokens: each 16 rows of 64 bytes.
CONFIGURATION = np.zeros(64, np.uint8)
CONFIGURATION[0] = 1
CONFIGURATION[16:32:2] = WIDTH
CONFIGURATION[48:56] = ROWS


@intrinsic
def _configure(_, configuration):
    """Set the shapes of this thread's tiles from CONFIGURATION."""
    signature = types.void(configuration)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        call(b, "llvm.x86.ldtilecfg", ir.VoidType(), [data(context, b, sig, args, 0)])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _release(_):
    """Give the tiles of this thread back."""
    signature = types.void()

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        call(b, "llvm.x86.tilerelease", ir.VoidType(), [])
        return context.get_dummy_value()

    return signature, generate


configure: Any = _configure  # numba adds the first argument
release: Any = _release


def begin():
    """See `engine.simd.integer.begin_scan`."""
    configure(CONFIGURATION)


def end():
    """See `engine.simd.integer.end_scan`."""
    release()


def make_block(vectors: int) -> Any:
    """An intrinsic that takes two tiles of document tokens through one or two tiles of query tokens.

    Args:
        vectors: Tiles of query tokens, 1 or 2.

    Returns:
        function(values uint8, row, other, groups, query int8, query_at, columns, steps, offset int32, out int32,
        out_at): raises out[out_at ..] to offset plus the largest sum of 16 tokens from `row` and 16 from `other`;
        `columns` of the panel that starts at `query_at`, `steps` of 64 dimensions.
    """

    @intrinsic
    def block(_, values, row, other, groups, query, query_at, columns, steps, offset, out, out_at):
        signature = types.void(values, row, other, groups, query, query_at, columns, steps, offset, out, out_at)

        def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
            value, panel, start, result = (data(context, b, sig, args, k) for k in (0, 4, 8, 9))
            room = b.bitcast(alloca_once(b, ir.ArrayType(I32, 4 * ROWS * LANES)), I32.as_pointer())
            width, stride = b.mul(args[3], i64(4)), b.mul(args[6], i64(4))
            rows = [b.gep(value, [b.mul(args[k], width)]) for k in (1, 2)]
            _products(b, rows, width, b.gep(panel, [args[5]]), stride, args[7], vectors)
            prefetch(b, rows[0], b.mul(width, i64(2 * ROWS)))
            scratch_bytes = b.bitcast(room, I8.as_pointer())
            for t in range(2):
                for v in range(vectors):
                    place = b.gep(scratch_bytes, [i64((t * vectors + v) * ROWS * 4 * LANES)])
                    call(b, "llvm.x86.tilestored64", ir.VoidType(), [_tile(t * 2 + v), place, i64(4 * LANES)])
            _raise(b, room, start, result, args[10], vectors)
            return context.get_dummy_value()

        return signature, generate

    return block


def _tile(number: int) -> Any:
    return ir.Constant(I8, number)


def _products(b: Any, rows: list[Any], width: Any, panel: Any, stride: Any, steps: Any, vectors: int) -> None:
    """Tiles 2 t + v: sums of the products of document tile t with query tile v."""
    nothing = ir.VoidType()
    for t in range(2):
        for v in range(vectors):
            call(b, "llvm.x86.tilezero", nothing, [_tile(t * 2 + v)])

    def turn(step: Any, carried: list[Any]) -> list[Any]:
        for t, row in enumerate(rows):
            at = b.gep(row, [b.mul(step, i64(WIDTH))])
            call(b, "llvm.x86.tileloadd64", nothing, [_tile(4 + t), at, width])
        for v in range(vectors):
            at = b.gep(panel, [b.add(b.mul(b.mul(step, stride), i64(WIDTH // 4)), i64(4 * LANES * v))])
            call(b, "llvm.x86.tileloadd64", nothing, [_tile(6 + v), at, stride])
        for t in range(2):
            for v in range(vectors):
                call(b, "llvm.x86.tdpbusd", nothing, [_tile(t * 2 + v), _tile(4 + t), _tile(6 + v)])
        return carried

    loop(b, steps, 1, [], turn)


def _raise(b: Any, scratch: Any, start: Any, result: Any, out_at: Any, vectors: int) -> None:
    """Raise the result by the largest of the stored sums plus what they start from."""
    vector = ir.VectorType(I32, LANES)
    for v in range(vectors):
        best = full(vector, -(2**30))
        for t in range(2):
            for r in range(ROWS):
                new = load(b, scratch, i64(((t * vectors + v) * ROWS + r) * LANES), vector)
                best = b.select(b.icmp_signed(">", new, best), new, best)
        at = b.add(out_at, i64(v * LANES))
        best = b.add(best, load(b, start, at, vector))
        before = load(b, result, at, vector)
        store(b, b.select(b.icmp_signed(">", best, before), best, before), result, at)


one, two = make_block(1), make_block(2)
