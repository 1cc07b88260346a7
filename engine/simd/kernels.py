"""The kernels of the best level that this processor has and that agrees with plain numba on a small known input.

Import it where a kernel is first needed: the import may compile. All functions may be called from compiled code
(`engine.simd.jit.kernel`) and take flattened arrays.

`max_rows(rows, codes, start, end, out)`: out[32] uint8 = elementwise maximum of rows[codes[t]] over start <= t < end;
rows is [n, 32] uint8, codes any unsigned integers; 0 where there is no token.

`max_dots(codes, start, end, base, values, groups, query, out)`: out[32] int32 = maximum over tokens t of
base[codes[t]] + values[t] . query; base [n, 32] int32, values [tokens, 4 * groups] uint8, query [groups, 32, 4] int8;
-2**30 where there is no token. Codes up to 127 with query values in -127..127, or up to 255 with -64..64.

`max_scan(values, start, end, groups, query, columns, offset, out)`: raises out[columns] int32 to the maximum over
tokens t of (values[t] - ZERO) . query; offset from `scan_offset`. On AVX2 ZERO is 64, values
go up to 127, and the result must fit in int16 over the even and over the odd pairs of dimensions
(`engine.maxsim.quantised` sees to it); elsewhere ZERO is 128 and the result must fit in int32. The query comes from
`scan_panels`, and up to SLACK bytes behind the values may be read. Call it between `begin_scan()` and `end_scan()`, in
one thread.

`max_products(values, start, end, dim, query, columns, out)`: raises out[columns] float32 to the maximum over tokens of
values[t] . query; values [tokens, dim] float32, query from `query_panels`; NaN where a product is not finite.

`best_products(values, start, end, dim, query, columns, out, where)`: the same, and where[columns] int32 is set to
t - start of the maximum wherever it rose, the first of equal ones.

`widen(halves, at, count, out)`: out[: count] float32 = the float16 numbers whose bits, uint16, start at `at`.
"""

from __future__ import annotations

import os
from importlib import reload
from typing import Any

import numpy as np

from engine.simd import features, plain
from engine.simd.jit import state


def zero_of(level: str) -> int:
    """The code that stands for zero in `max_scan`: the middle of the codes that a level takes.

    Seven bits on AVX2, where sums are held in int16, and eight elsewhere: results are the same, the wider codes leave
    fewer documents in doubt.
    """
    return 64 if level == "avx2" else 128


