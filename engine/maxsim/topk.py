"""The exact best k, proven: every document is scored on integer codes, only possible winners in float32."""

from __future__ import annotations

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.maxsim.checks import check_pair, check_scores
from engine.maxsim.exact import query_blocks, score_chosen
from engine.maxsim.quantised import QuantizedDocuments

WORTH = 8  # queries from which building the codes costs less than it saves


def maxsim_topk(
    queries: TokenEmbeddings,
    documents: TokenEmbeddings | QuantizedDocuments,
    k: int,
    tie_order: np.ndarray | None = None,
    among: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k documents with the highest MaxSim, the same ones with the same scores as `maxsim` over all.

    Args:
        queries: m queries.
        documents: n documents; pass `QuantizedDocuments.build(documents)` where several calls share them.
        k: How many, 1 or more.
        tie_order: int [n], lower goes first among equal scores; positions when None.
        among: int64, distinct positions of the documents that may be found; all when None.

    Returns:
        int64 [m, j] positions, best first, and float32 [m, j] scores, where j is k or the number of those
        documents that have tokens, whichever is less.

    Raises:
        InputError: k below 1, other dimensions, or a vector that holds NaN or infinity.
    """
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
        raise InputError(f"Expected k of 1 or more, got {k!r}: say how many documents to return.")
    stored = documents.documents if isinstance(documents, QuantizedDocuments) else documents
    check_pair(queries, stored)
    tie_order = np.arange(len(stored)) if tie_order is None else tie_order
    among = np.arange(len(stored)) if among is None else among
    found = min(int(k), int(np.count_nonzero(stored.lengths[among])))
    positions, scores = np.empty((len(queries), found), np.int64), np.empty((len(queries), found), np.float32)
    if isinstance(documents, TokenEmbeddings) and len(queries) >= WORTH:
        documents = QuantizedDocuments.build(documents)
    if isinstance(documents, TokenEmbeddings) or not documents.provable:
        every = score_chosen(queries, stored, among)
        check_scores(every, queries, stored)
        for i, row in enumerate(every):
            best = _best(row, tie_order[among], found)
            positions[i], scores[i] = among[best], row[best]
        return positions, scores
    queries.check([f"query {i}" for i in range(len(queries))])
    for rows in query_blocks(queries):
        for i, (approximate, bound) in enumerate(_scan(queries, rows, documents, among), start=rows.start):
            query = TokenEmbeddings.from_list([queries[i]], dim=queries.dim)
            at, scores[i] = _proven(query, documents, among, approximate, bound, tie_order[among], found)
            positions[i] = among[at]
    return positions, scores


def _best(scores: np.ndarray, tie_order: np.ndarray, k: int) -> np.ndarray:
    """Where the k best scores are, best first, ties by `tie_order`."""
    places = np.arange(len(scores))
    if k == 0:
        return places[:0]
    if k < len(scores):
        places = np.flatnonzero(
            scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        )  # and ties at the edge
    return places[np.lexsort((tie_order[places], -scores[places]))[:k]]


def _proven(
    query: TokenEmbeddings,
    codes: QuantizedDocuments,
    among: np.ndarray,
    approximate: np.ndarray,
    bound: np.ndarray,
    tie_order: np.ndarray,
    k: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Score the k best on the codes in float32: their lowest score is one that no other winner can be below.

    The arrays are those of the documents `among`, and so are the places that come back.
    """
    if k == 0:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    scores = np.full(len(among), -np.inf, np.float32)
    likely = np.argpartition(approximate, len(approximate) - k)[-k:] if k < len(approximate) else np.arange(k)
    scores[likely] = score_chosen(query, codes.documents, among[likely])[0]
    possible = approximate + bound >= scores[likely].min()
    possible[likely] = False
    doubtful = np.flatnonzero(possible)
    scores[doubtful] = score_chosen(query, codes.documents, among[doubtful])[0]
    candidates = np.concatenate([likely, doubtful])
    check_scores(scores[None, candidates], query, codes.documents)
    best = candidates[_best(scores[candidates], tie_order[candidates], k)]
    return best, scores[best]


def _scan(
    queries: TokenEmbeddings, rows: slice, codes: QuantizedDocuments, chosen: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Approximate scores of chosen documents, and their bounds, for each query of a block."""
    from engine.maxsim import cpu
    from engine.simd import choice, kernels, threads
    from engine.simd.jit import flat

    spans = queries.offsets[rows.start : rows.stop + 1]
    rounded, units, factors = codes.round_query(queries.values[spans[0] : spans[-1]])
    spans = spans - spans[0]
    level = choice.chosen()
    panels, offset = kernels.scan_panels(rounded, level), kernels.scan_offset(rounded, level)
    offsets, flat_codes, groups = flat(codes.documents.offsets), flat(codes.codes), codes.codes.shape[1] // 4
    scores = np.empty((len(spans) - 1, len(chosen)))
    bounds = threads.cut(codes.documents.lengths[chosen] + 1, 8 * threads.thread_count())

    def part(k: int) -> None:
        cpu.scan(flat_codes, offsets, chosen, bounds[k], bounds[k + 1], groups, panels, offset, units, spans, scores)

    threads.run_parts(part, len(bounds) - 1)
    return [(row, codes.bound(factors[spans[i] : spans[i + 1]])[chosen]) for i, row in enumerate(scores)]
