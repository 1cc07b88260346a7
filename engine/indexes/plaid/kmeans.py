"""Centroids: seeded k-means whose result does not depend on the number of threads.

Lloyd's algorithm (Lloyd, 1982) on a random sample; many centroids are put into groups before each pass, so that a
vector meets few of them. Every product is summed over the dimensions in order, and every mean in the order of the
sample, so which thread computes what changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.indexes.plaid.assign import nearest
from engine.indexes.plaid.groups import Groups, group_count
from engine.simd.jit import kernel
from engine.simd.threads import run_parts, thread_count

GROUP_PASSES = 4  # of the k-means that puts centroids into groups


@kernel
def _means(vectors, order, starts, first, last, centroids):
    """Set centroids[c] to the mean of its members, summed in the order given; leave those without members."""
    total = np.empty(vectors.shape[1], np.float64)
    for c in range(first, last):
        if starts[c + 1] > starts[c]:
            total[:] = 0
            for i in range(starts[c], starts[c + 1]):
                for d in range(len(total)):
                    total[d] += vectors[order[i], d]
            for d in range(len(total)):
                centroids[c, d] = total[d] / (starts[c + 1] - starts[c])


def _reseed(vectors: np.ndarray, distances: np.ndarray, centroids: np.ndarray, empty: np.ndarray) -> None:
    """Move centroids without members to the vectors that lie farthest from theirs."""
    farthest = np.argsort(-distances, kind="stable")[: len(empty)]
    farthest = farthest[distances[farthest] > 0]
    centroids[empty[: len(farthest)]] = vectors[farthest]


def means(vectors: np.ndarray, codes: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Move centroids, float32 [c, dim], to the mean of the vectors that chose them; returns how many each has."""
    counts = np.bincount(codes, minlength=len(centroids))
    starts, order = np.concatenate([[0], np.cumsum(counts)]), np.argsort(codes, kind="stable")
    parts = min(4 * thread_count(), len(centroids))
    bounds = np.linspace(0, len(centroids), parts + 1).astype(np.int64)
    run_parts(lambda p: _means(vectors, order, starts, bounds[p], bounds[p + 1], centroids), parts)
    return counts


def group(centroids: np.ndarray) -> np.ndarray:
    """Put centroids into groups by k-means; what comes out depends on nothing else.

    Args:
        centroids: float32 [c, dim].

    Returns:
        int32 [c], the group of each; no group is empty.
    """
    count = group_count(len(centroids))
    if count == 1:
        return np.zeros(len(centroids), np.int32)
    middles = centroids[np.arange(count) * len(centroids) // count].copy()
    for _ in range(GROUP_PASSES):
        means(centroids, nearest(centroids, middles)[0], middles)
    return np.unique(nearest(centroids, middles)[0], return_inverse=True)[1].astype(np.int32)


def train(
    sample: np.ndarray, n_centroids: int, iterations: int, seed: int, step: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """Cluster a sample.

    Args:
        sample: float32 [n, dim], n at least 1.
        n_centroids: How many, at most n.
        iterations: Passes over the sample.
        seed: Chooses the starting centroids.
        step: Called with passes done and how many there are.

    Returns:
        float32 [n_centroids, dim], those of a group together, each value one that float16 can hold (that is how they
        are stored).
    """
    start = np.random.default_rng(seed).choice(len(sample), n_centroids, replace=False)
    centroids = sample[np.sort(start)].astype(np.float32)
    for number in range(iterations):
        codes, distances = Groups(centroids, group(centroids)).nearest(sample)
        empty = np.flatnonzero(means(sample, codes, centroids) == 0)
        if len(empty):
            _reseed(sample, distances, centroids, empty)
        if step is not None:
            step(number + 1, iterations)
    centroids = centroids.astype(np.float16).astype(np.float32)
    return centroids[np.argsort(group(centroids), kind="stable")]
