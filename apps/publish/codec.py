"""Numbers as a site holds them: rounded to whole steps, packed column by column, and what they weigh.

A vector is a multiple of one step a coordinate. The step follows from bits: 2 ** bits steps span six standard
deviations of all coordinates, and nothing is clipped, so that the error is at most half a step everywhere. What is
packed is the difference to the usual codes of the same word piece, which is small; deflate then comes within a few
percent of the entropy. `browser/codec.js` is the other half.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from engine.errors import InputError

BITS = (2, 12)  # fewest and most
SPAN = 6.0  # standard deviations that the steps of a coordinate span
OFTEN = 6  # vectors of a word piece from which on its usual codes are kept
LARGEST = 32767
FINER = 8  # vectors of a whole text take steps so much finer: a model may make their counterparts in a question long


@dataclass(frozen=True, eq=False)
class Codes:
    """Vectors as whole numbers.

    Args:
        values: int32 [rows, dim].
        step: What one unit is worth.
    """

    values: np.ndarray
    step: float

    @classmethod
    def of(cls, vectors: np.ndarray, bits: int) -> Codes:
        """Round vectors to whole steps.

        Args:
            vectors: [rows, dim] float16 or float32, finite.
            bits: From 2 to 12.

        Returns:
            The codes.

        Raises:
            InputError: other bits.
        """
        if not BITS[0] <= bits <= BITS[1]:
            raise InputError(
                f"Expected from {BITS[0]} to {BITS[1]} bits, got {bits}: choose 8, or 4 for half the size."
            )
        square = float(np.mean(np.square(vectors, dtype=np.float64))) if vectors.size else 1.0
        return cls.with_step(vectors, SPAN * (square or 1.0) ** 0.5 / 2**bits)

    @classmethod
    def with_step(cls, vectors: np.ndarray, step: float) -> Codes:
        """Round vectors to multiples of a step, a larger one where the codes would not fit into 16 bits."""
        largest = float(np.abs(vectors).max(initial=0.0))
        step = float(np.float32(max(step, largest / LARGEST)))
        return cls(np.rint(vectors.astype(np.float32) / np.float32(step)).astype(np.int32), step)

    @property
    def vectors(self) -> np.ndarray:
        """float32 [rows, dim], what the codes stand for."""
        return self.values.astype(np.float32) * np.float32(self.step)


@dataclass(frozen=True, eq=False)
class GradedCodes:
    """Codes of which some rows have finer steps.

    Args:
        values: int32 [rows, dim], each in the steps of its row.
        finer: How many steps of a fine row make one of the others; a power of two.
        unit: What one step of a fine row is worth.
        fine: bool [rows].
    """

    values: np.ndarray
    finer: int
    unit: float
    fine: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray, bits: int, fine: np.ndarray) -> GradedCodes:
        """Round vectors, those of whole texts to finer steps, as far as 16 bits hold them.

        Args:
            vectors: [rows, dim].
            bits: See `Codes.of`.
            fine: bool [rows].
        """
        codes = Codes.of(vectors, bits)
        largest, finer = float(np.abs(vectors).max(initial=0.0)), FINER if fine.any() else 1
        while finer > 1 and finer * largest / codes.step > LARGEST:
            finer //= 2
        values = codes.values.copy()
        values[fine] = Codes.with_step(vectors[fine], codes.step / finer).values
        return cls(values, finer, codes.step / finer, fine)

    @property
    def whole(self) -> np.ndarray:
        """int32 [rows, dim], all in the finest steps: what the browser searches."""
        return np.where(self.fine[:, None], self.values, self.values * self.finer)


def usual(codes: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The usual codes of each kind of row: the rounded mean where there are several, zero elsewhere.

    Args:
        codes: int32 [rows, dim].
        kinds: int64 [rows], such as the ids of word pieces.

    Returns:
        int64 [k], the kinds that come often, rising, and int32 [k, dim], their usual codes.
    """
    order = np.argsort(kinds, kind="stable")
    found, starts, counts = np.unique(kinds[order], return_index=True, return_counts=True)
    often = counts >= OFTEN
    if not often.any():
        return np.empty(0, np.int64), np.empty((0, codes.shape[1]), np.int32)
    sums = np.add.reduceat(codes[order].astype(np.int64), starts, axis=0)
    means = np.rint(sums[often] / counts[often, None]).astype(np.int32)
    return found[often].astype(np.int64), means


def differences(codes: np.ndarray, kinds: np.ndarray, often: np.ndarray, means: np.ndarray) -> np.ndarray:
    """What rows differ in from the usual codes of their kind, int32 [rows, dim]."""
    if not len(often):
        return codes
    at = np.minimum(np.searchsorted(often, kinds), len(often) - 1)
    return codes - np.where((often[at] == kinds)[:, None], means[at], 0)


def pack(values: np.ndarray) -> bytes:
    """Pack whole numbers from -32768 to 32767.

    Args:
        values: int [rows, columns], or [rows] as one column.

    Returns:
        A gzip file: of each column in turn the low bytes of its numbers, signs folded in, then the high bytes.
    """
    folded = (values.astype(np.int32) << 1) ^ (values.astype(np.int32) >> 31)
    if folded.size and int(folded.max()) > 0xFFFF:
        raise InputError(f"Expected numbers of 16 bits, got {int(np.abs(values).max())}: choose fewer bits.")
    columns = np.ascontiguousarray(folded.T).reshape(-1)
    packer = zlib.compressobj(6, zlib.DEFLATED, 31, 9, zlib.Z_RLE)  # level and time do not change what comes out
    low, high = (columns & 0xFF).astype(np.uint8), (columns >> 8).astype(np.uint8)
    return packer.compress(low.tobytes()) + packer.compress(high.tobytes()) + packer.flush()


def unpack(content: bytes, rows: int, columns: int) -> np.ndarray:
    """int32 [rows, columns] of what `pack` wrote; the plain version of what the browser does."""
    flat = np.frombuffer(zlib.decompress(content, 31), np.uint8).astype(np.int32).reshape(2, columns, rows)
    folded = (flat[0] | (flat[1] << 8)).T
    return (folded >> 1) ^ -(folded & 1)
