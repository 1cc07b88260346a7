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
from engine.indexes.plaid.groups import Panels
from engine.indexes.plaid.inverted import NO_LISTS, Lists
from engine.indexes.plaid.loops import (
    COARSE,
    EXACT,
    FINE,
    HEAVY,
    LINE,
    LISTS,
    PROBE,
    RANGE,
    ROWS,
    SCORES,
    Listed,
    Tables,
    coarse_scores,
    collect,
    number_centroids,
)
from engine.indexes.plaid.probing import Probes, probe, probes_of
from engine.indexes.plaid.query import heavy_lanes
from engine.simd import atomic
from engine.simd.centroids import COLUMNS, byte_rows, multiply_rows
from engine.simd.jit import kernel
from engine.simd.machine_code import OPTIONS
from engine.simd.threads import submit

fetch_add: Any = atomic.fetch_add
put: Any = atomic.put
read: Any = atomic.read

STAGES = 8
STEPS = (2, 1, 1024, 64, 64, 16, 64, 8)  # items that a thread takes at once, by stage: see `Crew.work`
CLAIMED, FINISHED, NOW = 0, STAGES, 2 * STAGES  # places of the shared numbers; NOW counts the stages that began
OVER = 99
PATIENCE = 20_000_000  # looks at the shared numbers before a helper gives up, some 20 ms


class Centroids(NamedTuple):
    """What scores of centroids are made of.

    Args:
        panels: The centroids by group, a `groups.Panels`.
        flat: float32 [c * dim].
        query: float32 [blocks, dim * 32], 32 query tokens a block, zeros behind the last.
        codes: uint8, the centroids in 7 bits, from `codec.rounded`.
        rounded: int8 [blocks, groups * 32 * 4], the query for them.
        dim: Dimensions of a vector.
    """

    panels: Panels
    flat: np.ndarray
    query: np.ndarray
    codes: np.ndarray
    rounded: np.ndarray
    dim: int


class Results(NamedTuple):
    """Documents of three stages, and the scores that they get there.

    Args:
        slots: int64, for each of COARSE, FINE and EXACT.
        highest: uint8 [documents of COARSE, blocks, 32], the best byte of each query token.
        chosen: The same for the documents of FINE.
        coarse: int64.
        heavy: float32, of the same documents.
        fine: float32.
        exact: float32.
    """

    slots: tuple[np.ndarray, np.ndarray, np.ndarray]
    highest: np.ndarray
    chosen: np.ndarray
    coarse: np.ndarray
    heavy: np.ndarray
    fine: np.ndarray
    exact: np.ndarray


