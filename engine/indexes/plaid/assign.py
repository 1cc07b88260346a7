"""The nearest centroid of every vector, by exhaustive search in cache-sized tiles."""

from __future__ import annotations

import numpy as np

from engine.simd import choice
from engine.simd.jit import kernel
from engine.simd.kernels import best_products
from engine.simd.threads import run_parts

TILE = 256  # centroids; with 97 dimensions a tile stays in the second-level cache
PART = 1024  # vectors that a thread takes at once: whole panels at every level of instructions


@kernel
def _assign(vectors, columns, centroids, dim, panels, codes, best):
    """codes[i] = argmax over c of centroids[c] . (vectors[i], 1), the first among equals; centroids is flattened.

    `columns` vectors, a panel, share one pass over a tile of centroids.
    """
    n, count = len(centroids) // dim, len(vectors)
    value, where = np.empty(columns, np.float32), np.empty(columns, np.int32)
    for start in range(0, count, columns):
        at = start * dim
        for j in range(min(columns, count - start)):
            for d in range(dim - 1):
                panels[at + d * columns + j] = vectors[start + j, d]
            panels[at + (dim - 1) * columns + j] = 1
    best[:] = -np.inf
    for tile in range(0, n, TILE):
        for start in range(0, count, columns):
            value[:] = -np.inf
            panel = panels[start * dim : (start + columns) * dim]
            best_products(centroids, tile, min(n, tile + TILE), dim, panel, columns, value, where)
            for j in range(min(columns, count - start)):
                if value[j] > best[start + j]:
                    best[start + j] = value[j]
                    codes[start + j] = tile + where[j]


def with_half_squares(centroids: np.ndarray) -> np.ndarray:
    """Centroids with minus half of their squared length as one more value each, flat.

    The nearest centroid has the largest v . c - |c|^2 / 2: a product of vectors with one more dimension.
    """
    half = 0.5 * np.einsum("cd,cd->c", centroids, centroids, dtype=np.float64)
    return np.concatenate([centroids, -half[:, None].astype(np.float32)], axis=1).ravel()


def nearest(vectors: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest centroid of every vector, the first among equals.

    Args:
        vectors: [n, dim] float16 or float32.
        centroids: float32 [c, dim].

    Returns:
        int64 [n], and the squared distances, float32 [n].
    """
    wide, dim = with_half_squares(centroids), centroids.shape[1] + 1
    codes, best = np.zeros(len(vectors), np.int64), np.empty(len(vectors), np.float32)
    squares = np.empty(len(vectors), np.float32)
    columns = 4 * choice.chosen().lanes

    def work(part: int) -> None:
        first, last = part * PART, min(len(vectors), (part + 1) * PART)
        some = vectors[first:last].astype(np.float32)
        squares[first:last] = np.einsum("nd,nd->n", some, some)
        panels = np.zeros(PART * dim, np.float32)
        _assign(some, columns, wide, dim, panels, codes[first:last], best[first:last])

    run_parts(work, -(-len(vectors) // PART))
    return codes, np.maximum(squares - 2 * best, 0)
