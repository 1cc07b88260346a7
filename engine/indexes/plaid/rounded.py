"""Centroids in 7 bits a dimension, so that a row of the table of bytes costs a quarter of a float32 product.

centroid = low + step * code, with a range of its own for each dimension. The query absorbs the steps and is rounded to
8 bits, as for the residuals. All is over integers until the last step, so every level of instructions, and torch, makes
the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from engine.simd.centroids import COLUMNS

TOP = 127  # the largest code, and the largest value of a rounded query: twice their product fits int16 (AVX2)


class RoundedQuery(NamedTuple):
    """A query for the table of bytes, in blocks of 32 query tokens.

    Args:
        values: int8 [blocks, groups * 32 * 4], four dimensions of one query token beside each other.
        shift: How many of the lowest bits of a sum are dropped, so that it fits int16.
        unit: float32 [m], the score of 1 in what is left.
        origin: float32 [m], the score of the codes 0, and what the dropped bits are on average.
    """

    values: np.ndarray
    shift: int
    unit: np.ndarray
    origin: np.ndarray

    def scores(self, sums: np.ndarray) -> np.ndarray:
        """What whole numbers [m, n] stand for, float32 [m, n]."""
        return sums.astype(np.float32) * self.unit[:, None] + self.origin[:, None]


@dataclass(frozen=True, eq=False)
class RoundedCentroids:
    """Centroids in 7 bits.

    Args:
        low: float32 [dim], what code 0 stands for.
        step: float32 [dim].
        codes: uint8 [c, padded dim], 0 behind the last dimension.
    """

    low: np.ndarray
    step: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, centroids: np.ndarray) -> RoundedCentroids:
        """Round centroids, float32 [c, dim]."""
        low = centroids.min(axis=0)
        step = (centroids.max(axis=0) - low) / np.float32(TOP)
        codes = np.zeros((len(centroids), -(-centroids.shape[1] // 4) * 4), np.uint8)
        inverse = np.divide(np.float32(1), step, out=np.zeros_like(step), where=step > 0)
        for start in range(0, len(centroids), 4096):
            some = (centroids[start : start + 4096] - low) * inverse
            codes[start : start + 4096, : len(low)] = np.clip(np.rint(some), 0, TOP)
        return cls(low, step, codes)

    @cached_property
    def flat(self) -> np.ndarray:
        """The codes for compiled loops."""
        return self.codes.reshape(-1)

    def asked(self, query: np.ndarray) -> RoundedQuery:
        """Round a query, float32 [m, dim]."""
        m, blocks, padded = len(query), -(-len(query) // COLUMNS), self.codes.shape[1]
        whole = np.zeros((blocks * COLUMNS, padded), np.int8)
        whole[:m, : query.shape[1]], scale = self.whole(query)
        parts = whole.astype(np.int64)
        highest = TOP * int(max(np.maximum(parts, 0).sum(axis=1).max(), np.maximum(-parts, 0).sum(axis=1).max()))
        shift = max(0, highest.bit_length() - 15)
        values = whole.reshape(blocks, COLUMNS, padded // 4, 4).transpose(0, 2, 1, 3)
        unit = np.float32(1 << shift) / scale
        origin = query @ self.low + unit * np.float32(0.5 if shift else 0)
        return RoundedQuery(np.ascontiguousarray(values).reshape(blocks, -1), shift, unit, origin)

    def whole(self, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rounded query, float32 [m, dim] of whole numbers up to 127, and how many make 1 of it, float32 [m]."""
        weights = query * self.step
        scale = np.float32(TOP) / np.maximum(np.abs(weights).max(axis=1), np.float32(1e-30))
        return np.rint(weights * scale[:, None]), scale
