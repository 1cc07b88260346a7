"""The memory of a search, which the next one uses again.

The system gives fresh memory page by page, with a fault each; at a million documents that is a fifth of a search. So
what is large and never leaves a search lies in a `Room`, and a codec keeps as many of them as there were searches at
once.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from engine.indexes.plaid.codec import Codec
from engine.indexes.plaid.loops import LINE, ROWS_AT_ONCE, RUN, Tables
from engine.indexes.plaid.probing import LOWEST
from engine.indexes.plaid.query import heavy_lanes
from engine.simd import choice
from engine.simd.centroids import COLUMNS


class Room:
    """Memory from which arrays are cut; when it is too small they are made anew, and it grows before its next use."""

    def __init__(self) -> None:
        self._bytes, self._address, self._wanted = np.empty(0, np.uint8), 0, 0
        self._zeros = np.zeros(0, np.int64)

    @classmethod
    def of(cls, spare: list[Room]) -> Room:
        """One of those that nobody uses, or a new one; other threads may take from the same list meanwhile."""
        try:
            return spare.pop()
        except IndexError:
            return cls()

    def begin(self) -> None:
        """Let the arrays of the last use go."""
        if self._wanted > len(self._bytes):
            self._bytes = np.empty(self._wanted, np.uint8)
            self._address = self._bytes.ctypes.data
        self._wanted = 0

    def take(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array of anything, whose first byte begins a line of the cache."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        start = self._wanted + -(self._address + self._wanted) % LINE
        self._wanted += size + LINE
        if start + size <= len(self._bytes):
            return np.ndarray(shape, dtype, self._bytes, start)
        held = np.empty(size + LINE, np.uint8)
        return np.ndarray(shape, dtype, held, -held.ctypes.data % LINE)

    def zeros(self, count: int) -> np.ndarray:
        """int64 [count] zeros, which whoever takes them leaves as zeros."""
        if len(self._zeros) < count:
            self._zeros = np.zeros(count, np.int64)
        return self._zeros[:count]


class Results(NamedTuple):
    """Documents of three stages, and the scores that they get there.

    Args:
        slots: int64, for each of COARSE, FINE and EXACT.
        highest: uint8 [documents of COARSE, blocks, 32], the best byte of each query token.
        chosen: The same for the documents of FINE.
        coarse: int64.
        heavy: float32, of the same documents.
        fine: float32.
        exact: float32.
    """

    slots: tuple[np.ndarray, np.ndarray, np.ndarray]
    highest: np.ndarray
    chosen: np.ndarray
    coarse: np.ndarray
    heavy: np.ndarray
    fine: np.ndarray
    exact: np.ndarray


def tables_of(codec: Codec, query: np.ndarray, room: Room) -> Tables:
    """Tables for the scores of all centroids with a query, float32 [m, dim]; what a stage will write is anything."""
    m, n = len(query), len(codec.centroids)
    blocks, level = -(-m // COLUMNS), choice.chosen()
    lanes, rows = np.minimum(COLUMNS, m - COLUMNS * np.arange(blocks)), n if codec.refines else 0
    return Tables(
        -(-lanes // level.lanes) * level.lanes,
        room.take((blocks, n * COLUMNS), np.int16),
        np.full((blocks, -(-n // RUN), COLUMNS), LOWEST, np.int16),
        np.full((blocks, COLUMNS), -LOWEST - 1, np.int16),  # out of reach in lanes without a token
        room.take((blocks, n), np.int32),
        room.take((blocks, n), np.uint32),
        np.zeros((blocks, -(-n // ROWS_AT_ONCE)), np.int64),
        room.take((blocks, n * COLUMNS), np.uint8),
        np.zeros((blocks, COLUMNS), np.float32),  # byte 0 in lanes without a token
        np.zeros((blocks, COLUMNS), np.float32),
        np.zeros((blocks, COLUMNS), np.float32),
        np.zeros((blocks, COLUMNS), np.int64),  # sums of bytes leave these lanes out
        np.zeros((blocks, COLUMNS), np.float32),
        heavy_lanes(query),
        room.take((blocks, rows * COLUMNS), np.float32),
        np.full(rows, -1, np.int32),
        room.take((rows,), np.int64),
    )


def results_of(most: tuple[int, int, int], blocks: int, room: Room) -> Results:
    """Places for the scores of so many documents in COARSE, FINE and EXACT; those that leave a search are new."""
    coarse, fine, exact = most
    return Results(
        (np.empty(coarse, np.int64), np.empty(fine, np.int64), np.empty(exact, np.int64)),
        room.take((coarse, blocks, COLUMNS), np.uint8),
        room.take((fine, blocks, COLUMNS), np.uint8),
        np.zeros(coarse, np.int64),
        np.zeros(coarse, np.float32),
        np.zeros(fine, np.float32),
        np.zeros(exact, np.float32),
    )
