"""What a search prepares from its query: scores of all centroids, and integers for the loops over tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.indexes.plaid import kernels
from engine.indexes.plaid.codec import Codec
from engine.simd.threads import run_parts

QUERY_TOP = {1: 127, 2: 127, 4: 127, 8: 64}  # twice it times the largest code fits int16, the products of AVX2
SHORT_LIMIT = 32_767.0  # of int16 sums
ROUNDING = 2e-6  # of float32 sums of one score, as a share of the largest


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
    short: bool
    table: np.ndarray
    shift: np.ndarray
    unit: np.float32
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

    The query times the steps of the quantiser becomes int8. The integers are meant around the middle of the codes, so
    that their rounding acts only on what lies around it.

    Args:
        codec: Centroids and quantiser, not of float16.
        made: From `centroid_tables`.
        query: float32 [m, dim].

    Returns:
        Blocks of 32 query tokens.
    """
    m, size = len(query), codec.layout.padded
    weights = np.zeros((m, size), np.float32)
    weights[:, : codec.dim] = query * codec.step
    scale, short = _scale(codec, weights)
    whole = np.rint(weights * scale)
    error = weights - whole / scale
    origin = -(weights[:, : codec.dim] @ codec.middle)
    shift = np.zeros(made.blocks * kernels.COLUMNS, np.float32)
    shift[:m] = whole[:, : codec.dim] @ -codec.middle / scale
    # By Cauchy and Schwarz, what rounding to integers does; beside it stands the rounding of float32.
    lengths = np.linalg.norm(query, axis=1)
    slack = np.stack([np.linalg.norm(error, axis=1) * codec.farthest, lengths * codec.reach * ROUNDING])
    slack[0] += (np.abs(origin) + np.abs(weights).sum(axis=1) * codec.middle.max()) * ROUNDING
    blocks = []
    for number in range(made.blocks):
        lanes = made.lanes(number)
        some = slice(number * kernels.COLUMNS, number * kernels.COLUMNS + lanes)
        width = -(-lanes // kernels.LANES) * kernels.LANES
        panel = np.zeros((size // 4, width, 4), np.int8)
        panel[:, :lanes] = whole[some].reshape(lanes, -1, 4).transpose(1, 0, 2)
        around = np.zeros((2, width), np.float32)
        around[:, :lanes] = slack[:, some]
        lane = slice(number * kernels.COLUMNS, (number + 1) * kernels.COLUMNS)
        table, rows, unit = made.block(number), weights[some].ravel(), np.float32(1 / scale)
        blocks.append(Block(width, lanes, short, table, shift[lane], unit, panel.ravel(), around, origin[some], rows))
    return blocks


def _scale(codec: Codec, weights: np.ndarray) -> tuple[np.float32, bool]:
    """Integers a unit of score, so that neither a weight nor a sum overflows, and whether sums fit in int16.

    Short sums hold the even or the odd pairs of dimensions.
    """
    limit, highest = QUERY_TOP[codec.bits] / max(float(np.abs(weights).max()), 1e-30), np.zeros(weights.shape[1])
    highest[: codec.dim] = codec.layout.tops
    pairs = (weights * highest).reshape(len(weights), -1, 2, 2)
    largest = max(float(np.maximum(side, 0).sum(axis=(1, 3)).max()) for side in (pairs, -pairs))
    room = SHORT_LIMIT - float(highest.reshape(-1, 2, 2).sum(axis=(0, 2)).max()) / 2  # rounding may add a half each
    short = codec.bits < 8 and room > SHORT_LIMIT / 2
    return np.float32(min(limit, room / max(largest, 1e-30)) if short else limit), short
