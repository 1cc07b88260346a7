"""The parallel part of one search: its stages in order, the items of each shared between the threads that are awake.

Waking a thread takes about as long as a stage. So helpers are woken once, while the first stage is under way, and wait
for the next stages in compiled code without the GIL; whoever is free takes the next few items of a stage. A helper that
comes late, or never, leaves the work to the caller. Each item writes places of its own, so results do not depend on who
worked.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from engine.indexes.plaid.codec import Codec
from engine.indexes.plaid.codecs import CODECS
from engine.indexes.plaid.inverted import NO_LISTS, Lists
from engine.indexes.plaid.loops import (
    COARSE,
    EXACT,
    FINE,
    HEAVY,
    LINE,
    LISTS,
    NARROWEST,
    RANGE,
    RANGES,
    ROWS,
    ROWS_AT_ONCE,
    RUN,
    SCORES,
    SUMS,
    Listed,
    Tables,
    coarse_scores,
    collect,
    number_centroids,
)
from engine.indexes.plaid.probing import probe_counts
from engine.indexes.plaid.room import Results, Room, results_of, tables_of
from engine.simd import atomic
from engine.simd.centroids import COLUMNS, byte_rows, multiply_chosen, whole_rows
from engine.simd.jit import kernel
from engine.simd.machine_code import OPTIONS
from engine.simd.residuals import fetch
from engine.simd.threads import submit

fetch_add: Any = atomic.fetch_add
put: Any = atomic.put
read: Any = atomic.read

STAGES = 8
# Items that a thread takes at once, by stage: see `Crew.work`.
STEPS = (ROWS_AT_ONCE, ROWS_AT_ONCE, 1, 64, 64, 16, 128, 8)
CLAIMED, FINISHED, NOW = 0, STAGES, 2 * STAGES  # places of the shared numbers; NOW counts the stages that began
OVER = 99
NEAR = 16  # centroids that are brought near together
PATIENCE = 20_000_000  # looks at the shared numbers before a helper gives up, some 20 ms


class Centroids(NamedTuple):
    """What scores of centroids are made of.

    Args:
        flat: float32 [c * dim].
        bytes: The same as uint8.
        query: float32 [blocks, dim * 32], 32 query tokens a block, zeros behind the last.
        codes: uint8, the centroids in 7 bits, from `codec.rounded`.
        rounded: int8 [blocks, groups * 32 * 4], the query for them.
        shift: Bits of their sums that are dropped.
        dim: Dimensions of a vector.
    """

    flat: np.ndarray
    bytes: np.ndarray
    query: np.ndarray
    codes: np.ndarray
    rounded: np.ndarray
    shift: int
    dim: int


class Job(NamedTuple):
    """All that the threads share.

    Args:
        numbers: int64, read and changed by all; CLAIMED, FINISHED and NOW are its places.
        counts: int64 [STAGES], items of each stage that began.
        centroids: What scores of centroids are made of.
        listed: What the inverted lists give to documents.
        tables: Scores of centroids.
        stored: The tokens of the index, from `Codec.stored`.
        asked: The query, from `Codec.asked`.
        results: Documents and their scores.
    """

    numbers: np.ndarray
    counts: np.ndarray
    centroids: Centroids
    listed: Listed
    tables: Tables
    stored: Any
    asked: Any
    results: Results


class Crew:
    """Threads at work on one query.

    Args:
        codec: Codec of the index.
        stored: Its tokens, from `codec.stored`.
        lists: One or two sets of inverted lists.
        query: float32 [m, dim].
        room: Most documents that COARSE, FINE and EXACT get.
        n_probe: Probes of each query token; those of great weight make more.
        threads: How many to use.
    """

    def __init__(
        self,
        codec: Codec,
        stored: Any,
        lists: tuple[Lists, ...],
        query: np.ndarray,
        room: tuple[int, int, int],
        n_probe: int,
        threads: int,
    ) -> None:
        m, dim = len(query), codec.dim
        self.blocks = blocks = -(-m // COLUMNS)
        self.rounded = codec.rounded.asked(query)
        self.memory, self._rooms = Room.of(codec.rooms), codec.rooms
        self.memory.begin()
        padded = np.zeros((blocks, COLUMNS, dim), np.float32)
        padded.reshape(-1, dim)[:m] = query
        columns = np.ascontiguousarray(padded.transpose(0, 2, 1)).reshape(blocks, -1)
        self.tables = tables_of(codec, query, self.memory)
        counts = probe_counts(self.tables.heavy, m, n_probe, len(codec.centroids))
        self.listed = listed_by(lists, counts, len(stored.offsets) - 1, self.memory)
        self.results = results_of(room, blocks, self.memory)
        flat, rounded = codec.centroids.reshape(-1), self.rounded
        self.job = Job(
            np.zeros(2 * STAGES + 1, np.int64),
            np.zeros(STAGES, np.int64),
            Centroids(flat, flat.view(np.uint8), columns, codec.rounded.flat, rounded.values, rounded.shift, dim),
            self.listed,
            self.tables,
            stored,
            codec.asked(query),
            self.results,
        )
        self.helpers: list[Future[None]] = [submit(threads - 1, _serve, self.job) for _ in range(threads - 1)]

    def work(self, stage: int, items: int) -> None:
        """Do a stage and return when all of its items are done.

        Args:
            stage: One of those of `loops`; none before the one that it needs.
            items: Query tokens, centroids, or documents in `slots`.
        """
        _lead(stage, items, self.job)

    def coarse(self, slots: np.ndarray) -> np.ndarray:
        """Score some documents by the bytes of their centroids, int64."""
        self.results.slots[0][: len(slots)] = slots
        self.work(COARSE, len(slots))
        return self.results.coarse[: len(slots)]

    def heavy(self, positions: np.ndarray) -> np.ndarray:
        """Score the documents at some positions of `coarse` again, with residuals for heavy query tokens; float32."""
        count, results = len(positions), self.results
        results.slots[0][:count] = results.slots[0][positions]
        results.highest[:count] = results.highest.take(positions, axis=0)
        self.work(HEAVY, count)
        return results.heavy[:count]

    def fine(self, slots: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Refine the scores of some documents, which stood at these positions in `coarse` or `heavy`; float32."""
        self.results.slots[1][: len(slots)] = slots
        self.results.chosen[: len(slots)] = self.results.highest.take(positions, axis=0)
        self.work(FINE, len(slots))
        return self.results.fine[: len(slots)]

    def exact(self, slots: np.ndarray) -> np.ndarray:
        """MaxSim of some documents, each with a vector, on their stored vectors; float32. Once a crew."""
        job = self.job
        self.results.slots[2][: len(slots)] = slots
        if len(job.tables.places):
            self.work(SCORES, number_centroids(slots, job.stored.offsets, job.stored.codes, *job.tables[-2:]))
        self.work(EXACT, len(slots))
        return self.results.exact[: len(slots)]

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, failed: Any, *_: object) -> None:
        """Let the helpers go; after all stages none of them looks at the memory of this search any more."""
        self.job.numbers[NOW] = OVER
        for helper in self.helpers:
            if not helper.cancel() and helper.done():
                helper.result()  # raises what went wrong there
        if failed is None:
            self._rooms.append(self.memory)


