"""The exact best k, proven: every document is scored on integer codes, only possible winners in float32."""

from __future__ import annotations

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.maxsim.checks import check_pair, check_scores
from engine.maxsim.exact import maxsim, query_blocks, score_chosen
from engine.maxsim.quantised import QuantizedDocuments

WORTH = 8  # queries from which building the codes costs less than it saves


def maxsim_topk(
    queries: TokenEmbeddings,
    documents: TokenEmbeddings | QuantizedDocuments,
    k: int,
    tie_order: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k documents with the highest MaxSim, the same ones with the same scores as `maxsim` over all.

    Args:
        queries: m queries.
        documents: n documents; pass `QuantizedDocuments.build(documents)` where several calls share them.
        k: How many, 1 or more.
        tie_order: int [n], lower goes first among equal scores; positions when None.

    Returns:
        int64 [m, j] positions, best first, and float32 [m, j] scores, where j is k or the number of documents that
        have tokens, whichever is less.

    Raises:
        InputError: k below 1, other dimensions, or a vector that holds NaN or infinity.
    """
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
        raise InputError(f"Expected k of 1 or more, got {k!r}: say how many documents to return.")
    stored = documents.documents if isinstance(documents, QuantizedDocuments) else documents
    check_pair(queries, stored)
    tie_order = np.arange(len(stored)) if tie_order is None else tie_order
    found = min(int(k), int(np.count_nonzero(stored.lengths)))
    positions, scores = np.empty((len(queries), found), np.int64), np.empty((len(queries), found), np.float32)
    if isinstance(documents, TokenEmbeddings) and len(queries) >= WORTH:
        documents = QuantizedDocuments.build(documents)
    if isinstance(documents, TokenEmbeddings) or not documents.provable:
        for i, row in enumerate(maxsim(queries, stored)):
            positions[i] = _best(row, np.arange(len(row)), tie_order, found)
            scores[i] = row[positions[i]]
        return positions, scores
    queries.check([f"query {i}" for i in range(len(queries))])
    for rows in query_blocks(queries):
        for i, (approximate, bound) in enumerate(_scan(queries, rows, documents), start=rows.start):
            query = TokenEmbeddings.from_list([queries[i]], dim=queries.dim)
            positions[i], scores[i] = _proven(query, documents, approximate, bound, tie_order, found)
    return positions, scores


def _best(scores: np.ndarray, positions: np.ndarray, tie_order: np.ndarray, k: int) -> np.ndarray:
    """The k best of some positions, best first, ties by `tie_order`."""
    if k == 0:
        return positions[:0]
    if k < len(scores):
        edge = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = scores >= edge  # all ties at the edge stay until the sort decides
        scores, positions = scores[kept], positions[kept]
    return positions[np.lexsort((tie_order[positions], -scores))[:k]]


def _proven(
    query: TokenEmbeddings,
    codes: QuantizedDocuments,
    approximate: np.ndarray,
    bound: np.ndarray,
    tie_order: np.ndarray,
    k: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Score the k best on the codes in float32: their lowest score is one that no other winner can be below."""
    if k == 0:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    scores = np.full(len(codes), -np.inf, np.float32)
    likely = np.argpartition(approximate, len(approximate) - k)[-k:] if k < len(approximate) else np.arange(k)
    scores[likely] = score_chosen(query, codes.documents, likely)[0]
    possible = approximate + bound >= scores[likely].min()
    possible[likely] = False
    doubtful = np.flatnonzero(possible)
    scores[doubtful] = score_chosen(query, codes.documents, doubtful)[0]
    candidates = np.concatenate([likely, doubtful])
    check_scores(scores[None, candidates], query, codes.documents)
    best = _best(scores[candidates], candidates, tie_order, k)
    return best, scores[best]


def _scan(queries: TokenEmbeddings, rows: slice, codes: QuantizedDocuments) -> list[tuple[np.ndarray, np.ndarray]]:
    """Approximate scores of all documents, and their bounds, for each query of a block."""
    from engine.maxsim import cpu
    from engine.simd import kernels, threads
    from engine.simd.jit import flat

    spans = queries.offsets[rows.start : rows.stop + 1]
    rounded, units, factors = codes.round_query(queries.values[spans[0] : spans[-1]])
    spans = spans - spans[0]
    panels, offset = kernels.scan_panels(rounded), kernels.scan_offset(rounded)
    offsets, flat_codes, groups = flat(codes.documents.offsets), flat(codes.codes), codes.codes.shape[1] // 4
    scores = np.empty((len(spans) - 1, len(codes)))
    bounds = threads.cut(codes.documents.lengths + 1, 8 * threads.thread_count())

    def part(k: int) -> None:
        cpu.scan(flat_codes, offsets, bounds[k], bounds[k + 1], groups, panels, offset, units, spans, scores)

    threads.run_parts(part, len(bounds) - 1)
    return [(row, codes.bound(factors[spans[i] : spans[i + 1]])) for i, row in enumerate(scores)]