def columns_of(tokens: int) -> int:
    """Query tokens padded to whole registers."""
    return -(-tokens // LANES) * LANES


def query_panels(query: np.ndarray, per: int) -> np.ndarray:
    """Lay query tokens out for a kernel.

    Args:
        query: [tokens, dim]; dim a multiple of `per`.
        per: Dimensions that lie beside each other: 4 for int8, 1 for float32.

    Returns:
        Flat, `columns_of(tokens) * dim` values: panels of four registers, each [dim / per, columns, per], padded with
        zeros.
    """
    columns, dim = columns_of(len(query)), query.shape[1]
    padded = np.zeros((columns, dim), query.dtype)
    padded[: len(query)] = query
    pieces = [
        padded[first : first + 4 * LANES].reshape(-1, dim // per, per).transpose(1, 0, 2).ravel()
        for first in range(0, columns, 4 * LANES)
    ]
    return np.concatenate(pieces) if pieces else np.empty(0, query.dtype)


def scan_panels(query: np.ndarray) -> np.ndarray:
    """Lay an int8 query out for `max_scan`.

    Args:
        query: int8 [tokens, dim]; dim a multiple of 4.

    Returns:
        As from `query_panels`; with the matrix unit the dimensions are padded to its steps.
    """
    step = 64 if TILES else 4
    return query_panels(np.pad(query, ((0, 0), (0, -query.shape[1] % step))), 4)


def scan_offset(query: np.ndarray) -> np.ndarray:
    """What `max_scan` starts from, so that code ZERO counts as zero.

    Args:
        query: int8 [tokens, dim].

    Returns:
        int32 [columns]; on AVX2 the bits are two int16, one for each pair of the four neighbours.
    """
    padded = np.zeros((columns_of(len(query)), query.shape[1]), np.int64)
    padded[: len(query)] = query
    pairs = -ZERO * padded.reshape(len(padded), query.shape[1] // 4, 2, 2).sum(axis=(1, 3))
    if LEVEL == "avx2":
        return np.ascontiguousarray(pairs.astype(np.int16)).view(np.int32).ravel()
    return pairs.sum(axis=1).astype(np.int32)


def _load(level: str) -> dict[str, Any]:
    names = ("max_rows", "max_dots", "max_scan", "begin_scan", "end_scan", "max_products", "best_products", "widen")
    found = {name: getattr(plain, name) for name in names}
    if level != "plain":
        from engine.simd import panels

        if (level, state["tiles"]) != (panels.LEVEL, panels.TILES):
            panels = reload(panels)
        found |= {name: getattr(panels, name) for name in names if hasattr(panels, name)}
    return found


def _agree(found: dict[str, Any]) -> str:
    """Name of the first kernel that differs from plain numba on a small input, or nothing."""
    rng = np.random.default_rng(0)
    tokens, groups, asked = 23, 5, 3 * LANES + 4 * LANES - 1
    codes = rng.integers(0, 9, tokens).astype(np.uint32)
    rows = rng.integers(0, 256, (9, 32)).astype(np.uint8)
    base = rng.integers(-(2**20), 2**20, (9, 32)).astype(np.int32)
    for name, top, limit in (("max_dots", 127, 127), ("max_dots", 255, 64)):
        values = rng.integers(0, top + 1, (tokens, 4 * groups)).astype(np.uint8)
        values[:5] = top
        query = rng.integers(-limit, limit + 1, (groups, 32, 4)).astype(np.int8)
        query[:, :4] = limit
        arguments = (codes, 2, tokens, base.ravel(), values.ravel(), groups, query.ravel())
        ours, plainly = np.empty(32, np.int32), np.empty(32, np.int32)
        found[name](*arguments, ours)
        plain.max_dots(*arguments, plainly)
        if not np.array_equal(ours, plainly):
            return name
    ours, plainly = np.empty(32, np.uint8), np.empty(32, np.uint8)
    found["max_rows"](rows.ravel(), codes, 1, tokens, ours)
    plain.max_rows(rows.ravel(), codes, 1, tokens, plainly)
    if not np.array_equal(ours, plainly):
        return "max_rows"
    for size in (asked, 1, 2 * LANES, 3 * LANES):
        if not all(_scan_agrees(found, rng, size, n, g) for n, g in ((tokens, groups), (7, 1), (16, 16), (90, 24))):
            return "max_scan"
        query = rng.standard_normal((size, 13)).astype(np.float32)
        values = rng.standard_normal((tokens, 13)).astype(np.float32)
        out = np.full(columns_of(size), -np.inf, np.float32)
        found["max_products"](values.ravel(), 1, tokens, 13, query_panels(query, 1), len(out), out)
        again, where = np.full_like(out, -np.inf), np.empty(len(out), np.int32)
        found["best_products"](values.ravel(), 1, tokens, 13, query_panels(query, 1), len(out), again, where)
        if not np.array_equal(out, again) or (where[:size] != (query @ values[1:].T).argmax(axis=1)).any():
            return "best_products"
        if not np.allclose(out[:size], (query @ values[1:].T).max(axis=1), rtol=1e-5, atol=1e-5):
            return "max_products"
    bits = np.arange(0, 2**16, 37, dtype=np.uint16)
    numbers = np.empty(len(bits), np.float32)
    found["widen"](bits, 0, len(bits), numbers)
    return "" if np.array_equal(numbers, bits.view(np.float16).astype(np.float32), equal_nan=True) else "widen"


def _scan_agrees(found: dict[str, Any], rng: np.random.Generator, size: int, tokens: int, groups: int) -> bool:
    query = rng.integers(-99, 100, (size, 4 * groups)).astype(np.int8)
    reach = 20 if ZERO == 64 else 127
    values = rng.integers(ZERO - reach, ZERO + reach + 1, (tokens, 4 * groups)).astype(np.uint8)
    out = np.full(columns_of(size), -(2**30), np.int32)
    flat = np.concatenate([values.ravel(), np.zeros(SLACK, np.uint8)])
    found["begin_scan"]()
    found["max_scan"](flat, 1, tokens, groups, scan_panels(query), len(out), scan_offset(query), out)
    found["end_scan"]()
    expected = (query.astype(np.int64) @ (values[1:].astype(np.int64) - ZERO).T).max(axis=1)
    return np.array_equal(out[:size], expected)


SLACK = 64  # bytes behind codes that `max_scan` may read, and does not use
LEVEL, NOTE, LANES, ZERO, TILES = state["level"], "", 8, 64, False  # the note says why a better level is not used
_chosen: dict[str, Any] = {}
_levels = features.available_levels()
_tried = [(level, False) for level in _levels[_levels.index(state["level"]) :]]
if _tried[0][0] == "avx512-vnni" and not os.environ.get(features.VARIABLE):  # a level that is asked for has no unit
    from engine.simd import tiles

    _tried = [(_tried[0][0], True), *_tried] if tiles.available() else _tried
for LEVEL, TILES in _tried:
    state["level"], state["tiles"] = LEVEL, TILES
    LANES, ZERO = {"avx512-vnni": 16, "neon": 4}.get(LEVEL, 8), zero_of(LEVEL)
    try:
        _chosen = _load(LEVEL)
        _reason = "" if LEVEL == "plain" else _agree(_chosen)
    except Exception as error:  # what the code generator cannot do on a processor that was never tried
        _reason = f"{type(error).__name__} in a kernel"
    if not _reason:
        break
    unit = " with tiles" if TILES else ""
    NOTE += f"{_reason} of level {LEVEL}{unit} differs from plain numba on this processor or cannot run; "
max_rows = _chosen["max_rows"]
max_dots = _chosen["max_dots"]
max_scan = _chosen["max_scan"]
begin_scan = _chosen["begin_scan"]
end_scan = _chosen["end_scan"]
max_products = _chosen["max_products"]
best_products = _chosen["best_products"]
widen = _chosen["widen"]


def describe() -> dict[str, Any]:
    """The level in force, what the processor offers, and why a better level is not used, as JSON values."""
    return {"simd": LEVEL, "matrix_unit": TILES, "available": list(features.available_levels()), "note": NOTE}
