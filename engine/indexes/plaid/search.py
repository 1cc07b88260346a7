"""Search in stages: probe, candidates, centroid scores, refined scores, and exact scores on stored vectors.

After PLAID (Santhanam et al., 2022), with one stage more. The stages choose which documents get a closer look; every
score that leaves here is MaxSim in float32 on the vectors that the index stores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.indexes.plaid import kernels
from engine.indexes.plaid.codec import Codec
from engine.indexes.plaid.inverted import Lists
from engine.indexes.plaid.refine import refined_scores
from engine.indexes.plaid.settings import PlaidSettings
from engine.indexes.plaid.tables import Block, Rows, Tables, centroid_rows, centroid_tables, residual_blocks
from engine.simd.kernels import columns_of, query_panels
from engine.simd.threads import cut, run_parts, thread_count

PART_TOKENS = 8192  # less work than this is not worth waking a thread
COARSE_TOKENS = 1 << 19  # likewise for centroid scores, which cost a fortieth a token


@dataclass(frozen=True, eq=False)
class Layout:
    """The arrays that a search reads.

    Args:
        codec: Centroids and quantiser.
        offsets: int64 [slots + 1], tokens of each slot. A slot is a document's place in the files; it never changes.
        codes: [tokens] centroid numbers.
        packed: uint8 [tokens, row size] residuals.
        lists: Inverted lists, which together cover every slot.
        alive: uint8 [slots], 0 after removal.
    """

    codec: Codec
    offsets: np.ndarray
    codes: np.ndarray
    packed: np.ndarray
    lists: tuple[Lists, ...]
    alive: np.ndarray


@dataclass(frozen=True, eq=False)
class Stages:
    """What each stage of one search left.

    Args:
        probes: int64 [query tokens, n_probe], centroids by score.
        table: float32 [blocks, c, 32], scores of centroids, 32 query tokens a block.
        found: int64, slots in the probed lists, rising.
        points: int32, what the probed lists alone say of the score of each, in a unit of their own.
        candidates: int64, slots that got a score from their centroids, rising.
        coarse: float64, those scores.
        refined: int64, slots whose centroid scores were refined by residuals, rising.
        fine: float32, those scores; None where all of them went on unseen.
        survivors: int64, slots that got a score from their stored vectors, rising.
        scores: float32, those scores: MaxSim on the stored vectors.
        notes: Where the search went beyond its settings.
    """

    probes: np.ndarray
    table: np.ndarray
    found: np.ndarray
    points: np.ndarray
    candidates: np.ndarray
    coarse: np.ndarray
    refined: np.ndarray
    fine: np.ndarray | None
    survivors: np.ndarray
    scores: np.ndarray
    notes: tuple[str, ...]


def run(
    layout: Layout, settings: PlaidSettings, query: np.ndarray, k: int, allowed: np.ndarray, threads: int = 0
) -> Stages:
    """Run all stages for one query.

    Args:
        layout: The index.
        settings: Those of a search are used.
        query: [m, dim] float16 or float32, m at least 1.
        k: How many documents are wanted.
        allowed: uint8 [slots], 1 for documents that may be found.
        threads: How many to use, 0 for all; the result does not depend on it.

    Returns:
        What every stage left; the best k of `survivors` are the result.
    """
    threads = threads or thread_count()
    query = query.astype(np.float32)
    made = centroid_tables(layout.codec.centroids, query, threads)
    wanted = min(k, int(np.count_nonzero(allowed)))
    probes, points, notes = _probe(layout, settings, made, wanted, allowed)
    found = np.flatnonzero(points)
    points = points[found]
    candidates = found[best_positions(points, max(settings.n_candidates, wanted))]
    rows = centroid_rows(layout.codec, made, query, settings.centroid_threshold, threads)
    sums = _coarse(layout, candidates, rows, threads)
    n_full = max(settings.n_full_scores, wanted)
    if n_full > settings.n_full_scores:
        notes += (f"n_full_scores raised from {settings.n_full_scores} to {n_full} to return {wanted} documents",)
    blocks = residual_blocks(layout.codec, made, query) if layout.codec.bits < 16 else []
    margin = settings.centroid_margin * len(query) / rows.unit
    kept = near_best(sums, n_full, margin, settings.n_refined) if blocks else best_positions(sums, n_full)
    refined = candidates[kept]
    fine = _fine(layout, refined, blocks, rows, threads) if len(refined) > n_full else None
    survivors = refined if fine is None else refined[best_positions(fine, n_full)]
    scores = _stored(layout, survivors, blocks, query, threads)
    table = made.table.reshape(made.blocks, -1, kernels.COLUMNS)
    coarse = sums * rows.unit + rows.origin
    return Stages(probes, table, found, points, candidates, coarse, refined, fine, survivors, scores, notes)


def _probe(
    layout: Layout, settings: PlaidSettings, made: Tables, wanted: int, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Probe, and probe wider until there are as many documents as wanted."""
    n = len(layout.codec.centroids)
    asked = n_probe = min(settings.n_probe, n)
    while True:
        probes, found = made.best(n_probe)
        lowest = found.min()
        unit = np.float32(1e4 / max(float(found.max() - lowest), 1e-30))
        weights = ((found - lowest) * unit).astype(np.int32) + np.int32(1)
        points, seen = np.zeros(len(allowed), np.int32), np.full(len(allowed), -1, np.int32)
        for lists in layout.lists:
            kernels.collect(probes, weights, lists.offsets, lists.documents, allowed, seen, points)
        if n_probe == n or np.count_nonzero(points) >= wanted:
            break
        n_probe = min(2 * n_probe, n)
    notes = (f"n_probe widened from {asked} to {n_probe} to find {wanted} documents",) if n_probe > asked else ()
    return probes, points, notes


