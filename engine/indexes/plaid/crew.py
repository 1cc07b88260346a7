"""The parallel part of one search: its stages in order, the items of each shared between the threads that are awake.

Waking a thread takes about as long as a stage. So helpers are woken once, while the first stage is under way, and wait
for the next stages in compiled code without the GIL; whoever is free takes the next few items of a stage. A helper that
comes late, or never, leaves the work to the caller. Each item writes places of its own, so results do not depend on who
worked.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import numpy as np

from engine.indexes.plaid.codec import Codec
from engine.indexes.plaid.loops import (
    GROUP,
    coarse_scores,
    document_scores,
    group_maxima,
    half_scores,
    rounded_rows,
)
from engine.indexes.plaid.refine import refined_scores
from engine.indexes.plaid.tables import Rounded
from engine.simd import atomic
from engine.simd.centroids import COLUMNS, multiply_rows
from engine.simd.jit import kernel
from engine.simd.kernels import columns_of, query_panels
from engine.simd.threads import submit

fetch_add: Any = atomic.fetch_add
put: Any = atomic.put
read: Any = atomic.read

TABLE, ROWS, COARSE, FINE, EXACT = range(5)
STAGES, STEPS = 5, (8, 1024, 64, 16, 8)  # items that a thread takes at once: groups, centroids, and documents
CLAIMED, FINISHED, NOW = 0, STAGES, 2 * STAGES  # places of the shared numbers; NOW counts the stages that began
OVER = 99
PATIENCE = 20_000_000  # looks at the shared numbers before a helper gives up, some 20 ms


class Crew:
    """Threads at work on one query.

    Args:
        codec: Centroids and quantiser.
        arrays: offsets, codes and packed of the index, the last flattened; see `search.Layout`.
        query: float32 [m, dim].
        rounded: The query for the residual codes.
        room: Most documents that the last three stages get.
        threads: How many to use.
    """

    def __init__(
        self,
        codec: Codec,
        arrays: tuple[np.ndarray, np.ndarray, np.ndarray],
        query: np.ndarray,
        rounded: Rounded,
        room: tuple[int, int, int],
        threads: int,
    ) -> None:
        m, (n, dim) = len(query), codec.centroids.shape
        self.blocks, groups = -(-m // COLUMNS), -(-n // GROUP)
        panels = np.zeros((self.blocks, COLUMNS, dim), np.float32)
        panels.reshape(-1, dim)[:m] = query
        self.table = np.empty((self.blocks, n * COLUMNS), np.float32)
        self.maxima = np.empty((self.blocks, groups * COLUMNS), np.float32)
        self.low = np.full((self.blocks, COLUMNS), np.inf, np.float32)  # nothing is above it in lanes without a token
        self.factor = np.zeros(1, np.float32)
        self.slots = tuple(np.empty(size, np.int64) for size in room)
        self.coarse, self.fine = np.zeros(room[0], np.int64), np.zeros(room[1], np.float32)
        self.scores = np.zeros(room[2], np.float32)
        self.numbers, self.counts = np.zeros(2 * STAGES + 1, np.int64), np.zeros(STAGES, np.int64)
        offsets, codes, packed = arrays
        half = codec.bits == 16
        shape = np.array([dim, codec.layout.base, codec.layout.wide, codec.bits, columns_of(m), m], np.int64)
        self.shared: tuple[Any, ...] = (
            self.numbers,
            self.counts,
            shape,
            (offsets, codes, packed, packed.view(np.uint16) if half else np.empty(0, np.uint16), codec.scales),
            (codec.centroids.reshape(-1), np.ascontiguousarray(panels.transpose(0, 2, 1)).reshape(self.blocks, -1)),
            (self.table, self.maxima, np.empty((self.blocks, n * COLUMNS), np.uint8), self.low, self.factor),
            (rounded.widths, rounded.lanes, rounded.query, rounded.shift, rounded.slack, rounded.origin),
            (rounded.weights, rounded.unit, rounded.short, query_panels(query, 1) if half else np.empty(0, np.float32)),
            self.slots,
            (self.coarse, self.fine, self.scores),
        )
        self.helpers: list[Future[None]] = [submit(threads - 1, _serve, *self.shared) for _ in range(threads - 1)]

    def work(self, stage: int, items: int) -> None:
        """Do a stage and return when all of its items are done.

        Args:
            stage: TABLE, ROWS, COARSE, FINE or EXACT; none before the one that it needs.
            items: Groups, centroids, or documents in `slots`.
        """
        _lead(stage, items, *self.shared)

    def documents(self, stage: int, slots: np.ndarray) -> np.ndarray:
        """Do a stage over some documents and return a score for each: int64 from COARSE, else float32."""
        which = stage - COARSE
        self.slots[which][: len(slots)] = slots
        self.work(stage, len(slots))
        return (self.coarse, self.fine, self.scores)[which][: len(slots)]

    def close(self) -> None:
        """Let the helpers go."""
        self.numbers[NOW] = OVER
        for helper in self.helpers:
            if not helper.cancel() and helper.done():
                helper.result()  # raises what went wrong there


@kernel
def _lead(stage, items, numbers, counts, shape, index, asked, tables, rounded, weights, slots, scores):
    counts[stage] = items
    put(numbers, NOW, stage + 1)
    _take(stage, numbers, counts, shape, index, asked, tables, rounded, weights, slots, scores)
    while read(numbers, FINISHED + stage) < items:
        pass


@kernel
def _serve(numbers, counts, shape, index, asked, tables, rounded, weights, slots, scores):
    seen, patience = 0, PATIENCE
    while patience > 0:
        now = read(numbers, NOW)
        if now == OVER:
            break
        if now > seen:
            seen, patience = now, PATIENCE
            _take(now - 1, numbers, counts, shape, index, asked, tables, rounded, weights, slots, scores)
        patience -= 1


@kernel
def _take(stage, numbers, counts, shape, index, asked, tables, rounded, weights, slots, scores):
    """Take items of a stage until none is left; argument by argument, see `Crew.shared`."""
    offsets, codes, packed, halves, scales = index
    centroids, panels = asked
    table, maxima, rows, low, factor = tables
    widths, lanes, query, shift, slack, origin = rounded
    products, unit, short, half_panels = weights
    dim, base, wide, bits, n, step = shape[0], shape[1], shape[2], shape[3], table.shape[1] // COLUMNS, STEPS[stage]
    stored = (offsets, codes, packed, base, wide, bits, scales)
    while True:
        first = fetch_add(numbers, CLAIMED + stage, step)
        last = min(first + step, counts[stage])
        if first >= last:
            return
        for b in range(len(widths)):
            if stage == TABLE:
                multiply_rows(centroids, first * GROUP, min(n, last * GROUP), dim, panels[b], table[b])
                group_maxima(table[b], n, first, last, maxima[b])
            elif stage == ROWS:
                rounded_rows(table[b], first, last, low[b], factor[0], rows[b])
            elif stage == COARSE:
                coarse_scores(slots[0], first, last, offsets, codes, rows[b], scores[0])
            elif stage == FINE:
                block = (widths[b], lanes[b], short, table[b], shift[b], unit, query[b])
                refined_scores(slots[1], first, last, stored, block, rows[b], low[b], scores[1])
            elif bits < 16:
                block = (widths[b], lanes[b], short, table[b], shift[b], unit, query[b])
                document_scores(slots[2], first, last, stored, block, slack[b], origin[b], products[b], scores[2])
            elif b == 0:
                half_scores(slots[2], first, last, offsets, halves, dim, shape[5], shape[4], half_panels, scores[2])
        fetch_add(numbers, FINISHED + stage, last - first)
