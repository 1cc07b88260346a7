"""Exact MaxSim on a CPU: one pass over the document tokens as they lie, with no padding and no similarity matrix."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.maxsim.checks import check_pair, check_scores

QUERY_TOKENS = 4096  # query tokens that pass over the documents together: 1.5 MB of panels at 96 dimensions
PART_WORK = 1 << 22  # multiply-adds, about 0.1 ms: less than this is not worth a thread


def maxsim(queries: TokenEmbeddings, documents: TokenEmbeddings, device: str = "cpu") -> np.ndarray:
    """Score every query against every document, exactly.

    The score is the sum over query tokens of the largest dot product with a document token (Khattab and Zaharia, 2020,
    ColBERT, section 3.2). Products are summed in float32 in the order of the dimensions, maxima in float64, so that the
    result depends neither on the number of threads nor on what is scored together.

    Args:
        queries: m queries.
        documents: n documents of the same dimension, float16 or float32.
        device: "cpu", or a torch device such as "cuda"; `engine.maxsim.describe(device)` says what runs there and in
            which precision.

    Returns:
        float32 [m, n]; a document without tokens scores negative infinity, a query without tokens scores 0 elsewhere.

    Raises:
        InputError: the dimensions differ, a vector holds NaN or infinity (the sentence names its text), or there is no
            such device.
    """
    if device != "cpu":
        from engine.maxsim.device import maxsim_on_device
        from engine.models import resolve_device

        device = resolve_device(device)
        if device != "cpu":
            return maxsim_on_device(queries, documents, device)
    check_pair(queries, documents)
    everything = np.arange(len(documents))
    scores = np.empty((len(queries), len(documents)), np.float32)
    for rows in query_blocks(queries):
        _score(queries, rows, documents, everything, scores[rows])
    check_scores(scores, queries, documents)
    return scores


def score_chosen(queries: TokenEmbeddings, documents: TokenEmbeddings, chosen: np.ndarray) -> np.ndarray:
    """Score every query against some documents, without copying them.

    Args:
        queries: m queries.
        documents: n documents of the same dimension.
        chosen: int64 [j], positions of documents.

    Returns:
        float32 [m, j], the same values as the columns `chosen` of `maxsim`.
    """
    scores = np.empty((len(queries), len(chosen)), np.float32)
    for rows in query_blocks(queries):
        _score(queries, rows, documents, chosen, scores[rows])
    return scores


def query_blocks(queries: TokenEmbeddings) -> Iterator[slice]:
    """Runs of queries of at most QUERY_TOKENS tokens together, or one long query."""
    start = 0
    while start < len(queries):
        limit = queries.offsets[start] + QUERY_TOKENS
        stop = max(int(np.searchsorted(queries.offsets, limit, side="right")) - 1, start + 1)
        yield slice(start, stop)
        start = stop


def _score(
    queries: TokenEmbeddings, rows: slice, documents: TokenEmbeddings, chosen: np.ndarray, scores: np.ndarray
) -> None:
    """Write float32 scores [rows, chosen]."""
    from engine.maxsim.cpu import score_float16, score_float32
    from engine.simd import choice, kernels, threads
    from engine.simd.jit import flat

    if len(chosen) == 0:
        return
    spans = queries.offsets[rows.start : rows.stop + 1]
    panels = kernels.query_panels(queries.values[spans[0] : spans[-1]].astype(np.float32), 1, choice.chosen())
    half = documents.values.dtype == np.float16
    score = score_float16 if half else score_float32
    values = flat(documents.values.view(np.uint16) if half else documents.values)
    offsets, dim, lengths = flat(documents.offsets), documents.dim, documents.lengths[chosen]
    parts = min(8 * threads.thread_count(), 1 + int(lengths.sum()) * len(panels) // PART_WORK)
    bounds = threads.cut(lengths + 1, parts)
    spans = spans - spans[0]

    def part(number: int) -> None:
        score(values, offsets, chosen, bounds[number], bounds[number + 1], dim, panels, spans, scores)

    threads.run_parts(part, len(bounds) - 1)