class Job(NamedTuple):
    """All that the threads share.

    Args:
        numbers: int64, read and changed by all; CLAIMED, FINISHED and NOW are its places.
        counts: int64 [STAGES], items of each stage that began.
        centroids: What scores of centroids are made of.
        probes: What is asked of the centroids, and the best of them.
        listed: What the inverted lists give to documents.
        tables: Scores of centroids.
        stored: The tokens of the index, from `Codec.stored`.
        asked: The query, from `Codec.asked`.
        results: Documents and their scores.
    """

    numbers: np.ndarray
    counts: np.ndarray
    centroids: Centroids
    probes: Probes
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
        n_probe: Probes of each query token.
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
        m, (n, dim) = len(query), codec.centroids.shape
        self.blocks = blocks = -(-m // COLUMNS)
        self.rounded = codec.rounded.asked(query)
        self.probes = probes_of(codec.groups, query, n_probe)
        self.listed = listed_by(lists, self.probes, len(stored.offsets) - 1)
        padded = np.zeros((blocks, COLUMNS, dim), np.float32)
        padded.reshape(-1, dim)[:m] = query
        columns = np.ascontiguousarray(padded.transpose(0, 2, 1)).reshape(blocks, -1)
        self.tables = Tables(
            _table(blocks, n * COLUMNS),
            np.zeros((blocks, COLUMNS), np.float32),  # byte 0 in lanes without a token
            np.zeros((blocks, COLUMNS), np.float32),
            np.zeros((blocks, COLUMNS), np.float32),
            np.zeros((blocks, COLUMNS), np.int64),
            np.zeros((blocks, COLUMNS), np.float32),
            heavy_lanes(query),
            np.empty((blocks, n * COLUMNS if codec.refines else 0), np.float32),
            np.full(n if codec.refines else 0, -1, np.int32),
            np.empty(n if codec.refines else 0, np.int64),
        )
        self.results = Results(
            (np.empty(room[0], np.int64), np.empty(room[1], np.int64), np.empty(room[2], np.int64)),
            np.empty((room[0], blocks, COLUMNS), np.uint8),
            np.empty((room[1], blocks, COLUMNS), np.uint8),
            np.zeros(room[0], np.int64),
            np.zeros(room[0], np.float32),
            np.zeros(room[1], np.float32),
            np.zeros(room[2], np.float32),
        )
        centroids = (codec.groups.panels, codec.centroids.reshape(-1), columns, codec.rounded.flat, self.rounded.values)
        self.job = Job(
            np.zeros(2 * STAGES + 1, np.int64),
            np.zeros(STAGES, np.int64),
            Centroids(*centroids, dim),
            self.probes,
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
        results.slots[0][:count], results.highest[:count] = results.slots[0][positions], results.highest[positions]
        self.work(HEAVY, count)
        return results.heavy[:count]

    def fine(self, slots: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Refine the scores of some documents, which stood at these positions in `coarse` or `heavy`; float32."""
        self.results.slots[1][: len(slots)] = slots
        self.results.chosen[: len(slots)] = self.results.highest[positions]
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

    def close(self) -> None:
        """Let the helpers go."""
        self.job.numbers[NOW] = OVER
        for helper in self.helpers:
            if not helper.cancel() and helper.done():
                helper.result()  # raises what went wrong there


def listed_by(lists: tuple[Lists, ...], probes: Probes, slots: int) -> Listed:
    """Ask inverted lists, one or two sets of them, for probes; the weights are still to be set."""
    offsets, documents = zip(*((each.offsets, each.documents) for each in (*lists, NO_LISTS)[:2]), strict=True)
    found, points = np.empty(slots, np.int32), np.empty(slots, np.int32)
    counts = np.zeros(-(-slots // RANGE), np.int64)
    return Listed(probes.found, np.ones(probes.found.shape, np.int32), offsets, documents, found, points, counts)


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


def _table(blocks: int, size: int) -> np.ndarray:
    """Room for bytes, uint8 [blocks, size], in which no row of 32 lies across two lines of the cache."""
    room = np.empty(blocks * size + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + blocks * size].reshape(blocks, size)


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
        if stage == PROBE:
            probe(job.centroids.panels, job.probes, first, last)
        elif stage == LISTS:
            collect(job.listed, first, last)
        elif stage == SCORES:
            _score_centroids(job.centroids, tables, first, last)
        else:
            for b in range(job.asked.blocks):
                if stage == ROWS:
                    values, groups = job.centroids.codes, (job.centroids.dim + 3) // 4
                    asked, factor, shift = job.centroids.rounded[b], tables.factor[b], tables.shift[b]
                    byte_rows(values, first, last, groups, asked, factor, shift, tables.rows[b])
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
def _score_centroids(centroids, tables, first, last):
    """Exact scores of the centroids that `Tables.numbers` names from place first to last."""
    dim = centroids.dim
    some, out = np.empty((last - first) * dim, np.float32), np.empty((last - first) * COLUMNS, np.float32)
    for i in range(first, last):
        start = tables.numbers[i] * dim
        some[(i - first) * dim : (i - first + 1) * dim] = centroids.flat[start : start + dim]
    for b in range(len(centroids.query)):
        multiply_rows(some, 0, last - first, dim, centroids.query[b], out)
        tables.scores[b, first * COLUMNS : last * COLUMNS] = out
