"""The first stage of a search: for each query token the centroids with the highest scores.

The scores of all centroids are whole numbers (`rounded`), made once for all stages. While they are made, the highest of
each run of centroids is noted. The n-th highest of those is a bound that at least n centroids reach, and few others do:
they are noted while the scores become bytes, and sorted. So the probes are the best of all centroids, whatever the
instructions and the threads.
"""

from __future__ import annotations

import numpy as np

from engine.indexes.plaid.loops import ROWS_AT_ONCE, Tables
from engine.simd.centroids import COLUMNS
from engine.simd.jit import kernel

FEW = 64  # up to so many probes are kept in order while they are found
MISSING = 0.1  # how far towards the mean centroid a document lies that no probe of a query token lists
STEPS = 1e4  # of the largest weight
LOWEST = np.iinfo(np.int16).min


def list_weights(scores: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """What the probes of a query token give to the documents that they list, over a document that none of them lists.

    A document that is not listed still has some score for the query token: a little less than that of the last probe
    (what is not retrieved gets a score all the same in XTR, Lee et al., 2023, and WARP, Scheerer et al., 2025). Taken
    as 0, it would make long query tokens decide alone who is a candidate.

    Args:
        scores: float32 [m, n_probe], falling.
        middle: float32 [m], the score of the mean of the centroids.

    Returns:
        int32 [m, n_probe], 1 or more, in 10,000 steps of the largest.
    """
    last = scores[:, -1:]
    gains = scores - (last - np.float32(MISSING) * np.maximum(last - middle[:, None], 0))
    return (gains * np.float32(STEPS / max(float(gains.max()), 1e-30))).astype(np.int32) + np.int32(1)


def set_limits(tables: Tables, m: int, n_probe: int) -> np.ndarray:
    """Choose what a centroid has to reach, once the stage SUMS is done.

    Args:
        tables: Those of the search; `limits` is written.
        m: Query tokens.
        n_probe: Probes of each.

    Returns:
        The highest sum of each query token, int16 [m].
    """
    runs = tables.highest.shape[1]
    top, limits = np.empty(m, np.int16), np.empty(m, np.int16)
    _nth_highest(tables.highest, n_probe if n_probe <= min(runs, FEW) else 1, top, limits)
    tables.limits.reshape(-1)[:m] = limits if n_probe <= min(runs, FEW) else LOWEST
    return top


@kernel
def _nth_highest(highest, n, top, limits):
    """The highest of the runs for each query token, and the n-th highest."""
    m = len(top)
    best, which = np.full((m, n), np.int64(LOWEST)), np.zeros((m, n), np.int64)
    for b in range(highest.shape[0]):
        first = b * COLUMNS
        for run in range(highest.shape[1]):
            for token in range(first, min(m, first + COLUMNS)):
                value = np.int64(highest[b, run, token - first])
                if value > best[token, n - 1]:
                    _insert(best[token], which[token], value, run)
    top[:], limits[:] = best[:, 0], best[:, n - 1]


def best_probes(tables: Tables, m: int, n_probe: int) -> tuple[np.ndarray, np.ndarray]:
    """The probes, once the stage ROWS is done.

    Args:
        tables: Those of the search.
        m: Query tokens.
        n_probe: At most as many as there are centroids.

    Returns:
        int64 [m, n_probe], centroids by falling score, the lower number first among equals, and their sums, the same.
    """
    found, sums = np.full((m, n_probe), -1, np.int64), np.full((m, n_probe), LOWEST - 1, np.int64)
    if n_probe <= FEW:
        _best_reached(tables, found, sums)
    for token in np.flatnonzero(found[:, -1] < 0):  # more are wanted than were noted
        column = tables.sums[token // COLUMNS][token % COLUMNS :: COLUMNS].astype(np.int64)
        found[token] = np.argsort(-column, kind="stable")[:n_probe]
        sums[token] = column[found[token]]
    return found, sums


@kernel
def _best_reached(tables, found, sums):
    """Sort the centroids that the stage ROWS has noted into the probes; equal sums stay in the order of numbers."""
    m = len(found)
    for b in range(tables.counts.shape[0]):
        lanes = min(COLUMNS, m - b * COLUMNS)
        for part in range(tables.counts.shape[1]):
            first = part * ROWS_AT_ONCE
            for k in range(first, first + tables.counts[b, part]):
                number, mask = np.int64(tables.reached[b, k]), np.int64(tables.masks[b, k])
                for lane in range(lanes):
                    if mask >> lane & 1:
                        token, value = b * COLUMNS + lane, np.int64(tables.sums[b, number * COLUMNS + lane])
                        _insert(sums[token], found[token], value, number)


@kernel
def _insert(best, which, value, number):
    """Put a value into a falling sequence, behind those equal to it; the last of the sequence drops out."""
    at = len(best) - 1
    if value <= best[at]:
        return
    while at > 0 and value > best[at - 1]:
        best[at] = best[at - 1]
        which[at] = which[at - 1]
        at -= 1
    best[at] = value
    which[at] = number
