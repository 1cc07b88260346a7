"""Which vector instructions this processor has."""

from __future__ import annotations

from functools import cache

ONE_BYTE_LIMIT = 127  # the largest query value in int8: with codes up to 127, two products fit in int16


@cache
def host_features() -> frozenset[str]:
    """Names of the processor's instruction sets, as LLVM calls them."""
    from llvmlite.binding import get_host_cpu_features

    try:
        return frozenset(name for name, present in get_host_cpu_features().items() if present)
    except RuntimeError:  # LLVM does not know them on this platform
        return frozenset()


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware, so that a model in bfloat16 is worth trying."""
    return bool({"avx512bf16", "amx-bf16", "bf16"} & host_features())
