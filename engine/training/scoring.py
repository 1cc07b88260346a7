"""MaxSim of ragged tensors with gradients: only the best-matching pairs are kept for the backward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.training.batches import Ragged

BLOCK_TOKENS = 2048  # document tokens whose similarities are held at a time


class _AllPairs(torch.autograd.Function):
    """MaxSim of every query with every document; the position of each maximum is all that the backward pass needs."""

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, documents: Tensor, query_offsets: Tensor, document_offsets: Tensor
    ) -> Tensor:
        n = len(document_offsets) - 1
        bounds = document_offsets.tolist()
        best = torch.empty(n, len(queries), dtype=torch.int32, device=queries.device)
        values = queries.new_empty(n, len(queries))
        start = 0
        while start < n:
            stop = start + 1
            while stop < n and bounds[stop + 1] - bounds[start] <= BLOCK_TOKENS:
                stop += 1
            similarity = documents[bounds[start] : bounds[stop]] @ queries.T
            for i in range(start, stop):
                a, b = bounds[i] - bounds[start], bounds[i + 1] - bounds[start]
                found = similarity[a:b].max(0)
                values[i] = found.values
                best[i] = (found.indices + bounds[i]).to(torch.int32)
            start = stop
        owner = _owner(query_offsets, queries.device)
        ctx.save_for_backward(queries, documents, best, owner)
        return values.new_zeros(len(query_offsets) - 1, n).index_add_(0, owner, values.T)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        queries, documents, best, owner = ctx.saved_tensors
        of_queries, of_documents = torch.zeros_like(queries), torch.zeros_like(documents)
        weights = gradients[0].T  # [n, m]
        for i in range(len(best)):
            rows = best[i].long()
            weight = weights[i][owner][:, None]
            of_queries.addcmul_(weight, documents[rows])
            of_documents.index_add_(0, rows, weight * queries)
        return of_queries, of_documents, None, None


def all_pairs(queries: Ragged, documents: Ragged) -> Tensor:
    """MaxSim of every query with every document.

    Args:
        queries: m queries.
        documents: n documents, each with a token.

    Returns:
        float32 [m, n], with gradients for both sides.
    """
    return _AllPairs.apply(queries.values, documents.values, queries.offsets, documents.offsets)  # type: ignore


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


def _owner(offsets: Tensor, device: torch.device) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(offsets) - 1), offsets.diff()).to(device)
