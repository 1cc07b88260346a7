"""The compiled loops of the search, one part of the work a call: inverted lists, and scores by centroids.

Lanes: the query tokens of one search, 32 a block, padded with zeros. From the rounded tables on all sums are over
integers, so they depend neither on the order of work nor on the processor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.simd.centroids import COLUMNS
from engine.simd.jit import kernel
from engine.simd.kernels import max_rows
from engine.simd.residuals import fetch

SUMS, ROWS, LISTS, COARSE, HEAVY, FINE, SCORES, EXACT = range(8)  # the stages that threads share
AHEAD, LINE = 8, 64  # documents whose codes are brought near before their turn; bytes that come at once
RUN = 64  # centroids of which only the highest score is looked at first
ROWS_AT_ONCE = 1024  # centroids that a thread takes at once, a multiple of it
RANGE = 1 << 17  # slots whose points are collected together, at most: 1 MiB
RANGES, NARROWEST = 4, 1 << 13  # ranges of a smaller index, for threads to share, and the slots of one, at least


class Tables(NamedTuple):
    """Scores of centroids, in blocks of 32 query tokens.

    Args:
        widths: int64 [blocks], lanes that are worked on: those with a query token, padded to whole registers.
        sums: int16 [blocks, c * 32], the scores of all centroids as whole numbers, in steps of the rounded query.
        highest: int16 [blocks, runs, 32], the highest of each run of RUN centroids.
        limits: int16 [blocks, 32], what a sum has to reach so that its centroid may be a probe.
        reached: int32 [blocks, c], the centroids that reach one, those of each ROWS_AT_ONCE from their first place on.
        masks: uint32 [blocks, c], for which query tokens they do, a bit each.
        counts: int64 [blocks, c / ROWS_AT_ONCE], how many there are.
        rows: uint8 [blocks, c * 32], the scores as bytes.
        factor: float32 [blocks, 32], bytes of one step of the rounded query.
        shift: float32 [blocks, 32], bytes at the codes 0, and a half.
        unit: float32 [blocks, 32], score of one byte.
        weight: int64 [blocks, 32], the same in 65,536 steps of the largest: sums of bytes stay whole numbers.
        low: float32 [blocks, 32], the score that byte 0 stands for.
        heavy: int64 [blocks], the query tokens that `query.heavy_lanes` names, a bit each.
        scores: float32 [blocks, c * 32], of the centroids of the documents that get exact scores, as `places` says.
        places: int32 [c], where in `scores` a centroid is.
        numbers: int64 [c], the centroids in `scores`.
    """

    widths: np.ndarray
    sums: np.ndarray
    highest: np.ndarray
    limits: np.ndarray
    reached: np.ndarray
    masks: np.ndarray
    counts: np.ndarray
    rows: np.ndarray
    factor: np.ndarray
    shift: np.ndarray
    unit: np.ndarray
    weight: np.ndarray
    low: np.ndarray
    heavy: np.ndarray
    scores: np.ndarray
    places: np.ndarray
    numbers: np.ndarray


class Listed(NamedTuple):
    """What the inverted lists give to documents.

    Args:
        probes: int64 [m, widest], best first, -1 behind the last of a query token.
        weights: int32 [m, widest], 1 or more for each probe.
        wanted: int64 [m], the probes of each query token.
        offsets: Two int64 arrays, where the list of each centroid begins; the second lists cover later slots, or none.
        documents: Two int32 arrays, the slots of each list, rising.
        found: int32 [ranges * (span + 1)], the documents that are listed, those of each range from its first place on.
        points: int32, the same, what each of them got.
        state: int64 [slots], zeros before and after a stage.
        span: Slots of a range.
        counts: int64 [ranges], how many there are in each.
    """

    probes: np.ndarray
    weights: np.ndarray
    wanted: np.ndarray
    offsets: tuple[np.ndarray, np.ndarray]
    documents: tuple[np.ndarray, np.ndarray]
    found: np.ndarray
    points: np.ndarray
    state: np.ndarray
    span: int
    counts: np.ndarray


@kernel
def collect(listed, first, last):
    """Give each document of the ranges first to last, for each query token, the weight of its best probe that lists it.

    A range is so short that what its documents have so far stays in the cache: 1 + the last query token that gave some,
    and below it the points.
    """
    span, state = listed.span, listed.state
    for number in range(first, last):
        low, high, here, count = number * span, min(len(state), (number + 1) * span), number * (span + 1), 0
        for token in range(listed.probes.shape[0]):
            mark = np.int64(token + 1) << 32
            for rank in range(listed.wanted[token]):
                c, weight = listed.probes[token, rank], listed.weights[token, rank]
                for k in range(2):
                    offsets, documents = listed.offsets[k], listed.documents[k]
                    if c + 1 < len(offsets):
                        start, end = offsets[c], offsets[c + 1]
                        if low > 0:
                            start += np.searchsorted(documents[start:end], low)
                        while start < end and documents[start] < high:
                            at = documents[start]  # without branches: who is named before is hard to predict
                            before = state[at]
                            state[at] = mark | ((before & 0xFFFFFFFF) + weight) if before < mark else before
                            listed.found[here + count] = at
                            count += before == 0
                            start += 1
        for i in range(here, here + count):
            at = listed.found[i]
            listed.points[i] = state[at] & 0xFFFFFFFF
            state[at] = 0
        listed.counts[number] = count


@kernel
def gather(listed, allowed, found, points):
    """Copy the documents that are listed and allowed, and their points, range after range; returns how many."""
    count = 0
    for number in range(len(listed.counts)):
        first = number * (listed.span + 1)
        for i in range(first, first + listed.counts[number]):
            found[count], points[count] = listed.found[i], listed.points[i]
            count += allowed[listed.found[i]] != 0
    return count


@kernel
def coarse_scores(candidates, first, last, offsets, codes, rows, weight, b, highest, out):
    """Add to out[i] the sum over 32 lanes of weight times the highest row value among the centroids of a document.

    rows is uint8, weight int64 [32]; highest[i, b], uint8 [32], gets the highest of each lane of this block.
    """
    best, size = np.empty(COLUMNS, np.uint8), codes.itemsize
    stored = codes.view(np.uint8)
    for i in range(first, last):
        if i + AHEAD < last:  # documents lie far from each other, in memory or in a mapped file
            start, end = offsets[candidates[i + AHEAD]], offsets[candidates[i + AHEAD] + 1]
            for at in range(start * size, end * size, LINE):
                fetch(stored, at, 1)
        max_rows(rows, codes, offsets[candidates[i]], offsets[candidates[i] + 1], best)
        total = 0
        for lane in range(COLUMNS):
            total += weight[lane] * best[lane]
            highest[i, b, lane] = best[lane]
        out[i] += total


@kernel
def number_centroids(slots, offsets, codes, places, numbers):
    """Number the centroids of some documents from 0: places[centroid] = number, numbers[number] = centroid.

    places is all -1 before. Returns how many there are.
    """
    count = 0
    for slot in slots:
        for t in range(offsets[slot], offsets[slot + 1]):
            c = np.int64(codes[t])
            if places[c] < 0:
                places[c] = count
                numbers[count] = c
                count += 1
    return count
