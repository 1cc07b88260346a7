"""The largest similarities of each query token with each document, differentiably: what most scorers are made of.

As with MaxSim, their values and positions are all that is kept for the gradient, and no similarity is computed twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.maxsim.differentiable import Ragged, compiled, computed_in

NOWHERE = -1  # the position of a similarity that a document is too short to have


def largest_ragged(queries: Ragged, documents: Ragged, m: int = 1) -> Tensor:
    """The m largest similarities of each query token with the tokens of each document, differentiably in both.

    Args:
        queries: Of any number of tokens.
        documents: n documents of the same dimension, on the same device.
        m: 1 or more.

    Returns:
        [n, m, query tokens], falling along m, float32 (float64 for float64 vectors); negative infinity, and no
        gradient, where a document has fewer tokens. Of equal ones the first comes first.
    """
    values = computed_in(queries, documents)
    found = _Largest.apply(*values, documents.offsets, m)
    assert isinstance(found, Tensor)
    return found


def kth_largest(queries: Tensor, documents: Tensor, k: int) -> Tensor:
    """The k-th largest similarity of each query token with all document tokens, without a gradient.

    Args:
        queries: [query tokens, dim].
        documents: [document tokens, dim], one or more.
        k: 1 or more; beyond the document tokens, the smallest.

    Returns:
        [query tokens].
    """
    k = min(k, len(documents))
    if compiled(queries) and compiled(documents):
        return _kth_compiled(queries.detach().contiguous(), documents.detach().contiguous(), k)
    with torch.no_grad():
        return (queries @ documents.T).topk(k, dim=1).values[:, -1]


class _Largest(torch.autograd.Function):
    """Keeps the vectors and the positions."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, documents: Tensor, offsets: Tensor, m: int) -> Tensor:
        run = _forward_compiled if compiled(queries) else _forward_torch
        best, where = run(queries.detach(), documents.detach(), offsets, m)
        ctx.save_for_backward(queries, documents, offsets, where)
        return best

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, documents, offsets, where = ctx.saved_tensors
        needed = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        run = _backward_compiled if compiled(queries) else _backward_torch
        gradient = gradients[0].detach().contiguous()
        return *run(gradient, queries.detach(), documents.detach(), offsets, where, needed), None, None


def _forward_compiled(queries: Tensor, documents: Tensor, offsets: Tensor, m: int) -> tuple[Tensor, Tensor]:
    from engine.maxsim import largest_cpu
    from engine.simd import choice, kernels, threads

    n, starts, values = len(offsets) - 1, offsets.numpy(), documents.numpy().reshape(-1)
    count, dim, level = len(queries), queries.shape[1], choice.chosen()
    columns = kernels.columns_of(count, level) if m == 1 else count
    best = torch.full((n, m, columns), -torch.inf)
    where = torch.full((n, m, columns), NOWHERE, dtype=torch.int32)
    work = largest_cpu.forward_one if m == 1 else largest_cpu.forward
    panels = kernels.query_panels(queries.numpy(), 1, level) if m == 1 else largest_cpu.panels_of(queries.numpy())
    out, places = best.numpy(), where.numpy()
    bounds = threads.cut(np.diff(starts) + 1, 8 * threads.thread_count())

    def part(number: int) -> None:
        work(values, starts, bounds[number], bounds[number + 1], dim, panels, out, places)

    threads.run_parts(part, len(bounds) - 1)
    return best[:, :, :count], where[:, :, :count]


def _backward_compiled(
    gradient: Tensor, queries: Tensor, documents: Tensor, offsets: Tensor, where: Tensor, needed: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    from engine.maxsim import largest_cpu
    from engine.simd import threads

    weights, starts, places = gradient.numpy(), offsets.numpy(), where.contiguous().numpy()
    sides = (queries, documents, np.ones(len(queries))), (documents, queries, np.diff(starts) + 1)
    results: list[Tensor | None] = []
    for wanted, (own, other, lengths), work in zip(
        needed, sides, (largest_cpu.to_queries, largest_cpu.to_documents), strict=True
    ):
        out = torch.zeros_like(own) if wanted else None
        results.append(out)
        if out is None:
            continue
        source, target = other.numpy(), out.numpy()
        bounds = threads.cut(lengths, 8 * threads.thread_count())

        def part(number: int, work=work, bounds=bounds, source=source, target=target) -> None:
            work(source, starts, places, weights, bounds[number], bounds[number + 1], target)

        threads.run_parts(part, len(bounds) - 1)
    return results[0], results[1]


def _kth_compiled(queries: Tensor, documents: Tensor, k: int) -> Tensor:
    from engine.maxsim import largest_cpu
    from engine.simd import threads

    panels, values = largest_cpu.panels_of(queries.numpy()), documents.numpy().reshape(-1)
    found, dim = np.empty(len(panels) * largest_cpu.COLUMNS, np.float32), queries.shape[1]
    bounds = threads.cut(np.ones(len(panels)), 8 * threads.thread_count())

    def part(number: int) -> None:
        largest_cpu.kth(values, dim, panels, bounds[number], bounds[number + 1], k, found)

    threads.run_parts(part, len(bounds) - 1)
    return torch.from_numpy(found[: len(queries)])


def _forward_torch(queries: Tensor, documents: Tensor, offsets: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """Document by document, so that few similarities exist at once."""
    n = len(offsets) - 1
    best = queries.new_full((n, m, len(queries)), -torch.inf)
    where = torch.full((n, m, len(queries)), NOWHERE, dtype=torch.int32, device=queries.device)
    for i, document in enumerate(documents.split(offsets.diff().tolist())):
        if len(document) and len(queries):
            found = (document @ queries.T).topk(min(m, len(document)), dim=0)
            best[i, : len(found.values)], where[i, : len(found.values)] = found.values, found.indices.int()
    return best, where


def _backward_torch(
    gradient: Tensor, queries: Tensor, documents: Tensor, offsets: Tensor, where: Tensor, needed: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    to_queries, to_documents = torch.zeros_like(queries), torch.zeros_like(documents)
    for i, (start, stop) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        for places, weights in zip(where[i, : stop - start], gradient[i, : stop - start], strict=True):
            won, weight = places.long() + start, weights[:, None]
            if needed[0]:
                to_queries += weight * documents[won]
            if needed[1]:
                to_documents.index_add_(0, won, weight * queries)
    return (to_queries if needed[0] else None), (to_documents if needed[1] else None)
