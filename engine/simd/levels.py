"""The table of instruction levels, and the one that code is generated for at this moment.

A level is a row: what it needs, how wide its registers are, how it multiplies integers, and how many sums it holds at
once. Everything else follows from the row, so a new level is a new row (and, for a new way to multiply, one class in
`engine.simd.integer`).
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from engine.simd import features

X86, ARM = ("x86_64", "amd64"), ("arm64", "aarch64")


@dataclass(frozen=True)
class Level:
    """One level of instructions.

    Args:
        name: For people, records and $WORKBENCH_SIMD.
        machines: Names of the machine, as `platform.machine` gives them in lower case; none fits all.
        needs: Instruction sets, as LLVM names them.
        lanes: Numbers of 32 bits that count as one register; query tokens are padded to a multiple.
        products: How unsigned bytes times signed bytes are summed; see `engine.simd.integer.ARITHMETIC`. Empty where
            plain numba does everything.
        float_tokens: Document tokens at once in float32, for one to four registers of query tokens.
        scan_tokens: The same for integers; the most that keeps every sum in a register.
        score_tokens: The same for scores with centroids, by registers that make up to 32 lanes.
        rows: Rows of centroids at once, of 32 lanes each.
        matrix_unit: Whether the integer scan runs through the matrix unit (AMX).
    """

    name: str
    machines: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    lanes: int = 8
    products: Literal["", "vpdpbusd.512", "vpdpbusd.256", "pmaddubsw", "generic"] = ""
    float_tokens: tuple[int, int, int, int] = (8, 5, 3, 3)
    scan_tokens: tuple[int, int, int, int] = (8, 4, 3, 2)
    score_tokens: tuple[int, ...] = (2, 2, 2, 2)
    rows: int = 3
    matrix_unit: bool = False

    @property
    def vectors(self) -> bool:
        """Whether there is vector code for it."""
        return bool(self.products)

    @property
    def short(self) -> bool:
        """Whether integer sums may be held in two halves of int16."""
        return self.products == "pmaddubsw"

    @property
    def zero(self) -> int:
        """The code that stands for zero in `max_scan`: the middle of the codes that a level takes.

        Seven bits where sums are held in int16, and eight elsewhere: results are the same, the wider codes leave fewer
        documents in doubt.
        """
        return 64 if self.short else 128

    @property
    def here(self) -> bool:
        """Whether this processor has all that it needs."""
        machine = platform.machine().lower()
        return (not self.machines or machine in self.machines) and self.needs <= features.host_features()


_AVX2 = frozenset({"avx2", "fma", "f16c"})
_AVX512 = frozenset({"avx512f", "avx512bw", "avx512vl", "avx512vnni", "fma", "f16c"})
_WIDE: dict[str, Any] = {  # 32 registers of 16 lanes
    "lanes": 16, "products": "vpdpbusd.512", "float_tokens": (12, 10, 6, 5), "scan_tokens": (12, 8, 6, 5),
    "score_tokens": (8, 6), "rows": 6,
}  # fmt: skip
LEVELS = (  # best first
    Level("amx", X86, _AVX512 | {"amx-int8", "amx-tile"}, **_WIDE, matrix_unit=True),
    Level("avx512-vnni", X86, _AVX512, **_WIDE),
    Level("avx-vnni", X86, _AVX2 | {"avxvnni"}, products="vpdpbusd.256", score_tokens=(6, 4, 3, 2)),
    Level("avx2", X86, _AVX2, products="pmaddubsw"),
    # Part of every 64-bit ARM processor; 32 registers of 4 lanes, two of which count as one here.
    Level(
        "neon", ARM, products="generic", float_tokens=(10, 5, 3, 2), scan_tokens=(4, 2, 2, 1),
        score_tokens=(4, 2, 1, 1), rows=2,
    ),
    Level("plain"),
)  # fmt: skip

_here = threading.local()
_in_force: list[Level] = []  # one, once `engine.simd.choice` has decided


def named(name: str) -> Level:
    """The level of a name."""
    return next(level for level in LEVELS if level.name == name)


def available() -> tuple[Level, ...]:
    """The levels that this processor and this process can run, best first."""
    return tuple(level for level in LEVELS if level.here and (not level.matrix_unit or features.matrix_unit()))


def put_in_force(level: Level) -> None:
    """Generate code for a level from now on, in every thread; only `engine.simd.choice` calls it."""
    _in_force[:] = [level]


def current() -> Level:
    """The level that code is generated for at this moment: that of `trial`, else the one in force."""
    found = getattr(_here, "trial", None) or next(iter(_in_force), None)
    assert found is not None, "kernels are compiled through engine.simd.jit, which decides first"
    return found


@contextmanager
def trial(level: Level) -> Iterator[None]:
    """Generate code for a level in this thread, whatever is in force; for checks, on functions that nobody keeps."""
    before = getattr(_here, "trial", None)
    _here.trial = level
    try:
        yield
    finally:
        _here.trial = before
