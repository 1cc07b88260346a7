"""Search in stages: probe, candidates, centroid scores, residual scores, and exact scores of the last few.

After PLAID (Santhanam et al., 2022). The stages choose which documents get a closer look; every score that leaves here
is MaxSim in float32 on the vectors that the index stores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.indexes.plaid import kernels
from engine.indexes.plaid.codec import Codec, padded
from engine.indexes.plaid.inverted import Lists
from engine.indexes.plaid.settings import PlaidSettings

QUERY_TOP = {1: 127, 2: 127, 4: 127, 8: 64}  # 2 * top * (2^bits - 1) fits int16, which AVX2 multiplies into
BASE_LIMIT = float(2**29)
RESCORE_EXTRA = 1.3  # float32 scores for this many times k: the integer scores round, so the last places may swap


@dataclass(frozen=True, eq=False)
class Layout:
    """The arrays that a search reads.

    Args:
        codec: Centroids and quantiser.
        offsets: int64 [slots + 1], tokens of each slot. A slot is a document's place in the files; it never changes.
        codes: [tokens] centroid numbers.
        packed: uint8 [tokens, row_bytes] residuals.
        lists: Inverted lists, which together cover every slot.
        alive: uint8 [slots], 0 after removal.
    """

    codec: Codec
    offsets: np.ndarray
    codes: np.ndarray
    packed: np.ndarray
    lists: tuple[Lists, ...]
    alive: np.ndarray


@dataclass(frozen=True, eq=False)
class Stages:
    """What each stage of one search left.

    Args:
        probes: int64 [query tokens, n_probe], centroids by score.
        centroid_scores: float32 [c, lanes].
        found: int64, slots in the probed lists, rising.
        points: int64, what the probed lists alone say of the score of each, in a unit of their own.
        candidates: int64, slots that got a score from their centroids, rising.
        coarse: float64, those scores.
        survivors: int64, slots that got a score from their residuals, rising.
        fine: float64, those scores.
        rescored: int64, slots that got a float32 score, rising.
        scores: float32, MaxSim on the stored vectors of `rescored`.
        notes: Where the search went beyond its settings.
    """

    probes: np.ndarray
    centroid_scores: np.ndarray
    found: np.ndarray
    points: np.ndarray
    candidates: np.ndarray
    coarse: np.ndarray
    survivors: np.ndarray
    fine: np.ndarray
    rescored: np.ndarray
    scores: np.ndarray
    notes: tuple[str, ...]


def run(layout: Layout, settings: PlaidSettings, query: np.ndarray, k: int, allowed: np.ndarray) -> Stages:
    """Run all stages for one query.

    Args:
        layout: The index.
        settings: The four search settings are used.
        query: [m, dim] float16 or float32, m at least 1.
        k: How many documents are wanted.
        allowed: uint8 [slots], 1 for documents that may be found.

    Returns:
        What every stage left; the best k of `rescored` are the result.
    """
    codec, m = layout.codec, len(query)
    lanes = -(-m // kernels.LANES) * kernels.LANES
    columns = np.zeros((codec.dim, lanes), np.float32)
    columns[:, :m] = query.T
    scores = np.empty((len(codec.centroids), lanes), np.float32)
    kernels.centroid_scores(codec.centroids, columns, scores)
    wanted = min(k, int(allowed.sum()))
    probes, points, notes = _probe(layout, settings, scores, m, wanted, allowed)
    found = np.flatnonzero(points)
    points = points[found]
    candidates = found[_best(points, max(settings.n_candidates, wanted))]
    coarse = _coarse(layout, settings, scores, m, candidates)
    n_full = max(settings.n_full_scores, wanted)
    if n_full > settings.n_full_scores:
        notes += (f"n_full_scores raised from {settings.n_full_scores} to {n_full} to return {wanted} documents",)
    survivors = candidates[_best(coarse, n_full)]
    fine = _fine(layout, columns, scores, m, survivors)
    rescored = survivors[_best(fine, int(np.ceil(RESCORE_EXTRA * wanted)))]
    return Stages(
        probes,
        scores,
        found,
        points,
        candidates,
        coarse,
        survivors,
        fine,
        rescored,
        exact(layout, query, rescored),
        notes,
    )


def _probe(
    layout: Layout, settings: PlaidSettings, scores: np.ndarray, m: int, wanted: int, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Probe, and probe wider until there are as many documents as wanted."""
    n_probe = min(settings.n_probe, len(scores))
    while True:
        probes = np.zeros((m, n_probe), np.int64)
        kernels.best_centroids(scores, m, probes)
        points = _points(layout, scores, probes, allowed)
        if np.count_nonzero(points) >= wanted or n_probe == len(scores):
            break
        n_probe = min(2 * n_probe, len(scores))
    asked = min(settings.n_probe, len(scores))
    notes = (f"n_probe widened from {asked} to {n_probe} to find {wanted} documents",) if n_probe > asked else ()
    return probes, points, notes


