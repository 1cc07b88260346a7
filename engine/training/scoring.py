"""MaxSim of ragged tensors with gradients, through the kernels of `engine.maxsim.differentiable`, without padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.maxsim import differentiable
from engine.training.batches import Ragged


class _AllPairs(torch.autograd.Function):
    """MaxSim of every query with every document; the position of each maximum is all that the backward pass needs."""

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, documents: Tensor, query_offsets: Tensor, document_offsets: Tensor
    ) -> Tensor:
        ctx.compiled = queries.device.type == "cpu" and queries.dtype == documents.dtype == torch.float32
        run = differentiable._forward_compiled if ctx.compiled else differentiable._forward_torch
        scores, where = run(
            queries.detach().contiguous(), query_offsets, documents.detach().contiguous(), document_offsets
        )
        ctx.save_for_backward(queries, documents, query_offsets, document_offsets, where)
        return scores

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        queries, documents, query_offsets, document_offsets, where = ctx.saved_tensors
        run = differentiable._backward_compiled if ctx.compiled else differentiable._backward_torch
        needed = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        of_queries, of_documents = run(
            gradients[0], queries.detach(), query_offsets, documents.detach(), document_offsets, where, needed
        )
        return of_queries, of_documents, None, None


def all_pairs(queries: Ragged, documents: Ragged) -> Tensor:
    """MaxSim of every query with every document.

    Args:
        queries: m queries.
        documents: n documents, each with a token.

    Returns:
        float32 [m, n] (float64 for float64 vectors), with gradients for both sides.
    """
    device = queries.values.device
    scores = _AllPairs.apply(queries.values, documents.values, queries.offsets.to(device), documents.offsets.to(device))
    assert isinstance(scores, Tensor)
    return scores


def matched_pairs(queries: Ragged, documents: Ragged) -> Tensor:
    """MaxSim of query i with document i.

    Args:
        queries: n queries.
        documents: n documents.

    Returns:
        float32 [n], with gradients for both sides.
    """
    scores = []
    query_bounds, document_bounds = queries.offsets.tolist(), documents.offsets.tolist()
    for i in range(len(queries)):
        query = queries.values[query_bounds[i] : query_bounds[i + 1]]
        document = documents.values[document_bounds[i] : document_bounds[i + 1]]
        scores.append((query @ document.T).amax(1).sum())
    return torch.stack(scores)
