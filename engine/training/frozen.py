"""A backbone that does not learn encodes each text once: its vectors are kept for later steps and measurements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from torch import Tensor

from engine.batching import used_tokens

MEMORY_SHARE = 0.15  # of the machine's memory; texts beyond it are encoded each time
Key = tuple[bytes, bytes]


@contextmanager
def remembered_backbone(model: Any, room: int = 0) -> Iterator[None]:
    """While entered, a model's first module keeps the vectors of every text that it has encoded, in float32.

    It computes as in evaluation, without dropout, autocast or gradient: what a text's vectors are depends on nothing
    but the text.

    Args:
        model: A MultiVectorEncoder whose first module is not trained.
        room: Bytes to keep at most; 0 takes a share of the machine's memory.
    """
    module, kept = model[0], _Kept(room or int(MEMORY_SHARE * psutil.virtual_memory().total))
    forward = module.forward

    def remembering(features: dict[str, Any], **options: Any) -> dict[str, Any]:
        used = used_tokens(features)
        keys = _keys(features, used)
        missing = [row for row, key in enumerate(keys) if key not in kept.rows]
        fresh: dict[Key, Tensor] = {}
        if missing:
            n = len(used)
            part = {
                name: value[missing] if isinstance(value, Tensor) and value.shape[:1] == (n,) else value
                for name, value in features.items()
            }
            found = _plainly(module, forward, part, options)["token_embeddings"]
            fresh = {keys[row]: vectors[used[row]] for row, vectors in zip(missing, found, strict=True)}
            for key, vectors in fresh.items():
                kept.add(key, vectors)
        rows = [fresh[key] if key in fresh else kept.rows[key] for key in keys]
        out = rows[0].new_zeros(*used.shape, rows[0].shape[1])
        out[used] = torch.cat(rows)
        return {**features, "token_embeddings": out}

    module.forward = remembering
    try:
        yield
    finally:
        del module.forward


class _Kept:
    """Vectors by text, up to a number of bytes."""

    def __init__(self, room: int) -> None:
        self.room, self.rows = room, dict[Key, Tensor]()

    def add(self, key: Key, vectors: Tensor) -> None:
        size = vectors.numel() * vectors.element_size()
        if size <= self.room and key not in self.rows:
            self.room -= size
            self.rows[key] = vectors.clone()  # of its own, so that no batch stays alive for one text


def _keys(features: dict[str, Any], used: Tensor) -> list[Key]:
    """What the vectors of each text follow from: its tokens, and which of them are attended to."""
    ids, mask = features["input_ids"].cpu(), features["attention_mask"].bool().cpu()
    return [
        (ids[row][of].numpy().tobytes(), mask[row][of].numpy().tobytes()) for row, of in enumerate(used.cpu().bool())
    ]


def _plainly(module: Any, forward: Any, features: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    training = module.training
    module.eval()
    try:
        with torch.no_grad(), torch.autocast(features["input_ids"].device.type, enabled=False):
            return forward(features, **options)
    finally:
        module.train(training)
