"""Ids in sorted order: where one stands, and where new ones go, by binary search over their bytes.

UTF-8 sorts as code points do, so the order of the bytes is also the order in which equal scores are ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def packed(encoded: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Byte strings one after the other, uint8 [bytes], and their offsets, int64 [n + 1]."""
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(name) for name in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def sorted_order(block: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The places of packed byte strings in sorted order, of equal ones the first place first, int32 [n]."""
    text = block.tobytes()
    encoded = [text[start:end] for start, end in pairwise(offsets.tolist())]
    return np.array(sorted(range(len(encoded)), key=encoded.__getitem__), np.int32)


def find(
    order: np.ndarray, block: np.ndarray, offsets: np.ndarray, asked: np.ndarray, asked_offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Look up byte strings.

    Args:
        order: int32 [n], from `sorted_order`.
        block: uint8, the n strings that are there, packed.
        offsets: int64 [n + 1], theirs.
        asked: uint8, the m strings to look up, packed.
        asked_offsets: int64 [m + 1], theirs.

    Returns:
        int64 [m], how many of the n are not greater; and int64 [m], the last place in `order` with equal bytes, -1
        without one.
    """
    from engine.indexes import id_search  # numba takes a third of a second, which an import need not wait for
    from engine.simd.jit import flat

    after, places = np.empty((2, len(asked_offsets) - 1), np.int64)
    id_search.find(flat(order), flat(block), flat(offsets), flat(asked), flat(asked_offsets), after, places)
    return after, places
