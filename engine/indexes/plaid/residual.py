"""The residual codec: a length, and a few bits a dimension of what remains of a vector beside its nearest centroid.

vector = centroid + scale (code - middle) step. The residual (vector minus centroid) is divided by its own length, one
byte a token: token vectors lie at very different distances from their centroids, and only after the division are their
values near enough to one Gaussian that a uniform quantiser wastes little. Uniform codes keep the score linear in them:
query . vector = query . centroid + scale sum_d (query_d step_d) (code_d - middle_d), so a search folds the steps into
the query and works on the codes themselves. (Santhanam et al., 2022, ColBERTv2, cut all residuals at common quantiles.)
A part of the dimensions has one or two bits more, which makes bits a dimension that are no power of two.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from engine.indexes.plaid.codec import SCALES, Codec
from engine.indexes.plaid.query import ResidualQuery, rounded_query
from engine.indexes.plaid.rows import Packed, RowLayout, code_of, put_code, unpack, width_of
from engine.indexes.plaid.scores import residual_scores
from engine.indexes.plaid.settings import PlaidSettings
from engine.simd.jit import kernel
from engine.simd.threads import run_parts

if TYPE_CHECKING:
    import torch

# Half the range of a uniform quantiser with 2^bits levels, in standard deviations, that loses least of a Gaussian
# (Max, 1960, Quantizing for minimum distortion).
HALF_RANGE = {1: 0.7979, 2: 1.4935, 3: 2.051, 4: 2.513, 5: 2.916, 6: 3.279, 8: 3.93}

PART = 4096  # tokens a thread takes at once
FIT_BLOCK = 4096  # tokens whose residuals are held at once


@dataclass(frozen=True, eq=False)
class ResidualCodec(Codec):
    """Centroids and a quantiser of residuals.

    Args:
        layout: How a row is packed.
        step: float32 [dim], the distance of two codes of a residual of length 1; 0 where all residuals are 0.
        scales: float32 [256], the lengths, rising from 0.
        largest: The largest distance from their middle that the codes of a token have, where it is known.
    """

    layout: RowLayout
    step: np.ndarray
    scales: np.ndarray
    largest: float = np.inf

    refines = True
    stored_class = Packed
    scores = staticmethod(residual_scores)

    @classmethod
    def row_bytes(cls, dim: int, settings: PlaidSettings) -> int:
        """See the base class."""
        return RowLayout.of(dim, settings.bits, settings.wide_share).size

    @classmethod
    def fit(cls, vectors: np.ndarray, codes: np.ndarray, centroids: np.ndarray, settings: PlaidSettings) -> Codec:
        """Choose steps and lengths from a sample."""
        return _fitted(vectors, codes, centroids, RowLayout.of(vectors.shape[1], settings.bits, settings.wide_share))

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], settings: PlaidSettings, largest: float) -> Codec:
        """See the base class."""
        centroids, step, scales = (arrays[name].astype(np.float32) for name in ("centroids", "steps", "lengths"))
        layout = RowLayout.of(centroids.shape[1], settings.bits, settings.wide_share)
        return cls(centroids, layout, step, scales, largest, group=arrays.get("groups"))

    def arrays(self) -> dict[str, np.ndarray]:
        """See the base class."""
        mine = {"steps": self.step, "lengths": self.scales}
        return {"centroids": self.centroids.astype(np.float16), "groups": self.groups.group, **mine}

    def sound(self) -> bool:
        """See the base class."""
        parts = (self.centroids, self.step, self.scales)
        shapes = self.step.shape == (self.dim,) and self.scales.shape == (SCALES,)
        return shapes and self.grouped() and all(bool(np.isfinite(part).all()) for part in parts)

    @property
    def row_size(self) -> int:
        """See the base class."""
        return self.layout.size

    @property
    def bits(self) -> float:
        """See the base class."""
        return self.layout.bits + 8 * (self.layout.wide + self.layout.wider) / self.dim

    @cached_property
    def middle(self) -> np.ndarray:
        """The middle of the codes of each dimension, float32 [dim]."""
        return self.layout.tops / 2

    @property
    def _packing(self) -> tuple[int, int, int, int]:
        """Numbers of the layout for the compiled loops."""
        return self.layout.base, self.layout.bits, self.layout.wide, self.layout.wider

    @property
    def farthest(self) -> float:
        """The largest distance that the codes of a token can have from their middle."""
        return min(self.largest, self.layout.reach)

    def reaching(self, largest: float) -> Codec:
        """See the base class."""
        other = copy(self)  # with what its properties keep, none of which depends on the distance
        object.__setattr__(other, "largest", largest)
        return other

    def distance(self, packed: np.ndarray) -> float:
        """The largest distance from their middle of the codes of some tokens, uint8 [n, row size]."""
        squares = np.zeros(-(-len(packed) // PART), np.float32)

        def work(part: int) -> None:
            rows = packed[part * PART : (part + 1) * PART]
            squares[part] = _largest_square(rows, *self._packing, self.middle)

        run_parts(work, len(squares))
        return float(np.sqrt(squares.max(initial=0.0)))

    def encode(self, vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Quantise residuals; see the base class."""
        out = np.zeros((len(vectors), self.layout.size), np.uint8)
        inverse = np.divide(1.0, self.step, out=np.zeros_like(self.step), where=self.step > 0).astype(np.float32)
        share = (1 / _width(self.layout, self.step)).astype(np.float32)
        share[self.step == 0] = 0
        edges = (self.scales[1:] + self.scales[:-1]) / 2  # the nearest length

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
                self.step,
                edges,
                *self._packing,
                out[rows],
            )

        run_parts(work, -(-len(vectors) // PART))
        return out

    def decode(self, codes: np.ndarray, packed: np.ndarray) -> np.ndarray:
        """See the base class."""
        out = np.empty((len(codes), self.dim), np.float32)

        def work(part: int) -> None:
            rows = slice(part * PART, (part + 1) * PART)
            some = self.stored(np.zeros(1, np.int64), codes[rows], np.ascontiguousarray(packed[rows]))
            _decode(some, self.centroids, self.step, self.middle, out[rows])

        run_parts(work, -(-len(codes) // PART))
        return out

    def decode_on(self, centroids: torch.Tensor, codes: torch.Tensor, packed: torch.Tensor) -> torch.Tensor:
        """See the base class."""
        import torch

        found, lengths = self.layout.codes_on(packed)
        step, middle, scales = (
            torch.from_numpy(part).to(packed.device) for part in (self.step, self.middle, self.scales)
        )
        return centroids[codes] + scales[lengths][:, None] * (step * (found.float() - middle))

    def stored(self, offsets: np.ndarray, codes: np.ndarray, packed: np.ndarray) -> Packed:
        """See the base class."""
        layout = self.layout
        return Packed(
            offsets, codes, packed.reshape(-1), self.scales, layout.base, layout.wide, layout.wider, layout.bits
        )

    def asked(self, query: np.ndarray) -> ResidualQuery:
        """See the base class."""
        return rounded_query(self.layout, self.step, self.farthest, self.reach, query)


def _fitted(vectors: np.ndarray, codes: np.ndarray, centroids: np.ndarray, layout: RowLayout) -> ResidualCodec:
    dim, blocks = vectors.shape[1], range(0, len(vectors), FIT_BLOCK)

    def residuals(start: int) -> np.ndarray:
        return vectors[start : start + FIT_BLOCK] - centroids[codes[start : start + FIT_BLOCK]]

    squares = sum(np.square(residuals(start), dtype=np.float64).sum(axis=0) for start in blocks)
    width = np.sqrt(squares / len(vectors))
    share = np.divide(1.0, width, out=np.zeros(dim), where=width > 0)
    used = max(1, int(np.count_nonzero(width)))
    lengths = [np.sqrt(np.square(residuals(start) * share).sum(axis=1) / used) for start in blocks]
    longest = max(float(some.max()) for some in lengths) or 1.0
    scales = longest * np.linspace(0, 1, SCALES) ** 2  # as fine as evenly spaced ones in the middle, finer below
    step = np.array(_half_ranges(layout)) * width * 2 / layout.tops
    return ResidualCodec(centroids, layout, step.astype(np.float32), scales.astype(np.float32))


def _half_ranges(layout: RowLayout) -> np.ndarray:
    """Half the range of each dimension in standard deviations, float32 [dim]."""
    ranges = np.full(layout.dim, HALF_RANGE[layout.bits], np.float32)
    for more, count in enumerate((layout.wide, layout.wider), 1):
        if count:
            ranges[: 8 * count] = HALF_RANGE[layout.bits + more]
    return ranges


def _width(layout: RowLayout, step: np.ndarray) -> np.ndarray:
    """Standard deviation of each dimension of a residual of length 1, from its step; 1 where that is 0."""
    return np.where(step > 0, step * layout.tops / 2 / _half_ranges(layout), 1)


@kernel
def _encode(vectors, codes, centroids, share, inverse, middle, step, edges, base, bits, wide, wider, out):
    dim = vectors.shape[1]
    used, chosen = max(1, np.count_nonzero(share)), np.empty(dim, np.float32)
    for i in range(len(vectors)):
        c, square = np.int64(codes[i]), np.float32(0)
        for d in range(dim):
            value = (vectors[i, d] - centroids[c, d]) * share[d]
            square += value * value
        length = np.sqrt(square / np.float32(used))
        factor = np.float32(1) / length if length > 0 else np.float32(0)
        for d in range(dim):
            value = np.rint((vectors[i, d] - centroids[c, d]) * factor * inverse[d] + middle[d])
            value = min(max(value, np.float32(0)), 2 * middle[d])
            put_code(out[i], d, np.uint8(value), base, bits, wide, wider)
            chosen[d] = step[d] * (value - middle[d])
        out[i, -1] = np.searchsorted(edges, _best_length(vectors[i], centroids[c], chosen))


@kernel
def _best_length(vector, centroid, direction):
    """The length with which `direction`, added to the centroid, errs least.

    What errs along the vector itself counts `dim` times as much as what errs across it: a query token that chooses this
    token lies near it, so that its score sees the first and little of the second (Guo et al., 2020, Accelerating
    large-scale inference with anisotropic vector quantization; `dim` is their weight for a cosine near .7).
    """
    norm, along, both = np.float32(0), np.float32(0), np.float32(0)
    across, size = np.float32(0), np.float32(0)
    for d in range(len(vector)):
        x, rest = vector[d], vector[d] - centroid[d]
        norm += x * x
        along += x * rest
        both += x * direction[d]
        across += rest * direction[d]
        size += direction[d] * direction[d]
    weight = np.float32(len(vector)) / max(norm, np.float32(1e-30))
    return (across + weight * along * both) / max(size + weight * both * both, np.float32(1e-30))


@kernel
def _decode(stored, centroids, step, middle, out):
    """Write the vectors of all tokens of `rows.Packed`; its offsets are not looked at."""
    values, length, first = np.empty(width_of(stored), np.uint8), np.empty(1, np.float32), np.zeros(1, np.int64)
    for i in range(len(out)):
        unpack(stored, i, first, 1, values, length)
        c, scale = np.int64(stored.codes[i]), length[0]
        for d in range(out.shape[1]):
            out[i, d] = centroids[c, d] + scale * (step[d] * (np.float32(values[d]) - middle[d]))


@kernel
def _largest_square(packed, base, bits, wide, wider, middle):
    largest = np.float32(0)
    for i in range(len(packed)):
        square = np.float32(0)
        for d in range(len(middle)):
            value = np.float32(code_of(packed[i], d, base, bits, wide, wider)) - middle[d]
            square += value * value
        largest = max(largest, square)
    return largest
