"""What a search prepares from its query: scores of all centroids, and the same rounded to integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.indexes.plaid import kernels
from engine.indexes.plaid.codec import HALF_RANGE, Codec, padded
from engine.simd.threads import run_parts

QUERY_TOP = {1: 127, 2: 127, 4: 127, 8: 64}  # 2 * top * (2^bits - 1) fits int16, the products of AVX2
SHORT_LIMIT = 32_000.0  # of int16 sums
LONG_LIMIT = float(2**28)
DEVIATIONS = 4.0  # of the rounding error, that choosing the documents for float32 scores allows for


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
class Rounded:
    """The tables in integers.

    Args:
        rows: One array a block: uint8, flattened [n, 32], centroid scores in steps of `row_unit`.
        row_unit: Score of one step.
        row_origin: Score of a document with nothing but zeros.
        residual: What `kernels.document_scores` needs, one a block.
        scale: Integers a unit of score.
        margin: How far rounding may be expected to move the difference of two documents, in integers.
    """

    rows: list[np.ndarray]
    row_unit: float
    row_origin: float
    residual: list[Block]
    scale: float
    margin: float


@dataclass(frozen=True, eq=False)
class Block:
    """Up to 32 query tokens for `kernels.document_scores`, which names the arrays."""

    width: int
    lanes: int
    base: np.ndarray
    query: np.ndarray
    slack: np.ndarray
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


def round_tables(codec: Codec, made: Tables, query: np.ndarray, threshold: float, threads: int) -> Rounded:
    """Round the scores of centroids and the query itself.

    The rows share one step, so that their sums are sums of scores. The query times the steps of the quantiser becomes
    int8; the middle of the codes is folded into the base in full precision, which leaves only the rounding error of
    what lies around it.

    Args:
        codec: Centroids and quantiser.
        made: From `centroid_tables`.
        query: float32 [m, dim].
        threshold: Scores of centroids below it count as it.
        threads: How many to use.

    Returns:
        The integers.
    """
    m, columns, short = made.tokens, kernels.COLUMNS, codec.bits < 8 and kernels.SHORT
    top = made.maxima.reshape(made.blocks, -1, columns).max(axis=1).reshape(-1)[:m]
    mean = query @ codec.centre
    spread = max(float((top - np.maximum(mean, np.float32(threshold))).max()), 1e-6)
    low = np.full(made.blocks * columns, np.inf, np.float32)  # nothing is above it in the lanes without a token
    low[:m] = top - np.float32(spread)
    weights = np.zeros((m, padded(codec.dim)), np.float32)
    weights[:, : codec.dim] = query * codec.step
    shift = query @ codec.lower
    scale = _scale(codec, weights, codec.reach * float(np.linalg.norm(query, axis=1).max()) + np.abs(shift).max())
    whole = np.rint(weights * scale)
    middle = np.float32((codec.levels - 1) / 2)
    error = weights - whole / scale
    shifts = np.zeros(made.blocks * columns, np.float32)
    shifts[:m] = shift + error.sum(axis=1) * middle
    # By Cauchy and Schwarz, what rounding does to a score beyond `shift`; and the base is rounded, too.
    slack = 2 * (np.linalg.norm(error, axis=1) * codec.farthest * scale + 1)
    padding = np.zeros_like(weights)
    padding[:, : codec.dim] = query
    blocks = []
    for number in range(made.blocks):
        some = slice(number * columns, number * columns + made.lanes(number))
        blocks.append(_block(made.n, whole[some], slack[some], padding[some]))
    rows = [np.empty(made.n * columns, np.uint8) for _ in blocks]

    def work(part: int) -> None:
        first, last = made.n * part // threads, made.n * (part + 1) // threads
        for number, block in enumerate(blocks):
            lane = slice(number * columns, (number + 1) * columns)
            kernels.rounded_tables(
                block.width,
                short,
                made.block(number),
                first,
                last,
                low[lane],
                np.float32(255 / spread),
                shifts[lane],
                scale,
                rows[number],
                block.base,
            )

    run_parts(work, threads)
    # Uniform errors of the weights times codes about as far from the middle as those of a Gaussian.
    codes = np.square(middle / HALF_RANGE[codec.bits]) * np.square(error * scale).sum(axis=1)
    margin = DEVIATIONS * float(np.sqrt(2 * (codes + 1 / 12).sum()))
    origin = float(low[:m].sum(dtype=np.float64))
    return Rounded(rows, spread / 255, origin, blocks, float(scale), margin)


def _block(n: int, weights: np.ndarray, slack: np.ndarray, rows: np.ndarray) -> Block:
    """Lay some rounded query tokens out; `base` is filled in later."""
    lanes = len(weights)
    width = -(-lanes // kernels.LANES) * kernels.LANES
    panel = np.zeros((weights.shape[1] // 4, width, 4), np.int8)
    panel[:, :lanes] = weights.reshape(lanes, -1, 4).transpose(1, 0, 2)
    around = np.zeros(width, np.int32)
    around[:lanes] = np.ceil(slack)
    return Block(width, lanes, np.empty(n * width, np.int32), panel.ravel(), around, rows.ravel())


def _scale(codec: Codec, weights: np.ndarray, reach: float) -> np.float32:
    """Integers a unit of score, so that neither a weight nor a sum overflows on any level.

    Short sums hold half of the base each, and the even or the odd pairs of dimensions.
    """
    pairs = weights.reshape(len(weights), -1, 2, 2)
    sums = [np.maximum(side, 0).sum(axis=(1, 3)).max() for side in (pairs, -pairs)]
    top, limit = float(max(sums)) * (codec.levels - 1), QUERY_TOP[codec.bits] / max(np.abs(weights).max(), 1e-30)
    bound, room = (top + reach / 2, SHORT_LIMIT) if codec.bits < 8 else (2 * top + reach, LONG_LIMIT)
    return np.float32(min(limit, room / max(bound, 1e-30)))
