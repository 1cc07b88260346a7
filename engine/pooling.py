"""Token pooling: fewer vectors a document, by merging those that say the same (Clavié and others, arXiv 2409.14683)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError

Method = Literal["hierarchical", "sequential"]
METHODS: tuple[Method, ...] = ("hierarchical", "sequential")


def pool(
    documents: TokenEmbeddings,
    factor: float = 2.0,
    method: Method = "hierarchical",
    protected: int = 1,
    normalize: bool = True,
) -> TokenEmbeddings:
    """Merge token vectors so that about 1 / factor of them remain.

    Args:
        documents: n documents.
        factor: Tokens per remaining token, 1 or more, fractions allowed; 1 keeps all; infinity merges all into one.
        method: "hierarchical" (Ward linkage on cosine distance) or "sequential" (runs of neighbours).
        protected: How many first tokens of a document ([CLS], prefix) stay as they are.
        normalize: Scale the merged vectors to length 1; False leaves the plain means.

    Returns:
        n documents, each with `protected + max((tokens - protected) // factor, 1)` tokens or fewer.

    Raises:
        InputError: a factor below 1 or an unknown method.
    """
    groups, offsets = pool_groups(documents, factor, method, protected)
    if factor == 1:
        return documents
    counts = np.bincount(groups, minlength=offsets[-1]).astype(np.float32)
    order = np.argsort(groups, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts[:-1])]).astype(np.int64) if len(counts) else np.empty(0, np.int64)
    sums = np.add.reduceat(documents.values[order].astype(np.float32), starts, axis=0) if len(counts) else None
    if sums is None:
        return documents
    means = sums / counts[:, None]
    if normalize:
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return TokenEmbeddings(means.astype(documents.values.dtype), offsets, documents.fingerprint, documents.truncated)


def pool_groups(
    documents: TokenEmbeddings, factor: float, method: Method = "hierarchical", protected: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Which tokens are merged with which.

    Args:
        documents: n documents.
        factor: See `pool`.
        method: See `pool`.
        protected: See `pool`.

    Returns:
        int64 [total tokens], the row of the pooled embeddings that each token went into (rows in the order of their
        first token), and int64 [n + 1], the offsets of the pooled embeddings.

    Raises:
        InputError: a factor below 1, an unknown method, or a negative `protected`.
    """
    if not factor >= 1:
        raise InputError(f"Expected a pool factor of 1 or more, got {factor}: 1 keeps every token.")
    if method not in METHODS:
        raise InputError(f"Unknown pooling method {method!r}: choose among {', '.join(METHODS)}.")
    if protected < 0:
        raise InputError(f"Expected 0 or more protected tokens, got {protected}: 1 protects the first.")
    group = _ward_labels if method == "hierarchical" else _run_labels
    groups = np.empty(documents.n_tokens, np.int64)
    offsets = np.zeros(len(documents) + 1, np.int64)
    for i, vectors in enumerate(documents):
        free = len(vectors) - min(protected, len(vectors))
        wanted = max(int(free // factor), 1)
        labels = np.arange(len(vectors))
        if 0 < wanted < free:
            labels[len(vectors) - free :] = len(vectors) - free + group(vectors[len(vectors) - free :], wanted)
        groups[documents.offsets[i] : documents.offsets[i + 1]] = offsets[i] + labels
        offsets[i + 1] = offsets[i] + (labels.max() + 1 if len(labels) else 0)
    return groups, offsets


def _run_labels(vectors: np.ndarray, wanted: int) -> np.ndarray:
    """Runs of neighbours, as equal in length as possible."""
    return np.arange(len(vectors)) * wanted // len(vectors)


def _ward_labels(vectors: np.ndarray, wanted: int) -> np.ndarray:
    """Ward's clusters, numbered by their first token."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    values = vectors.astype(np.float32)
    distance = np.clip(1 - values @ values.T, 0, 2)
    labels = fcluster(linkage(squareform(distance, checks=False), method="ward"), t=wanted, criterion="maxclust")
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
