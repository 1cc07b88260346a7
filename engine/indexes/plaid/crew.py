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
from engine.indexes.plaid.loops import (
    COARSE,
    FINE,
    GROUP,
    ROWS,
    TABLE,
    Tables,
    coarse_scores,
    group_maxima,
    rounded_rows,
)
from engine.simd import atomic
from engine.simd.centroids import COLUMNS, multiply_rows
from engine.simd.jit import kernel
from engine.simd.machine_code import OPTIONS
from engine.simd.threads import submit

fetch_add: Any = atomic.fetch_add
put: Any = atomic.put
read: Any = atomic.read

STAGES, STEPS = 5, (8, 1024, 64, 16, 8)  # items that a thread takes at once: groups, centroids, and documents
CLAIMED, FINISHED, NOW = 0, STAGES, 2 * STAGES  # places of the shared numbers; NOW counts the stages that began
OVER = 99
PATIENCE = 20_000_000  # looks at the shared numbers before a helper gives up, some 20 ms


class Panels(NamedTuple):
    """What scores of centroids are made of.

    Args:
        centroids: float32 [c * dim].
        query: float32 [blocks, dim * 32], 32 query tokens a block, zeros behind the last.
        dim: Dimensions of a vector.
        count: Centroids.
    """

    centroids: np.ndarray
    query: np.ndarray
    dim: int
    count: int


class Results(NamedTuple):
    """Documents of the last three stages, and the scores that they get there.

    Args:
        slots: int64, for each of COARSE, FINE and EXACT.
        coarse: int64.
        fine: float32.
        exact: float32.
    """

    slots: tuple[np.ndarray, np.ndarray, np.ndarray]
    coarse: np.ndarray
    fine: np.ndarray
    exact: np.ndarray


class Job(NamedTuple):
    """All that the threads share.

    Args:
        numbers: int64, read and changed by all; CLAIMED, FINISHED and NOW are its places.
        counts: int64 [STAGES], items of each stage that began.
        panels: What scores of centroids are made of.
        tables: Scores of centroids.
        stored: The tokens of the index, from `Codec.stored`.
        asked: The query, from `Codec.asked`.
        results: Documents and their scores.
    """

    numbers: np.ndarray
    counts: np.ndarray
    panels: Panels
    tables: Tables
    stored: Any
    asked: Any
    results: Results


class Crew:
    """Threads at work on one query.

    Args:
        codec: Codec of the index.
        stored: Its tokens, from `codec.stored`.
        query: float32 [m, dim].
        room: Most documents that the last three stages get.
        threads: How many to use.
    """

    def __init__(self, codec: Codec, stored: Any, query: np.ndarray, room: tuple[int, int, int], threads: int) -> None:
        m, (n, dim) = len(query), codec.centroids.shape
        self.blocks, groups = -(-m // COLUMNS), -(-n // GROUP)
        padded = np.zeros((self.blocks, COLUMNS, dim), np.float32)
        padded.reshape(-1, dim)[:m] = query
        columns = np.ascontiguousarray(padded.transpose(0, 2, 1)).reshape(self.blocks, -1)
        self.tables = Tables(
            np.empty((self.blocks, n * COLUMNS), np.float32),
            np.empty((self.blocks, groups * COLUMNS), np.float32),
            np.empty((self.blocks, n * COLUMNS), np.uint8),
            np.full((self.blocks, COLUMNS), np.inf, np.float32),  # nothing is above it in lanes without a token
            np.zeros(1, np.float32),
        )
        slots = (np.empty(room[0], np.int64), np.empty(room[1], np.int64), np.empty(room[2], np.int64))
        scores = (np.zeros(room[0], np.int64), np.zeros(room[1], np.float32), np.zeros(room[2], np.float32))
        self.results = Results(slots, *scores)
        self.job = Job(
            np.zeros(2 * STAGES + 1, np.int64),
            np.zeros(STAGES, np.int64),
            Panels(codec.centroids.reshape(-1), columns, dim, n),
            self.tables,
            stored,
            codec.asked(query),
            self.results,
        )
        self.helpers: list[Future[None]] = [submit(threads - 1, _serve, self.job) for _ in range(threads - 1)]

    def work(self, stage: int, items: int) -> None:
        """Do a stage and return when all of its items are done.

        Args:
            stage: TABLE, ROWS, COARSE, FINE or EXACT; none before the one that it needs.
            items: Groups, centroids, or documents in `slots`.
        """
        _lead(stage, items, self.job)

    def documents(self, stage: int, slots: np.ndarray) -> np.ndarray:
        """Do a stage over some documents and return a score for each: int64 from COARSE, else float32."""
        which, (places, *scores) = stage - COARSE, self.results
        places[which][: len(slots)] = slots
        self.work(stage, len(slots))
        return scores[which][: len(slots)]

    def close(self) -> None:
        """Let the helpers go."""
        self.job.numbers[NOW] = OVER
        for helper in self.helpers:
            if not helper.cancel() and helper.done():
                helper.result()  # raises what went wrong there


def score_documents(stage, stored, asked, tables, b, slots, first, last, out):
    """Add to out[i] what the codec of the index says of one block of query tokens and the document slots[i].

    `stored` and `asked` are from `Codec.stored` and `Codec.asked`, `tables` is a `loops.Tables`, `b` the block; `first`
    to `last` are scored. At the stage FINE only a codec that refines is asked; at EXACT scores are MaxSim in float32.
    """
    raise NotImplementedError("for compiled code")


@overload(score_documents, jit_options=OPTIONS)
def _scores_of_codec(stage, stored, asked, tables, b, slots, first, last, out):
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
    panels, tables, stored, results, step = job.panels, job.tables, job.stored, job.results, STEPS[stage]
    while True:
        first = fetch_add(job.numbers, CLAIMED + stage, step)
        last = min(first + step, job.counts[stage])
        if first >= last:
            return
        for b in range(job.asked.blocks):
            if stage == TABLE:
                end = min(panels.count, last * GROUP)
                multiply_rows(panels.centroids, first * GROUP, end, panels.dim, panels.query[b], tables.scores[b])
                group_maxima(tables.scores[b], panels.count, first, last, tables.maxima[b])
            elif stage == ROWS:
                rounded_rows(tables.scores[b], first, last, tables.low[b], tables.factor[0], tables.rows[b])
            elif stage == COARSE:
                places, out = results.slots[0], results.coarse
                coarse_scores(places, first, last, stored.offsets, stored.codes, tables.rows[b], out)
            else:
                fine = stage == FINE
                places, into = (results.slots[1], results.fine) if fine else (results.slots[2], results.exact)
                score_documents(stage, stored, job.asked, tables, b, places, first, last, into)
        fetch_add(job.numbers, FINISHED + stage, last - first)
