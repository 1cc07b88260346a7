"""Before the start: which mini-batch fits this machine, how long the run takes and what memory it needs.

The mini-batch follows from the texts, the settings and the machine's memory, never from a clock or from what else runs
there: the same run on the same machine gets the same one, and its record names it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import psutil
import torch

from engine.batching import used_tokens
from engine.training.batches import Features, MiniBatch, cut_mini_batches, encode
from engine.training.losses import LateInteractionLoss

USUAL_MINI_BATCH = {"cpu": 1024, "cuda": 16384}  # tokens; on 2 cores a clock could not tell it from 2,048
SMALLEST = 64
MEMORY_SHARE = 0.25  # of the device's memory, for the graph of one mini-batch


@dataclass(frozen=True)
class Preflight:
    """What to expect of a run.

    Args:
        mini_batch_tokens: Tokens encoded together.
        tokens_per_step: Real tokens of a typical batch.
        seconds_per_step: Expected.
        seconds: Expected for all steps, without evaluations.
        graph_bytes: Memory of one mini-batch's graph.
        tried: tokens -> bytes of each size that was tried.
    """

    mini_batch_tokens: int
    tokens_per_step: int
    seconds_per_step: float
    seconds: float
    graph_bytes: int
    tried: dict[int, int]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "tried": {str(size): found for size, found in self.tried.items()}}


def preflight(
    loss: LateInteractionLoss, columns: list[Features], steps: int, mini_batch_tokens: int = 0, memory: int = 0
) -> Preflight:
    """Choose the usual mini-batch of the device, or half of it as often as its graph takes too much memory.

    Args:
        loss: Holds the model; nothing is changed in it.
        columns: One typical batch as the trainer hands it to the loss.
        steps: Steps of the run.
        mini_batch_tokens: A size that is given: only it is measured.
        memory: Bytes of the device; 0 asks it.

    Returns:
        The choice and what to expect; only the expected seconds depend on the clock.
    """
    device = columns[0]["input_ids"].device
    bound = MEMORY_SHARE * (memory or _memory(device))
    total = sum(int(used_tokens(column).sum()) for column in columns)
    size = mini_batch_tokens or USUAL_MINI_BATCH.get(device.type, USUAL_MINI_BATCH["cpu"])
    tried: dict[int, int] = {}
    while True:
        batch = _largest(columns, size)
        seconds, tried[size] = _measure(loss.model, batch)
        if mini_batch_tokens or tried[size] <= bound or size // 2 < SMALLEST:
            break
        size //= 2
    cached = loss.graph_tokens < total
    seconds *= total / max(batch.tokens, 1) * (4 / 3 if cached else 1.0)  # one more forward pass of three parts
    return Preflight(size, total, seconds, seconds * steps, tried[size], tried)


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


def _memory(device: torch.device) -> int:
    """All of it, not what is free now: that would be another number each time."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().total
