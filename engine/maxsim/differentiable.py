"""MaxSim for training: memory grows with queries x documents x query tokens, not with the document tokens as well.

The gradient of a maximum goes to the token that won, so that the positions of the winners are all that has to be kept
between the forward and the backward pass; no similarity is kept or computed twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.errors import InputError

BLOCK_BYTES = 32 << 20  # similarities held at once where no kernel runs


def maxsim_grad(q: torch.Tensor, q_mask: torch.Tensor, d: torch.Tensor, d_mask: torch.Tensor) -> torch.Tensor:
    """Score every query against every document, differentiably in both.

    Args:
        q: [Q, Lq, dim], query token vectors, padded.
        q_mask: [Q, Lq] bool, True where there is a token.
        d: [D, Ld, dim], document token vectors, padded, on the same device.
        d_mask: [D, Ld] bool.

    Returns:
        [Q, D] float32 (float64 for float64 input); negative infinity, and no gradient, for a document without tokens.
        Padding gets no gradient. Of equal maxima the first wins the gradient.

    Raises:
        InputError: the shapes do not fit together.
    """
    if q.ndim != 3 or d.ndim != 3 or q.shape[2] != d.shape[2]:
        raise InputError(
            f"Expected [queries, tokens, dim] and [documents, tokens, dim], got {list(q.shape)} and {list(d.shape)}: "
            "pad both and encode them with one model."
        )
    if q_mask.shape != q.shape[:2] or d_mask.shape != d.shape[:2]:
        raise InputError(
            f"Expected masks {list(q.shape[:2])} and {list(d.shape[:2])}, got {list(q_mask.shape)} and "
            f"{list(d_mask.shape)}: one value a token."
        )
    scores = _MaxSim.apply(q, q_mask.bool(), d, d_mask.bool())
    assert isinstance(scores, torch.Tensor)
    return scores


class _MaxSim(torch.autograd.Function):
    """Saves the tokens without their padding and the winners."""

    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, q_mask: torch.Tensor, d: torch.Tensor, d_mask: torch.Tensor) -> torch.Tensor:
        dtype = torch.float64 if torch.float64 in (q.dtype, d.dtype) else torch.float32
        queries, documents = q.detach()[q_mask].to(dtype), d.detach()[d_mask].to(dtype)
        spans, offsets = _offsets(q_mask), _offsets(d_mask)
        ctx.compiled = q.device.type == "cpu" and dtype == torch.float32
        run = _forward_compiled if ctx.compiled else _forward_torch
        scores, where = run(queries, spans, documents, offsets)
        ctx.save_for_backward(queries, spans, documents, offsets, where, q_mask, d_mask)
        ctx.dtypes = q.dtype, d.dtype
        return scores

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        queries, spans, documents, offsets, where, q_mask, d_mask = ctx.saved_tensors
        run = _backward_compiled if ctx.compiled else _backward_torch
        needed = ctx.needs_input_grad[0], ctx.needs_input_grad[2]
        to_q, to_d = run(gradients[0].detach(), queries, spans, documents, offsets, where, needed)
        padded: list[torch.Tensor | None] = []
        for gradient, mask, dtype in ((to_q, q_mask, ctx.dtypes[0]), (to_d, d_mask, ctx.dtypes[1])):
            if gradient is None:
                padded.append(None)
                continue
            whole = torch.zeros((*mask.shape, gradient.shape[1]), dtype=dtype, device=gradient.device)
            whole[mask] = gradient.to(dtype)
            padded.append(whole)
        return padded[0], None, padded[1], None


def _offsets(mask: torch.Tensor) -> torch.Tensor:
    """int64 [n + 1], where the tokens of each row start once padding is gone."""
    return torch.cat([mask.new_zeros(1, dtype=torch.int64), mask.sum(1).cumsum(0)])


def _forward_compiled(
    queries: torch.Tensor, spans: torch.Tensor, documents: torch.Tensor, offsets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    from engine.maxsim import training_cpu
    from engine.simd import kernels, threads

    panels, dim = kernels.query_panels(queries.numpy(), 1), queries.shape[1]
    scores = torch.empty(len(spans) - 1, len(offsets) - 1)
    where = torch.empty(len(offsets) - 1, kernels.columns_of(len(queries)), dtype=torch.int32)
    arrays = documents.numpy().reshape(-1), offsets.numpy(), spans.numpy(), scores.numpy(), where.numpy()
    values, starts, rows, out, places = arrays
    bounds = threads.cut(np.diff(starts) + 1, 8 * threads.thread_count())

    def part(number: int) -> None:
        training_cpu.forward(values, starts, bounds[number], bounds[number + 1], dim, panels, rows, out, places)

    threads.run_parts(part, len(bounds) - 1)
    return scores, where


def _backward_compiled(
    gradient: torch.Tensor,
    queries: torch.Tensor,
    spans: torch.Tensor,
    documents: torch.Tensor,
    offsets: torch.Tensor,
    where: torch.Tensor,
    needed: tuple[bool, bool],
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    from engine.maxsim import training_cpu
    from engine.simd import threads

    weights = gradient.to(torch.float32).contiguous().numpy()
    rows, starts, places = spans.numpy(), offsets.numpy(), where.numpy()
    results: list[torch.Tensor | None] = []
    for wanted, own, other, lengths, work in (
        (needed[0], queries, documents, np.diff(rows), training_cpu.to_queries),
        (needed[1], documents, queries, np.diff(starts), training_cpu.to_documents),
    ):
        if not wanted:
            results.append(None)
            continue
        out = torch.zeros_like(own)
        bounds = threads.cut(lengths + 1, 8 * threads.thread_count())
        source, target = other.numpy(), out.numpy()

        def part(number: int, work=work, bounds=bounds, source=source, target=target) -> None:
            work(source, starts, places, bounds[number], bounds[number + 1], weights, rows, target)

        threads.run_parts(part, len(bounds) - 1)
        results.append(out)
    return results[0], results[1]


def _forward_torch(
    queries: torch.Tensor, spans: torch.Tensor, documents: torch.Tensor, offsets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Document by document, so that few similarities exist at once."""
    n = len(offsets) - 1
    owner = torch.repeat_interleave(torch.arange(len(spans) - 1, device=spans.device), spans.diff())
    scores = queries.new_full((len(spans) - 1, n), -torch.inf)
    where = torch.zeros(n, len(queries), dtype=torch.int32, device=queries.device)
    for i, (start, end) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        if start == end:
            continue
        rows = max(BLOCK_BYTES // (8 * (end - start)), 1)
        pieces = [(block @ documents[start:end].T).max(dim=1) for block in queries.split(rows)]
        best = torch.cat([piece.values for piece in pieces])
        where[i] = torch.cat([piece.indices for piece in pieces]).int()
        scores[:, i] = queries.new_zeros(len(spans) - 1).index_add_(0, owner, best)
    return scores, where


def _backward_torch(
    gradient: torch.Tensor,
    queries: torch.Tensor,
    spans: torch.Tensor,
    documents: torch.Tensor,
    offsets: torch.Tensor,
    where: torch.Tensor,
    needed: tuple[bool, bool],
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    owner = torch.repeat_interleave(torch.arange(len(spans) - 1, device=spans.device), spans.diff())
    to_queries, to_documents = torch.zeros_like(queries), torch.zeros_like(documents)
    for i, (start, end) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        if start == end:
            continue
        weight = gradient[owner, i].to(queries.dtype)[:, None]
        won = where[i].long() + start
        if needed[0]:
            to_queries += weight * documents[won]
        if needed[1]:
            to_documents.index_add_(0, won, weight * queries)
    return (to_queries if needed[0] else None), (to_documents if needed[1] else None)
