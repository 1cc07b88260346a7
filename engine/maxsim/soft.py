"""The soft maximum of each query token over each document's tokens, differentiably, document by document.

Every similarity has a gradient here, so that they are multiplied again in the backward pass instead of being kept.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from engine.maxsim.differentiable import Ragged, computed_in

NEGLIGIBLE = 1e-4  # shares of the soft maximum below this part of what rounding does are taken as zero


def soft_maximum_ragged(queries: Ragged, documents: Ragged, temperature: float) -> Tensor:
    """The soft maximum t log sum_j exp(s_ij / t) of each query token i with each document, differentiably in both.

    Args:
        queries: Of any number of tokens.
        documents: n documents of the same dimension, on the same device.
        temperature: t, above 0, in units of similarity.

    Returns:
        [n, query tokens], float32 (float64 for float64 vectors); negative infinity, and no gradient, for a document
        without tokens.
    """
    found = _SoftMaximum.apply(*computed_in(queries, documents), documents.lengths.tolist(), temperature)
    assert isinstance(found, Tensor)
    return found


class _SoftMaximum(torch.autograd.Function):
    """Keeps the vectors and the result; the similarities of one document at a time lie in the same place."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, documents: Tensor, lengths: list[int], temperature: float) -> Tensor:
        ctx.lengths, ctx.temperature = lengths, temperature
        found = queries.new_full((len(lengths), len(queries)), -torch.inf)
        place, asked, least = _begun(queries, lengths, temperature)
        for row, document in zip(found, documents.split(lengths), strict=True):
            if len(document):
                scaled = torch.mm(document, asked, out=place[: len(document)])
                highest = scaled.amax(0)
                torch.add(scaled.sub_(highest).clamp_(min=math.log(least)).exp_().sum(0).log_(), highest, out=row)
        ctx.save_for_backward(queries, documents, found)
        return found * temperature

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, documents, found = ctx.saved_tensors
        needed = ctx.needs_input_grad
        place, asked, least = _begun(queries, ctx.lengths, ctx.temperature)
        to_queries, to_documents = torch.zeros_like(queries), torch.zeros_like(documents)
        parts = documents.split(ctx.lengths), to_documents.split(ctx.lengths), found, gradients[0]
        for document, own, whole, gradient in zip(*parts, strict=True):
            if not len(document):
                continue
            share = torch.mm(document, asked, out=place[: len(document)])
            share.sub_(whole).clamp_(min=math.log(least)).exp_()
            torch.threshold_(share, 2 * least, 0.0).mul_(gradient)
            if needed[0]:
                to_queries.addmm_(share.T, document)
            if needed[1]:
                torch.mm(share, queries, out=own)
        return (to_queries if needed[0] else None), (to_documents if needed[1] else None), None, None


def _begun(queries: Tensor, lengths: list[int], temperature: float) -> tuple[Tensor, Tensor, float]:
    """Room for one document's similarities, the queries divided by the temperature, and what is negligible.

    Numbers near the smallest that there are take processors a hundred times as long, and change no sum.
    """
    least = NEGLIGIBLE * torch.finfo(queries.dtype).eps
    return queries.new_empty(max(lengths, default=0), len(queries)), queries.T / temperature, least
