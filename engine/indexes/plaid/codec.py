"""Codec: a token vector as the number of its nearest centroid, a length, and a few bits a dimension of what remains.

vector = centroid + scale (code - middle) step. The residual (vector minus centroid) is divided by its own length, one
byte a token: token vectors lie at very different distances from their centroids, and only after the division are their
values near enough to one Gaussian that a uniform quantiser wastes little. Uniform codes keep the score linear in them:
query . vector = query . centroid + scale sum_d (query_d step_d) (code_d - middle_d), so a search folds the steps into
the query and works on the codes themselves. (Santhanam et al., 2022, ColBERTv2, cut all residuals at common quantiles.)
A part of the dimensions has one bit more, which makes bits a dimension that are no power of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.simd.jit import kernel
from engine.simd.threads import run_parts

# Half the range of a uniform quantiser with 2^bits levels, in standard deviations, that loses least of a Gaussian
# (Max, 1960, Quantizing for minimum distortion).
HALF_RANGE = {1: 0.7979, 2: 1.4935, 3: 2.051, 4: 2.513, 5: 2.916, 8: 3.93}
SCALES = 256  # lengths that a residual can have; the first is 0
NARROWEST = 1e-3  # the least length above 0, as a share of the largest

PART = 4096  # tokens a thread takes at once
FIT_BLOCK = 4096  # tokens whose residuals are held at once


@dataclass(frozen=True)
class RowLayout:
    """The bytes of one token without its centroid number: base bits, more bits, length.

    Args:
        dim: Dimension of a vector.
        bits: 1, 2, 4 or 8, the base bits of each dimension; 16 stands for float16 vectors and nothing else.
        wide: Bytes that hold one bit more for each of the first 8 * wide dimensions; 0 at 8 and 16 bits.
    """

    dim: int
    bits: int
    wide: int

    @classmethod
    def of(cls, dim: int, bits: int, wide_share: float) -> RowLayout:
        """With one bit more for a share of the dimensions, rounded down to whole bytes."""
        return cls(dim, bits, int(wide_share * dim) // 8 if bits < 8 else 0)

    @cached_property
    def reach(self) -> float:
        """The largest distance of codes from their middle."""
        return float(np.linalg.norm(self.tops)) / 2

    @property
    def base(self) -> int:
        """Bytes of the base bits."""
        return 2 * self.dim if self.bits == 16 else self.padded * self.bits // 8

    @property
    def padded(self) -> int:
        """Dimensions after padding to a whole number of bytes at 1 bit."""
        return -(-self.dim // 8) * 8

    @property
    def size(self) -> int:
        """Bytes of a row."""
        return self.base if self.bits == 16 else self.base + self.wide + 1

    @cached_property
    def rounding(self) -> float:
        """What rounding the weights of all even or all odd pairs of dimensions can add to a sum over their codes."""
        tops = np.pad(self.tops, (0, -self.dim % 4)).reshape(-1, 2, 2)
        return float(tops.sum(axis=(0, 2)).max()) / 2

    @cached_property
    def tops(self) -> np.ndarray:
        """The largest code of each dimension, float32 [dim]."""
        tops = np.full(self.dim, (1 << self.bits) - 1, np.float32)
        tops[: 8 * self.wide] = (2 << self.bits) - 1
        return tops


@dataclass(frozen=True, eq=False)
class Codec:
    """Centroids and quantiser.

    Args:
        layout: Of a row.
        centroids: float32 [c, dim].
        step: float32 [dim], the distance of two codes of a residual of length 1; 0 where all residuals are 0.
        scales: float32 [256], the lengths, rising from 0.
        largest: The largest distance from their middle that the codes of a token have, where it is known.
    """

    layout: RowLayout
    centroids: np.ndarray
    step: np.ndarray
    scales: np.ndarray
    largest: float = np.inf

    @property
    def bits(self) -> int:
        """Base bits of a dimension."""
        return self.layout.bits

    @property
    def dim(self) -> int:
        """Dimension of a vector."""
        return self.centroids.shape[1]

    @cached_property
    def centre(self) -> np.ndarray:
        """Mean of the centroids, float32 [dim]."""
        return self.centroids.mean(axis=0, dtype=np.float64).astype(np.float32)

    @cached_property
    def middle(self) -> np.ndarray:
        """The middle of the codes of each dimension, float32 [dim]."""
        return self.layout.tops / 2

    @property
    def farthest(self) -> float:
        """The largest distance that the codes of a token can have from their middle."""
        return min(self.largest, self.layout.reach)

    def distance(self, packed: np.ndarray) -> float:
        """The largest distance from their middle of the codes of some tokens, uint8 [n, row size], n at least 1."""
        if self.bits == 16:
            return 0.0
        squares = np.zeros(-(-len(packed) // PART), np.float32)

        def work(part: int) -> None:
            rows = packed[part * PART : (part + 1) * PART]
            squares[part] = _largest_square(rows, self.bits, self.layout.wide, self.middle)

        run_parts(work, len(squares))
        return float(np.sqrt(squares.max(initial=0.0)))

    @cached_property
    def reach(self) -> float:
        """Length of the longest centroid."""
        return float(np.linalg.norm(self.centroids, axis=1).max())

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
            uint8 [n, row size]: with p = 8 / bits values a byte, byte b of the base holds the low bits of the
            dimensions b, b + base, ..., the first in the lowest bits; then the high bits of the first dimensions, eight
            a byte; then the number of the length. The bytes of float16 at 16 bits.
        """
        if self.bits == 16:
            return np.ascontiguousarray(vectors, "<f2").view(np.uint8)
        out = np.zeros((len(vectors), self.layout.size), np.uint8)
        inverse = np.divide(1.0, self.step, out=np.zeros_like(self.step), where=self.step > 0).astype(np.float32)
        share = (1 / _width(self.layout, self.step)).astype(np.float32)
        share[self.step == 0] = 0
        edges = np.sqrt(self.scales[1:] * self.scales[:-1])  # the nearest length by ratio; half of the least one
        edges[0] = self.scales[1] / 2

        def work(part: int) -> None:
            rows = slice(part * PART, (part + 1) * PART)
            some = vectors[rows].astype(np.float32)
            _encode(
                some,
                codes[rows],
                self.centroids,
                share,
                inverse,
                self.middle,
                self.scales,
                edges,
                self.bits,
                self.layout.wide,
                out[rows],
            )

        run_parts(work, -(-len(vectors) // PART))
        return out

    def decode(self, codes: np.ndarray, packed: np.ndarray) -> np.ndarray:
        """The vectors that the index stores.

        Args:
            codes: [n] numbers of centroids.
            packed: uint8 [n, row size].

        Returns:
            float32 [n, dim].
        """
        if self.bits == 16:
            return np.ascontiguousarray(packed).view("<f2").astype(np.float32)
        out = np.empty((len(codes), self.dim), np.float32)

        def work(part: int) -> None:
            rows = slice(part * PART, (part + 1) * PART)
            _decode(
                codes[rows],
                packed[rows],
                self.centroids,
                self.step,
                self.middle,
                self.scales,
                self.bits,
                self.layout.wide,
                out[rows],
            )

        run_parts(work, -(-len(codes) // PART))
        return out


def fit(vectors: np.ndarray, codes: np.ndarray, centroids: np.ndarray, layout: RowLayout) -> Codec:
    """Choose steps and lengths from a sample.

    Args:
        vectors: float32 [n, dim].
        codes: [n] numbers of centroids.
        centroids: float32 [c, dim].
        layout: Of a row.

    Returns:
        The codec.
    """
    dim, blocks = vectors.shape[1], range(0, len(vectors), FIT_BLOCK)
    if layout.bits == 16:
        return Codec(layout, centroids, np.zeros(dim, np.float32), np.zeros(SCALES, np.float32))

    def residuals(start: int) -> np.ndarray:
        return vectors[start : start + FIT_BLOCK] - centroids[codes[start : start + FIT_BLOCK]]

    squares = sum(np.square(residuals(start), dtype=np.float64).sum(axis=0) for start in blocks)
    width = np.sqrt(squares / len(vectors))
    share = np.divide(1.0, width, out=np.zeros(dim), where=width > 0)
    used = max(1, int(np.count_nonzero(width)))
    lengths = [np.sqrt(np.square(residuals(start) * share).sum(axis=1) / used) for start in blocks]
    longest = max(float(some.max()) for some in lengths) or 1.0
    positive = [float(some[some > 0].min()) for some in lengths if some.any()]
    shortest = max(min(positive, default=longest), NARROWEST * longest)
    scales = np.concatenate([[0.0], np.geomspace(shortest, longest, SCALES - 1)])
    step = np.array(_half_ranges(layout)) * width * 2 / layout.tops
    return Codec(layout, centroids, step.astype(np.float32), scales.astype(np.float32))


def _half_ranges(layout: RowLayout) -> np.ndarray:
    """Half the range of each dimension in standard deviations, float32 [dim]."""
    ranges = np.full(layout.dim, HALF_RANGE[layout.bits], np.float32)
    if layout.wide:
        ranges[: 8 * layout.wide] = HALF_RANGE[layout.bits + 1]
    return ranges


def _width(layout: RowLayout, step: np.ndarray) -> np.ndarray:
    """Standard deviation of each dimension of a residual of length 1, from its step; 1 where that is 0."""
    return np.where(step > 0, step * layout.tops / 2 / _half_ranges(layout), 1)


@kernel
def _encode(vectors, codes, centroids, share, inverse, middle, scales, edges, bits, wide, out):
    dim = vectors.shape[1]
    base = out.shape[1] - wide - 1
    used, low = max(1, np.count_nonzero(share)), np.uint8((1 << bits) - 1)
    for i in range(len(vectors)):
        c, square = np.int64(codes[i]), np.float32(0)
        for d in range(dim):
            value = (vectors[i, d] - centroids[c, d]) * share[d]
            square += value * value
        number = np.searchsorted(edges, np.sqrt(square / np.float32(used)))
        factor = np.float32(0) if number == 0 else np.float32(1) / scales[number]
        for d in range(dim):
            value = np.rint((vectors[i, d] - centroids[c, d]) * factor * inverse[d] + middle[d])
            code = np.uint8(min(max(value, np.float32(0)), 2 * middle[d]))
            out[i, d % base] |= (code & low) << np.uint8(bits * (d // base))
            if d < 8 * wide:
                out[i, base + d // 8] |= (code >> np.uint8(bits)) << np.uint8(d % 8)
        out[i, base + wide] = number


@kernel
def _code(row, d, base, bits, wide):
    """The code of one dimension in one row."""
    code = (row[d % base] >> np.uint8(bits * (d // base))) & np.uint8((1 << bits) - 1)
    if d < 8 * wide:
        code |= ((row[base + d // 8] >> np.uint8(d % 8)) & np.uint8(1)) << np.uint8(bits)
    return code


@kernel
def _decode(codes, packed, centroids, step, middle, scales, bits, wide, out):
    base = packed.shape[1] - wide - 1
    for i in range(len(codes)):
        c, scale = np.int64(codes[i]), scales[packed[i, base + wide]]
        for d in range(out.shape[1]):
            code = np.float32(_code(packed[i], d, base, bits, wide))
            out[i, d] = centroids[c, d] + scale * (step[d] * (code - middle[d]))


@kernel
def _largest_square(packed, bits, wide, middle):
    base, largest = packed.shape[1] - wide - 1, np.float32(0)
    for i in range(len(packed)):
        square = np.float32(0)
        for d in range(len(middle)):
            value = np.float32(_code(packed[i], d, base, bits, wide)) - middle[d]
            square += value * value
        largest = max(largest, square)
    return largest
