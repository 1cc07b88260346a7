"""Dropout on a CPU at a quarter of its price: torch draws one number for each value, this four values from one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 1 << 16
_OF_TORCH = functional.dropout
_LOCK, _RUNS = threading.Lock(), set[object]()


def fast_dropout(values: Tensor, p: float) -> Tensor:
    """Set values to zero at random and scale up the others, as `torch.nn.functional.dropout` does.

    Args:
        values: Any shape, on the CPU.
        p: Probability of zero; rounded to a multiple of 2**-16, and the scale goes by the rounded one.

    Returns:
        The same shape and dtype, drawn from torch's global generator.
    """
    dropped = round(p * LEVELS)
    n = values.numel()
    bits = torch.empty((n + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = bits.view(torch.int16)[:n].view(values.shape) >= dropped - LEVELS // 2
    return (values * kept).mul_(LEVELS / (LEVELS - dropped))


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In the place of `torch.nn.functional.dropout`, under its names."""
    if training and not inplace and input.device.type == "cpu" and 1 / LEVELS < p < 1 - 1 / LEVELS:
        return fast_dropout(input, p)
    return _OF_TORCH(input, p, training, inplace)


@contextmanager
def fast_dropout_on_cpu(model: Any) -> Iterator[None]:
    """While entered, dropout of a model on the CPU takes a quarter of its time; elsewhere nothing changes.

    A third of a training step of all-MiniLM-L6-v2 went there. Attention that drops weights is computed step by step
    meanwhile: torch's fused attention does the same on a CPU when it drops, but with its own dropout.

    Args:
        model: A MultiVectorEncoder.
    """
    backbone = getattr(model[0], "auto_model", None)
    config = getattr(backbone, "config", None)
    dropped = max((getattr(config, name, 0.0) or 0.0) for name in ("attention_probs_dropout_prob", "attention_dropout"))
    before = getattr(config, "_attn_implementation", None)
    stepwise = model.device.type == "cpu" and dropped > 0 and before == "sdpa"
    if stepwise:
        backbone.set_attn_implementation("eager")  # type: ignore[union-attr]
    run = object()  # runs may overlap in threads: the first to come puts ours in, the last to go takes it out
    with _LOCK:
        _RUNS.add(run)
        functional.dropout = _dropout
    try:
        yield
    finally:
        with _LOCK:
            _RUNS.remove(run)
            functional.dropout = _dropout if _RUNS else _OF_TORCH
        if stepwise:
            backbone.set_attn_implementation(before)  # type: ignore[union-attr]
