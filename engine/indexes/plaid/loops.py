"""The compiled loops of the search, one part of the work a call: centroid tables, probes, and scores by centroids.

Lanes: the query tokens of one search, 32 a block, padded with zeros. From the rounded tables on all sums are over
integers, so they depend neither on the order of work nor on the processor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.simd.centroids import COLUMNS, column_maxima, rounding
from engine.simd.jit import kernel
from engine.simd.kernels import max_rows

TABLE, ROWS, COARSE, FINE, EXACT = range(5)  # the stages that threads share
GROUP = 64  # centroids whose best scores are kept together, so that probing looks into few of them


class Tables(NamedTuple):
    """Scores of centroids, in blocks of 32 query tokens.

    Args:
        scores: float32 [blocks, c * 32].
        maxima: float32 [blocks, groups * 32], the best of each group of GROUP.
        rows: uint8 [blocks, c * 32], the scores as bytes.
        low: float32 [blocks, 32], the score that byte 0 stands for.
        factor: float32 [1], bytes of a unit of score.
    """

    scores: np.ndarray
    maxima: np.ndarray
    rows: np.ndarray
    low: np.ndarray
    factor: np.ndarray


@kernel
def group_maxima(table, n, first, last, out):
    """out[g, lane] = the best score among the centroids of group g, for first <= g < last."""
    for g in range(first, last):
        column_maxima(table, g * GROUP, min(GROUP, n - g * GROUP), out, g * COLUMNS)


@kernel
def best_centroids(table, maxima, n, lanes, out):
    """out[lane] = the centroids with the highest scores, best first, the first among equals; int64 [lanes, n_probe]."""
    n_probe, groups = out.shape[1], len(maxima) // COLUMNS
    best, which = np.empty(n_probe, np.float32), np.empty(n_probe, np.int64)
    for lane in range(lanes):
        # The n_probe-th best group maximum is a lower bound of the n_probe-th best score.
        best[:] = -np.inf
        for g in range(groups):
            if maxima[g * COLUMNS + lane] > best[n_probe - 1]:
                _insert(best, which, maxima[g * COLUMNS + lane], 0)
        bound = best[n_probe - 1]
        best[:] = -np.inf
        for g in range(groups):
            if maxima[g * COLUMNS + lane] >= bound:
                for c in range(g * GROUP, min(n, (g + 1) * GROUP)):
                    if table[c * COLUMNS + lane] > best[n_probe - 1]:
                        _insert(best, which, table[c * COLUMNS + lane], c)
        out[lane] = which


@kernel
def _insert(best, which, value, number):
    """Put a value that is above the last into a falling sequence, behind those equal to it."""
    at = len(best) - 1
    while at > 0 and value > best[at - 1]:
        best[at] = best[at - 1]
        which[at] = which[at - 1]
        at -= 1
    best[at] = value
    which[at] = number


@kernel
def collect(probes, weights, list_offsets, list_documents, allowed, seen, points):
    """Add to points[document], int32, for each query token the weight of its best probe that lists the document.

    probes and weights are [tokens, n_probe], best first, weights at least 1; `seen` int32 starts below 0. Documents
    that are not allowed keep 0 points.
    """
    for token in range(probes.shape[0]):
        for rank in range(probes.shape[1]):
            c = probes[token, rank]
            if c + 1 < len(list_offsets):
                weight = weights[token, rank]
                for i in range(list_offsets[c], list_offsets[c + 1]):
                    document = list_documents[i]
                    if seen[document] != token and allowed[document]:
                        seen[document] = token
                        points[document] += weight


@kernel
def coarse_scores(candidates, first, last, offsets, codes, rows, out):
    """Add to out[i] the sum over 32 lanes of the highest row value among the centroids of a document; rows uint8."""
    best = np.empty(COLUMNS, np.uint8)
    for i in range(first, last):
        max_rows(rows, codes, offsets[candidates[i]], offsets[candidates[i] + 1], best)
        total = 0
        for lane in range(COLUMNS):
            total += best[lane]
        out[i] += total


@kernel
def rounded_rows(table, first, last, low, factor, rows):
    """Round the rows first to last of a table; see `engine.simd.centroids.rounding`."""
    if last > first:
        rounding(table, first, last - first, low, factor, rows)
