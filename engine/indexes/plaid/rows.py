"""The bytes of a stored token of the residual codec: everything that reads or writes one of them stands here.

A row is the base, with p = 8 / bits values a byte: byte b holds the low bits of the dimensions b, b + base, ..., the
first in the lowest bits; then one more bit of the first dimensions, eight a byte, and a second of the first among
these; then the number of the length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engine.simd.jit import kernel
from engine.simd.residuals import add_bits
from engine.simd.residuals import fetch as fetch_bytes
from engine.simd.residuals import unpack as spread

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class RowLayout:
    """The bytes of one token without its centroid number: base bits, more bits, length.

    Args:
        dim: Dimension of a vector.
        bits: 1, 2, 4 or 8, the base bits of each dimension.
        wide: Bytes that hold one bit more for each of the first 8 * wide dimensions; 0 at 8 bits.
        wider: Bytes that hold a second one for each of the first 8 * wider.
    """

    dim: int
    bits: int
    wide: int
    wider: int

    @classmethod
    def of(cls, dim: int, bits: int, wide_share: float) -> RowLayout:
        """With one bit more for a share of the dimensions, rounded down to whole bytes; above 1 with a second one."""
        if bits == 8:
            return cls(dim, bits, 0, 0)
        return cls(dim, bits, int(min(wide_share, 1) * dim) // 8, int(max(wide_share - 1, 0) * dim) // 8)

    @cached_property
    def reach(self) -> float:
        """The largest distance of codes from their middle."""
        return float(np.linalg.norm(self.tops)) / 2

    @property
    def base(self) -> int:
        """Bytes of the base bits."""
        return self.padded * self.bits // 8

    @property
    def padded(self) -> int:
        """Dimensions after padding to a whole number of bytes at 1 bit."""
        return -(-self.dim // 8) * 8

    @property
    def size(self) -> int:
        """Bytes of a row."""
        return self.base + self.wide + self.wider + 1

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
        tops[: 8 * self.wider] = (4 << self.bits) - 1
        return tops

    def codes_on(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes of some rows on their device, uint8 [n, dim], and the numbers of their lengths, int64 [n]."""
        import torch

        base, lowest = rows[:, : self.base], (1 << self.bits) - 1
        parts = [base >> (part * self.bits) & lowest for part in range(8 // self.bits)]
        codes = torch.cat(parts, dim=1)[:, : self.dim]
        places, start = torch.arange(8, device=rows.device), self.base
        for bit, count in ((self.bits, self.wide), (self.bits + 1, self.wider)):
            more = rows[:, start : start + count, None] >> places & 1
            codes[:, : 8 * count] |= (more << bit).reshape(len(rows), 8 * count).to(torch.uint8)
            start += count
        return codes, rows[:, -1].long()


class Packed(NamedTuple):
    """The tokens of an index for compiled loops.

    Args:
        offsets: int64 [slots + 1], tokens of each slot.
        codes: [tokens], numbers of centroids.
        packed: uint8, the rows one after the other.
        scales: float32 [256], the lengths by number.
        base, wide, wider, bits: See `RowLayout`.
    """

    offsets: np.ndarray
    codes: np.ndarray
    packed: np.ndarray
    scales: np.ndarray
    base: int
    wide: int
    wider: int
    bits: int


@kernel
def size_of(stored):
    """Bytes of a row."""
    return stored.base + stored.wide + stored.wider + 1


@kernel
def width_of(stored):
    """Codes of a row after `unpack`, one a byte: a multiple of 8."""
    return stored.base * (8 // stored.bits)


@kernel
def put_code(row, d, code, base, bits, wide, wider):
    """Write the code of one dimension into a row of zeros."""
    row[d % base] |= (code & np.uint8((1 << bits) - 1)) << np.uint8(bits * (d // base))
    if d < 8 * wide:
        row[base + d // 8] |= ((code >> np.uint8(bits)) & np.uint8(1)) << np.uint8(d % 8)
    if d < 8 * wider:
        row[base + wide + d // 8] |= (code >> np.uint8(bits + 1)) << np.uint8(d % 8)


@kernel
def code_of(row, d, base, bits, wide, wider):
    """The code of one dimension in one row."""
    code = (row[d % base] >> np.uint8(bits * (d // base))) & np.uint8((1 << bits) - 1)
    if d < 8 * wide:
        code |= ((row[base + d // 8] >> np.uint8(d % 8)) & np.uint8(1)) << np.uint8(bits)
    if d < 8 * wider:
        code |= ((row[base + wide + d // 8] >> np.uint8(d % 8)) & np.uint8(1)) << np.uint8(bits + 1)
    return code


@kernel
def unpack(stored, start, tokens, n, out, lengths):
    """Codes of the tokens start + tokens[0 ... n], one a byte, into out, and their lengths; returns the largest."""
    width, size, longest = width_of(stored), size_of(stored), np.float32(0)
    for j in range(n):
        at, to = (start + tokens[j]) * size, j * width
        spread(stored.packed, at, stored.base, out, to, stored.bits)
        add_bits(stored.packed, at + stored.base, stored.wide, out, to, stored.bits)
        add_bits(stored.packed, at + stored.base + stored.wide, stored.wider, out, to, stored.bits + 1)
        lengths[j] = stored.scales[stored.packed[at + size - 1]]
        longest = max(longest, lengths[j])
    return longest


@kernel
def fetch(stored, token):
    """Bring the row of a token near without waiting for it."""
    size = size_of(stored)
    fetch_bytes(stored.packed, token * size, size)
