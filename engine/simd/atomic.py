"""Numbers that several threads read and change without the GIL, for numba kernels that share one piece of work."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from engine.simd.build import I64, data


@intrinsic
def fetch_add(_, numbers, at, more):
    """function(numbers int64, at, more): numbers[at] before `more` was added to it, in one step."""
    signature = types.int64(numbers, at, more)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        place = b.gep(data(context, b, sig, args, 0), [args[1]])
        return b.atomic_rmw("add", place, args[2], "seq_cst")

    return signature, generate


@intrinsic
def read(_, numbers, at):
    """function(numbers int64, at): numbers[at] as it is now, and with it all that was written before it was put."""
    signature = types.int64(numbers, at)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.load_atomic(b.gep(data(context, b, sig, args, 0), [args[1]]), "acquire", 8, typ=I64)

    return signature, generate


@intrinsic
def put(_, numbers, at, value):
    """function(numbers int64, at, value): numbers[at] = value, seen by others after all that was written before."""
    signature = types.void(numbers, at, types.int64)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        value = args[2] if args[2].type == I64 else b.sext(args[2], I64)
        b.store_atomic(value, b.gep(data(context, b, sig, args, 0), [args[1]]), "release", 8)
        return context.get_dummy_value()

    return signature, generate
