"""Before the start: which mini-batch is fastest and fits, how long the run takes and what memory it needs."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import psutil
import torch

from engine.training.batches import Features, MiniBatch, cut_mini_batches, encode, used_tokens
from engine.training.losses import LateInteractionLoss

CANDIDATES = {"cpu": (512, 1024, 2048), "cuda": (8192, 16384, 32768, 65536, 131072)}
MEMORY_SHARE = 0.5  # of what is free, for the graph of one mini-batch: kept vectors and optimiser states need the rest


@dataclass(frozen=True)
class Preflight:
    """What to expect of a run.

    Args:
        mini_batch_tokens: Tokens encoded together.
        tokens_per_step: Real tokens of a typical batch.
        seconds_per_step: Expected.
        seconds: Expected for all steps, without evaluations.
        graph_bytes: Memory of one mini-batch's graph.
        tried: tokens -> (seconds a thousand tokens, bytes) of each size that was tried.
    """

    mini_batch_tokens: int
    tokens_per_step: int
    seconds_per_step: float
    seconds: float
    graph_bytes: int
    tried: dict[int, tuple[float, int]]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "tried": {str(size): list(found) for size, found in self.tried.items()}}


def preflight(
    loss: LateInteractionLoss, columns: list[Features], steps: int, mini_batch_tokens: int = 0, memory: int = 0
) -> Preflight:
    """Measure one mini-batch of each size on this device and choose.

    Args:
        loss: Of the run; nothing is changed in it or its model.
        columns: One typical batch as the trainer hands it to the loss.
        steps: Steps of the run.
        mini_batch_tokens: A size that is given: only it is measured.
        memory: Bytes that may be used; 0 for what is free now.

    Returns:
        The choice and what to expect.
    """
    device = columns[0]["input_ids"].device
    memory = memory or _free_memory(device)
    total = sum(int(used_tokens(column).sum()) for column in columns)
    sizes = (mini_batch_tokens,) if mini_batch_tokens else CANDIDATES.get(device.type, CANDIDATES["cpu"])
    tried: dict[int, tuple[float, int]] = {}
    for size in sizes:
        batch = _largest(columns, size)
        if tried and batch.tokens <= max(tried) // 2:
            break  # the data are too few to fill a larger one
        seconds, graph = _measure(loss.model, batch)
        tried[size] = (1000 * seconds / max(batch.tokens, 1), graph)
        if graph > MEMORY_SHARE * memory:
            break
    fitting = {size: found for size, found in tried.items() if found[1] <= MEMORY_SHARE * memory} or {
        min(tried): tried[min(tried)]
    }
    chosen = min(fitting, key=lambda size: fitting[size][0])
    cached = loss.graph_tokens < total
    seconds = total / 1000 * tried[chosen][0] * (4 / 3 if cached else 1.0)  # one more forward pass of three parts
    return Preflight(chosen, total, seconds, seconds * steps, tried[chosen][1], tried)


def _largest(columns: list[Features], size: int) -> MiniBatch:
    batches = [batch for column in columns for batch in cut_mini_batches(column, size)]
    return max(batches, key=lambda batch: batch.tokens)


def _measure(model: Any, batch: MiniBatch) -> tuple[float, int]:
    """Seconds of a forward and a backward pass, the second of two, and the bytes that the graph holds."""
    held: dict[int, int] = {}
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    training, state = model.training, torch.get_rng_state()
    model.train()
    before = [parameter.grad for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = None
    seconds = 0.0
    try:
        for _ in range(2):
            held.clear()
            started = time.perf_counter()
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                vectors, _ = encode(model, batch)
            (vectors.sum() * 1e-6).backward()
            if vectors.is_cuda:
                torch.cuda.synchronize()
            seconds = time.perf_counter() - started
    finally:
        for parameter, gradient in zip(model.parameters(), before, strict=True):
            parameter.grad = gradient
        model.train(training)
        torch.set_rng_state(state)
    return seconds, sum(held.values())


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
