"""The plain kernels of the search: numba loops that every processor runs.

Lanes: the query tokens of one search, padded with zeros to a multiple of 32. All sums but the last are over integers,
so they do not depend on the order of work or on the processor.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

LANES = 32


@njit(parallel=True, cache=True)
def centroid_scores(centroids, query, out):
    """out[c, lane] = centroids[c] . query[:, lane]; float32 [c, dim], [dim, lanes], [c, lanes]."""
    lanes = query.shape[1]
    for c in prange(len(centroids)):
        row = np.zeros(lanes, np.float32)
        for d in range(centroids.shape[1]):
            value = centroids[c, d]
            for lane in range(lanes):
                row[lane] += value * query[d, lane]
        out[c] = row


@njit(parallel=True, cache=True)
def best_centroids(scores, n_tokens, out):
    """out[token] = the centroids with the highest scores, best first, the first among equals; int64 [tokens, n]."""
    n = out.shape[1]
    for token in prange(n_tokens):
        best = np.full(n, -np.inf, np.float32)
        for c in range(len(scores)):
            value = scores[c, token]
            if value > best[n - 1]:
                at = n - 1
                while at > 0 and value > best[at - 1]:
                    best[at] = best[at - 1]
                    out[token, at] = out[token, at - 1]
                    at -= 1
                best[at] = value
                out[token, at] = c


@njit(cache=True)
def probe(probes, weights, list_offsets, list_documents, allowed, seen, points):
    """Add to points[document], int64, for each query token the weight of its best probe that lists the document.

    probes and weights are [tokens, n_probe], best first, weights at least 1; `seen` int64 starts below 0. Documents
    that are not allowed keep 0 points.
    """
    for token in range(probes.shape[0]):
        for rank in range(probes.shape[1]):
            c = probes[token, rank]
            if c + 1 < len(list_offsets):
                for i in range(list_offsets[c], list_offsets[c + 1]):
                    document = list_documents[i]
                    if seen[document] != token and allowed[document]:
                        seen[document] = token
                        points[document] += weights[token, rank]


@njit(parallel=True, cache=True)
def coarse_scores(candidates, offsets, codes, rows, n_tokens, out):
    """out[i] = sum over query tokens of the highest row value among the centroids of a document; rows uint8."""
    lanes = rows.shape[1]
    for i in prange(len(candidates)):
        best = np.zeros(lanes, np.uint8)
        for t in range(offsets[candidates[i]], offsets[candidates[i] + 1]):
            row = rows[codes[t]]
            for lane in range(lanes):
                best[lane] = max(best[lane], row[lane])
        total = 0
        for lane in range(n_tokens):
            total += best[lane]
        out[i] = total


@njit(parallel=True, cache=True)
def residual_scores(candidates, offsets, codes, base, packed, bits, query, n_tokens, out):
    """out[i] = sum over query tokens of max over tokens t of base[codes[t]] + residual[t] . query, in integers.

    base is int32 [c, lanes], query int8 [row_bytes * 8 / bits, lanes] in the order of the packed residuals.
    """
    lanes, row_bytes, per_byte = base.shape[1], packed.shape[1], 8 // bits
    bit_mask = (1 << bits) - 1
    for i in prange(len(candidates)):
        best = np.full(lanes, np.int32(-(2**31)), np.int32)
        for t in range(offsets[candidates[i]], offsets[candidates[i] + 1]):
            score = base[codes[t]].copy()
            for part in range(per_byte):
                for b in range(row_bytes):
                    code = np.int32((packed[t, b] >> (part * bits)) & bit_mask)
                    weights = query[part * row_bytes + b]
                    for lane in range(lanes):
                        score[lane] += code * np.int32(weights[lane])
            for lane in range(lanes):
                best[lane] = max(best[lane], score[lane])
        total = 0
        for lane in range(n_tokens):
            total += best[lane]
        out[i] = total


@njit(parallel=True, cache=True)
def stored_scores(candidates, offsets, codes, centroids, lower, step, packed, bits, query, n_tokens, out):
    """out[i] = MaxSim in float32 of the query, float32 [dim, lanes], on the decoded vectors of a document."""
    lanes, row_bytes, dim = query.shape[1], packed.shape[1], query.shape[0]
    bit_mask = (1 << bits) - 1
    for i in prange(len(candidates)):
        best = np.full(lanes, -np.inf, np.float32)
        for t in range(offsets[candidates[i]], offsets[candidates[i] + 1]):
            score, centroid = np.zeros(lanes, np.float32), centroids[codes[t]]
            for d in range(dim):
                code = np.float32((packed[t, d % row_bytes] >> (bits * (d // row_bytes))) & bit_mask)
                value = centroid[d] + (lower[d] + step[d] * code)
                for lane in range(lanes):
                    score[lane] += value * query[d, lane]
            for lane in range(lanes):
                best[lane] = max(best[lane], score[lane])
        total = np.float32(0)
        for lane in range(n_tokens):
            total += best[lane]
        out[i] = total
