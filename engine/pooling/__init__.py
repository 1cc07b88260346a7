"""Token pooling: fewer vectors per document, by merging similar ones (Clavié et al., 2024, arXiv 2409.14683)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.pooling.linkage import Linkage, ward_linkage

Method = Literal["hierarchical", "sequential"]
METHODS: tuple[Method, ...] = ("hierarchical", "sequential")

__all__ = ["METHODS", "Linkage", "Method", "link", "pool", "pool_groups"]


def link(documents: TokenEmbeddings, method: Method = "hierarchical", protected: int = 1) -> Linkage:
    """Find out once which tokens merge in which order; every factor is then a cut.

    Args:
        documents: n documents.
        method: "hierarchical" (Ward linkage on cosine distance) or "sequential" (runs of neighbours).
        protected: How many first tokens of a document ([CLS], prefix) stay as they are.

    Returns:
        The linkage, with `.pool(factor)` and `.groups(factor)`.

    Raises:
        InputError: an unknown method, a negative `protected`, or a vector that holds NaN or infinity.
    """
    if method not in METHODS:
        raise InputError(f"Unknown pooling method {method!r}: choose among {', '.join(METHODS)}.")
    if protected < 0:
        raise InputError(f"Expected 0 or more protected tokens, got {protected}: 1 protects the first.")
    return ward_linkage(documents, protected) if method == "hierarchical" else Linkage(documents, protected)


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
        method: "hierarchical" (Ward linkage on cosine distance; in documents of more than 4,096 tokens within runs of
            up to as many, see `engine.pooling.linkage.ward_linkage`) or "sequential" (runs of neighbours).
        protected: How many first tokens of a document ([CLS], prefix) stay as they are.
        normalize: Scale the merged vectors to length 1; False leaves the plain means.

    Returns:
        n documents, each with `protected + max((tokens - protected) // factor, 1)` tokens or fewer.

    Raises:
        InputError: a factor below 1, an unknown method, a negative `protected`, or a vector that is not finite.
    """
    return _linked(documents, factor, method, protected).pool(factor, normalize)


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
        InputError: a factor below 1, an unknown method, a negative `protected`, or a vector that is not finite.
    """
    return _linked(documents, factor, method, protected).groups(factor)


def _linked(documents: TokenEmbeddings, factor: float, method: Method, protected: int) -> Linkage:
    if not factor >= 1:
        raise InputError(f"Expected a pool factor of 1 or more, got {factor}: 1 keeps every token.")
    return link(documents, "sequential" if method in METHODS and factor == 1 else method, protected)
