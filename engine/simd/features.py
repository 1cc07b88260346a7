"""Which vector instructions this processor has."""

from __future__ import annotations

import ctypes
import platform
import sys
from functools import cache

ONE_BYTE_LIMIT = 127  # the largest query value in int8: with codes up to 127, two products fit in int16
_ARCH_PRCTL, _REQUEST, _TILE_DATA = 158, 0x1023, 18  # Linux on x86-64: a process must ask before it uses tiles


@cache
def host_features() -> frozenset[str]:
    """Names of the processor's instruction sets, as LLVM calls them."""
    from llvmlite.binding import get_host_cpu_features

    try:
        return frozenset(name for name, present in get_host_cpu_features().items() if present)
    except RuntimeError:  # LLVM does not know them on this platform
        return frozenset()


@cache
def matrix_unit() -> bool:
    """Whether this processor has a matrix unit (AMX) and the system lets this process use it."""
    if not {"amx-int8", "amx-tile"} <= host_features() or sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    return ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST, _TILE_DATA) == 0
