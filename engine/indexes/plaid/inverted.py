"""Inverted lists: for each centroid, the documents that have a token there."""

from __future__ import annotations

from collections.abc import Iterator
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

    def has(self, centroid: int, slot: int) -> bool:
        """Whether the list of a centroid names a slot."""
        if centroid + 1 >= len(self.offsets):
            return False
        some = self.documents[self.offsets[centroid] : self.offsets[centroid + 1]]
        at = int(np.searchsorted(some, slot))
        return at < len(some) and int(some[at]) == slot


def _read_only(array: np.ndarray) -> np.ndarray:
    """As mapped arrays are: one type for the compiled loops."""
    array.flags.writeable = False
    return array


NO_LISTS = Lists(np.zeros(1, np.int64), _read_only(np.empty(0, np.int32)))


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
    starts = list_offsets(codes, offsets, first, n_centroids)
    documents = next(pieces(codes, offsets, first, starts, int(starts[-1])), np.empty(0, np.int32))  # all in one
    return Lists(starts, _read_only(documents))


def list_offsets(codes: np.ndarray, offsets: np.ndarray, first: int, n_centroids: int) -> np.ndarray:
    """Where the list of each centroid begins, int64 [c + 1]; see `build`."""
    counts, seen = np.zeros(n_centroids + 1, np.int64), np.full(n_centroids, -1, np.int32)
    _count(codes, offsets, first, seen, counts)
    return np.cumsum(counts)


def pieces(
    codes: np.ndarray, offsets: np.ndarray, first: int, starts: np.ndarray, entries: int
) -> Iterator[np.ndarray]:
    """The lists one after the other, a piece at a time; every piece is one pass over the codes.

    Args:
        codes: See `build`.
        offsets: See `build`.
        first: See `build`.
        starts: From `list_offsets`.
        entries: Of a piece, at most, unless one list is longer.

    Returns:
        int32 arrays that together are `Lists.documents`.
    """
    low, n_centroids = 0, len(starts) - 1
    while low < n_centroids:
        high = max(low + 1, int(np.searchsorted(starts, starts[low] + entries, side="right")) - 1)
        documents, seen = np.empty(starts[high] - starts[low], np.int32), np.full(high - low, -1, np.int32)
        _fill(codes, offsets, first, low, high, seen, starts[low:high] - starts[low], documents)
        yield documents
        low = high


@kernel
def _count(codes, offsets, first, seen, counts):
    for document in range(first, len(offsets) - 1):
        for token in range(offsets[document], offsets[document + 1]):
            code = codes[token]
            if seen[code] != document:
                seen[code] = document
                counts[code + 1] += 1


@kernel
def _fill(codes, offsets, first, low, high, seen, at, documents):
    for document in range(first, len(offsets) - 1):
        for token in range(offsets[document], offsets[document + 1]):
            code = np.int64(codes[token])
            if low <= code < high and seen[code - low] != document:
                seen[code - low] = document
                documents[at[code - low]] = document
                at[code - low] += 1
