"""What a search prepares from its query: scores of all centroids, and integers for the loops over tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.indexes.plaid import kernels
from engine.indexes.plaid.codec import Codec
from engine.simd.jit import kernel
from engine.simd.threads import run_parts

QUERY_TOP = {1: 127, 2: 127, 4: 127, 8: 64}  # twice it times the largest code fits int16, the products of AVX2
SHORT_LIMIT = 32_767.0  # of int16 sums
THREADED = 1 << 20  # products of centroids, dimensions and blocks from which a second thread is worth waking
THREADED_ROWS = 1 << 15  # likewise rows
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
        low: float32, 32 for each block, the score that 0 stands for; infinite in lanes without a query token.
        origin: Sum over the query tokens of that score.
    """

    blocks: list[np.ndarray]
    unit: float
    low: np.ndarray
    origin: float


@dataclass(frozen=True, eq=False)
class Block:
    """Up to 32 query tokens for `kernels.document_scores` and `refine.refined_scores`, which name the arrays."""

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
    parts = min(threads, groups) if n * dim * blocks >= THREADED else 1

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

    parts = threads if made.n * made.blocks >= THREADED_ROWS else 1

    def work(part: int) -> None:
        first, last = made.n * part // parts, made.n * (part + 1) // parts
        for number, block in enumerate(rows):
            lane = slice(number * columns, (number + 1) * columns)
            kernels.rounded_rows(made.block(number), first, last, low[lane], np.float32(255 / spread), block)

    run_parts(work, parts)
    return Rows(rows, spread / 255, low, float(low[:m].sum(dtype=np.float64)))


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
    weights, tops = np.zeros((m, size), np.float32), codec.layout.tops
    highest, positive, negative = weigh(query, codec.step, tops, weights)
    limit = QUERY_TOP[codec.bits] / max(highest, 1e-30)
    room = SHORT_LIMIT - codec.layout.rounding  # int16 sums hold the even or the odd pairs of dimensions
    short = codec.bits < 8 and room > SHORT_LIMIT / 2
    scale = np.float32(min(limit, room / max(positive, negative, 1e-30)) if short else limit)
    columns = np.minimum(kernels.COLUMNS, m - np.arange(0, m, kernels.COLUMNS))
    blocks = []
    for number, lanes in enumerate(columns.tolist()):
        first = number * kernels.COLUMNS
        width = -(-lanes // kernels.LANES) * kernels.LANES
        panel, slack = np.zeros(size // 4 * width * 4, np.int8), np.zeros((2, width), np.float32)
        shift, origin = np.zeros(kernels.COLUMNS, np.float32), np.empty(lanes, np.float32)
        some = weights[first : first + lanes]
        asked = query[first : first + lanes]
        round_weights(some, asked, tops, scale, codec.farthest, codec.reach, ROUNDING, panel, shift, origin, slack)
        table, unit = made.block(number), np.float32(1 / scale)
        blocks.append(Block(width, lanes, short, table, shift, unit, panel, slack, origin, some.ravel()))
    return blocks


@kernel
def weigh(query, step, tops, weights):
    """Write query * step into `weights`; returns the largest size of one, and of what pairs of dimensions may add up to.

    The sums are over the even or the odd pairs of dimensions, of positive and of negative weights, each times the
    largest code.
    """
    highest, sides = np.float32(0), np.zeros(2)
    for i in range(len(query)):
        sums = np.zeros((2, 2))
        for d in range(query.shape[1]):
            weight = query[i, d] * step[d]
            weights[i, d] = weight
            highest = max(highest, abs(weight))
            sums[int(weight < 0), d // 2 % 2] += abs(weight) * tops[d]
        for side in range(2):
            sides[side] = max(sides[side], sums[side].max())
    return highest, sides[0], sides[1]


@kernel
def round_weights(weights, query, tops, scale, farthest, reach, rounding, panel, shift, origin, slack):
    """Fill the arrays of one `Block` from its weights.

    By Cauchy and Schwarz, rounding to integers moves a score by the length of the errors times the distance of the
    codes from their middle, at most; beside it stands the rounding of float32.
    """
    width = slack.shape[1]
    for i in range(len(weights)):
        middle, whole_middle, error, size, length = 0.0, 0.0, 0.0, 0.0, 0.0
        for d in range(query.shape[1]):
            whole = np.rint(weights[i, d] * scale)
            panel[(d // 4 * width + i) * 4 + d % 4] = np.int8(whole)
            middle += weights[i, d] * tops[d] / 2
            whole_middle += whole * tops[d] / 2
            error += (weights[i, d] - whole / scale) ** 2
            size += abs(weights[i, d]) * tops[d] / 2
            length += query[i, d] ** 2
        origin[i], shift[i] = -middle, -whole_middle / scale
        slack[0, i] = np.sqrt(error) * farthest + 2 * size * rounding
        slack[1, i] = np.sqrt(length) * reach * rounding
