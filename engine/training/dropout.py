"""Dropout on a CPU by row, at a quarter of its price: what is dropped follows from step, row and layer alone.

Torch draws one number for each value, in the order of the computation, so that another mini-batch drops other values.
Here a row has a key of its own in each step, four values share one word of random bits, and a row that is encoded again
loses what it lost before. The seams are the dropout modules of the model and the attention registry of transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 1 << 16
ATTENTION = "late-interaction-dropout"  # our name in the registry


class _Draw:
    """The keys of the rows that are being encoded, and how many times they were drawn from."""

    def __init__(self, keys: np.ndarray) -> None:
        self.keys, self.calls = keys, 0


_DRAW: ContextVar[_Draw | None] = ContextVar("draw", default=None)


def row_keys(rows: int, *where: int) -> np.ndarray:
    """A key for each row of a batch.

    Args:
        rows: How many.
        where: Whole numbers of 0 or more that name the batch, such as a step's number, the process and the column.

    Returns:
        uint64 [rows].
    """
    return np.random.SeedSequence(where).generate_state(rows, np.uint64)


@contextmanager
def drawing(keys: np.ndarray | None) -> Iterator[None]:
    """While entered, what `fast_dropout` drops follows from these keys, row by row, and from the order of its calls.

    Args:
        keys: uint64 [rows], one for each row that is encoded; None draws from torch's generator.
    """
    token = _DRAW.set(None if keys is None else _Draw(keys))
    try:
        yield
    finally:
        _DRAW.reset(token)


def fast_dropout(values: Tensor, p: float) -> Tensor:
    """Set values to zero at random and scale up the others, as `torch.nn.functional.dropout` does.

    Args:
        values: Any shape, on the CPU; inside of `drawing` with as many rows as there are keys, the axis before the last
            being one along which rows are trimmed to the longest of them.
        p: Probability of zero; rounded to a multiple of 2**-16, and the scale goes by the rounded one.

    Returns:
        The same shape and dtype.
    """
    dropped = round(p * LEVELS)
    kept = _levels(values.shape) >= dropped - LEVELS // 2
    return (values * kept).mul_(LEVELS / (LEVELS - dropped))


def _levels(shape: torch.Size) -> Tensor:
    """Random int16 of a shape."""
    draw = _DRAW.get()
    if draw is None or not shape or shape[0] != len(draw.keys) or not shape.numel():
        n = shape.numel()
        bits = torch.empty((n + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        return bits.view(torch.int16)[:n].view(shape)
    from engine.simd import counting, threads

    inner, lines = (shape[-1], shape[-2]) if len(shape) > 2 else (shape[1:].numel(), 1)
    groups, words = shape[1:].numel() // (inner * lines), (inner + 3) // 4
    keys, call = draw.keys, draw.calls
    draw.calls += 1
    out = np.empty((shape[0], groups, lines, words), np.uint64)
    bounds = threads.cut(np.ones(shape[0], np.int64), 4 * threads.thread_count())

    def part(number: int) -> None:
        counting.fill(keys, call, bounds[number], bounds[number + 1], groups, lines, words, out)

    threads.run_parts(part, len(bounds) - 1)
    return torch.from_numpy(out.view(np.int16))[..., :inner].reshape(shape)


def _drop(values: Tensor, p: float, inplace: bool = False) -> Tensor:
    if not inplace and values.device.type == "cpu" and 1 / LEVELS < p < 1 - 1 / LEVELS:
        return fast_dropout(values, p)
    return functional.dropout(values, p, training=True, inplace=inplace)


def _forward(module: nn.Dropout, values: Tensor) -> Tensor:
    return _drop(values, module.p, module.inplace) if module.training else values


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention step by step, as the "sdpa" of transformers computes it, with our dropout of its weights."""
    groups = getattr(module, "num_key_value_groups", 1)
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    weights = functional.softmax(scores if attention_mask is None else scores + attention_mask, dim=-1)
    if dropout:
        weights = _drop(weights, dropout)
    return (weights @ value).transpose(1, 2).contiguous(), weights


@contextmanager
def fast_dropout_on_cpu(model: Any) -> Iterator[None]:
    """While entered, a model on the CPU drops by row and in a quarter of the time; elsewhere nothing changes.

    A third of a training step of all-MiniLM-L6-v2 went there. Attention that drops weights is computed step by step
    meanwhile: torch's fused attention does the same on a CPU when it drops, but with its own dropout. A model that
    computes activations again in its backward pass is left as it is, since torch draws for it what it drew before.

    Args:
        model: A MultiVectorEncoder; only its own modules are changed.
    """
    backbone = getattr(model[0], "auto_model", None)
    config = getattr(backbone, "config", None)
    newer = hasattr(type(backbone), "is_activation_checkpointing")  # as transformers calls it from 5.23 on
    again = getattr(backbone, "is_activation_checkpointing" if newer else "is_gradient_checkpointing", False)
    found = [module for module in model.modules() if type(module) is nn.Dropout and "forward" not in vars(module)]
    modules = [] if model.device.type != "cpu" or again else found
    dropped = max((getattr(config, name, 0.0) or 0.0) for name in ("attention_probs_dropout_prob", "attention_dropout"))
    before = getattr(config, "_attn_implementation", None)
    stepwise = bool(modules) and dropped > 0 and before == "sdpa"
    if stepwise:
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
        from transformers.modeling_utils import AttentionInterface

        AttentionInterface.register(ATTENTION, _attention)
        AttentionMaskInterface.register(ATTENTION, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
        backbone.set_attn_implementation(ATTENTION)  # type: ignore[union-attr]
    for module in modules:
        module.forward = partial(_forward, module)  # type: ignore
    try:
        yield
    finally:
        for module in modules:
            del module.forward
        if stepwise:
            backbone.set_attn_implementation(before)  # type: ignore[union-attr]
