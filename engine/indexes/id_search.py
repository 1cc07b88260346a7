"""Compiled binary search over packed ids; `engine.indexes.id_order` calls it."""

from __future__ import annotations

import numpy as np

from engine.simd.jit import kernel


@kernel
def find(order, block, offsets, asked, asked_offsets, after, places):
    """What `engine.indexes.id_order.find` returns, into `after` and `places`."""
    for i in range(len(after)):
        low, high = 0, len(order)
        start, end = asked_offsets[i], asked_offsets[i + 1]
        while low < high:
            middle = (low + high) // 2
            place = order[middle]
            if _compare(block, offsets[place], offsets[place + 1], asked, start, end) > 0:
                high = middle
            else:
                low = middle + 1
        after[i], places[i] = low, -1
        if low > 0:
            place = order[low - 1]
            if _compare(block, offsets[place], offsets[place + 1], asked, start, end) == 0:
                places[i] = place


@kernel
def _compare(one, start, end, other, other_start, other_end):
    """Below, at or above zero as bytes of `one` sort before, with or after bytes of `other`."""
    for i in range(min(end - start, other_end - other_start)):
        if one[start + i] != other[other_start + i]:
            return np.int64(one[start + i]) - np.int64(other[other_start + i])
    return (end - start) - (other_end - other_start)
