"""MaxSim on an accelerator: documents stream through it in blocks, scores come back.

With the package `late-interaction-kernels` on CUDA its fused kernel runs, whose products are of float16 or bfloat16
numbers; without it, and on any other device, plain torch in float32.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from engine.embeddings import TokenEmbeddings
from engine.maxsim.checks import check_pair, check_scores

PACKAGE = "late_interaction_kernels"
BLOCK_TOKENS = 1 << 20  # document tokens on the device at once: 400 MB at 96 dimensions in float32
SIMILARITIES = 1 << 26  # similarities held at once where no fused kernel runs: 256 MB

Score = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def describe(device: str = "cpu") -> dict[str, Any]:
    """What scores on a device, as JSON values.

    Args:
        device: "cpu" or a torch device.

    Returns:
        The backend, the precision of its products, and its version or instruction set.
    """
    if device == "cpu":
        from engine.simd import choice

        return {"device": device, "backend": "engine.simd", "products": "float32", **choice.describe()}
    if _fused(device):
        try:
            found = version("late-interaction-kernels")
        except PackageNotFoundError:
            found = "unknown"
        return {"device": device, "backend": "late-interaction-kernels", "products": "float16", "version": found}
    return {"device": device, "backend": "torch", "products": "float32", "version": torch.__version__}


def maxsim_on_device(queries: TokenEmbeddings, documents: TokenEmbeddings, device: str) -> np.ndarray:
    """Score every query against every document on a device; see `engine.maxsim.maxsim`.

    Args:
        queries: m queries.
        documents: n documents of the same dimension.
        device: A torch device, such as "cuda".

    Returns:
        float32 [m, n]. With `late-interaction-kernels` within the rounding of float16 products, else float32.

    Raises:
        InputError: the dimensions differ, or a vector holds NaN or infinity; the sentence names its text.
    """
    check_pair(queries, documents)
    queries.check([f"query {i}" for i in range(len(queries))])
    documents.check([f"document {i}" for i in range(len(documents))])
    scores = np.full((len(queries), len(documents)), -np.inf, np.float32)
    asked, given = np.flatnonzero(queries.lengths), np.flatnonzero(documents.lengths)
    scores[:, given] = 0.0  # what a query without tokens scores; kernels see no empty text
    if not len(asked):
        return scores
    kept = queries.select(asked)
    dtype = _dtype(device, documents)
    tokens, spans = _moved(kept, device, dtype)
    score = _fused_score if _fused(device) else _plain_score
    for rows in _blocks(documents, given):
        values, offsets = _moved(documents.select(given[rows]), device, dtype)
        scores[np.ix_(asked, given[rows])] = score(tokens, spans, values, offsets).float().cpu().numpy()
    check_scores(scores, queries, documents)
    return scores


def _fused(device: str) -> bool:
    return device.startswith("cuda") and find_spec(PACKAGE) is not None


def _dtype(device: str, documents: TokenEmbeddings) -> torch.dtype:
    return torch.float16 if _fused(device) and documents.values.dtype == np.float16 else torch.float32


def _blocks(documents: TokenEmbeddings, given: np.ndarray) -> Iterator[slice]:
    """Runs of the documents that have tokens, of about BLOCK_TOKENS tokens each."""
    ends = np.cumsum(documents.lengths[given])
    start = 0
    while start < len(given):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + BLOCK_TOKENS, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def _moved(texts: TokenEmbeddings, device: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors [tokens, dim] and offsets int32 [n + 1] on the device."""
    offsets = torch.from_numpy(texts.offsets.astype(np.int32)).to(device)
    return torch.from_numpy(np.array(texts.values)).to(device).to(dtype), offsets


def _fused_score(
    tokens: torch.Tensor, spans: torch.Tensor, values: torch.Tensor, offsets: torch.Tensor
) -> torch.Tensor:
    return importlib.import_module(PACKAGE).maxsim_varlen(tokens, values, spans, offsets)


def _plain_score(
    tokens: torch.Tensor, spans: torch.Tensor, values: torch.Tensor, offsets: torch.Tensor
) -> torch.Tensor:
    """[queries, documents] in float32, a bounded number of similarities at a time."""
    owner = torch.repeat_interleave(torch.arange(len(spans) - 1, device=spans.device), spans.diff())
    place = torch.repeat_interleave(torch.arange(len(offsets) - 1, device=offsets.device), offsets.diff())
    best = values.new_full((len(offsets) - 1, len(tokens)), -torch.inf)
    step = max(SIMILARITIES // len(tokens), 1)
    for start in range(0, len(values), step):
        similarity = values[start : start + step] @ tokens.T
        index = place[start : start + step, None].expand_as(similarity)
        best.scatter_reduce_(0, index, similarity, "amax")
    return best.new_zeros(len(spans) - 1, len(best)).index_add_(0, owner, best.T.contiguous())
