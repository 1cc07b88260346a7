"""Centroids in groups, so that the nearest one is looked for among a small part of them.

A table over all c centroids costs c products a vector. Groups are clusters of the centroids themselves: a vector meets
the middles of all g groups and then the members of the few nearest, some g + LOOKED c / g products. What it finds is
nearly always the nearest centroid, and never depends on which other vectors are looked up with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.indexes.plaid.assign import with_half_squares
from engine.simd import choice
from engine.simd.centroids import COLUMNS, multiply_rows
from engine.simd.jit import kernel
from engine.simd.kernels import best_products
from engine.simd.threads import run_parts

LEAST = 4096  # centroids below which one table over all of them is no slower
MEMBERS = 128  # centroids of a group, on average
LOOKED = 12  # groups whose members a vector meets: with six, 2% of tokens miss their nearest centroid, with twelve .4%


def group_count(centroids: int) -> int:
    """How many groups so many centroids are put into: 1 where a table over all of them does."""
    return centroids // MEMBERS if centroids >= LEAST else 1


def products(centroids: int) -> float:
    """Products that the search for the nearest of some centroids takes for one vector, on average."""
    groups = group_count(centroids)
    return groups + min(LOOKED, groups) * centroids / groups


def part_of(groups: int) -> int:
    """Vectors that a thread takes at once: enough to meet most groups in company."""
    return 16 * max(64, groups)


def bytes_of_thread(centroids: int, dim: int) -> int:
    """What a thread holds while it looks for the nearest of some centroids."""
    groups = group_count(centroids)
    return part_of(groups) * (4 * (dim + 1) + 12 * min(LOOKED, groups) + 20) + 4 * COLUMNS * (groups + 3 * dim)


@dataclass(frozen=True, eq=False)
class Groups:
    """Centroids by group.

    Args:
        centroids: float32 [c, dim].
        group: int32 [c], the group of each; no group is empty.
    """

    centroids: np.ndarray
    group: np.ndarray

    @cached_property
    def members(self) -> np.ndarray:
        """The numbers of the centroids, those of one group together, int64 [c]."""
        return np.argsort(self.group, kind="stable")

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each group begins in `members`, int64 [g + 1]."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.group))]).astype(np.int64)

    @cached_property
    def middles(self) -> np.ndarray:
        """The mean of each group, float32 [g, dim]."""
        sums = np.add.reduceat(self.centroids[self.members], self.starts[:-1], axis=0, dtype=np.float64)
        return (sums / np.diff(self.starts)[:, None]).astype(np.float32)

    @cached_property
    def _wide(self) -> tuple[np.ndarray, np.ndarray]:
        """The middles, and the centroids in the order of `members`, each with minus half of its square; flat."""
        return with_half_squares(self.middles), with_half_squares(self.centroids[self.members])

    def nearest(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `assign.nearest`: the numbers of centroids, int64 [n], and squared distances, float32 [n]."""
        codes, distances = np.empty(len(vectors), np.int64), np.empty(len(vectors), np.float32)
        groups, dim = len(self.starts) - 1, vectors.shape[1] + 1
        middles, centroids = self._wide
        size, columns = part_of(groups), 4 * choice.chosen().lanes

        def work(part: int) -> None:
            rows = slice(part * size, min(len(vectors), (part + 1) * size))
            some = np.ones((rows.stop - rows.start, dim), np.float32)
            some[:, :-1] = vectors[rows]
            looked = np.zeros((len(some), min(LOOKED, groups)), np.int32)
            if groups > 1:
                nearest_groups(some, middles, looked)
            found, value = np.zeros(len(some), np.int32), np.full(len(some), -np.inf, np.float32)
            _nearest_members(some, looked, self.starts, centroids, columns, found, value)
            codes[rows] = self.members[found]
            distances[rows] = np.einsum("nd,nd->n", some[:, :-1], some[:, :-1]) - 2 * value

        run_parts(work, -(-len(vectors) // size))
        return codes, np.maximum(distances, 0)

    def joined(self, more: np.ndarray) -> np.ndarray:
        """The groups of these centroids and of more, float32 [n, dim], each in the group with the nearest middle."""
        wide = np.concatenate([more, np.ones((len(more), 1), np.float32)], axis=1)
        found = np.zeros((len(more), 1), np.int32)
        nearest_groups(wide, self._wide[0], found)
        return np.concatenate([self.group, found[:, 0]])


@kernel
def nearest_groups(vectors, middles, out):
    """out[i] = the groups with the largest products of vectors[i] with middles, best first, the first among equals."""
    n, dim = vectors.shape
    count, looked = len(middles) // dim, out.shape[1]
    panel, table = np.zeros(COLUMNS * dim, np.float32), np.empty(count * COLUMNS, np.float32)
    best = np.empty(looked, np.float32)
    for start in range(0, n, COLUMNS):
        lanes = min(COLUMNS, n - start)
        for lane in range(lanes):
            for d in range(dim):
                panel[d * COLUMNS + lane] = vectors[start + lane, d]
        multiply_rows(middles, 0, count, dim, panel, table)
        for lane in range(lanes):
            best[:] = -np.inf
            for g in range(count):
                value = table[g * COLUMNS + lane]
                if value > best[looked - 1]:
                    at = looked - 1
                    while at > 0 and value > best[at - 1]:
                        best[at] = best[at - 1]
                        out[start + lane, at] = out[start + lane, at - 1]
                        at -= 1
                    best[at] = value
                    out[start + lane, at] = g


@kernel
def _nearest_members(vectors, looked, starts, centroids, columns, found, best):
    """found[i] = place of the nearest centroid in the groups looked[i], best[i] = v . c - |c|^2 / 2.

    Vectors that look into one group are taken together, `columns` at a time. Each sees its groups in rising order and
    every product is summed alone, so its company changes nothing.
    """
    n, dim = vectors.shape
    groups, lanes = len(starts) - 1, columns // 4
    ends = np.zeros(groups + 1, np.int64)
    for i in range(n):
        for k in range(looked.shape[1]):
            ends[looked[i, k] + 1] += 1
    for g in range(groups):
        ends[g + 1] += ends[g]
    order, at = np.empty(n * looked.shape[1], np.int32), ends[:-1].copy()
    for i in range(n):
        for k in range(looked.shape[1]):
            g = looked[i, k]
            order[at[g]] = i
            at[g] += 1
    panel = np.zeros(columns * dim, np.float32)
    value, where = np.empty(columns, np.float32), np.empty(columns, np.int32)
    for g in range(groups):
        for first in range(ends[g], ends[g + 1], columns):
            count = min(columns, ends[g + 1] - first)
            width = (count + lanes - 1) // lanes * lanes  # the last panel of a group may be narrower
            for j in range(count):
                i = order[first + j]
                value[j], where[j] = best[i], -1
                for d in range(dim):
                    panel[d * width + j] = vectors[i, d]
            best_products(centroids, starts[g], starts[g + 1], dim, panel, width, value, where)
            for j in range(count):
                if where[j] >= 0:
                    i = order[first + j]
                    best[i], found[i] = value[j], starts[g] + where[j]
