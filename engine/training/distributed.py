"""Several processes: the documents of all as candidates, and gradients averaged between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from engine.maxsim.differentiable import Ragged


class _Gather(torch.autograd.Function):
    """Vectors of all processes; the gradient of a process's own is the sum of what all processes have for it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        parts = []
        for rank, count in enumerate(counts):
            own = rank == torch.distributed.get_rank()
            part = values.detach().clone() if own else values.new_empty(count, values.shape[1])
            torch.distributed.broadcast(part, rank)
            parts.append(part)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous()
        torch.distributed.all_reduce(total)
        rank = torch.distributed.get_rank()
        start = sum(ctx.counts[:rank])
        return total[start : start + ctx.counts[rank]], None


def gather_documents(documents: Ragged) -> tuple[Ragged, int]:
    """Join the documents of all processes.

    Args:
        documents: This process's.

    Returns:
        All documents in the order of the ranks, and the position of this process's first.
    """
    world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    lengths: list[Any] = [None] * world
    torch.distributed.all_gather_object(lengths, documents.offsets.diff().tolist())
    values = _Gather.apply(documents.values, [sum(part) for part in lengths])
    flat = torch.tensor([length for part in lengths for length in part], dtype=torch.int64)
    offsets = torch.cat([flat.new_zeros(1), flat.cumsum(0)])
    return Ragged(values, offsets), sum(len(part) for part in lengths[:rank])  # type: ignore[arg-type]


def gather_keys(keys: list[int]) -> list[int]:
    """Join the documents' keys of all processes, in the order of `gather_documents`."""
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, keys)
    return [key for part in parts for key in part]


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Average the gradients of all processes; a weight that one process did not use counts as zero there."""
    world = torch.distributed.get_world_size()
    for parameter in parameters:
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= world
