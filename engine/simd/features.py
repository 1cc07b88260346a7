"""Which vector instructions this processor has, and which of them the kernels use."""

from __future__ import annotations

import os
import platform
from functools import cache

LEVELS = ("avx512-vnni", "avx2", "neon", "plain")  # best first
VARIABLE = "WORKBENCH_SIMD"  # force a level that this processor has, or "plain"

ONE_BYTE_LIMIT = 127  # the largest query value in int8: with codes up to 127, two products fit in int16


@cache
def host_features() -> frozenset[str]:
    """Names of the processor's instruction sets, as LLVM calls them."""
    from llvmlite.binding import get_host_cpu_features

    try:
        return frozenset(name for name, present in get_host_cpu_features().items() if present)
    except RuntimeError:  # LLVM does not know them on this platform
        return frozenset()


def available_levels() -> tuple[str, ...]:
    """The levels of LEVELS that this processor can run, best first."""
    machine, has = platform.machine().lower(), host_features()
    levels = []
    if machine in ("x86_64", "amd64"):
        if {"avx512f", "avx512bw", "avx512vl", "avx512vnni", "fma", "f16c"} <= has:
            levels.append("avx512-vnni")
        if {"avx2", "fma", "f16c"} <= has:
            levels.append("avx2")
    elif machine in ("arm64", "aarch64"):
        levels.append("neon")  # part of every 64-bit ARM processor
    return (*levels, "plain")


def detected_level() -> str:
    """The best level of this processor, or the one that the environment asks for when the processor has it."""
    levels = available_levels()
    asked = os.environ.get(VARIABLE, "")
    return asked if asked in levels else levels[0]
