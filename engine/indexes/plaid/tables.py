"""What a search prepares from its query: scores of all centroids, and integers for the loops over tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.indexes.plaid import loops
from engine.indexes.plaid.codec import Codec
from engine.simd import levels
from engine.simd.centroids import COLUMNS
from engine.simd.jit import kernel

QUERY_TOP = {1: 127, 2: 127, 4: 127, 8: 64}  # twice it times the largest code fits int16, the products of AVX2
SHORT_LIMIT = 32_767.0  # of int16 sums
ROUNDING = 2e-6  # of float32 sums of one score, as a share of the largest


@dataclass(frozen=True, eq=False)
class Rounded:
    """A query for the residual codes, in blocks of 32 query tokens; see `loops.document_scores`.

    Args:
        widths, lanes: int64 [blocks].
        short: Whether sums fit in int16.
        unit: float32.
        query: int8 [blocks, padded dim * 32].
        shift: float32 [blocks, 32].
        slack: float32 [blocks, 2, 32].
        origin: float32 [blocks, 32].
        weights: float32 [blocks, 32 * padded dim], the query times the steps.
    """

    widths: np.ndarray
    lanes: np.ndarray
    short: bool
    unit: np.float32
    query: np.ndarray
    shift: np.ndarray
    slack: np.ndarray
    origin: np.ndarray
    weights: np.ndarray


def best_centroids(table: np.ndarray, maxima: np.ndarray, m: int, n_probe: int) -> tuple[np.ndarray, np.ndarray]:
    """The centroids with the highest scores for each query token.

    Args:
        table: float32 [blocks, c * 32], scores of centroids.
        maxima: float32 [blocks, groups * 32], the best of each group.
        m: Query tokens.
        n_probe: How many.

    Returns:
        int64 [m, n_probe], best first, and their scores, float32 [m, n_probe].
    """
    probes, scores = np.zeros((m, n_probe), np.int64), np.empty((m, n_probe), np.float32)
    for number, block in enumerate(table):
        first = number * COLUMNS
        rows = probes[first : first + COLUMNS]
        loops.best_centroids(block, maxima[number], len(block) // COLUMNS, len(rows), rows)
        scores[first : first + len(rows)] = block[rows * COLUMNS + np.arange(len(rows))[:, None]]
    return probes, scores


def byte_range(
    codec: Codec, maxima: np.ndarray, query: np.ndarray, threshold: float, low: np.ndarray, factor: np.ndarray
) -> tuple[float, float]:
    """How scores of centroids become bytes: one step for all query tokens, so that sums of bytes are sums of scores.

    Args:
        codec: Centroids.
        maxima: float32 [blocks, groups * 32].
        query: float32 [m, dim].
        threshold: Scores below it count as it.
        low: float32 [blocks, 32], gets the score that 0 stands for: the mean over the centroids, or lower.
        factor: float32 [1], gets the steps of a unit of score.

    Returns:
        The score of one step, and the sum over the query tokens of the score that 0 stands for.
    """
    m = len(query)
    top = maxima.reshape(len(maxima), -1, COLUMNS).max(axis=1).reshape(-1)[:m]
    mean = query @ codec.centre
    spread = max(float((top - np.maximum(mean, np.float32(threshold))).max()), 1e-6)
    low.reshape(-1)[:m] = top - np.float32(spread)
    factor[0] = 255 / spread
    return spread / 255, float(low.reshape(-1)[:m].sum(dtype=np.float64))


def rounded_query(codec: Codec, query: np.ndarray) -> Rounded:
    """Round a query for the residual codes.

    The query times the steps of the quantiser becomes int8. The integers are meant around the middle of the codes, so
    that their rounding acts only on what lies around it.

    Args:
        codec: Centroids and quantiser; at 16 bits there is nothing to round, and the result is empty.
        query: float32 [m, dim].

    Returns:
        The rounded query.
    """
    level = levels.chosen()
    m, columns, size = len(query), COLUMNS, codec.layout.padded if codec.bits < 16 else 4
    blocks = -(-m // columns)
    lanes = np.minimum(columns, m - columns * np.arange(blocks))
    made = Rounded(
        -(-lanes // level.lanes) * level.lanes,
        lanes,
        codec.bits < 8 and codec.layout.rounding < SHORT_LIMIT / 2,
        np.float32(1),
        np.zeros((blocks, size * columns), np.int8),
        np.zeros((blocks, columns), np.float32),
        np.zeros((blocks, 2, columns), np.float32),
        np.zeros((blocks, columns), np.float32),
        np.zeros((blocks, columns * size), np.float32),
    )
    if codec.bits == 16:
        return made
    tops, weights = codec.layout.tops, made.weights.reshape(-1, size)
    highest, positive, negative = weigh(query, codec.step, tops, weights)
    scale = QUERY_TOP[codec.bits] / max(highest, 1e-30)
    if made.short:  # int16 sums hold the even or the odd pairs of dimensions
        scale = min(scale, (SHORT_LIMIT - codec.layout.rounding) / max(positive, negative, 1e-30))
    scale = np.float32(scale)
    for number in range(blocks):
        some = slice(number * columns, number * columns + int(lanes[number]))
        arrays = (made.query[number], made.shift[number], made.origin[number], made.slack[number])
        limits = (codec.farthest, codec.reach, ROUNDING, int(made.widths[number]))
        round_weights(weights[some], query[some], tops, scale, *limits, *arrays)
    return replace(made, unit=np.float32(1 / scale))


@kernel
def weigh(query, step, tops, weights):
    """Write query * step into `weights`; returns the largest size of one, and what pairs of dimensions may add up to.

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
def round_weights(weights, query, tops, scale, farthest, reach, rounding, width, panel, shift, origin, slack):
    """Fill the arrays of one block from its weights.

    By Cauchy and Schwarz, rounding to integers moves a score by the length of the errors times the distance of the
    codes from their middle, at most; beside it stands the rounding of float32.
    """
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