def listed_by(lists: tuple[Lists, ...], counts: np.ndarray, slots: int, memory: Room) -> Listed:
    """Ask inverted lists, one or two sets of them, for as many probes of each query token as `counts`, int64 [m], says.

    The probes and their weights are still to be set.
    """
    offsets, documents = zip(*((each.offsets, each.documents) for each in (*lists, NO_LISTS)[:2]), strict=True)
    span = min(RANGE, max(NARROWEST, -(-slots // RANGES)))
    ranges, probes = -(-slots // span), np.full((len(counts), counts.max()), -1, np.int64)
    return Listed(
        probes,
        np.zeros(probes.shape, np.int32),
        counts,
        offsets,
        documents,
        memory.take((ranges * (span + 1),), np.int32),
        memory.take((ranges * (span + 1),), np.int32),
        memory.zeros(slots),
        span,
        np.zeros(ranges, np.int64),
    )


def score_documents(stage, stored, asked, tables, b, slots, highest, first, last, out):
    """Add to out[i] what the codec of the index says of one block of query tokens and the document slots[i].

    `stored` and `asked` are from `Codec.stored` and `Codec.asked`, `tables` is a `loops.Tables`, `b` the block,
    `highest` the bytes of these documents; `first` to `last` are scored. At the stages HEAVY and FINE only a codec that
    refines is asked; at EXACT scores are MaxSim in float32.
    """
    raise NotImplementedError("for compiled code")


@overload(score_documents, jit_options=OPTIONS)
def _scores_of_codec(stage, stored, asked, tables, b, slots, highest, first, last, out):
    return next(codec.scores for codec in CODECS.values() if codec.stored_class is stored.instance_class)


@kernel
def _lead(stage, items, job):
    job.counts[stage] = items
    put(job.numbers, NOW, stage + 1)
    _take(stage, job)
    while read(job.numbers, FINISHED + stage) < items:
        pass


@kernel
def _serve(job):
    seen, patience = 0, PATIENCE
    while patience > 0:
        now = read(job.numbers, NOW)
        if now == OVER:
            break
        if now > seen:
            seen, patience = now, PATIENCE
            _take(now - 1, job)
        patience -= 1


@kernel
def _take(stage, job):
    """Take items of a stage until none is left."""
    tables, stored, results, step = job.tables, job.stored, job.results, STEPS[stage]
    while True:
        first = fetch_add(job.numbers, CLAIMED + stage, step)
        last = min(first + step, job.counts[stage])
        if first >= last:
            return
        if stage == LISTS:
            collect(job.listed, first, last)
        elif stage == SCORES:
            _score_centroids(job.centroids, tables, first, last)
        else:
            for b in range(job.asked.blocks):
                if stage == SUMS:
                    _sum_rows(job.centroids, tables, b, first, last)
                elif stage == ROWS:
                    sums, width, factor, shift = tables.sums[b], tables.widths[b], tables.factor[b], tables.shift[b]
                    limits, reached, masks = tables.limits[b], tables.reached[b], tables.masks[b]
                    count = byte_rows(sums, first, last, width, factor, shift, limits, tables.rows[b], reached, masks)
                    tables.counts[b, first // ROWS_AT_ONCE] = count
                elif stage == COARSE:
                    places, rows, weight = results.slots[0], tables.rows[b], tables.weight[b]
                    offsets, codes, highest = stored.offsets, stored.codes, results.highest
                    coarse_scores(places, first, last, offsets, codes, rows, weight, b, highest, results.coarse)
                else:
                    places, highest, into = results.slots[2], results.chosen, results.exact
                    if stage == HEAVY:
                        places, highest, into = results.slots[0], results.highest, results.heavy
                    elif stage == FINE:
                        places, into = results.slots[1], results.fine
                    score_documents(stage, stored, job.asked, tables, b, places, highest, first, last, into)
        fetch_add(job.numbers, FINISHED + stage, last - first)


@kernel
def _sum_rows(centroids, tables, b, first, last):
    """Whole numbers for the centroids first to last, and the highest of each run."""
    values, groups, query = centroids.codes, (centroids.dim + 3) // 4, centroids.rounded[b]
    for start in range(first, last, RUN):
        end, highest = min(start + RUN, last), tables.highest[b, start // RUN]
        whole_rows(values, start, end, groups, query, tables.widths[b], centroids.shift, tables.sums[b], highest)


@kernel
def _score_centroids(centroids, tables, first, last):
    """Exact scores of the centroids that `Tables.numbers` names from place first to last.

    They lie anywhere in memory: some are on their way while those before them are multiplied.
    """
    dim, size, ahead = centroids.dim, 4 * centroids.dim, first
    for start in range(first, last, NEAR):
        while ahead < min(start + 2 * NEAR, last):
            at = tables.numbers[ahead] * size
            for line in range(at, at + size, LINE):
                fetch(centroids.bytes, line, 1)
            ahead += 1
        end = min(start + NEAR, last)
        for b in range(len(centroids.query)):
            query, width, out = centroids.query[b], tables.widths[b], tables.scores[b]
            multiply_chosen(centroids.flat, tables.numbers, start, end, dim, query, width, out)
