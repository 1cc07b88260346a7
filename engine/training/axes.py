"""Where a new projection begins: the axes along which a backbone's token vectors lie most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.encoder import Encoder

TEXTS = 512  # whose token vectors are looked at: some 50,000 vectors for a few hundred dimensions


def principal_axes(vectors: np.ndarray, count: int) -> np.ndarray:
    """The directions in which vectors lie most, uncentred, which keep most of dot products.

    Args:
        vectors: Floats [n, dim], n at least 1.
        count: Directions, at most dim.

    Returns:
        float32 [count, dim], orthonormal, largest first.

    Source:
        Eckart and Young, 1936: no other directions keep more of the vectors.
    """
    values = vectors.astype(np.float64)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    _, directions = np.linalg.eigh(values.T @ values)
    return directions[:, ::-1][:, :count].T.astype(np.float32)


def begin_projection(encoder: Encoder, texts: Sequence[str], seed: int) -> Encoder:
    """Let a new projection begin at the principal axes of what its backbone makes of some texts.

    Rows beyond the width of the backbone stay as they were drawn.

    Args:
        encoder: A backbone with a projection behind it, which is changed.
        texts: At least one text like those that will be encoded.
        seed: Chooses among them.

    Returns:
        The encoder with its new weights, and a fingerprint of them.
    """
    import torch
    from sentence_transformers import MultiVectorEncoder

    model: Any = encoder.model
    backbone = Encoder(MultiVectorEncoder(modules=[model[0], *list(model)[2:]], device=encoder.device), encoder.name)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:TEXTS])
    vectors = backbone.encode_document(list(map(texts.__getitem__, chosen))).values
    weight: torch.Tensor = model[1].linear.weight
    axes = torch.from_numpy(principal_axes(vectors, min(len(weight), vectors.shape[1])))
    with torch.no_grad():
        weight[: len(axes)].copy_(axes)
    return Encoder(model, encoder.name, encoder.note)
