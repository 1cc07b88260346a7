"""Codec: a token vector as the number of its nearest centroid and a few bits a dimension of what remains.

The residual (vector minus centroid) is quantised uniformly, with a range of its own per dimension. A uniform quantiser
keeps the score linear in the codes: query . vector = query . (centroid + lower) + sum_d (query_d step_d) code_d, so a
search folds the steps into the query and works on the codes themselves (after Santhanam et al., 2022, ColBERTv2, whose
buckets follow the quantiles instead).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.simd.jit import kernel
from engine.simd.threads import run_parts

# Half the range of a uniform quantiser with 2^bits levels, in standard deviations, that loses least of a Gaussian
# (Max, 1960, Quantizing for minimum distortion); clipping costs more than it saves at 8 bits.
HALF_RANGE = {1: 0.7979, 2: 1.4935, 4: 2.513, 8: 4.5}


PART = 4096  # tokens a thread takes at once
FIT_BLOCK = 4096  # tokens whose residuals are held at once


def padded(dim: int) -> int:
    """Dimensions after padding to a whole number of bytes at 1 bit."""
    return -(-dim // 8) * 8


def row_bytes(dim: int, bits: int) -> int:
    """Bytes of one token without its centroid number."""
    return 2 * dim if bits == 16 else padded(dim) * bits // 8


@dataclass(frozen=True, eq=False)
class Codec:
    """Centroids and quantiser.

    Args:
        bits: 1, 2, 4 or 8; 16 stands for float16 vectors beside the centroid, with no quantiser.
        centroids: float32 [c, dim].
        lower: float32 [dim], the value of code 0.
        step: float32 [dim], the distance of two codes; 0 where all residuals are equal.
        largest: The largest distance from their middle that the codes of a token have, where it is known.
    """

    bits: int
    centroids: np.ndarray
    lower: np.ndarray
    step: np.ndarray
    largest: float = np.inf

    @property
    def dim(self) -> int:
        """Dimension of a vector."""
        return self.centroids.shape[1]

    @cached_property
    def centre(self) -> np.ndarray:
        """Mean of the centroids, float32 [dim]."""
        return self.centroids.mean(axis=0, dtype=np.float64).astype(np.float32)

    @property
    def farthest(self) -> float:
        """The largest distance that the codes of a token can have from their middle."""
        return min(self.largest, (self.levels - 1) / 2 * float(np.sqrt(self.dim)))

    def distance(self, packed: np.ndarray) -> float:
        """The largest distance from their middle of the codes of some tokens, uint8 [n, row_bytes], 1 or more."""
        if self.bits == 16:
            return 0.0
        byte, middle = np.arange(256), (self.levels - 1) / 2
        parts = [(byte >> shift & self.levels - 1) - middle for shift in range(0, 8, self.bits)]
        squares = np.square(parts).sum(axis=0).astype(np.float32)
        return float(np.sqrt(squares[packed].sum(axis=1).max()))

    @cached_property
    def reach(self) -> float:
        """Length of the longest centroid."""
        return float(np.linalg.norm(self.centroids, axis=1).max())

    @property
    def levels(self) -> int:
        """Different values of a code."""
        return 1 << self.bits

    @property
    def row_bytes(self) -> int:
        """Bytes of one token without its centroid number."""
        return row_bytes(self.dim, self.bits)

    @property
    def code_dtype(self) -> np.dtype:
        """Of centroid numbers."""
        return np.dtype(np.uint16 if len(self.centroids) <= 1 << 16 else np.uint32)

    def encode(self, vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Quantise residuals.

        Args:
            vectors: [n, dim] float16 or float32.
            codes: [n] numbers of centroids.

        Returns:
            uint8 [n, row_bytes]: with p = 8 / bits values a byte, byte b holds the dimensions b, b + row_bytes, ...,
            the first in the lowest bits; the bytes of float16 at 16 bits.
        """
        if self.bits == 16:
            return np.ascontiguousarray(vectors, "<f2").view(np.uint8)
        out = np.zeros((len(vectors), self.row_bytes), np.uint8)
        inverse = np.divide(1.0, self.step, out=np.zeros_like(self.step), where=self.step > 0)
        inverse = inverse.astype(np.float32)

        def work(part: int) -> None:
            rows = slice(part * PART, (part + 1) * PART)
            some = vectors[rows].astype(np.float32)
            _encode(some, codes[rows], self.centroids, self.lower, inverse, self.bits, out[rows])

        run_parts(work, -(-len(vectors) // PART))
        return out

    def decode(self, codes: np.ndarray, packed: np.ndarray) -> np.ndarray:
        """The vectors that the index stores.

        Args:
            codes: [n] numbers of centroids.
            packed: uint8 [n, row_bytes].

        Returns:
            float32 [n, dim].
        """
        if self.bits == 16:
            return np.ascontiguousarray(packed).view("<f2").astype(np.float32)
        out = np.empty((len(codes), self.dim), np.float32)

        def work(part: int) -> None:
            first, last = part * PART, min(len(codes), (part + 1) * PART)
            some = out[first:last].reshape(-1)
            decode_into(codes, packed, first, last, self.centroids, self.lower, self.step, self.bits, some)

        run_parts(work, -(-len(codes) // PART))
        return out


def fit(vectors: np.ndarray, codes: np.ndarray, centroids: np.ndarray, bits: int) -> Codec:
    """Choose the range of every dimension from a sample.

    Args:
        vectors: float32 [n, dim].
        codes: [n] numbers of centroids.
        centroids: float32 [c, dim].
        bits: 1, 2, 4, 8 or 16.

    Returns:
        The codec.
    """
    dim, blocks = vectors.shape[1], range(0, len(vectors), FIT_BLOCK)
    if bits == 16:
        return Codec(bits, centroids, np.zeros(dim, np.float32), np.zeros(dim, np.float32))

    def residuals(start: int) -> np.ndarray:
        return vectors[start : start + FIT_BLOCK] - centroids[codes[start : start + FIT_BLOCK]]

    mean = sum(residuals(start).sum(axis=0, dtype=np.float64) for start in blocks) / len(vectors)
    squares, largest = np.zeros(dim), np.zeros(dim)
    for start in blocks:
        around = residuals(start) - mean
        squares += np.square(around).sum(axis=0)
        largest = np.maximum(largest, np.abs(around).max(axis=0))
    half = np.minimum(HALF_RANGE[bits] * np.sqrt(squares / len(vectors)), largest)
    step = 2 * half / ((1 << bits) - 1)
    return Codec(bits, centroids, (mean - half).astype(np.float32), step.astype(np.float32))


@kernel
def _encode(vectors, codes, centroids, lower, inverse, bits, out):
    top, row_bytes = np.float32((1 << bits) - 1), out.shape[1]
    for i in range(len(vectors)):
        c = np.int64(codes[i])
        for d in range(vectors.shape[1]):
            value = np.rint((vectors[i, d] - centroids[c, d] - lower[d]) * inverse[d])
            code = np.uint8(min(max(value, np.float32(0)), top))
            out[i, d % row_bytes] |= code << np.uint8(bits * (d // row_bytes))


@kernel
def decode_into(codes, packed, first, last, centroids, lower, step, bits, out):
    """Stored vectors of the tokens first to last, float32, one after the other into out[0 ...]."""
    dim, row_bytes, mask = centroids.shape[1], packed.shape[1], np.uint8((1 << bits) - 1)
    at = 0
    for t in range(first, last):
        c = np.int64(codes[t])
        for part in range(8 // bits):
            begin, shift = part * row_bytes, np.uint8(part * bits)
            for d in range(begin, min(begin + row_bytes, dim)):
                code = (packed[t, d - begin] >> shift) & mask
                out[at + d] = centroids[c, d] + (lower[d] + step[d] * np.float32(code))
        at += dim
