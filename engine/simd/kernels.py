"""The kernels that everything shares, by name, and how a query is laid out for them.

They are numba intrinsics: called from compiled code (`engine.simd.jit.kernel`), on flattened arrays. Their code is
generated for the level in force (`engine.simd.choice`), and what is laid out for it is told the level.
"""

from __future__ import annotations

import numpy as np

from engine.simd.floating import best_products, max_products, widen
from engine.simd.integer import begin_scan, end_scan, max_rows, max_scan
from engine.simd.levels import Level

SLACK = 64  # bytes behind codes that `max_scan` may read, and does not use


def columns_of(tokens: int, level: Level) -> int:
    """Query tokens padded to whole registers of a level."""
    return -(-tokens // level.lanes) * level.lanes


def query_panels(query: np.ndarray, per: int, level: Level) -> np.ndarray:
    """Lay query tokens out for a kernel.

    Args:
        query: [tokens, dim]; dim a multiple of `per`.
        per: Dimensions that lie beside each other: 4 for int8, 1 for float32.
        level: Level of instructions of the kernel that reads them.

    Returns:
        Flat, `columns_of(tokens, level) * dim` values: panels of four registers, each [dim / per, columns, per], padded
        with zeros.
    """
    columns, dim, full = columns_of(len(query), level), query.shape[1], 4 * level.lanes
    padded = np.zeros((columns, dim), query.dtype)
    padded[: len(query)] = query
    pieces = [
        padded[first : first + full].reshape(-1, dim // per, per).transpose(1, 0, 2).ravel()
        for first in range(0, columns, full)
    ]
    return np.concatenate(pieces) if pieces else np.empty(0, query.dtype)


def scan_panels(query: np.ndarray, level: Level) -> np.ndarray:
    """Lay an int8 query out for `max_scan`.

    Args:
        query: int8 [tokens, dim]; dim a multiple of 4.
        level: Level of instructions of the kernel that reads them.

    Returns:
        As from `query_panels`; with the matrix unit the dimensions are padded to its steps.
    """
    step = 64 if level.matrix_unit else 4
    return query_panels(np.pad(query, ((0, 0), (0, -query.shape[1] % step))), 4, level)


def scan_offset(query: np.ndarray, level: Level) -> np.ndarray:
    """What `max_scan` starts from, so that code ZERO counts as zero.

    Args:
        query: int8 [tokens, dim].
        level: Level of instructions of the kernel that reads them.

    Returns:
        int32 [columns]; where sums are held in int16 the bits are two of them, one for each pair of the four
        neighbours.
    """
    padded = np.zeros((columns_of(len(query), level), query.shape[1]), np.int64)
    padded[: len(query)] = query
    pairs = -level.zero * padded.reshape(len(padded), query.shape[1] // 4, 2, 2).sum(axis=(1, 3))
    if level.short:
        return np.ascontiguousarray(pairs.astype(np.int16)).view(np.int32).ravel()
    return pairs.sum(axis=1).astype(np.int32)


__all__ = [
    "SLACK",
    "begin_scan",
    "best_products",
    "columns_of",
    "end_scan",
    "max_products",
    "max_rows",
    "max_scan",
    "query_panels",
    "scan_offset",
    "scan_panels",
    "widen",
]