def _run_documents(
    layout: Layout, slots: np.ndarray, threads: int, work: Callable[[int, int], None], part: int = PART_TOKENS
) -> None:
    """Call `work(first, last)` for runs of `slots` of about equal length, on several threads."""
    if len(slots) == 0:
        return
    lengths = layout.offsets[slots + 1] - layout.offsets[slots]
    parts = min(2 * threads, 1 + int(lengths.sum()) // part) if threads > 1 else 1
    bounds = cut(lengths, parts) if parts > 1 else np.array([0, len(slots)])
    run_parts(lambda number: work(bounds[number], bounds[number + 1]), len(bounds) - 1)


def _coarse(layout: Layout, slots: np.ndarray, rows: Rows, threads: int) -> np.ndarray:
    """Sums of the best centroid score of each query token, int64, in units of `rows.unit`."""
    out = np.zeros(len(slots), np.int64)

    def work(first: int, last: int) -> None:
        for block in rows.blocks:
            kernels.coarse_scores(slots, first, last, layout.offsets, layout.codes, block, out)

    _run_documents(layout, slots, threads, work, COARSE_TOKENS)
    return out


def _fine(layout: Layout, slots: np.ndarray, blocks: list[Block], rows: Rows, threads: int) -> np.ndarray:
    """Centroid scores with the residuals of the tokens that gave them, float32."""
    out, codec, packed = np.zeros(len(slots), np.float32), layout.codec, layout.packed.reshape(-1)
    lows = rows.low.reshape(-1, kernels.COLUMNS)

    def work(first: int, last: int) -> None:
        for block, rounded, low in zip(blocks, rows.blocks, lows, strict=True):
            refined_scores(
                slots,
                first,
                last,
                block.width,
                block.lanes,
                block.short,
                layout.offsets,
                layout.codes,
                packed,
                codec.layout.base,
                codec.layout.wide,
                codec.bits,
                codec.scales,
                rounded,
                low,
                block.table,
                block.shift,
                block.unit,
                block.query,
                out,
            )

    _run_documents(layout, slots, threads, work)
    return out


def _stored(layout: Layout, slots: np.ndarray, blocks: list[Block], query: np.ndarray, threads: int) -> np.ndarray:
    """MaxSim on the stored vectors, float32; `blocks` are empty at 16 bits."""
    out, codec, packed = np.zeros(len(slots), np.float32), layout.codec, layout.packed.reshape(-1)
    if codec.bits == 16:
        halves, panels, columns = packed.view(np.uint16), query_panels(query, 1), columns_of(len(query))

        def scan(first: int, last: int) -> None:
            kernels.half_scores(slots, first, last, layout.offsets, halves, codec.dim, len(query), columns, panels, out)

        _run_documents(layout, slots, threads, scan)
        return out

    def work(first: int, last: int) -> None:
        for block in blocks:
            kernels.document_scores(
                slots,
                first,
                last,
                block.width,
                block.lanes,
                block.short,
                layout.offsets,
                layout.codes,
                packed,
                codec.layout.base,
                codec.layout.wide,
                codec.bits,
                codec.scales,
                block.table,
                block.shift,
                block.unit,
                block.query,
                block.slack,
                block.origin,
                block.rows,
                out,
            )

    _run_documents(layout, slots, threads, work)
    return out


def exact(layout: Layout, query: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """MaxSim on the stored vectors of any documents.

    Args:
        layout: The index.
        query: [m, dim] float16 or float32.
        slots: int64 [n].

    Returns:
        float32 [n].
    """
    query, threads = query.astype(np.float32), thread_count()
    blocks = []
    if layout.codec.bits < 16:
        blocks = residual_blocks(layout.codec, centroid_tables(layout.codec.centroids, query, threads), query)
    return _stored(layout, slots, blocks, query, threads)


def near_best(scores: np.ndarray, n: int, margin: float, most: int) -> np.ndarray:
    """Positions of the n highest scores and of those at most `margin` below, rising.

    There are at most the larger of n and `most`, the highest, among equal scores at the edge the first.
    """
    if n >= len(scores):
        return np.arange(len(scores))
    near = np.flatnonzero(scores >= np.partition(scores, len(scores) - n)[len(scores) - n] - margin)
    return near[best_positions(scores[near], max(n, most))]


def best_positions(scores: np.ndarray, n: int) -> np.ndarray:
    """Positions of the n highest scores, rising; among equal scores at the edge the first."""
    if n >= len(scores):
        return np.arange(len(scores))
    edge = np.partition(scores, len(scores) - n)[len(scores) - n]
    chosen = scores > edge
    chosen[np.flatnonzero(scores == edge)[: n - int(np.count_nonzero(chosen))]] = True
    return np.flatnonzero(chosen)