def _points(layout: Layout, scores: np.ndarray, probes: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """For each document, what the probed lists alone say of its score: int64, 0 where no list holds it."""
    found = scores[probes, np.arange(len(probes))[:, None]]
    weights = np.rint((found - found.min()) * np.float32(1e4 / max(float(np.ptp(found)), 1e-30))).astype(np.int64) + 1
    points, seen = np.zeros(len(allowed), np.int64), np.full(len(allowed), -1, np.int64)
    for lists in layout.lists:
        kernels.probe(probes, weights, lists.offsets, lists.documents, allowed, seen, points)
    return points


def _coarse(layout: Layout, settings: PlaidSettings, scores: np.ndarray, m: int, candidates: np.ndarray) -> np.ndarray:
    """Sum of the best centroid score of each query token, float64, in 255 steps that all tokens share."""
    top = scores[:, :m].max(axis=0)
    floor = np.maximum(scores[:, :m].mean(axis=0), np.float32(settings.centroid_threshold))
    spread = max(float((top - floor).max()), 1e-30)
    low = np.zeros(scores.shape[1], np.float32)
    low[:m] = top - spread
    rows = np.rint(np.clip((scores - low) * np.float32(255 / spread), 0, 255)).astype(np.uint8)
    out = np.empty(len(candidates), np.int64)
    kernels.coarse_scores(candidates, layout.offsets, layout.codes, rows, m, out)
    return out * (spread / 255) + float(low[:m].sum(dtype=np.float64))


def _fine(layout: Layout, columns: np.ndarray, scores: np.ndarray, m: int, survivors: np.ndarray) -> np.ndarray:
    """Scores from residuals, float64: sums of integers, after rounding the query times the steps to int8."""
    codec = layout.codec
    weights = np.zeros((padded(codec.dim), columns.shape[1]), np.float32)
    weights[: codec.dim] = columns * codec.step[:, None]
    base = scores + codec.lower @ columns
    reach = float(np.abs(base).max()) + float(np.abs(weights).sum(axis=0).max()) * (codec.levels - 1)
    scale = QUERY_TOP[codec.bits] / max(float(np.abs(weights).max()), 1e-30)
    scale = np.float32(min(scale, BASE_LIMIT / max(reach, 1e-30)))
    out = np.empty(len(survivors), np.int64)
    kernels.residual_scores(
        survivors,
        layout.offsets,
        layout.codes,
        np.rint(base * scale).astype(np.int32),
        layout.packed,
        codec.bits,
        np.rint(weights * scale).astype(np.int8),
        m,
        out,
    )
    return out / float(scale)


def exact(layout: Layout, query: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """MaxSim on the stored vectors.

    Args:
        layout: The index.
        query: [m, dim] float16 or float32.
        slots: int64 [n].

    Returns:
        float32 [n].
    """
    codec, out = layout.codec, np.empty(len(slots), np.float32)
    columns = np.ascontiguousarray(query.T.astype(np.float32))
    kernels.stored_scores(
        slots,
        layout.offsets,
        layout.codes,
        codec.centroids,
        codec.lower,
        codec.step,
        layout.packed,
        codec.bits,
        columns,
        len(query),
        out,
    )
    return out


def _best(scores: np.ndarray, n: int) -> np.ndarray:
    """Positions of the n highest scores, rising; among equal scores at the edge the first."""
    if n >= len(scores):
        return np.arange(len(scores))
    edge = np.partition(scores, len(scores) - n)[len(scores) - n]
    above = scores > edge
    ties = np.flatnonzero(scores == edge)[: n - int(above.sum())]
    above[ties] = True
    return np.flatnonzero(above)
