"""The compiled loops of the largest similarities on a CPU."""

from __future__ import annotations

import numpy as np

from engine.simd.centroids import COLUMNS, multiply_rows
from engine.simd.jit import kernel
from engine.simd.kernels import best_products

RUN = 16  # document tokens of which the best one says whether the others are worth a look


def panels_of(query: np.ndarray) -> np.ndarray:
    """Query tokens [tokens, dim] as `multiply_rows` takes them: float32 [panels, dim * COLUMNS], zeros at the end."""
    columns, dim = -(-len(query) // COLUMNS) * COLUMNS, query.shape[1]
    padded = np.zeros((columns, dim), np.float32)
    padded[: len(query)] = query
    return np.ascontiguousarray(padded.reshape(-1, COLUMNS, dim).transpose(0, 2, 1)).reshape(-1, dim * COLUMNS)


@kernel
def forward(values, offsets, first, last, dim, panels, best, where):
    """The largest similarities of documents first to last - 1.

    Args:
        values: float32 [tokens * dim].
        offsets: int64 [documents + 1].
        first: First document.
        last: One past the last.
        dim: Dimension.
        panels: All query tokens, from `panels_of`.
        best: float32 [documents, m, query tokens], negative infinity, written.
        where: int32 [documents, m, query tokens], -1, written: which token of its document each is of.
    """
    m, tokens = best.shape[1], best.shape[2]
    longest = 0
    for document in range(first, last):
        longest = max(longest, offsets[document + 1] - offsets[document])
    products = np.empty(longest * COLUMNS, np.float32)
    top, place = np.empty((m, COLUMNS), np.float32), np.empty((m, COLUMNS), np.int32)
    new, number = np.empty(COLUMNS, np.float32), np.empty(COLUMNS, np.int32)
    for document in range(first, last):
        start, length = offsets[document], offsets[document + 1] - offsets[document]
        if length == 0:
            continue
        for panel in range(len(panels)):
            multiply_rows(values[start * dim :], 0, length, dim, panels[panel], products)
            top[:] = -np.inf
            place[:] = -1
            for t in range(length):
                new[:] = products[COLUMNS * t : COLUMNS * t + COLUMNS]
                number[:] = t
                for k in range(min(m, t + 1)):  # each goes to its place, and what was there moves down
                    for j in range(COLUMNS):
                        value, old, mine, other = new[j], top[k, j], number[j], place[k, j]
                        higher = value > old
                        top[k, j] = value if higher else old
                        new[j] = old if higher else value
                        place[k, j] = mine if higher else other
                        number[j] = other if higher else mine
                for j in range(COLUMNS):
                    top[0, j] += products[COLUMNS * t + j] * np.float32(0)  # NaN and infinity stay, to be seen
            at = panel * COLUMNS
            width = min(COLUMNS, tokens - at)
            for k in range(min(m, length)):
                best[document, k, at : at + width] = top[k, :width]
                where[document, k, at : at + width] = place[k, :width]


@kernel
def forward_one(values, offsets, first, last, dim, panels, best, where):
    """As `forward` for the largest similarity alone, from query tokens as `engine.simd.kernels.query_panels` has them.

    best and where are [documents, 1, columns].
    """
    for document in range(first, last):
        start, end = offsets[document], offsets[document + 1]
        best_products(values, start, end, dim, panels, best.shape[2], best[document, 0], where[document, 0])


@kernel
def kth(values, dim, panels, first, last, k, out):
    """The k-th largest similarity with all document tokens, of the query tokens in panels first to last - 1.

    Args:
        values: float32 [tokens * dim], one token or more.
        dim: Dimension.
        panels: All query tokens, from `panels_of`.
        first: First panel.
        last: One past the last.
        k: 1 to the number of document tokens.
        out: float32 [panels * COLUMNS], written.
    """
    tokens = len(values) // dim
    run = max(min(tokens // (2 * k), RUN), 1)
    runs = -(-tokens // run)
    products, most = np.empty(tokens * COLUMNS, np.float32), np.empty(runs * COLUMNS, np.float32)
    column, likely = np.empty(runs, np.float32), np.empty(tokens + 1, np.float32)
    for panel in range(first, last):
        multiply_rows(values, 0, tokens, dim, panels[panel], products)
        for i in range(runs):
            own, count = products[COLUMNS * run * i :], min(run, tokens - run * i)
            for j in range(COLUMNS):
                best = np.float32(-np.inf)
                for t in range(count):
                    value = own[COLUMNS * t + j]
                    best = best if best > value else value
                most[COLUMNS * i + j] = best
        for j in range(COLUMNS):
            for i in range(runs):
                column[i] = most[COLUMNS * i + j]
            least = np.partition(column, runs - k)[runs - k]  # k runs reach it, so that the k-th of all does too
            found = 0
            for i in range(runs):
                if not column[i] < least:
                    for t in range(run * i, min(run * i + run, tokens)):
                        likely[found] = value = products[COLUMNS * t + j]
                        found += not value < least  # the next one takes its place otherwise
            out[panel * COLUMNS + j] = np.partition(likely[:found], found - k)[found - k]


@kernel
def to_queries(documents, offsets, where, gradient, first, last, out):
    """Gradient of query tokens first to last - 1.

    Args:
        documents: float32 [tokens, dim].
        offsets: int64 [documents + 1].
        where: See `forward`.
        gradient: float32 [documents, m, query tokens].
        first: First query token.
        last: One past the last.
        out: float32 [query tokens, dim], zeros, added to.
    """
    for document in range(len(offsets) - 1):
        for token in range(first, last):
            row = out[token]
            for k in range(where.shape[1]):
                weight, place = gradient[document, k, token], where[document, k, token]
                if weight != 0 and place >= 0:
                    best = documents[offsets[document] + place]
                    for d in range(len(row)):
                        row[d] += weight * best[d]


@kernel
def to_documents(queries, offsets, where, gradient, first, last, out):
    """Gradient of documents first to last - 1; see `to_queries`; queries is float32 [query tokens, dim]."""
    for document in range(first, last):
        for token in range(len(queries)):
            asked = queries[token]
            for k in range(where.shape[1]):
                weight, place = gradient[document, k, token], where[document, k, token]
                if weight != 0 and place >= 0:
                    row = out[offsets[document] + place]
                    for d in range(len(row)):
                        row[d] += weight * asked[d]
