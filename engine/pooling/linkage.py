"""The linkage of every document, computed once, from which any pool factor is cut."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.pooling.settings import PoolSettings

BLOCK = 4096  # tokens that are linked together: 128 MB of distances


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

    def groups(
        self, factor: float = 1.0, tokens: int | None = None, distance: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which tokens are merged with which; see `engine.pooling.pool_groups`."""
        local, offsets = self._cut(factor, tokens, distance)
        return local + np.repeat(offsets[:-1], self.documents.lengths), offsets

    def pool(
        self, factor: float = 1.0, normalize: bool = True, tokens: int | None = None, distance: float | None = None
    ) -> TokenEmbeddings:
        """The documents with about 1 / factor of their tokens, or within a budget; see `engine.pooling.pool`."""
        from engine.pooling import cpu
        from engine.simd import threads
        from engine.simd.jit import flat

        groups, offsets = self._cut(factor, tokens, distance)
        documents = self.documents
        if factor == 1 and tokens is None and distance is None:
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
        return replace(documents, values=out, offsets=offsets)

    def _cut(self, factor: float, tokens: int | None, distance: float | None) -> tuple[np.ndarray, np.ndarray]:
        """Groups numbered within each document, and the offsets of the pooled embeddings."""
        from engine.pooling import cpu
        from engine.simd import threads

        method = "sequential" if self.first is None else "hierarchical"
        settings = PoolSettings(factor, tokens, distance, method=method, protected=self.protected)
        settings.check_added(self.documents.added)
        documents = self.documents
        groups, counts = np.empty(documents.n_tokens, np.int64), np.empty(len(documents), np.int64)
        bounds = threads.cut(documents.lengths + 1, 4 * threads.thread_count())
        alone, free = free_tokens(documents, self.protected)
        all_near = distance is not None and factor == 1
        wanted = np.ones_like(free) if all_near else np.maximum((free // float(factor)).astype(np.int64), 1)
        most = free if tokens is None else np.maximum(tokens - documents.lengths + free, 1)
        limit = np.inf if distance is None else float(distance)

        def part(k: int) -> None:
            span = (documents.offsets, bounds[k], bounds[k + 1], alone, free)
            if self.first is None:
                cpu.cut_runs(*span, np.minimum(wanted, np.maximum(most, 1)), groups, counts)
            else:
                cut = (*span, wanted, most, limit)
                cpu.cut_linkage(*cut, self.first, self.second, self.height, groups, counts)

        threads.run_parts(part, len(bounds) - 1)
        return groups, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def free_tokens(documents: TokenEmbeddings, protected: int) -> tuple[np.ndarray, np.ndarray]:
    """How many first tokens of each document stay alone, and how many after them may merge: not the added ones.

    Args:
        documents: n documents.
        protected: How many first tokens stay as they are.

    Returns:
        Two times int64 [n].
    """
    own = documents.lengths - np.minimum(documents.added, documents.lengths)
    alone = np.minimum(protected, own)
    return alone, own - alone


def ward_linkage(documents: TokenEmbeddings, protected: int) -> Linkage:
    """Ward's linkage of each document on cosine distances of its tokens (vectors of length 1).

    Its memory grows with the square of the tokens that are linked together, so a document of more than BLOCK tokens is
    cut into runs of equal length, each of BLOCK tokens or fewer. Tokens of different runs merge only once each run is
    one cluster: an approximation, which begins to matter where a factor leaves fewer vectors than there are runs.

    Args:
        documents: n documents.
        protected: How many first tokens of a document stay as they are.

    Returns:
        The linkage; 16 bytes a token, and while it is made at most 12 BLOCK^2 bytes (200 MB) a thread.

    Raises:
        InputError: a vector holds NaN or infinity.
    """
    from engine.pooling.cpu import link_one
    from engine.simd import threads

    documents.check()
    n = documents.n_tokens
    first, second, height = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n)
    free = free_tokens(documents, protected)[1]
    runs = -(-free // BLOCK)
    owner = np.repeat(np.arange(len(documents)), runs)
    of_document = np.cumsum(runs) - runs  # the first run of each
    number = np.arange(len(owner)) - of_document[owner]
    starts, ends = number * free[owner] // runs[owner], (number + 1) * free[owner] // runs[owner]
    bounds = threads.cut((ends - starts) ** 2 + 1, 16 * threads.thread_count())

    def part(k: int) -> None:
        for run in range(bounds[k], bounds[k + 1]):
            size, low, start = int(ends[run] - starts[run]), int(documents.offsets[owner[run]]), int(starts[run])
            if size < 2:
                continue
            values = documents.values[low + protected + start : low + protected + start + size].astype(np.float32)
            products = values @ values.T
            distance = np.clip(np.subtract(1, products, out=products), 0, 2, out=products).astype(np.float64)
            del products
            place = slice(low + start, low + start + size - 1)
            link_one(distance, first[place], second[place], height[place])
            first[place] += start
            second[place] += start

    threads.run_parts(part, len(bounds) - 1)
    for document in np.flatnonzero(runs > 1).tolist():
        low, run = int(documents.offsets[document]), int(of_document[document])
        cuts = starts[run : run + int(runs[document])]
        _join(slice(low, low + int(free[document])), cuts, first, second, height)
    return Linkage(documents, protected, first, second, height)


def _join(place: slice, starts: np.ndarray, first: np.ndarray, second: np.ndarray, height: np.ndarray) -> None:
    """Bring the merges of all runs of one document into one order; in the end the runs merge one after the other.

    Args:
        place: The document's in the other arrays, one row a free token; each run left its last row empty.
        starts: int64, the first token of each run.
        first: See `Linkage`, overwritten.
        second: See `Linkage`, overwritten.
        height: See `Linkage`, overwritten.
    """
    a, b, heights = first[place], second[place], height[place]
    merges = np.delete(np.arange(len(a)), starts[1:] - 1)[:-1]
    order = merges[np.argsort(heights[merges], kind="stable")]
    top = heights[order[-1]] if len(order) else 0.0
    last = top + 1 + np.arange(len(starts) - 1)
    done = len(order) + len(last)
    a[:done] = np.concatenate([a[order], np.full(len(last), starts[0], a.dtype)])
    b[:done] = np.concatenate([b[order], starts[1:].astype(b.dtype)])
    heights[:done] = np.concatenate([heights[order], last])
