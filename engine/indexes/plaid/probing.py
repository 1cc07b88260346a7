"""The first stage of a search: for each query token the centroids with the highest scores.

The scores of all centroids are whole numbers (`rounded`), made once for all stages. While they are made, the highest of
each run of centroids is noted. The n-th highest of those is a bound that at least n centroids reach, and few others do:
they are noted while the scores become bytes, and sorted. So the probes are the best of all centroids, whatever the
instructions and the threads.
"""

from __future__ import annotations

import numpy as np

from engine.indexes.plaid.loops import ROWS_AT_ONCE, Tables
from engine.indexes.plaid.query import HEAVY_PROBES, lanes_of
from engine.simd.centroids import COLUMNS
from engine.simd.jit import kernel
from engine.simd.residuals import lowest_bit

FEW = 192  # up to so many probes are kept in order while they are found
MISSING = 0.1  # how far from the last probe towards the mean centroid a document lies that none of few probes lists
STEPS = 1e4  # of the largest weight
LOWEST, HIGHEST = np.iinfo(np.int16).min, np.iinfo(np.int16).max


def probe_counts(heavy: np.ndarray, m: int, n_probe: int, most: int) -> np.ndarray:
    """How many probes each query token makes.

    Half of a score can hang on one heavy token, and what its probes do not list gets nothing for it.

    Args:
        heavy: From `query.heavy_lanes`.
        m: Query tokens.
        n_probe: Probes of one that is not heavy.
        most: Centroids.

    Returns:
        int64 [m].
    """
    return np.minimum(np.where(lanes_of(heavy, m), HEAVY_PROBES * n_probe, n_probe), most)


def list_weights(scores: np.ndarray, middle: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """What the probes of a query token give to the documents that they list, over a document that none of them lists.

    A document that is not listed still has some score for the query token: a little less than that of the last probe,
    or just that where many probes are made (what is not retrieved gets a score all the same in XTR, Lee et al., 2023,
    and WARP, Scheerer et al., 2025). Taken as 0, it would make long query tokens decide alone who is a candidate.

    Args:
        scores: float32 [m, widest], falling.
        middle: float32 [m], the score of the mean of the centroids.
        counts: int64 [m], the probes of each query token; what stands behind them means nothing.

    Returns:
        int32 [m, widest], 1 or more, in 10,000 steps of the largest, and 0 behind the last probe.
    """
    last, used = scores[np.arange(len(scores)), counts - 1], np.arange(scores.shape[1]) < counts[:, None]
    share = np.where(counts > counts.min(), np.float32(0), np.float32(MISSING))
    gains = np.where(used, scores - (last - share * np.maximum(last - middle, 0))[:, None], 0)
    steps = (gains * np.float32(STEPS / max(float(gains.max()), 1e-30))).astype(np.int32) + np.int32(1)
    return np.where(used, steps, np.int32(0))


def set_limits(tables: Tables, counts: np.ndarray) -> np.ndarray:
    """Choose what a centroid has to reach, once the stage SUMS is done.

    Args:
        tables: Those of the search; `limits` is written.
        counts: int64 [m], the probes of each query token.

    Returns:
        The highest sum of each query token, int16 [m].
    """
    top, limits = np.empty(len(counts), np.int16), np.empty(len(counts), np.int16)
    _nth_highest(tables.highest, counts, min(tables.highest.shape[1], FEW), top, limits)
    tables.limits.reshape(-1)[: len(counts)] = np.where(counts > FEW, HIGHEST, limits)
    return top


@kernel
def _nth_highest(highest, counts, most, top, limits):
    """The highest of the runs for each query token, and its n-th highest; the lowest number where n is above `most`."""
    m, widest = len(counts), min(counts.max(), most)
    best, which = np.full((m, widest), np.int64(LOWEST)), np.zeros((m, widest), np.int64)
    wanted = np.array([count if count <= most else 1 for count in counts])
    for b in range(highest.shape[0]):
        first = b * COLUMNS
        for run in range(highest.shape[1]):
            for token in range(first, min(m, first + COLUMNS)):
                value = np.int64(highest[b, run, token - first])
                if value > best[token, wanted[token] - 1]:
                    _insert(best, which, token, wanted[token], value, run)
    for token in range(m):
        top[token] = best[token, 0]
        limits[token] = best[token, counts[token] - 1] if counts[token] <= most else LOWEST


def best_probes(tables: Tables, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The probes, once the stage ROWS is done.

    Args:
        tables: Those of the search.
        counts: int64 [m], the probes of each query token, at most as many as there are centroids.

    Returns:
        int64 [m, widest], centroids by falling score, the lower number first among equals, -1 behind the last of a
        query token; and their sums, the same.
    """
    m, widest = len(counts), int(counts.max())
    found, sums = np.full((m, widest), -1, np.int64), np.full((m, widest), LOWEST - 1, np.int64)
    _best_reached(tables, counts, found, sums)
    for token in np.flatnonzero(found[np.arange(m), counts - 1] < 0):  # more are wanted than were noted
        column = tables.sums[token // COLUMNS][token % COLUMNS :: COLUMNS].astype(np.int64)
        n = counts[token]
        found[token, :n] = np.argsort(-column, kind="stable")[:n]
        sums[token, :n] = column[found[token, :n]]
    return found, sums


@kernel
def _best_reached(tables, counts, found, sums):
    """Sort the centroids that the stage ROWS has noted into the probes; equal sums stay in the order of numbers."""
    m = len(found)
    for b in range(tables.counts.shape[0]):
        few = np.int64(0)
        for lane in range(min(COLUMNS, m - b * COLUMNS)):
            few |= np.int64(counts[b * COLUMNS + lane] <= FEW) << lane
        for part in range(tables.counts.shape[1]):
            first = part * ROWS_AT_ONCE
            for k in range(first, first + tables.counts[b, part]):
                number, mask = np.int64(tables.reached[b, k]), np.int64(tables.masks[b, k]) & few
                while mask:
                    lane = lowest_bit(mask)
                    mask &= mask - 1
                    token, value = b * COLUMNS + lane, np.int64(tables.sums[b, number * COLUMNS + lane])
                    _insert(sums, found, token, counts[token], value, number)


@kernel
def _insert(best, which, token, n, value, number):
    """Put a value into the falling sequence of a token, behind those equal to it; the n-th drops out."""
    at = n - 1
    if value <= best[token, at]:
        return
    while at > 0 and value > best[token, at - 1]:
        best[token, at] = best[token, at - 1]
        which[token, at] = which[token, at - 1]
        at -= 1
    best[token, at] = value
    which[token, at] = number
