"""Random words from counters (splitmix64): any part of a draw can be made again by itself, on any thread.

Steele, Lea and Flood, 2014, Fast splittable pseudorandom number generators; constants of Stafford's variant 13.
"""

from __future__ import annotations

import numpy as np

from engine.simd.jit import kernel

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
S27, S30, S31 = np.uint64(27), np.uint64(30), np.uint64(31)
RADIX = np.uint64(20)  # bits of a position within one axis


@kernel
def mixed(word):
    """A word of which every bit depends on every bit of the given one."""
    word = (word ^ (word >> S30)) * FIRST
    word = (word ^ (word >> S27)) * SECOND
    return word ^ (word >> S31)


@kernel
def fill(keys, call, first, last, groups, lines, words, out):
    """Write the words of rows first to last - 1; a word depends on its row's key and its position, on no shape.

    Args:
        keys: uint64 [rows].
        call: Number of the draw, for several draws from one key.
        first: First row.
        last: One past the last.
        groups: Groups of lines in a row, such as heads.
        lines: Lines in a group, such as tokens.
        words: Words in a line.
        out: uint64 [rows, groups, lines, words], written.
    """
    for row in range(first, last):
        key = mixed(keys[row] + np.uint64(call + 1) * GOLDEN)
        for group in range(groups):
            for line in range(lines):
                place = ((np.uint64(group) << RADIX) | np.uint64(line)) + np.uint64(1)
                start = mixed(key + place * GOLDEN)
                target = out[row, group, line]
                for word in range(words):
                    target[word] = mixed(start + np.uint64(word + 1) * GOLDEN)
