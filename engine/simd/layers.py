"""Vector code for what lies between the products of a transformer's layers, and for products in float32.

Nothing of it runs at the level without vectors, where a library's layers are used instead.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.simd.build import F32, I32, by_level, call, each, full, i64, load, loop, signature, splat, store
from engine.simd.floating import fma
from engine.simd.levels import Level
from engine.simd.linear import TOKENS

HIDDEN = -1e30  # added to the score of a key that nobody looks at
LOG2_E, LN_2 = 1.4426950408889634, (0.693359375, -2.12194440e-4)  # the second in two parts, the first of them exact
FACTORIALS = (5040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0)
ERF = (0.3275911, (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592))  # see `_gelu_of`


def _exp_of(b: Any, x: Any) -> Any:
    """Exponentials of numbers up to 0 in every lane, to 1e-7 of each: a power of two times a Taylor series."""
    vector, whole = x.type, ir.VectorType(I32, x.type.count)
    least = full(vector, -87.0)
    x = b.select(b.fcmp_ordered("<", x, least), least, x)
    turns = call(b, f"llvm.rint.v{vector.count}f32", vector, [b.fmul(x, full(vector, LOG2_E))])
    rest = fma(b, turns, full(vector, -LN_2[1]), fma(b, turns, full(vector, -LN_2[0]), x))
    value = full(vector, 1.0 / FACTORIALS[0])
    for factorial in FACTORIALS[1:]:
        value = fma(b, value, rest, full(vector, 1.0 / factorial))
    exponent = b.shl(b.fptosi(turns, whole), full(whole, 23))
    return b.bitcast(b.add(b.bitcast(value, whole), exponent), vector)


def _gelu_of(b: Any, x: Any) -> Any:
    """Each number times the share of a normal distribution below it, in every lane.

    Source: Hendrycks and Gimpel, 2016, arXiv 1606.08415; the error function by Abramowitz and Stegun, 1964, 7.1.26,
    whose error is 1.5e-7 at most.
    """
    vector, whole = x.type, ir.VectorType(I32, x.type.count)
    root = b.fmul(x, full(vector, 0.5**0.5))
    far = b.bitcast(b.and_(b.bitcast(root, whole), full(whole, 0x7FFFFFFF)), vector)
    t = b.fdiv(full(vector, 1.0), fma(b, far, full(vector, ERF[0]), full(vector, 1.0)))
    value = full(vector, ERF[1][0])
    for factor in ERF[1][1:]:
        value = fma(b, value, t, full(vector, factor))
    tail = b.fmul(b.fmul(value, t), _exp_of(b, b.fneg(b.fmul(far, far))))  # 1 - erf(far)
    half = b.fmul(full(vector, 0.5), x)
    below = b.select(b.fcmp_ordered("<", x, full(vector, 0.0)), tail, b.fsub(full(vector, 2.0), tail))
    return b.fmul(half, below)


def _gelu_all(level: Level, b: Any, values, count) -> None:
    vector = ir.VectorType(F32, level.lanes)

    def turn(k: Any, carried: list[Any]) -> list[Any]:
        store(b, _gelu_of(b, load(b, values, k, vector)), values, k)
        return carried

    loop(b, count, level.lanes, [], turn)


def _sum_of(b: Any, vector: Any) -> Any:
    """The sum of all lanes, the upper half onto the lower one until one is left."""
    lanes = vector.type.count
    while lanes > 1:
        lanes //= 2
        parts = [ir.Constant(ir.VectorType(I32, lanes), [*range(first, first + lanes)]) for first in (0, lanes)]
        vector = b.fadd(*(b.shuffle_vector(vector, vector, part) for part in parts))
    return b.extract_element(vector, ir.Constant(I32, 0))


def _softmax_of(level: Level, b: Any, values, at, count, scale, hidden) -> None:
    lanes = level.lanes
    vector = ir.VectorType(F32, lanes)
    factor = splat(b, b.fptrunc(scale, F32), lanes)

    def highest(k: Any, carried: list[Any]) -> list[Any]:
        place = b.add(at, k)
        x = fma(b, load(b, values, place, vector), factor, load(b, hidden, k, vector))
        store(b, x, values, place)
        return [b.select(b.fcmp_ordered(">", x, carried[0]), x, carried[0])]

    top = loop(b, count, lanes, [full(vector, 2 * HIDDEN)], highest)[0]
    top = splat(b, call(b, f"llvm.vector.reduce.fmax.v{lanes}f32", F32, [top]), lanes)

    def powers(k: Any, carried: list[Any]) -> list[Any]:
        place = b.add(at, k)
        x = _exp_of(b, b.fsub(load(b, values, place, vector), top))
        store(b, x, values, place)
        return [b.fadd(carried[0], x)]

    total = _sum_of(b, loop(b, count, lanes, [full(vector, 0.0)], powers)[0])
    share = splat(b, b.fdiv(ir.Constant(F32, 1.0), total), lanes)

    def divided(k: Any, carried: list[Any]) -> list[Any]:
        place = b.add(at, k)
        store(b, b.fmul(load(b, values, place, vector), share), values, place)
        return carried

    loop(b, count, lanes, [], divided)


def _normalised(level: Level, b: Any, values, at, other, other_at, norms, norm_at, count, epsilon) -> None:
    lanes = level.lanes
    vector = ir.VectorType(F32, lanes)
    width = b.sitofp(count, F32)

    def summed(k: Any, carried: list[Any]) -> list[Any]:
        x = b.fadd(load(b, values, b.add(at, k), vector), load(b, other, b.add(other_at, k), vector))
        store(b, x, values, b.add(at, k))
        return [b.fadd(carried[0], x)]

    mean = splat(b, b.fdiv(_sum_of(b, loop(b, count, lanes, [full(vector, 0.0)], summed)[0]), width), lanes)

    def squared(k: Any, carried: list[Any]) -> list[Any]:
        x = b.fsub(load(b, values, b.add(at, k), vector), mean)
        return [fma(b, x, x, carried[0])]

    variance = b.fdiv(_sum_of(b, loop(b, count, lanes, [full(vector, 0.0)], squared)[0]), width)
    spread = call(b, "llvm.sqrt.f32", F32, [b.fadd(variance, b.fptrunc(epsilon, F32))])
    inverse = splat(b, b.fdiv(ir.Constant(F32, 1.0), spread), lanes)

    def scaled(k: Any, carried: list[Any]) -> list[Any]:
        gain = load(b, norms, b.add(norm_at, k), vector)
        shift = load(b, norms, b.add(b.add(norm_at, count), k), vector)
        x = b.fmul(b.fsub(load(b, values, b.add(at, k), vector), mean), inverse)
        store(b, fma(b, x, gain, shift), values, b.add(at, k))
        return carried

    loop(b, count, lanes, [], scaled)


def _small_product(level: Level, b: Any, left, left_at, left_step, rows, right, right_at, right_step, depth, columns,
                   out, out_at, out_step) -> None:  # fmt: skip
    lanes = level.lanes
    vector = ir.VectorType(F32, lanes)

    def block(row: Any, n: int) -> None:
        starts = [b.add(left_at, b.mul(left_step, b.add(row, i64(r)))) for r in range(n)]

        def column(first: Any, carried: list[Any]) -> list[Any]:
            def turn(k: Any, sums: list[Any]) -> list[Any]:
                there = load(b, right, b.add(b.add(right_at, first), b.mul(k, right_step)), vector)
                numbers = [splat(b, load(b, left, b.add(start, k), F32), lanes) for start in starts]
                return [fma(b, number, there, total) for number, total in zip(numbers, sums, strict=True)]

            for r, total in enumerate(loop(b, depth, 1, [full(vector, 0.0)] * n, turn)):
                place = b.add(out_at, b.mul(out_step, b.add(row, i64(r))))
                store(b, total, out, b.add(place, first))
            return carried

        loop(b, columns, lanes, [], column)

    each(b, i64(0), rows, 8, block)


def _dense_product(level: Level, b: Any, values, rows, depth, weights, biases, columns, out, out_at, out_step) -> None:
    vector = ir.VectorType(F32, level.lanes)
    weight, bias = (b.inttoptr(address, F32.as_pointer()) for address in (weights, biases))

    def block(column: Any, wide: int, row: Any, n: int) -> None:
        texts = [b.mul(depth, b.add(row, i64(r))) for r in range(n)]
        asked = [b.mul(depth, b.add(column, i64(c))) for c in range(wide)]

        def turn(k: Any, sums: list[Any]) -> list[Any]:
            numbers = [load(b, values, b.add(text, k), vector) for text in texts]
            for c, at in enumerate(asked):
                factor = load(b, weight, b.add(at, k), vector)
                for r, number in enumerate(numbers):
                    sums[r * wide + c] = fma(b, factor, number, sums[r * wide + c])
            return sums

        sums = loop(b, depth, level.lanes, [full(vector, 0.0)] * (wide * n), turn)
        for r in range(n):
            place = b.add(out_at, b.mul(out_step, b.add(row, i64(r))))
            for c in range(wide):
                at = b.add(column, i64(c))
                total = b.fadd(_sum_of(b, sums[r * wide + c]), b.load(b.gep(bias, [at])))
                b.store(total, b.gep(out, [b.add(place, at)]))

    tokens = TOKENS if level.lanes == 16 else 2
    each(b, i64(0), columns, 4, lambda c, wide: each(b, i64(0), rows, tokens, lambda r, n: block(c, wide, r, n)))


def _no_gelu(values, count):
    raise NotImplementedError("no vector code at this level")


def _no_softmax(values, at, count, scale, hidden):
    raise NotImplementedError("no vector code at this level")


def _no_normalise(values, at, other, other_at, norms, norm_at, count, epsilon):
    raise NotImplementedError("no vector code at this level")


def _no_product(left, left_at, left_step, rows, right, right_at, right_step, depth, columns, out, out_at, out_step):
    raise NotImplementedError("no vector code at this level")


def _no_dense(values, rows, depth, weights, biases, columns, out, out_at, out_step):
    raise NotImplementedError("no vector code at this level")


@intrinsic
def _gelu(_, values, count):
    """values[: count] = gelu(values[: count]) float32; count a multiple of the lanes."""
    return signature(types.void, values, count), by_level(_gelu_all, _no_gelu)


@intrinsic
def _softmax(_, values, at, count, scale, hidden):
    """values[at : at + count] = softmax(scale * values + hidden) float32; count a multiple of the lanes."""
    called = signature(types.void, values, at, count, scale, hidden)
    return called, by_level(_softmax_of, _no_softmax)


@intrinsic
def _normalise(_, values, at, other, other_at, norms, norm_at, count, epsilon):
    """values[at :] = layer normalisation of values[at :] + other[other_at :], count of them, whole registers."""
    called = signature(types.void, values, at, other, other_at, norms, norm_at, count, epsilon)
    return called, by_level(_normalised, _no_normalise)


@intrinsic
def _product(_, left, left_at, left_step, rows, right, right_at, right_step, depth, columns, out, out_at, out_step):
    """out[i, c] = sum over k < depth of left[i, k] * right[k, c], float32; columns a multiple of the lanes.

    Each of the three begins at its `at` and has a row every `step` numbers.
    """
    called = signature(types.void, left, left_at, left_step, rows, right, right_at, right_step, depth, columns, out,
                       out_at, out_step)  # fmt: skip
    return called, by_level(_small_product, _no_product)


@intrinsic
def _dense(_, values, rows, depth, weights, biases, columns, out, out_at, out_step):
    """out[i, c] = values[i] . weights[c] + biases[c] in float32; depth is a multiple of the lanes.

    Weights and biases are addresses; values are [rows, depth], out has a row every `out_step` numbers from `out_at` on.
    """
    called = signature(types.void, values, rows, depth, weights, biases, columns, out, out_at, out_step)
    return called, by_level(_dense_product, _no_dense)


gelu: Any = _gelu  # numba adds the first argument
softmax: Any = _softmax
normalise: Any = _normalise
product: Any = _product
dense: Any = _dense
