"""What a search prepares from its query: scores of all centroids, and integers for the loops over tokens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.indexes.plaid.loops import Tables
from engine.indexes.plaid.rounded import RoundedQuery
from engine.indexes.plaid.rows import RowLayout
from engine.simd import choice
from engine.simd.centroids import COLUMNS
from engine.simd.jit import kernel

QUERY_TOP = {1: 127, 2: 127, 4: 127, 8: 64}  # twice it times the largest code fits int16, the products of AVX2
SHORT_LIMIT = 32_767.0  # of int16 sums
WEIGHTS = 1 << 16  # steps of the largest weight of a byte
HEAVY_FROM = 2.0  # times the median length of a query's tokens
HEAVY_PROBES = 3  # times those of other query tokens
HEAVY_REACH = 1.5  # margins that a document may lie below the best and have its heavy tokens scored with residuals
HEAVY_MARGIN = 0.35  # of the margin, for what is refined after that: most of the doubt was in the heavy tokens
ROUNDING = 2e-6  # of float32 sums of one score, as a share of the largest


class ResidualQuery(NamedTuple):
    """A query for the residual codes, in blocks of 32 query tokens; see `scores.Block`.

    Args:
        blocks: How many.
        widths, lanes: int64 [blocks].
        short: Whether sums fit in int16.
        unit: float32 [blocks, 32]; each query token is rounded by itself, since their lengths may differ much.
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
    unit: np.ndarray
    query: np.ndarray
    shift: np.ndarray
    slack: np.ndarray
    origin: np.ndarray
    weights: np.ndarray


class ByteRange(NamedTuple):
    """How scores of centroids become bytes, for each query token.

    Args:
        low: float32 [m], the score that byte 0 stands for: the mean over the centroids, or the threshold.
        unit: float32 [m], the score of one byte.
        weight: int64 [m], the same in steps of `step`.
        step: The score that a weighted sum of bytes of 1 stands for.
    """

    low: np.ndarray
    unit: np.ndarray
    weight: np.ndarray
    step: float


def byte_range(centre: np.ndarray, query: np.ndarray, top: np.ndarray, threshold: float) -> ByteRange:
    """Choose how scores of centroids become bytes: each query token has a range of its own.

    Query tokens may be of very different lengths; in one range for all, the scores of short ones would be a few bytes.

    Args:
        centre: float32 [dim], the mean of the centroids.
        query: float32 [m, dim].
        top: float32 [m], the highest score of each query token.
        threshold: Scores below it count as it.
    """
    spread = np.maximum(top - np.maximum(query @ centre, np.float32(threshold)), np.float32(1e-6))
    unit = spread / np.float32(255)
    step = float(unit.max()) / WEIGHTS
    return ByteRange(top - spread, unit, np.maximum(np.rint(unit / step), 1).astype(np.int64), step)


def heavy_lanes(query: np.ndarray) -> np.ndarray:
    """The query tokens that are far longer than most, a bit each for the tokens of a block, int64 [blocks].

    So much of a score hangs on each of them that its centroids say too little; many models have none.

    Args:
        query: float32 [m, dim].
    """
    lengths, m = np.sqrt(np.einsum("md,md->m", query, query)), len(query)
    rising = np.sort(lengths)  # a tenth of what numpy's median takes
    median = (rising[(m - 1) // 2] + rising[m // 2]) / 2
    lanes = np.flatnonzero((lengths >= HEAVY_FROM * median) & (lengths > 0))
    masks = np.zeros(-(-len(query) // COLUMNS), np.int64)
    np.bitwise_or.at(masks, lanes // COLUMNS, np.int64(1) << (lanes % COLUMNS))
    return masks


def lanes_of(masks: np.ndarray, count: int) -> np.ndarray:
    """Which of some query tokens have a bit in masks of `heavy_lanes`, bool [count]."""
    return (masks[:, None] >> np.arange(COLUMNS) & 1).astype(bool).ravel()[:count]


def set_range(tables: Tables, found: ByteRange, rounded: RoundedQuery) -> None:
    """Set the tables, all but `rows` and those of exact scores, for a query from `codec.rounded`."""
    m, factor = len(found.low), np.float32(1) / found.unit
    for table, values in (
        (tables.low, found.low),
        (tables.unit, found.unit),
        (tables.weight, found.weight),
        (tables.factor, rounded.unit * factor),
        (tables.shift, (rounded.origin - found.low) * factor + np.float32(0.5)),
    ):
        table.reshape(-1)[:m] = values


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
        np.ones((blocks, COLUMNS), np.float32),
        np.zeros((blocks, size * COLUMNS), np.int8),
        np.zeros((blocks, COLUMNS), np.float32),
        np.zeros((blocks, 2, COLUMNS), np.float32),
        np.zeros((blocks, COLUMNS), np.float32),
        np.zeros((blocks, COLUMNS * size), np.float32),
    )
    tops, weights = layout.tops, made.weights.reshape(-1, size)
    highest, summed = np.zeros(m, np.float32), np.zeros(m)
    weigh(query, step, tops, weights, highest, summed)
    scale = np.float32(QUERY_TOP[layout.bits]) / np.maximum(highest, np.float32(1e-30))
    if made.short:  # int16 sums hold the even or the odd pairs of dimensions
        scale = np.minimum(scale, ((SHORT_LIMIT - layout.rounding) / np.maximum(summed, 1e-30)).astype(np.float32))
    made.unit.reshape(-1)[:m] = 1 / scale
    for number in range(blocks):
        some = slice(number * COLUMNS, number * COLUMNS + int(lanes[number]))
        arrays = (made.query[number], made.shift[number], made.origin[number], made.slack[number])
        limits = (farthest, reach, ROUNDING, int(made.widths[number]))
        round_weights(weights[some], query[some], tops, scale[some], *limits, *arrays)
    return made


@kernel
def weigh(query, step, tops, weights, highest, summed):
    """Write query * step into `weights`, the largest size of one into `highest`, and what pairs may add up to.

    `summed` gets, for each query token, the largest sum over the even or the odd pairs of dimensions, of positive or of
    negative weights, each times the largest code.
    """
    for i in range(len(query)):
        sums = np.zeros((2, 2))
        for d in range(query.shape[1]):
            weight = query[i, d] * step[d]
            weights[i, d] = weight
            highest[i] = max(highest[i], abs(weight))
            sums[int(weight < 0), d // 2 % 2] += abs(weight) * tops[d]
        summed[i] = sums.max()


@kernel
def round_weights(weights, query, tops, scale, farthest, reach, rounding, width, panel, shift, origin, slack):
    """Fill the arrays of one block from its weights.

    By Cauchy and Schwarz, rounding to integers moves a score by the length of the errors times the distance of the
    codes from their middle, at most; beside it stands the rounding of float32.
    """
    for i in range(len(weights)):
        middle, whole_middle, error, size, length = 0.0, 0.0, 0.0, 0.0, 0.0
        for d in range(query.shape[1]):
            whole = np.rint(weights[i, d] * scale[i])
            panel[(d // 4 * width + i) * 4 + d % 4] = np.int8(whole)
            middle += weights[i, d] * tops[d] / 2
            whole_middle += whole * tops[d] / 2
            error += (weights[i, d] - whole / scale[i]) ** 2
            size += abs(weights[i, d]) * tops[d] / 2
            length += query[i, d] ** 2
        origin[i], shift[i] = -middle, -whole_middle / scale[i]
        slack[0, i] = np.sqrt(error) * farthest + 2 * size * rounding
        slack[1, i] = np.sqrt(length) * reach * rounding
