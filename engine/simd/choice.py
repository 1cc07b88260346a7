"""Which level of instructions is in force: decided and checked at the first use, not at import."""

from __future__ import annotations

import os
from typing import Any

from numba.core.compiler_lock import global_compiler_lock

from engine.simd import selfcheck
from engine.simd.levels import Level, available, put_in_force

VARIABLE = "WORKBENCH_SIMD"  # force a level that this processor has, or "plain"
_decided: list[tuple[Level, str]] = []  # the level in force, and why a better one is not used


def chosen() -> Level:
    """The level in force: the best one here whose kernels agree with plain numba on a small known input."""
    return _choice()[0]


def _choice() -> tuple[Level, str]:
    if not _decided:
        with global_compiler_lock:  # the check compiles: one lock for both, else two threads could wait for each other
            if not _decided:
                _decided.append(_decide())
                put_in_force(_decided[0][0])
    return _decided[0]


def _decide() -> tuple[Level, str]:
    levels, note = available(), ""
    names = [level.name for level in levels]
    asked = os.environ.get(VARIABLE, "")
    for level in levels[names.index(asked) if asked in names else 0 :]:
        reason = selfcheck.disagreement(level) if level.vectors else ""
        if not reason:
            return level, note
        note += f"{reason} of level {level.name} differs from plain numba on this processor or cannot run; "
    raise AssertionError("plain runs everywhere")


def describe() -> dict[str, Any]:
    """The level in force, what the processor offers, and why a better level is not used, as JSON values."""
    level, note = _choice()
    return {
        "simd": level.name,
        "matrix_unit": level.matrix_unit,
        "available": [found.name for found in available()],
        "note": note,
    }
