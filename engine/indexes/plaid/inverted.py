"""Inverted lists: for each centroid, the documents that have a token there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.simd.jit import kernel


@dataclass(frozen=True, eq=False)
class Lists:
    """Inverted lists over a range of slots.

    Args:
        offsets: int64 [c + 1]; centroid c owns documents[offsets[c] : offsets[c + 1]].
        documents: int32, slots in rising order within a list, each once.
    """

    offsets: np.ndarray
    documents: np.ndarray


def build(codes: np.ndarray, offsets: np.ndarray, first: int, n_centroids: int) -> Lists:
    """List the documents of each centroid.

    Args:
        codes: [tokens] centroid numbers of all documents.
        offsets: int64 [documents + 1].
        first: Slot to start with; earlier documents stay out.
        n_centroids: c.

    Returns:
        The lists of documents `first` and later.
    """
    counts, seen = np.zeros(n_centroids + 1, np.int64), np.full(n_centroids, -1, np.int32)
    _count(codes, offsets, first, seen, counts)
    starts = np.cumsum(counts)
    documents = np.empty(starts[-1], np.int32)
    seen[:] = -1
    _fill(codes, offsets, first, seen, starts[:-1].copy(), documents)
    documents.flags.writeable = False  # as mapped ones are: one type for the compiled loops
    return Lists(starts, documents)


@kernel
def _count(codes, offsets, first, seen, counts):
    for document in range(first, len(offsets) - 1):
        for token in range(offsets[document], offsets[document + 1]):
            code = codes[token]
            if seen[code] != document:
                seen[code] = document
                counts[code + 1] += 1


@kernel
def _fill(codes, offsets, first, seen, at, documents):
    for document in range(first, len(offsets) - 1):
        for token in range(offsets[document], offsets[document + 1]):
            code = codes[token]
            if seen[code] != document:
                seen[code] = document
                documents[at[code]] = document
                at[code] += 1
