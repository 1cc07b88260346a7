"""Whether the kernels of a level agree with plain arithmetic on this processor, on a small known input.

The check compiles, so what it found is kept beside the machine code: one process pays for it, until a source, numba or
the processor changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
import numpy as np

from engine.simd import features, kernels
from engine.simd.levels import Level, trial
from engine.simd.machine_code import OPTIONS, cache_folder


def disagreement(level: Level) -> str:
    """What is wrong with a level here.

    Args:
        level: With vectors.

    Returns:
        The name of the first kernel that differs, or of an error; nothing where all agree.
    """
    folder = cache_folder(Path(__file__).resolve().parent)
    passed = None if folder is None else folder / f"{level.name}-{_processor()}.passed"
    if passed is not None and passed.exists():
        return ""
    try:
        found = first_difference(level)
    except Exception as error:  # what the code generator cannot do on a processor that was never tried
        return f"{type(error).__name__} in a kernel"
    if not found and passed is not None:
        with suppress(OSError):  # then the next process checks again
            passed.parent.mkdir(parents=True, exist_ok=True)
            passed.touch()
    return found


def _processor() -> str:
    from llvmlite.binding import get_host_cpu_name

    words = " ".join([get_host_cpu_name(), *sorted(features.host_features())])
    return hashlib.blake2b(words.encode(), digest_size=8).hexdigest()


def compiled(function: Callable[..., Any]) -> Any:
    """A function for one trial: what is in force then is generated at its first call, and nothing of it is kept."""
    return numba.njit(**OPTIONS)(function)


def calling(kernel: Any) -> Callable[..., Any]:
    """A function that calls an intrinsic, which Python itself cannot."""

    def call(*arguments):
        return kernel(*arguments)

    return call


def first_difference(level: Level) -> str:
    """Run all shared kernels of a level; the name of the first that is wrong, or nothing."""
    with trial(level):
        rng = np.random.default_rng(0)
        return next((check.__name__ for check in (max_rows, max_scan, products, widen) if not check(level, rng)), "")


def max_rows(level: Level, rng: np.random.Generator) -> bool:
    """Whether the maximum of rows is right."""
    codes, rows = rng.integers(0, 9, 23).astype(np.uint32), rng.integers(0, 256, (9, 32)).astype(np.uint8)
    out = np.empty(32, np.uint8)
    compiled(calling(kernels.max_rows))(rows.ravel(), codes, 1, 23, out)
    return np.array_equal(out, rows[codes[1:]].max(axis=0))


def max_scan(level: Level, rng: np.random.Generator) -> bool:
    """Whether the integer scan is right, for one to eight registers and runs of several lengths."""

    def scan(flat, tokens, groups, query, columns, offset, out):
        kernels.begin_scan()
        kernels.max_scan(flat, 1, tokens, groups, query, columns, offset, out)
        kernels.end_scan()

    run, zero, reach = compiled(scan), level.zero, 20 if level.short else 127
    for size in (7 * level.lanes - 1, 1, 2 * level.lanes, 3 * level.lanes):
        for tokens, groups in ((23, 5), (7, 1), (16, 16), (90, 24)):
            query = rng.integers(-99, 100, (size, 4 * groups)).astype(np.int8)
            values = rng.integers(zero - reach, zero + reach + 1 - (zero == 128), (tokens, 4 * groups)).astype(np.uint8)
            out = np.full(kernels.columns_of(size, level), -(2**30), np.int32)
            flat = np.concatenate([values.ravel(), np.zeros(kernels.SLACK, np.uint8)])
            run(
                flat,
                tokens,
                groups,
                kernels.scan_panels(query, level),
                len(out),
                kernels.scan_offset(query, level),
                out,
            )
            expected = (query.astype(np.int64) @ (values[1:].astype(np.int64) - zero).T).max(axis=1)
            if not np.array_equal(out[:size], expected):
                return False
    return True


def products(level: Level, rng: np.random.Generator) -> bool:
    """Whether float32 products, their maximum and its place are right."""
    dim, tokens = 13, 23
    most = compiled(calling(kernels.max_products))
    best = compiled(calling(kernels.best_products))
    for size in (7 * level.lanes - 1, 1, 2 * level.lanes, 3 * level.lanes):
        query, values = (rng.standard_normal((n, dim)).astype(np.float32) for n in (size, tokens))
        out = np.full(kernels.columns_of(size, level), -np.inf, np.float32)
        again, where = np.full_like(out, -np.inf), np.empty(len(out), np.int32)
        most(values.ravel(), 1, tokens, dim, kernels.query_panels(query, 1, level), len(out), out)
        best(values.ravel(), 1, tokens, dim, kernels.query_panels(query, 1, level), len(out), again, where)
        expected = query @ values[1:].T
        if not np.array_equal(out, again) or (where[:size] != expected.argmax(axis=1)).any():
            return False
        if not np.allclose(out[:size], expected.max(axis=1), rtol=1e-5, atol=1e-5):
            return False
    return True


def widen(level: Level, rng: np.random.Generator) -> bool:
    """Whether float16 becomes float32."""
    bits = np.arange(0, 2**16, 37, dtype=np.uint16)
    numbers = np.empty(len(bits), np.float32)
    compiled(calling(kernels.widen))(bits, 0, len(bits), numbers)
    return np.array_equal(numbers, bits.view(np.float16).astype(np.float32), equal_nan=True)
