"""What a search prepares from its query: scores of all centroids, and integers for the loops over tokens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.indexes.plaid.codec import Codec
from engine.indexes.plaid.loops import Tables
from engine.indexes.plaid.rounded import RoundedQuery
from engine.indexes.plaid.rows import RowLayout
from engine.simd import choice
from engine.simd.centroids import COLUMNS
from engine.simd.jit import kernel

QUERY_TOP = {1: 127, 2: 127, 4: 127, 8: 64}  # twice it times the largest code fits int16, the products of AVX2
SHORT_LIMIT = 32_767.0  # of int16 sums
ROUNDING = 2e-6  # of float32 sums of one score, as a share of the largest


class ResidualQuery(NamedTuple):
    """A query for the residual codes, in blocks of 32 query tokens; see `scores.Block`.

    Args:
        blocks: How many.
        widths, lanes: int64 [blocks].
        short: Whether sums fit in int16.
        unit: float32.
        query: int8 [blocks, padded dim * 32].
        shift: float32 [blocks, 32].
        slack: float32 [blocks, 2, 32].
        origin: float32 [blocks, 32].
        weights: float32 [blocks, 32 * padded dim], the query times the steps.
    """

    blocks: int
    widths: np.ndarray
    lanes: np.ndarray
    short: bool
    unit: np.float32
    query: np.ndarray
    shift: np.ndarray
    slack: np.ndarray
    origin: np.ndarray
    weights: np.ndarray


def byte_range(
    codec: Codec, tables: Tables, rounded: RoundedQuery, query: np.ndarray, top: np.ndarray, threshold: float
) -> tuple[float, float]:
    """How scores of centroids become bytes: one step for all query tokens, so that sums of bytes are sums of scores.

    Args:
        codec: Centroids.
        tables: All but the scores are set; byte 0 stands for the mean score over the centroids or a lower one.
        rounded: From `codec.rounded`.
        query: float32 [m, dim].
        top: float32 [m], the highest score of each query token.
        threshold: Scores below it count as it.

    Returns:
        The score of one step, and the sum over the query tokens of the score that 0 stands for.
    """
    m, low, shift = len(query), tables.low.reshape(-1), tables.shift.reshape(-1)
    mean = query @ codec.centre
    spread = max(float((top - np.maximum(mean, np.float32(threshold))).max()), 1e-6)
    low[:m] = top - np.float32(spread)
    tables.unit[0], factor = spread / 255, np.float32(255 / spread)
    tables.factor[0] = factor / rounded.scale
    shift[:m] = (rounded.origin - low[:m]) * factor + np.float32(0.5)
    return spread / 255, float(low[:m].sum(dtype=np.float64))


def rounded_query(
    layout: RowLayout, step: np.ndarray, farthest: float, reach: float, query: np.ndarray
) -> ResidualQuery:
    """Round a query for the residual codes.

    The query times the steps of the quantiser becomes int8. The integers are meant around the middle of the codes, so
    that their rounding acts only on what lies around it.

    Args:
        layout: How the rows of the index are packed.
        step: float32 [dim], of the quantiser.
        farthest: The largest distance of codes from their middle.
        reach: Length of the longest centroid.
        query: float32 [m, dim].

    Returns:
        The rounded query.
    """
    m, size, width = len(query), layout.padded, choice.chosen().lanes
    blocks = -(-m // COLUMNS)
    lanes = np.minimum(COLUMNS, m - COLUMNS * np.arange(blocks))
    made = ResidualQuery(
        blocks,
        -(-lanes // width) * width,
        lanes,
        layout.bits < 8 and layout.rounding < SHORT_LIMIT / 2,
        np.float32(1),
        np.zeros((blocks, size * COLUMNS), np.int8),
        np.zeros((blocks, COLUMNS), np.float32),
        np.zeros((blocks, 2, COLUMNS), np.float32),
        np.zeros((blocks, COLUMNS), np.float32),
        np.zeros((blocks, COLUMNS * size), np.float32),
    )
    tops, weights = layout.tops, made.weights.reshape(-1, size)
    highest, positive, negative = weigh(query, step, tops, weights)
    scale = QUERY_TOP[layout.bits] / max(highest, 1e-30)
    if made.short:  # int16 sums hold the even or the odd pairs of dimensions
        scale = min(scale, (SHORT_LIMIT - layout.rounding) / max(positive, negative, 1e-30))
    scale = np.float32(scale)
    for number in range(blocks):
        some = slice(number * COLUMNS, number * COLUMNS + int(lanes[number]))
        arrays = (made.query[number], made.shift[number], made.origin[number], made.slack[number])
        limits = (farthest, reach, ROUNDING, int(made.widths[number]))
        round_weights(weights[some], query[some], tops, scale, *limits, *arrays)
    return made._replace(unit=np.float32(1 / scale))


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
