"""What a search prepares from its query: scores of all centroids, and integers for the loops over tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.indexes.plaid import kernels
from engine.indexes.plaid.codec import Codec, padded
from engine.simd.threads import run_parts

QUERY_TOP = {1: 127, 2: 127, 4: 127, 8: 64}  # 2 * top * (2^bits - 1) fits int16, the products of AVX2
SHORT_LIMIT = 32_000.0  # of int16 sums
LONG_LIMIT = float(2**28)


@dataclass(frozen=True, eq=False)
class Tables:
    """Scores of all centroids.

    Args:
        tokens: Query tokens, m.
        n: Centroids.
        blocks: Blocks of 32 query tokens.
        table: float32, flattened [blocks, n, 32].
        maxima: float32, flattened [blocks, groups, 32].
    """

    tokens: int
    n: int
    blocks: int
    table: np.ndarray
    maxima: np.ndarray

    def block(self, number: int) -> np.ndarray:
        """One block, flattened [n, 32]."""
        size = self.n * kernels.COLUMNS
        return self.table[number * size : (number + 1) * size]

    def group_maxima(self, number: int) -> np.ndarray:
        """The best score of each group of centroids in one block, flattened [groups, 32]."""
        size = len(self.maxima) // self.blocks
        return self.maxima[number * size : (number + 1) * size]

    def lanes(self, number: int) -> int:
        """Query tokens in one block."""
        return min(kernels.COLUMNS, self.tokens - number * kernels.COLUMNS)

    def best(self, n_probe: int) -> tuple[np.ndarray, np.ndarray]:
        """The centroids with the highest scores for each query token.

        Returns:
            int64 [m, n_probe], best first, and their scores, float32 [m, n_probe].
        """
        probes = np.zeros((self.tokens, n_probe), np.int64)
        scores = np.empty((self.tokens, n_probe), np.float32)
        for number in range(self.blocks):
            first, lanes = number * kernels.COLUMNS, self.lanes(number)
            rows = probes[first : first + lanes]
            kernels.best_centroids(self.block(number), self.group_maxima(number), self.n, lanes, rows)
            found = self.block(number)[rows * kernels.COLUMNS + np.arange(lanes)[:, None]]
            scores[first : first + lanes] = found
        return probes, scores


@dataclass(frozen=True, eq=False)
class Rows:
    """Scores of centroids in bytes.

    Args:
        blocks: uint8 [c * 32] each; 255 is the best score of a query token.
        unit: Score of one step.
        origin: Sum over the query tokens of the score that 0 stands for.
    """

    blocks: list[np.ndarray]
    unit: float
    origin: float


@dataclass(frozen=True, eq=False)
class Block:
    """Up to 32 query tokens for `kernels.document_scores`, which names the arrays."""

    width: int
    lanes: int
    table: np.ndarray
    shift: np.ndarray
    scale: np.float32
    query: np.ndarray
    slack: np.ndarray
    origin: np.ndarray
    rows: np.ndarray


def centroid_tables(centroids: np.ndarray, query: np.ndarray, threads: int) -> Tables:
    """Score all centroids.

    Args:
        centroids: float32 [c, dim].
        query: float32 [m, dim].
        threads: How many to use.

    Returns:
        The tables.
    """
    m, (n, dim), columns = len(query), centroids.shape, kernels.COLUMNS
    blocks, groups = -(-m // columns), -(-n // kernels.GROUP)
    panels = np.zeros((blocks, dim, columns), np.float32)
    for number in range(blocks):
        some = query[number * columns : (number + 1) * columns]
        panels[number, :, : len(some)] = some.T
    made = Tables(
        m, n, blocks, np.empty(blocks * n * columns, np.float32), np.empty(blocks * groups * columns, np.float32)
    )
    values, flat = centroids.ravel(), panels.reshape(blocks, -1)
    parts = min(threads, groups)

    def work(part: int) -> None:
        first, last = groups * part // parts, groups * (part + 1) // parts
        for number in range(blocks):
            table = made.block(number)
            kernels.centroid_table(
                values, first * kernels.GROUP, min(n, last * kernels.GROUP), dim, flat[number], table
            )
            kernels.group_maxima(table, n, first, last, made.group_maxima(number))

    run_parts(work, parts)
    return made


def centroid_rows(codec: Codec, made: Tables, query: np.ndarray, threshold: float, threads: int) -> Rows:
    """Round the scores of centroids to bytes with one step for all query tokens, so that their sums are sums of scores.

    Args:
        codec: Centroids.
        made: From `centroid_tables`.
        query: float32 [m, dim].
        threshold: Scores below it count as it.
        threads: How many to use.

    Returns:
        The rows; scores below the one that 0 stands for (the mean over the centroids, or lower) count as it.
    """
    m, columns = made.tokens, kernels.COLUMNS
    top = made.maxima.reshape(made.blocks, -1, columns).max(axis=1).reshape(-1)[:m]
    mean = query @ codec.centre
    spread = max(float((top - np.maximum(mean, np.float32(threshold))).max()), 1e-6)
    low = np.full(made.blocks * columns, np.inf, np.float32)  # nothing is above it in the lanes without a token
    low[:m] = top - np.float32(spread)
    rows = [np.empty(made.n * columns, np.uint8) for _ in range(made.blocks)]

    def work(part: int) -> None:
        first, last = made.n * part // threads, made.n * (part + 1) // threads
        for number, block in enumerate(rows):
            lane = slice(number * columns, (number + 1) * columns)
            kernels.rounded_rows(made.block(number), first, last, low[lane], np.float32(255 / spread), block)

    run_parts(work, threads)
    return Rows(rows, spread / 255, float(low[:m].sum(dtype=np.float64)))


def residual_blocks(codec: Codec, made: Tables, query: np.ndarray) -> list[Block]:
    """Round a query for the residual codes.

    The query times the steps of the quantiser becomes int8; the middle of the codes is folded into the shift in full
    precision, which leaves only the rounding error of what lies around it.

    Args:
        codec: Centroids and quantiser, not of float16.
        made: From `centroid_tables`.
        query: float32 [m, dim].

    Returns:
        Blocks of 32 query tokens.
    """
    m = len(query)
    weights = np.zeros((m, padded(codec.dim)), np.float32)
    weights[:, : codec.dim] = query * codec.step
    origin = query @ codec.lower
    scale = _scale(codec, weights, codec.reach * float(np.linalg.norm(query, axis=1).max()) + np.abs(origin).max())
    whole = np.rint(weights * scale)
    error = weights - whole / scale
    shift = np.zeros(made.blocks * kernels.COLUMNS, np.float32)
    shift[:m] = origin + error.sum(axis=1) * np.float32((codec.levels - 1) / 2)
    # By Cauchy and Schwarz, what rounding does to a score beyond `shift`; and the start is rounded, too.
    slack = np.ceil(np.linalg.norm(error, axis=1) * codec.farthest * scale + 1).astype(np.int32)
    blocks = []
    for number in range(made.blocks):
        lanes = made.lanes(number)
        some = slice(number * kernels.COLUMNS, number * kernels.COLUMNS + lanes)
        width = -(-lanes // kernels.LANES) * kernels.LANES
        panel = np.zeros((weights.shape[1] // 4, width, 4), np.int8)
        panel[:, :lanes] = whole[some].reshape(lanes, -1, 4).transpose(1, 0, 2)
        around = np.zeros(width, np.int32)
        around[:lanes] = slack[some]
        lane = slice(number * kernels.COLUMNS, (number + 1) * kernels.COLUMNS)
        table, rows = made.block(number), weights[some].ravel()
        blocks.append(Block(width, lanes, table, shift[lane], scale, panel.ravel(), around, origin[some], rows))
    return blocks


def _scale(codec: Codec, weights: np.ndarray, reach: float) -> np.float32:
    """Integers a unit of score, so that neither a weight nor a sum overflows on any level.

    Short sums hold half of the start each, and the even or the odd pairs of dimensions.
    """
    pairs = weights.reshape(len(weights), -1, 2, 2)
    sums = [np.maximum(side, 0).sum(axis=(1, 3)).max() for side in (pairs, -pairs)]
    top, limit = float(max(sums)) * (codec.levels - 1), QUERY_TOP[codec.bits] / max(np.abs(weights).max(), 1e-30)
    bound, room = (top + reach / 2, SHORT_LIMIT) if codec.bits < 8 else (2 * top + reach, LONG_LIMIT)
    return np.float32(min(limit, room / max(bound, 1e-30)))
