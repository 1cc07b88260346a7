"""MaxSim for training: memory grows with queries x documents x query tokens, not with the document tokens as well.

The gradient of a maximum goes to the token that won, so that the positions of the winners are all that has to be kept
between the forward and the backward pass; no similarity is kept or computed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from engine.errors import InputError

BLOCK_BYTES = 32 << 20  # similarities held at once where no kernel runs


@dataclass(frozen=True)
class Ragged:
    """Vectors of n texts one after the other, as tensors: what `TokenEmbeddings` is where gradients are needed.

    Args:
        values: [tokens, dim].
        offsets: int64 [n + 1] on the CPU.
    """

    values: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Tensor:
        """Tokens of each text, int64 [n] on the CPU."""
        return self.offsets.diff()

    def slice(self, start: int, stop: int) -> Ragged:
        """The texts from `start` to `stop` - 1, without a copy."""
        offsets = self.offsets[start : stop + 1]
        return Ragged(self.values[int(offsets[0]) : int(offsets[-1])], offsets - offsets[0])

    def padded(self) -> tuple[Tensor, Tensor]:
        """Values [n, longest, dim], zero at padding, and bool [n, longest], True where there is a token."""
        lengths = self.lengths
        values = pad_sequence(list(self.values.split(lengths.tolist())), batch_first=True)
        mask = torch.arange(values.shape[1]) < lengths[:, None]
        return values, mask.to(values.device)


def concatenate(columns: Sequence[Ragged]) -> Ragged:
    """Several as one, all texts of the first, then all of the second."""
    if len(columns) == 1:
        return columns[0]
    lengths = torch.cat([column.lengths for column in columns])
    offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    return Ragged(torch.cat([column.values for column in columns]), offsets)


def maxsim_ragged(queries: Ragged, documents: Ragged) -> Tensor:
    """Score every query against every document, differentiably in both.

    Args:
        queries: m queries.
        documents: n documents of the same dimension, on the same device.

    Returns:
        [m, n] float32 (float64 for float64 vectors); negative infinity, and no gradient, for a document without tokens.
        Of equal maxima the first wins the gradient.
    """
    device = queries.values.device
    scores = _MaxSim.apply(*computed_in(queries, documents), queries.offsets.to(device), documents.offsets.to(device))
    assert isinstance(scores, Tensor)
    return scores


def computed_in(queries: Ragged, documents: Ragged) -> list[Tensor]:
    """The vectors of both in the dtype that similarities are computed in: float32, or float64 where one side has it."""
    dtype = torch.promote_types(torch.promote_types(queries.values.dtype, documents.values.dtype), torch.float32)
    return [side.values.to(dtype).contiguous() for side in (queries, documents)]


def compiled(values: Tensor) -> bool:
    """Whether the kernels take these vectors, rather than torch."""
    return values.device.type == "cpu" and values.dtype == torch.float32


def maxsim_grad(q: Tensor, q_mask: Tensor, d: Tensor, d_mask: Tensor) -> Tensor:
    """`maxsim_ragged` of padded vectors.

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
    sides = [Ragged(x[mask.bool()], _offsets(mask.bool()).cpu()) for x, mask in ((q, q_mask), (d, d_mask))]
    return maxsim_ragged(*sides)


class _MaxSim(torch.autograd.Function):
    """Keeps the vectors and the position of each maximum: nothing else is needed for the gradient."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, documents: Tensor, spans: Tensor, offsets: Tensor) -> Tensor:
        run = _forward_compiled if compiled(queries) else _forward_torch
        scores, where = run(queries.detach(), spans, documents.detach(), offsets)
        ctx.save_for_backward(queries, documents, spans, offsets, where)
        return scores

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, documents, spans, offsets, where = ctx.saved_tensors
        run = _backward_compiled if compiled(queries) else _backward_torch
        needed = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        sides = queries.detach(), spans, documents.detach(), offsets
        to_queries, to_documents = run(gradients[0].detach(), *sides, where, needed)
        return to_queries, to_documents, None, None


def _offsets(mask: Tensor) -> Tensor:
    """int64 [n + 1], where the tokens of each row start once padding is gone."""
    return torch.cat([mask.new_zeros(1, dtype=torch.int64), mask.sum(1).cumsum(0)])


def _forward_compiled(queries: Tensor, spans: Tensor, documents: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    from engine.maxsim import training_cpu
    from engine.simd import choice, kernels, threads

    level, dim = choice.chosen(), queries.shape[1]
    panels = kernels.query_panels(queries.numpy(), 1, level)
    scores = torch.empty(len(spans) - 1, len(offsets) - 1)
    where = torch.empty(len(offsets) - 1, kernels.columns_of(len(queries), level), dtype=torch.int32)
    arrays = documents.numpy().reshape(-1), offsets.numpy(), spans.numpy(), scores.numpy(), where.numpy()
    values, starts, rows, out, places = arrays
    bounds = threads.cut(np.diff(starts) + 1, 8 * threads.thread_count())

    def part(number: int) -> None:
        training_cpu.forward(values, starts, bounds[number], bounds[number + 1], dim, panels, rows, out, places)

    threads.run_parts(part, len(bounds) - 1)
    return scores, where


def _backward_compiled(
    gradient: Tensor,
    queries: Tensor,
    spans: Tensor,
    documents: Tensor,
    offsets: Tensor,
    where: Tensor,
    needed: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
    from engine.maxsim import training_cpu
    from engine.simd import threads

    weights = gradient.to(torch.float32).contiguous().numpy()
    rows, starts, places = spans.numpy(), offsets.numpy(), where.numpy()
    results: list[Tensor | None] = []
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


def _forward_torch(queries: Tensor, spans: Tensor, documents: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
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
    gradient: Tensor,
    queries: Tensor,
    spans: Tensor,
    documents: Tensor,
    offsets: Tensor,
    where: Tensor,
    needed: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
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
