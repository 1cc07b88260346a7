"""The linkage of every document, computed once, from which any pool factor is cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError


@dataclass(frozen=True, eq=False)
class Linkage:
    """Which tokens of each document merge in which order.

    Args:
        documents: n documents.
        protected: How many first tokens of a document stay as they are.
        first: int32 [total tokens], from each document's offset on its merges in order: a token of one cluster, counted
            after the protected ones. None for runs of neighbours, which need no order.
        second: int32 [total tokens], a token of the other cluster.
        height: float64 [total tokens], the distance of the two clusters.
    """

    documents: TokenEmbeddings
    protected: int
    first: np.ndarray | None = None
    second: np.ndarray | None = None
    height: np.ndarray | None = None

    def groups(self, factor: float) -> tuple[np.ndarray, np.ndarray]:
        """Which tokens are merged with which; see `engine.pooling.pool_groups`."""
        local, offsets = self._cut(factor)
        return local + np.repeat(offsets[:-1], self.documents.lengths), offsets

    def pool(self, factor: float, normalize: bool = True) -> TokenEmbeddings:
        """The documents with about 1 / factor of their tokens; see `engine.pooling.pool`."""
        from engine.pooling import cpu
        from engine.simd import threads
        from engine.simd.jit import flat

        groups, offsets = self._cut(factor)
        documents = self.documents
        if factor == 1:
            return documents
        out = np.zeros((int(offsets[-1]), documents.dim), documents.values.dtype)
        bounds = threads.cut(documents.lengths + 1, 1 + documents.n_tokens // 8192)
        half = documents.values.dtype == np.float16
        values, starts = flat(documents.values.view(np.uint16) if half else documents.values), flat(documents.offsets)
        average = cpu.average_float16 if half else cpu.average_float32

        def part(k: int) -> None:
            start, end = bounds[k], bounds[k + 1]
            means = np.zeros((offsets[end] - offsets[start], documents.dim), np.float32)
            average(values, documents.dim, starts, groups, offsets, start, end, normalize, means)
            out[offsets[start] : offsets[end]] = means

        threads.run_parts(part, len(bounds) - 1)
        return TokenEmbeddings(out, offsets, documents.fingerprint, documents.truncated)

    def _cut(self, factor: float) -> tuple[np.ndarray, np.ndarray]:
        """Groups numbered within each document, and the offsets of the pooled embeddings."""
        from engine.pooling import cpu
        from engine.simd import threads

        if not factor >= 1:
            raise InputError(f"Expected a pool factor of 1 or more, got {factor}: 1 keeps every token.")
        documents = self.documents
        groups, counts = np.empty(documents.n_tokens, np.int64), np.empty(len(documents), np.int64)
        bounds = threads.cut(documents.lengths + 1, 4 * threads.thread_count())
        ratio = float(factor)

        def part(k: int) -> None:
            span = (documents.offsets, bounds[k], bounds[k + 1], self.protected, ratio)
            if self.first is None:
                cpu.cut_runs(*span, groups, counts)
            else:
                cpu.cut_linkage(*span, self.first, self.second, self.height, groups, counts)

        threads.run_parts(part, len(bounds) - 1)
        return groups, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def ward_linkage(documents: TokenEmbeddings, protected: int) -> Linkage:
    """Ward's linkage of each document on cosine distances of its tokens (vectors of length 1).

    Args:
        documents: n documents.
        protected: How many first tokens of a document stay as they are.

    Returns:
        The linkage; 16 bytes a token.

    Raises:
        InputError: a vector holds NaN or infinity.
    """
    from engine.pooling.cpu import link_one
    from engine.simd import threads

    documents.check()
    n = documents.n_tokens
    first, second, height = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n)
    lengths = documents.lengths.astype(np.float64)
    bounds = threads.cut((lengths**2).astype(np.int64) + 1, 16 * threads.thread_count())

    def part(k: int) -> None:
        for document in range(bounds[k], bounds[k + 1]):
            start, end = int(documents.offsets[document]) + protected, int(documents.offsets[document + 1])
            if end - start < 2:
                continue
            low = int(documents.offsets[document])
            values = documents.values[start:end].astype(np.float32)
            distance = np.clip(1 - values @ values.T, 0, 2).astype(np.float64)
            place = slice(low, low + end - start - 1)
            link_one(distance, first[place], second[place], height[place])

    threads.run_parts(part, len(bounds) - 1)
    return Linkage(documents, protected, first, second, height)
