"""The compiled loops of fixed dimensional encodings: every text is one thread's work, in the order of its tokens."""

from __future__ import annotations

import numpy as np

from engine.simd.centroids import COLUMNS, multiply_rows
from engine.simd.jit import kernel
from engine.simd.kernels import widen
from engine.simd.residuals import dot, unpack

BESIDE = 16  # documents whose encodings stay in the second-level cache while all queries pass over them


@kernel
def encode(values, offsets, dim, planes, k_sim, panels, chunks, width, buckets, flips, document, out):
    """Encode texts.

    Args:
        values: float32 [tokens * dim].
        offsets: int64 [texts + 1].
        dim: Dimension of a token vector.
        planes: float32 [n * dim * 32], panels of hyperplanes, those of a repetition beside each other.
        k_sim: Hyperplanes of a repetition.
        panels: float32 [n * dim * 32], panels of projections.
        chunks: int64 [repetitions, pieces of a projection, 4]: panel, first column there, first coordinate, columns.
        width: Dimension within a part.
        buckets: int64 [whole dimension], where a coordinate goes in the final projection; empty without one.
        flips: float32, its sign there.
        document: Whether to average, and to fill empty parts with the nearest token.
        out: float32 [texts, dim of the encoding], zeros; written.
    """
    parts, beside, longest = 1 << k_sim, COLUMNS // k_sim, 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    sketches = np.empty(len(planes) // dim * longest, np.float32)
    projected = np.empty(len(panels) // dim * longest, np.float32)
    codes, counts, firsts = np.empty(longest, np.int64), np.empty(parts, np.int64), np.empty(parts, np.int64)
    cells = np.empty(parts * width, np.float32)
    for text in range(len(offsets) - 1):
        low, n = offsets[text], offsets[text + 1] - offsets[text]
        if n == 0:
            continue
        rows = values[low * dim : (low + n) * dim]
        multiply_panels(rows, n, dim, planes, sketches)
        multiply_panels(rows, n, dim, panels, projected)
        for turn in range(len(chunks)):
            place(sketches, n, turn // beside * n, turn % beside * k_sim, k_sim, codes, counts, firsts)
            cells[:] = 0
            for piece in range(chunks.shape[1]):
                add(projected, n, chunks[turn, piece], codes, width, cells)
            if document:
                average(cells, counts, width)
                fill(projected, n, chunks[turn], counts, firsts, width, cells)
            write(cells, turn * parts * width, buckets, flips, out[text])


@kernel
def multiply_panels(rows, n, dim, panels, out):
    """Out [panels, n, 32] = rows [n, dim] times every panel [dim, 32]."""
    for panel in range(len(panels) // (dim * COLUMNS)):
        columns = panels[panel * dim * COLUMNS : (panel + 1) * dim * COLUMNS]
        multiply_rows(rows, 0, n, dim, columns, out[panel * n * COLUMNS : (panel + 1) * n * COLUMNS])


@kernel
def place(sketches, n, row, column, k_sim, codes, counts, firsts):
    """The part of each token: one bit a hyperplane; how many tokens a part has, and which is its first."""
    counts[:] = 0
    for t in range(n):
        code = 0
        for k in range(k_sim):
            code += np.int64(sketches[(row + t) * COLUMNS + column + k] > 0) << k
        codes[t] = code
        if counts[code] == 0:
            firsts[code] = t
        counts[code] += 1


@kernel
def add(projected, n, chunk, codes, width, cells):
    """Add up the tokens of each part, some coordinates of them."""
    panel, column, at, size = chunk[0], chunk[1], chunk[2], chunk[3]
    for t in range(n):
        source, target = (panel * n + t) * COLUMNS + column, codes[t] * width + at
        for j in range(size):
            cells[target + j] += projected[source + j]


@kernel
def average(cells, counts, width):
    """Divide the sum of each part that has tokens by their number."""
    for part in range(len(counts)):
        if counts[part] > 1:
            for j in range(width):
                cells[part * width + j] /= np.float32(counts[part])


@kernel
def fill(projected, n, pieces, counts, firsts, width, cells):
    """Give each empty part its nearest token: the one whose part has the fewest other bits, the first of equals."""
    for part in range(len(counts)):
        if counts[part] > 0:
            continue
        token, least = n, 64
        for other in range(len(counts)):
            if counts[other] > 0:
                bits, different = part ^ other, 0
                while bits:
                    bits &= bits - 1
                    different += 1
                if different < least or (different == least and firsts[other] < token):
                    token, least = firsts[other], different
        for piece in range(len(pieces)):
            panel, column, at, size = pieces[piece, 0], pieces[piece, 1], pieces[piece, 2], pieces[piece, 3]
            for j in range(size):
                cells[part * width + at + j] = projected[(panel * n + token) * COLUMNS + column + j]


@kernel
def write(cells, start, buckets, flips, out):
    """Put the parts of one repetition into the encoding, through the final projection where there is one."""
    if len(buckets) == 0:
        out[start : start + len(cells)] = cells
        return
    for j in range(len(cells)):
        out[buckets[start + j]] += flips[start + j] * cells[j]


@kernel
def byte_products(codes, first, last, dim, queries, bits, out):
    """Products of the codes of documents first to last - 1 with queries.

    Args:
        codes: uint8 [documents * dim], or a bit a coordinate when `bits`.
        first: First document.
        last: One past the last.
        dim: Coordinates, a multiple of 8.
        queries: float32 [queries * dim].
        bits: Whether codes are bits.
        out: float32 [documents, queries], written: sums of code times coordinate.
    """
    room = np.empty(BESIDE * dim if bits else 0, np.uint8)
    for start in range(first, last, BESIDE):
        end = min(start + BESIDE, last)
        if bits:
            for document in range(start, end):
                unpack(codes, document * dim // 8, dim // 8, room, (document - start) * dim, 1)
        rows, origin = (room, start) if bits else (codes, 0)
        for query in range(out.shape[1]):
            for document in range(start, end):
                out[document, query] = dot(rows, (document - origin) * dim, queries, query * dim, dim)


@kernel
def half_products(halves, first, last, dim, panel, out):
    """The same for float16 bits as uint16, with up to 32 queries in a panel [dim, 32]; out is float32 [documents, 32].

    The numbers of a few documents at a time are widened where they stay near.
    """
    rows = np.empty(BESIDE * dim, np.float32)
    for start in range(first, last, BESIDE):
        end = min(start + BESIDE, last)
        widen(halves, start * dim, (end - start) * dim, rows)
        multiply_rows(rows, 0, end - start, dim, panel, out[start * COLUMNS : end * COLUMNS])


@kernel
def float_products(values, first, last, dim, panel, out):
    """The same for float32."""
    multiply_rows(values, first, last, dim, panel, out)
