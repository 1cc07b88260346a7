"""Centroids: seeded k-means whose result does not depend on the number of threads.

Lloyd's algorithm (Lloyd, 1982) on a random sample. Two things make it reproducible: products are computed in blocks of
fixed shape, each by one thread, and every mean is summed in the order of the sample.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from numba import njit, prange
from threadpoolctl import threadpool_limits

BLOCK_TOKENS, BLOCK_CENTROIDS = 1024, 1024
SAMPLE_PER_CENTROID = 24


def nearest(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The nearest centroid of every vector, the first among equals.

    Args:
        vectors: [n, dim] float16 or float32.
        centroids: [c, dim] float32.

    Returns:
        int64 [n].
    """
    half = 0.5 * np.einsum("cd,cd->c", centroids, centroids)
    out = np.empty(len(vectors), np.int64)

    def run(start: int) -> None:
        block = vectors[start : start + BLOCK_TOKENS].astype(np.float32)
        rows = np.arange(len(block))
        best, where = np.full(len(block), -np.inf, np.float32), np.zeros(len(block), np.int64)
        for first in range(0, len(centroids), BLOCK_CENTROIDS):
            scores = block @ centroids[first : first + BLOCK_CENTROIDS].T
            scores -= half[first : first + BLOCK_CENTROIDS]
            at = scores.argmax(axis=1)
            value = scores[rows, at]
            better = value > best
            best[better], where[better] = value[better], at[better] + first
        out[start : start + len(block)] = where

    # Each product runs on one thread: how a threaded product splits its work would depend on their number.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(numba.get_num_threads()) as pool:
        list(pool.map(run, range(0, len(vectors), BLOCK_TOKENS)))
    return out


@njit(parallel=True, cache=True)
def _means(vectors, order, starts, centroids):
    """Set centroids[c] to the mean of its members, summed in the order given; leave those without members."""
    for c in prange(len(starts) - 1):
        first, last = starts[c], starts[c + 1]
        if last > first:
            total = np.zeros(vectors.shape[1], np.float64)
            for i in range(first, last):
                row = vectors[order[i]]
                for d in range(len(total)):
                    total[d] += row[d]
            for d in range(len(total)):
                centroids[c, d] = total[d] / (last - first)


def _reseed(vectors: np.ndarray, codes: np.ndarray, centroids: np.ndarray, empty: np.ndarray) -> None:
    """Move centroids without members to the vectors that lie farthest from theirs."""
    distance = np.zeros(len(vectors), np.float32)
    for start in range(0, len(vectors), BLOCK_TOKENS):
        rows = slice(start, start + BLOCK_TOKENS)
        distance[rows] = np.square(vectors[rows] - centroids[codes[rows]]).sum(axis=1)
    farthest = np.argsort(-distance, kind="stable")[: len(empty)]
    farthest = farthest[distance[farthest] > 0]
    centroids[empty[: len(farthest)]] = vectors[farthest]


def train(sample: np.ndarray, n_centroids: int, iterations: int, seed: int) -> np.ndarray:
    """Cluster a sample.

    Args:
        sample: float32 [n, dim], n at least 1.
        n_centroids: How many, at most n.
        iterations: Passes over the sample.
        seed: Chooses the starting centroids.

    Returns:
        float32 [n_centroids, dim], each value one that float16 can hold (that is how they are stored).
    """
    start = np.random.default_rng(seed).choice(len(sample), n_centroids, replace=False)
    centroids = sample[np.sort(start)].astype(np.float32)
    for _ in range(iterations):
        codes = nearest(sample, centroids)
        counts = np.bincount(codes, minlength=n_centroids)
        starts = np.concatenate([[0], np.cumsum(counts)])
        _means(sample, np.argsort(codes, kind="stable"), starts, centroids)
        empty = np.flatnonzero(counts == 0)
        if len(empty):
            _reseed(sample, codes, centroids, empty)
    return centroids.astype(np.float16).astype(np.float32)
