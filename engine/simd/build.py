"""Pieces of LLVM vector code for numba's `@intrinsic`: sums stay in registers, hardware dot products are reachable.

Plain numba loops over small arrays keep their accumulators in memory and are 5 to 10 times slower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types

from engine.simd import levels

I1, I8, I16, I32, I64, F32 = *(ir.IntType(bits) for bits in (1, 8, 16, 32, 64)), ir.FloatType()

COLUMNS = 32  # lanes of a row of a table of centroid scores

Builder = Any  # llvmlite.ir.IRBuilder
Value = Any  # llvmlite.ir.Value


def signature(result: Any, *arguments: Any) -> Any:
    """The signature of an intrinsic: numbers that are written into the code count as any other."""
    return result(*(types.unliteral(argument) for argument in arguments))


def by_level(
    emit: Callable[..., Value | None], plain: Callable[..., Any], unit: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """What an `@intrinsic` returns beside its signature: code for the level that is in force when code is generated.

    Args:
        emit: Called with the level, the builder and the arguments, arrays as pointers to their first element; emits
            vector code and returns its value, if it has one.
        plain: The same in numba's language, for the level without vectors.
        unit: The same in numba's language through the matrix unit, where that is more than `emit` does.

    Returns:
        The code generator.
    """

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        level = levels.current()
        written = plain if not level.vectors else unit if level.matrix_unit else None
        if written is not None:
            compiled = context.compile_subroutine(b, written, sig, caching=False)  # which would forget the level
            return context.call_internal(b, compiled.fndesc, sig, args)
        arrays = [isinstance(kind, types.Array) for kind in sig.args]
        values = [data(context, b, sig, args, k) if array else args[k] for k, array in enumerate(arrays)]
        found = emit(level, b, *values)
        return context.get_dummy_value() if found is None else found

    return generate


def i64(number: int) -> Value:
    """A constant index."""
    return ir.Constant(I64, number)


def full(vector: ir.VectorType, number: float) -> Value:
    """A constant vector with one number in every lane."""
    return ir.Constant(vector, [number] * vector.count)


def data(context: Any, builder: Builder, signature: Any, arguments: Any, k: int) -> Value:
    """Pointer to the first element of the k-th argument, an array."""
    return context.make_array(signature.args[k])(context, builder, arguments[k]).data


def load(b: Builder, pointer: Value, index: Value, vector: Any) -> Value:
    """Load a vector that starts at an element of an array, at no particular alignment."""
    return b.load(b.bitcast(b.gep(pointer, [index]), vector.as_pointer()), align=1)


def store(b: Builder, value: Value, pointer: Value, index: Value) -> None:
    """Store a vector at an element of an array."""
    b.store(value, b.bitcast(b.gep(pointer, [index]), value.type.as_pointer()), align=1)


def splat(b: Builder, scalar: Value, lanes: int) -> Value:
    """A vector with one scalar in every lane."""
    nothing = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    one = b.insert_element(nothing, scalar, ir.Constant(I32, 0))
    return b.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def call(b: Builder, name: str, result: Any, arguments: Sequence[Value]) -> Value:
    """Call an LLVM intrinsic by name."""
    known = b.module.globals.get(name)
    function = known or ir.Function(b.module, ir.FunctionType(result, [a.type for a in arguments]), name)
    return b.call(function, arguments)


PREFETCH_BYTES = 4096  # how far ahead of the tokens at hand memory is asked for: beyond what the processor does itself


def prefetch(b: Builder, pointer: Value, count: Value) -> None:
    """Ask memory for what lies PREFETCH_BYTES behind the `count` bytes (1 or more) at a pointer.

    Addresses behind the end of an array are harmless: a prefetch never faults.
    """
    start = b.gep(b.bitcast(pointer, I8.as_pointer()), [i64(PREFETCH_BYTES)])
    whole = b.and_(b.add(count, i64(63)), i64(-64))

    def turn(k: Value, carried: list[Value]) -> list[Value]:
        flags = [ir.Constant(I32, x) for x in (0, 3, 1)]  # read, keep in all caches, data
        call(b, "llvm.prefetch.p0", ir.VoidType(), [b.gep(start, [k]), *flags])
        return carried

    loop(b, whole, 64, [], turn)


def loop(
    b: Builder, stop: Value, step: int, first: Sequence[Value], body: Callable[[Value, list[Value]], list[Value]]
) -> list[Value]:
    """Count from 0 to below `stop`, at least once, carrying values in registers.

    Args:
        b: The builder.
        stop: int64, above 0 and a multiple of `step`.
        step: What the counter rises by.
        first: The carried values at the start.
        body: Called once with the counter and the carried values; returns the new ones.

    Returns:
        The carried values after the last turn.
    """
    entry, block, done = b.block, b.append_basic_block("turn"), b.append_basic_block("done")
    b.branch(block)
    b.position_at_end(block)
    counter = b.phi(I64)
    carried = [b.phi(value.type) for value in first]
    new = body(counter, list(carried))
    following = b.add(counter, i64(step))
    for phi, before, after in zip([counter, *carried], [i64(0), *first], [following, *new], strict=True):
        phi.add_incoming(before, entry)
        phi.add_incoming(after, b.block)
    b.cbranch(b.icmp_signed("<", following, stop), block, done)
    b.position_at_end(done)
    return new


def each(b: Builder, start: Value, end: Value, step: int, body: Callable[[Value, int], None]) -> None:
    """Go through int64 start to end in steps, and one by one through what remains.

    Args:
        b: The builder.
        start: The first index.
        end: One past the last; nothing happens when it is not above `start`.
        step: How many indices one turn takes.
        body: Called twice, with an index and how many it stands for.
    """
    count = b.sub(end, start)
    whole = b.sub(count, b.srem(count, i64(step)))
    for first, stop, size in ((start, whole, step), (b.add(start, whole), b.sub(count, whole), 1)):
        with b.if_then(b.icmp_signed(">", stop, i64(0))):

            def turn(counter: Value, carried: list[Value], first: Value = first, size: int = size) -> list[Value]:
                body(b.add(first, counter), size)
                return carried

            loop(b, stop, size, [], turn)


def panels(b: Builder, columns: Value, lanes: int, body: Callable[[Value, int], None]) -> None:
    """Go through the panels of a query: full ones of four registers, and a last one of one to three.

    Args:
        b: The builder.
        columns: int64, a multiple of `lanes`.
        lanes: Query tokens of a register.
        body: Called four times, with the first column of a panel and its registers.
    """
    rest = b.srem(columns, i64(4 * lanes))
    whole = b.sub(columns, rest)
    with b.if_then(b.icmp_signed(">", whole, i64(0))):

        def turn(first: Value, carried: list[Value]) -> list[Value]:
            body(first, 4)
            return carried

        loop(b, whole, 4 * lanes, [], turn)
    for vectors in (1, 2, 3):
        with b.if_then(b.icmp_signed("==", rest, i64(vectors * lanes))):
            body(whole, vectors)


def for_each_width(b: Builder, width: Value, lanes: int, body: Callable[[int], None]) -> None:
    """Emit code for every number of registers that 32 lanes can need, and go to the one of `width` lanes.

    Args:
        b: The builder.
        width: int64, a multiple of `lanes` up to 32.
        lanes: Lanes of a register.
        body: Called with each number of registers.
    """
    for vectors in range(1, COLUMNS // lanes + 1):
        with b.if_then(b.icmp_signed("==", width, i64(vectors * lanes))):
            body(vectors)
